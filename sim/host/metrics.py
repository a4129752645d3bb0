"""Figures of a finished time line: launch and queue time, idle gaps, what each engine did.

Launch and queue time as in SKIP (arXiv 2504.11750): for each kernel, from the begin of its launch call to its begin on
the GPU; TKLQT is the sum over all kernels. Of a graph's nodes the call is that of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from sim.host.model import HostModel


@dataclass(frozen=True)
class Summary:
    """Times in nanoseconds; `None` where there is no kernel."""

    kernels: int
    copies: int
    graphs: int
    total_ns: int  # first call begins -> last command ends
    kernel_ns: int  # sum over kernels
    busy_ns: int  # at least one kernel runs
    overlap_ns: int  # at least two kernels run
    copy_ns: int  # at least one copy runs
    exposed_copy_ns: int  # a copy runs and no kernel does
    idle_ns: int  # no kernel runs, of total_ns
    longest_idle_ns: int  # between two kernels
    tklqt_ns: int
    launch_floor_ns: int  # what TKLQT were if every launch met an idle device
    host_ns: int  # the host is inside a call or computes

    @property
    def queue_ns(self) -> int:
        """Launch and queue time beyond that of launches on an idle device."""
        return self.tklqt_ns - self.launch_floor_ns

    @property
    def bound(self) -> str:
        """What works longest: "GPU", "host" or "copies"; "latency" if none of them works half of the time."""
        work = {"GPU": self.busy_ns, "host": self.host_ns, "copies": self.copy_ns}
        longest = max(work, key=lambda name: work[name])
        return longest if 2 * work[longest] >= self.total_ns else "latency"

    def rows(self) -> list[tuple[str, int, str]]:
        """(name, nanoseconds, description) of every time."""
        return [
            ("total", self.total_ns, "first call begins to last command ends"),
            ("kernels, sum", self.kernel_ns, f"of {self.kernels:,} kernels"),
            ("GPU busy", self.busy_ns, "at least one kernel runs"),
            ("GPU overlap", self.overlap_ns, "at least two kernels run"),
            ("GPU idle", self.idle_ns, "no kernel runs"),
            ("longest gap", self.longest_idle_ns, "between two kernels"),
            ("copies", self.copy_ns, f"at least one of {self.copies:,} copies runs"),
            ("exposed copies", self.exposed_copy_ns, "a copy runs and no kernel does"),
            ("host busy", self.host_ns, "in calls or computing"),
            ("launch and queue", self.tklqt_ns, "launch call begins to kernel begins, summed (TKLQT)"),
            ("of it, queue", self.queue_ns, "beyond launches on an idle GPU"),
        ]


def summarize(rows: pd.DataFrame, model: HostModel) -> Summary:
    """Summary of the table that `HostTimeline.run` returns."""
    kernels, copies = rows[rows.kind == "kernel"], rows[rows.kind == "copy"]
    graphs = rows[rows.kind == "graph"]
    busy = _union(_intervals(kernels))
    copying = _union(_intervals(copies))
    begin = int(rows.call_ns.min()) if len(rows) else 0
    end = int(rows.end_ns.max()) if len(rows) else 0
    busy_ns, both = _length(busy), _length(_union(sorted([*busy, *copying])))
    sums = int((kernels.end_ns - kernels.start_ns).sum())
    floor = model.launch_latency_ns * int((kernels.graph < 0).sum())
    floor += model.graph_latency_ns * int((kernels.graph >= 0).sum())
    return Summary(
        kernels=len(kernels),
        copies=len(copies),
        graphs=len(graphs),
        total_ns=end - begin,
        kernel_ns=sums,
        busy_ns=busy_ns,
        overlap_ns=_overlap(_intervals(kernels)),
        copy_ns=_length(copying),
        exposed_copy_ns=both - busy_ns,
        idle_ns=end - begin - busy_ns,
        longest_idle_ns=max((b[0] - a[1] for a, b in zip(busy, busy[1:], strict=False)), default=0),
        tklqt_ns=int((kernels.start_ns - kernels.call_ns).sum()),
        launch_floor_ns=floor,
        host_ns=_host_ns(rows),
    )


def idle_gaps(rows: pd.DataFrame) -> pd.DataFrame:
    """Every stretch between two kernels in which none runs: start_ns, length_ns, after, before (their commands)."""
    import pandas as pd

    kernels = rows[rows.kind == "kernel"].sort_values("start_ns", kind="stable")
    found: list[dict[str, Any]] = []
    reached, last = None, None
    for at, start, end in zip(kernels.index, kernels.start_ns, kernels.end_ns, strict=True):
        if reached is not None and start > reached:
            found.append({"start_ns": int(reached), "length_ns": int(start - reached), "after": last, "before": at})
        if reached is None or end > reached:
            reached, last = end, at
    return pd.DataFrame(found, columns=["start_ns", "length_ns", "after", "before"])


def _intervals(rows: pd.DataFrame) -> list[tuple[int, int]]:
    return sorted((int(a), int(b)) for a, b in zip(rows.start_ns, rows.end_ns, strict=True))


def _union(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted intervals merged where they touch."""
    merged: list[tuple[int, int]] = []
    for start, end in intervals:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _length(intervals: list[tuple[int, int]]) -> int:
    return sum(end - start for start, end in intervals)


def _overlap(intervals: list[tuple[int, int]]) -> int:
    """Time in which at least two of the intervals run."""
    changes = sorted([(start, 1) for start, _ in intervals] + [(end, -1) for _, end in intervals])
    total, running, since = 0, 0, 0
    for at, change in changes:
        if running >= 2:
            total += at - since
        running, since = running + change, at
    return total


def _host_ns(rows: pd.DataFrame) -> int:
    """Time in calls (waiting ones excepted) and in host work."""
    calls = rows[(rows.graph < 0) & (rows.kind != "synchronize") & (rows.kind != "work") & ~rows.blocking.astype(bool)]
    work = rows[rows.kind == "work"]
    return int((calls.issued_ns - calls.call_ns).sum() + (work.end_ns - work.start_ns).sum())
