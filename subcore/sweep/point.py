"""One point of a sweep: simulate it and return a row of plain values. Runs in worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from isa.errors import SubcoreError
from subcore.sweep.spec import Point

if TYPE_CHECKING:
    from traces.stream import Trace

OK, FAILED = "ok", "failed"


@dataclass(frozen=True)
class Task:
    """A point with the trace file that it runs."""

    point: Point
    trace: str
    trace_hash: str


def run(task: Task) -> dict[str, Any]:
    """Row of the table. An error of the input or of the simulator becomes a row with status "failed"."""
    row = identity(task.point)
    try:
        return {**row, "status": OK, "error": "", **_simulate(task)}
    except SubcoreError as error:
        return failure(task.point, " ".join(str(error).split()))
    except Exception as error:  # a bug at one point must not lose the others
        return failure(task.point, f"internal error: {type(error).__name__}: {error}")


def failure(point: Point, error: str) -> dict[str, Any]:
    return {**identity(point), "status": FAILED, "error": error}


def identity(point: Point) -> dict[str, Any]:
    """The columns that say which point a row is."""
    return {"point": point.number, "workload": point.workload.label, "gpu": point.gpu, **dict(point.at)}


def _simulate(task: Task) -> Mapping[str, Any]:
    from configs.load import config_hash, load_config
    from subcore.api import simulate

    point = task.point
    config = load_config(point.gpu, point.overlays, point.settings)
    result = simulate(_trace(task.trace), config)
    row: dict[str, Any] = {
        "kernel": result.kernel,
        "cycles": result.cycles,
        "ipc": round(result.ipc_active, 6),
        "achieved_occupancy": round(result.achieved_occupancy, 6),
        "limited_by": result.limited_by,
        "config_hash": config_hash(config),
        "trace_hash": task.trace_hash,
    }
    row |= {
        f"stall.{item['reason']}": item["cycles"] for item in sorted(result.stall_rows(), key=lambda r: r["reason"])
    }
    row |= {name: value for name, (value, _, _) in result.values().items()}
    return row


@lru_cache(maxsize=4)
def _trace(path: str) -> Trace:
    from subcore.api import load_trace

    return load_trace(path)
