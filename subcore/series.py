"""The kernel over time as a table: what happened between one sample and the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.result import RunResult

FILE = "series.csv"


def series_rows(result: RunResult) -> list[dict[str, Any]]:
    """One row per interval: first_cycle, cycles (its length), then counts within it: those of `sim.series.Sample`,
    lower case, and the sub-core cycles of every stall reason (`issued` counts warp instructions)."""
    from sim.series import FIRST_STALL, Sample
    from sim.stats import Stall

    names = [*(column.name.lower() for column in Sample), *(reason.name.lower() for reason in Stall)]
    rows = []
    before = [0] * len(names)
    for sample in result.series.tolist():
        values = [after - earlier for after, earlier in zip(sample, before, strict=True)]
        rows.append(
            {
                "first_cycle": before[Sample.CYCLE],
                "cycles": values[Sample.CYCLE],
                **dict(zip(names[1:], values[1:], strict=True)),
            }
        )
        before = sample
    assert len(names) == FIRST_STALL + len(Stall)
    return rows
