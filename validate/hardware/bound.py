"""What bounds a kernel: how busy issue, L1, L2 and DRAM were while blocks ran, and how much was launch."""

from __future__ import annotations

from sim.result import RunResult
from sim.stats import Counter

BOUNDS = ("issue", "latency", "L1", "L2", "DRAM", "launch")
BUSY = 0.5  # a resource busy for less than half of the time does not bound: then latency does (a convention)


def shares(result: RunResult) -> dict[str, float]:
    """Share of the peak of issue slots, L1, L2 and DRAM bandwidth, and of the time that goes to launching.

    Rates are over the cycles from the first block's start to the last one's end; `launch` is over the whole kernel:
    fixed cost, and block dispatch at its own rate.
    """
    config = result.config
    window = max(1, result.kernel_cycles - config.launch.kernel_cycles)
    sms = config.gpu.sms
    sector = config.l2.sector_bytes
    l1_sectors = sum(
        result.counter(c) for c in (Counter.L1_SECTORS, Counter.L1_STORE_SECTORS, Counter.L1_ATOMIC_SECTORS)
    )
    memory = result.memory_counters
    l2_peak = config.l2.slices * config.interconnect.slice_reply_bytes_per_cycle
    dram_peak = config.dram_bytes_per_cycle
    dispatch = min(window, result.launch.blocks * config.launch.block_interval_cycles)
    dram_sectors = memory["dram__sectors_read"] + memory["dram__sectors_write"]
    return {
        "issue": result.warp_instructions / (4 * sms * window),
        "L1": max(
            l1_sectors * config.l1d.sector_bytes / (sms * config.l1d.bytes_per_cycle * window),
            result.counter(Counter.L1_TAGS) / (sms * config.l1d.tags_per_cycle * window),
        ),
        "L2": memory["lts__t_sectors"] * sector / (l2_peak * window),
        "DRAM": dram_sectors * sector / (dram_peak * window),
        "launch": (result.cycles - window + dispatch) / max(1, result.cycles),
    }


def bound_of(share: dict[str, float]) -> str:
    """One of `BOUNDS`: launch if it takes half of the time, else the busiest resource, else latency."""
    if share["launch"] >= BUSY:
        return "launch"
    name = max(("issue", "L1", "L2", "DRAM"), key=lambda key: share[key])
    return name if share[name] >= BUSY else "latency"
