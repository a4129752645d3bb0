"""The kernel over time: samples of cumulative counts in a table of fixed size; a quantum ends at each.

When the table is full every other row goes and the distance between samples doubles, so a run of any length leaves 128
to 256 rows. A sample reads the SMs that have had a block; between samples nothing is done.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from sim.jit import routine
from sim.state import SUBCORES
from sim.stats import Counter, Stall

ROWS = 256
FIRST_INTERVAL_CYCLES = 512


class Sample(IntEnum):
    """Columns of a series before the stall reasons; all but CYCLE count from the start of the kernel."""

    CYCLE = 0
    SM_ACTIVE_CYCLES = 1
    WARP_CYCLES = 2
    THREAD_INSTRUCTIONS = 3
    L1_SECTORS = 4
    L1_SECTOR_HITS = 5
    L2_SECTORS = 6
    L2_SECTOR_HITS = 7
    DRAM_SECTORS_READ = 8
    DRAM_SECTORS_WRITTEN = 9


FIRST_STALL = len(Sample)
COLUMNS = FIRST_STALL + len(Stall)
_CYCLE = int(Sample.CYCLE)
_ACTIVE = int(Sample.SM_ACTIVE_CYCLES)
_WARPS = int(Sample.WARP_CYCLES)
_THREADS = int(Sample.THREAD_INSTRUCTIONS)
_L1 = int(Sample.L1_SECTORS)
_L1_HITS = int(Sample.L1_SECTOR_HITS)
_L2 = int(Sample.L2_SECTORS)
_L2_HITS = int(Sample.L2_SECTOR_HITS)
_READ = int(Sample.DRAM_SECTORS_READ)
_WRITTEN = int(Sample.DRAM_SECTORS_WRITTEN)
_BLOCKS_COUNTER = int(Counter.BLOCKS)
_ACTIVE_COUNTER = int(Counter.ACTIVE_CYCLES)
_WARPS_COUNTER = int(Counter.WARP_CYCLES)
_THREADS_COUNTER = int(Counter.THREAD_INSTRUCTIONS)
_L1_COUNTER = int(Counter.L1_SECTORS)
_L1_HITS_COUNTER = int(Counter.L1_SECTOR_HITS)
_NO_WARP = FIRST_STALL + int(Stall.NO_WARP)
_REASONS = len(Stall)


@routine
def take_sample(sms, memory, grid, series, now):
    """Append the state of all counts at cycle `now`, of which every SM has simulated the cycles before."""
    if grid.samples == len(series):
        for row in range(len(series) // 2):
            for column in range(series.shape[1]):
                series[row, column] = series[2 * row + 1, column]
        grid.samples = len(series) // 2
        grid.sample_interval *= 2
    grid.sample_at = (now // grid.sample_interval + 1) * grid.sample_interval
    if now % grid.sample_interval:
        return  # the distance has just doubled
    row = series[grid.samples]
    grid.samples += 1
    for column in range(len(row)):
        row[column] = 0
    row[_CYCLE] = now
    for i in range(len(sms)):
        sm = sms[i]
        if sm.counter[_BLOCKS_COUNTER] == 0:
            row[_NO_WARP] += SUBCORES * now
            continue
        row[_ACTIVE] += sm.counter[_ACTIVE_COUNTER]
        row[_WARPS] += sm.counter[_WARPS_COUNTER]
        if sm.resident_warps > 0:
            row[_ACTIVE] += now - sm.active_from
            row[_WARPS] += sm.resident_warps * (now - sm.residency_at)
        row[_THREADS] += sm.counter[_THREADS_COUNTER]
        row[_L1] += sm.counter[_L1_COUNTER]
        row[_L1_HITS] += sm.counter[_L1_HITS_COUNTER]
        for s in range(SUBCORES):
            sub = sm.sub[s]
            for reason in range(_REASONS):
                row[FIRST_STALL + reason] += sub.stall[reason]
            row[FIRST_STALL + sub.reason] += now - sub.charged_to  # cycles that it sleeps through
    beyond = memory.counter[0]
    row[_L2] = beyond.lts__t_sectors
    row[_L2_HITS] = beyond.lts__t_sectors_lookup_hit
    row[_READ] = beyond.dram__sectors_read
    row[_WRITTEN] = beyond.dram__sectors_write


def finish_series(series: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Samples before the end of the kernel and `last`, the counts at its end: i8, shape (samples, COLUMNS)."""
    kept = series[series[:, _CYCLE] < last[_CYCLE]]
    return np.concatenate([np.minimum(kept, last), last[None]])
