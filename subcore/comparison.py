"""Differences between run directories: knobs, cycles, stall shares, counters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from subcore.stored_run import StoredRun


def compare(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """Everything that differs from the first run, in plain values; counters by the size of their relative change."""
    first = runs[0]
    remarks = []
    if len({run.manifest["trace"]["hash"] for run in runs}) > 1:
        remarks.append("the runs replay different traces: their cycles do not compare configurations alone")
    names = _names([run.directory for run in runs])
    knobs = {
        knob: [run.knobs.get(knob, "") for run in runs]
        for knob in first.knobs
        if any(run.knobs.get(knob) != first.knobs[knob] for run in runs)
    }
    shares = {
        reason: [run.stalls.get(reason, 0) / max(1, sum(run.stalls.values())) for run in runs]
        for reason in first.stalls
    }
    shares = dict(sorted(shares.items(), key=lambda item: (-max(item[1]), item[0])))
    counters = {
        name: {"values": values, "change": _change(values[0], values[-1])}
        for name in first.statistics
        if len(set(values := [run.statistics.get(name, 0) for run in runs])) > 1
    }
    moved = dict(sorted(counters.items(), key=lambda item: (-_size(item[1]["values"]), item[0])))
    binding = [binding_bound(run.directory) for run in runs]
    return {
        "runs": names,
        "kernels": [run.kernel for run in runs],
        "gpus": [run.knobs["gpu.name"] for run in runs],
        "cycles": [run.manifest["cycles"] for run in runs],
        "bounds": [{"resource": resource, "share": share} for resource, share in binding],
        "remarks": remarks,
        "knobs": knobs,
        "stalls": {reason: row for reason, row in shares.items() if max(row) >= 0.0005},
        "counters": moved,
    }


def binding_bound(directory: Path) -> tuple[str, float]:
    """The highest lower bound of a run and its share of the simulated cycles."""
    from subcore.bounds import read_rows

    rows = read_rows(directory)
    return (rows[0]["resource"], rows[0]["share"]) if rows else ("", 0.0)


def _names(directories: Sequence[Path]) -> list[str]:
    """Short names that tell the runs apart."""
    last = [directory.name for directory in directories]
    return last if len(set(last)) == len(last) else [str(directory) for directory in directories]


def _size(values: Any) -> float:
    """Largest relative change from the first value."""
    return max(abs(value - values[0]) / max(abs(value), abs(values[0]), 1) for value in values)


def _change(before: float, after: float) -> str:
    return f"{100 * (after / before - 1):+.1f} %" if before else "new"
