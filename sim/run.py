"""What the timing kernels read while they run: the lowered program, the streams in the arena, where requests go."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.state import record_dtype

# One entry of the optional event log: what happened to a dynamic instruction, and when.
LOG = record_dtype(
    [("cycle", "i8"), ("stream", "i8"), ("op", "i4"), ("sm", "i4"), ("warp", "i2"), ("kind", "i2"), ("block", "i4")]
)


# MEMORY_ACCESS of the arena, renamed where a field would hide behind an attribute of numpy records.
ACCESS = record_dtype([("origin", "i8"), ("stride", "i4"), ("list_at", "i4"), ("more", "i4")])


def plain(array: np.ndarray) -> np.ndarray:
    """As kernels are compiled for: contiguous and writable; nearly always the array itself."""
    return np.require(array, requirements=("C", "W"))


class Run(NamedTuple):
    """Arrays that every stage may read. Written are only `boards`, `engine`, `outbox`, profile, log and series."""

    # program (sim.lower)
    op: np.ndarray  # OP, shape (n,)
    read_entry: np.ndarray  # i4, scoreboard entries read and written, flat; each OP has its range
    read_class: np.ndarray  # i4, ConsumerClass
    write_entry: np.ndarray  # i4
    write_class: np.ndarray  # i4, ProducerClass
    latency: np.ndarray  # i4, (register file, producer, consumer)
    overwrite: np.ndarray  # i4, (first producer, second producer)
    length: int
    pc_step: int
    tracked: int  # 1 = scoreboard mode
    # streams (sim.arena); one row per dynamic warp instruction, per access, per address of a pattern (sim.lists)
    instruction: np.ndarray  # i4, index into op
    active_mask: np.ndarray  # u4
    access: np.ndarray  # i4, index into accesses, -1 = none
    accesses: np.ndarray  # ACCESS; list_at indexes lane_address
    lane_address: np.ndarray  # i8, relative to the origin of the access
    # per SM
    boards: np.ndarray  # SCOREBOARD, (SMs, warps); (1, 1) when not tracked
    engine: np.ndarray  # ASYNC, (SMs,)
    way: np.ndarray  # i8, (SMs,): cycles to the hub of the cluster network
    outbox: np.ndarray  # REQUEST, (SMs, requests of a quantum)
    profile: np.ndarray  # i8, (length + 1, PROFILE_COLUMNS); the last row has the cycles of no instruction
    log: np.ndarray  # LOG; length 0 = off
    log_count: np.ndarray  # i8, shape (1,): entries written; may exceed the length, the rest is dropped
    log_window: np.ndarray  # i8: first cycle, cycle behind the last, SM or -1 for all, 1 = with the kinds of Detail
    series: np.ndarray  # i8, (sim.series.ROWS, COLUMNS)
