"""The kernel over time as a table: what happened between one sample and the next."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isa.errors import SubcoreError
from subcore.stored_run import StoredRun, read_run

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


def read_series(directory: Path) -> tuple[StoredRun, list[dict[str, int]]]:
    """A run directory and the rows of its series. SubcoreError if it has none."""
    run = read_run(directory)
    try:
        with open(directory / FILE, encoding="utf-8", newline="") as file:
            rows = [{name: int(value) for name, value in row.items()} for row in csv.DictReader(file)]
        if not rows or "first_cycle" not in rows[0]:
            raise ValueError("no series")
    except (OSError, TypeError, ValueError) as error:
        raise SubcoreError(f"{directory}: has no readable {FILE} ({error}); simulate again with -o") from None
    return run, rows


def rates(run: StoredRun, rows: list[dict[str, int]]) -> list[dict[str, float]]:
    """Rates of each interval: first_cycle, last_cycle; ipc (warp instructions per cycle of the chip), occupancy (mean
    resident warps of all SMs as a share of the most), active_sms (share), l1_hit_rate, l2_hit_rate,
    dram_bytes_per_cycle, and the share of the sub-core cycles of each stall reason."""
    sms, most = int(run.knobs["gpu.sms"]), int(run.knobs["sm.max_warps"])
    found = []
    for row in rows:
        length = row["cycles"]
        names = list(row)[list(row).index("issued") :]
        dram = row["dram_sectors_read"] + row["dram_sectors_written"]
        found.append(
            {
                "first_cycle": row["first_cycle"],
                "last_cycle": row["first_cycle"] + length,
                "ipc": row["issued"] / length,
                "occupancy": row["warp_cycles"] / (length * sms * most),
                "active_sms": row["sm_active_cycles"] / (length * sms),
                "l1_hit_rate": row["l1_sector_hits"] / max(1, row["l1_sectors"]),
                "l2_hit_rate": row["l2_sector_hits"] / max(1, row["l2_sectors"]),
                "dram_bytes_per_cycle": dram * 32 / length,
                **{name: row[name] / (length * sms * 4) for name in names},
            }
        )
    return found
