"""The time line of an application in Trace Event Format (JSON), for ui.perfetto.dev and chrome://tracing.

Times are given in nanoseconds and written in microseconds, the unit of the format; nothing is rounded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subcore.application.run import ApplicationResult, Played


def timeline_text(result: ApplicationResult, played: Played) -> str:
    """Time line of the application: calls of the host, one track per stream, copy engine and number of kernels."""
    events = TraceEvents()
    host, gpu = "host", result.config.gpu.name
    events.track(host, "calls")
    rows = played.rows.astype({"blocking": bool})
    running: list[tuple[int, int]] = []
    busy: dict[str, int] = {}  # track -> end of what runs there
    commands: list[Any] = list(rows.itertuples())
    for at, row in enumerate(commands):
        if row.graph < 0:
            kind = {"kernel": "launch", "work": "work"}.get(str(row.kind), str(row.kind))
            end = row.end_ns if row.stream < 0 else row.issued_ns
            events.slice(host, "calls", f"{kind} {row.name}", row.call_ns, end, {"command": at}, str(row.kind))
        if row.stream < 0:
            continue
        where = f"stream {row.stream}"
        if row.kind in ("kernel", "copy"):
            details: dict[str, Any] = {"command": at, "launch and queue us": (row.start_ns - row.call_ns) / 1000}
            if row.kind == "kernel":
                run = result.launches[row.launch]
                launch = run.result.launch
                details |= {"kernel": run.result.kernel, "grid": list(launch.grid), "block": list(launch.block),
                            "cycles alone": run.result.cycles, "us alone": run.alone_ns / 1000,
                            "same as launch": run.reused}  # fmt: skip
                running += [(row.start_ns, 1), (row.end_ns, -1)]
                track = gpu, _lane(busy, where, row.start_ns, row.end_ns)
            else:
                track = "copy engines", str(row.engine)
                details["bytes"] = row.bytes
            events.slice(*track, str(row.name), row.start_ns, row.end_ns, details, str(row.kind))
            if row.graph < 0:
                events.arrow("launch", (host, "calls", row.call_ns), (*track, row.start_ns))
        elif row.kind in ("record", "wait"):
            events.instant(gpu, where, f"{row.kind} {row.name}", row.end_ns)
    count = 0
    for at_ns, change in sorted(running):
        count += change
        events.counter(gpu, "kernels running", at_ns, {"kernels": count})
    return events.text({"application": result.application.title, "host": played.host.name, "gpu": gpu})


def _lane(busy: dict[str, int], stream: str, start_ns: int, end_ns: int) -> str:
    """Track of a stream on which nothing runs in this time: branches of a graph overlap."""
    number = 1
    while busy.get(name := stream if number == 1 else f"{stream}, branch {number}", -1) > start_ns:
        number += 1
    busy[name] = end_ns
    return name


class TraceEvents:
    """Collects events. A process is a group of tracks, a thread one track; both are shown in the order of first use."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._processes: dict[str, int] = {}
        self._threads: dict[tuple[str, str], int] = {}
        self._flows = 0

    def track(self, process: str, thread: str) -> tuple[int, int]:
        """Numbers of a track, which is declared on first use."""
        if process not in self._processes:
            number = self._processes[process] = len(self._processes) + 1
            self._declare("process_name", number, 0, {"name": process})
            self._declare("process_sort_index", number, 0, {"sort_index": number})
        if (process, thread) not in self._threads:
            number = self._threads[process, thread] = len(self._threads) + 1
            at = self._processes[process]
            self._declare("thread_name", at, number, {"name": thread})
            self._declare("thread_sort_index", at, number, {"sort_index": number})
        return self._processes[process], self._threads[process, thread]

    def slice(
        self,
        process: str,
        thread: str,
        name: str,
        start_ns: float,
        end_ns: float,
        values: Mapping[str, Any] | None = None,
        category: str = "",
    ) -> None:
        """Something that takes time. Slices of a track must nest or be apart."""
        pid, tid = self.track(process, thread)
        event = {"ph": "X", "pid": pid, "tid": tid, "name": name, "ts": _us(start_ns), "dur": _us(end_ns - start_ns)}
        self._events.append({**event, "cat": category or "slice", "args": dict(values or {})})

    def instant(self, process: str, thread: str, name: str, at_ns: float) -> None:
        """Something that takes no time."""
        pid, tid = self.track(process, thread)
        self._events.append(
            {"ph": "i", "s": "t", "pid": pid, "tid": tid, "name": name, "ts": _us(at_ns), "cat": "instant"}
        )

    def counter(self, process: str, name: str, at_ns: float, values: Mapping[str, float]) -> None:
        """Values from now on, until the next event of the counter."""
        pid, _ = self.track(process, name)
        self._events.append({"ph": "C", "pid": pid, "tid": 0, "name": name, "ts": _us(at_ns), "args": dict(values)})

    def arrow(self, name: str, start: tuple[str, str, float], end: tuple[str, str, float]) -> None:
        """From the slice at (process, thread, ns) to another one."""
        self._flows += 1
        for phase, (process, thread, at_ns) in (("s", start), ("f", end)):
            pid, tid = self.track(process, thread)
            event = {
                "ph": phase,
                "id": self._flows,
                "pid": pid,
                "tid": tid,
                "name": name,
                "ts": _us(at_ns),
                "cat": "flow",
            }
            self._events.append({**event, "bp": "e"} if phase == "f" else event)

    def text(self, notes: Mapping[str, Any] | None = None) -> str:
        """The whole file. `notes` are plain JSON values about the run."""
        lines = ",\n".join(json.dumps(event, sort_keys=True) for event in self._events)
        about = json.dumps(dict(notes or {}), sort_keys=True)
        return f'{{"displayTimeUnit": "ns", "otherData": {about}, "traceEvents": [\n{lines}\n]}}\n'

    def _declare(self, name: str, pid: int, tid: int, values: dict[str, Any]) -> None:
        self._events.append({"ph": "M", "name": name, "pid": pid, "tid": tid, "args": values})


def _us(ns: float) -> float:
    return ns / 1000
