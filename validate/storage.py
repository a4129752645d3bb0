"""Storage of the dependence mechanisms of an SM, counted as MICRO 2025 does (section 7.5, Table 7)."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

from configs.schema import Config
from isa.errors import SubcoreError

CONTROL_BITS_PER_WARP = 6 * 6 + 4 + 1  # six dependence counters of six bits, stall counter, yield
SCOREBOARD_ENTRIES_PER_WARP = 255 + 63 + 7 + 7  # registers, uniform registers, predicates, uniform predicates
CONSUMERS = (1, 3, 63)  # of Table 7


@dataclass(frozen=True)
class Storage:
    """Storage of one mechanism. `share` is relative to the register file of the SM (0.01 = 1 %)."""

    mechanism: str
    bits_per_warp: int
    bits_per_sm: int
    share: float


def scoreboard_bits_per_warp(consumers: int) -> int:
    """One pending-write bit per entry, and a counter of 0 .. `consumers` readers. SubcoreError if consumers < 1."""
    if consumers < 1:
        raise SubcoreError(f"a scoreboard that counts {consumers} consumers has no finite size; give 1 or more")
    return SCOREBOARD_ENTRIES_PER_WARP * (1 + ceil(log2(consumers + 1)))


def dependence_storage(config: Config, consumers: tuple[int, ...] = CONSUMERS) -> list[Storage]:
    """Storage of control bits, then of scoreboards with so many consumers, for the warps and registers of an SM."""
    register_file_bits = config.sm.registers * 32
    mechanisms = [("control bits", CONTROL_BITS_PER_WARP)]
    for limit in consumers:
        plural = "" if limit == 1 else "s"
        mechanisms.append((f"scoreboard, {limit} consumer{plural}", scoreboard_bits_per_warp(limit)))
    return [
        Storage(name, bits, bits * config.sm.max_warps, bits * config.sm.max_warps / register_file_bits)
        for name, bits in mechanisms
    ]
