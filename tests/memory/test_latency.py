"""Idle machine: latencies to the cycle."""

import pytest
from memory_bench import TWO_PARTITIONS, Bench, small

from sim.memory.state import RequestKind


def hit_cycles(cfg) -> int:
    return int(cfg.interconnect.request_cycles + cfg.l2.access_cycles + cfg.interconnect.reply_cycles)


def clock_after(cfg, cycle: int) -> int:
    return -(-cycle * round(cfg.dram.clock_mhz * 1000) // round(cfg.gpu.core_clock_mhz * 1000))


def cycle_after(cfg, clock: int) -> int:
    return -(-clock * round(cfg.gpu.core_clock_mhz * 1000) // round(cfg.dram.clock_mhz * 1000))


def burst_clocks(cfg) -> int:
    return -(-int(cfg.dram.burst_length) // int(cfg.dram.transfers_per_clock))


def miss_cycles(cfg, at: int, command_clocks: int, far: int = 0) -> int:
    """Latency of one sector from DRAM if its read command goes `command_clocks` after it reached the queue."""
    queue_at = at + int(cfg.interconnect.request_cycles + cfg.l2.access_cycles) + far // 2
    data = clock_after(cfg, queue_at) + command_clocks + int(cfg.dram.tCL) + burst_clocks(cfg)
    return cycle_after(cfg, data) + int(cfg.dram.access_cycles + cfg.interconnect.reply_cycles) + far - far // 2 - at


@pytest.mark.parametrize("clock_mhz", [900, 1800, 2375.5])
def test_row_closed_hit_and_conflict(clock_mhz):
    cfg = small(dram__clock_mhz=clock_mhz, gpu__memory_clock_mhz=4 * clock_mhz)
    bench = Bench(cfg)
    base = 0
    channel, bank, row = bench.dram_place(base)
    others = [line for line in range(128, 1 << 18, 128) if bench.dram_place(line)[:2] == (channel, bank)]
    same_row = next(line for line in others if bench.dram_place(line)[2] == row)
    other_row = next(line for line in others if bench.dram_place(line)[2] != row)
    assert bench.latency(base) == miss_cycles(cfg, 0, int(cfg.dram.tRCD))
    at = bench.now
    assert bench.latency(same_row) == miss_cycles(cfg, at, 0)
    at = bench.now
    assert bench.latency(other_row) == miss_cycles(cfg, at, int(cfg.dram.tRP + cfg.dram.tRCD))
    counters = bench.counters()
    assert (counters["dram_activates"], counters["dram_precharges"], counters["dram__sectors_read"]) == (2, 1, 3)


@pytest.mark.parametrize("kind", [RequestKind.READ, RequestKind.INSTRUCTION, RequestKind.CONSTANT])
def test_hit_is_request_access_reply(kind):
    cfg = small()
    bench = Bench(cfg)
    bench.latency(0, mask=15)
    assert bench.latency(0, kind=kind) == hit_cycles(cfg)
    assert bench.latency(0, sm=3, kind=kind) == hit_cycles(cfg)


def test_tail_of_a_line_counts():
    """128 bytes through a port of 32 bytes per cycle arrive 3 cycles after the first 32; the header adds one more."""
    cfg = small(interconnect__slice_reply_bytes_per_cycle=32)
    bench = Bench(cfg)
    bench.latency(0, mask=15)
    assert bench.latency(0, mask=15) == hit_cycles(cfg) + 3
    cfg = small(interconnect__slice_reply_bytes_per_cycle=32, interconnect__sm_reply_bytes_per_cycle=32)
    bench = Bench(cfg)
    bench.latency(0, mask=15)
    assert bench.latency(0, mask=15) == hit_cycles(cfg) + 4
    cfg = small()
    bench = Bench(cfg)
    bench.latency(0, mask=15)
    assert bench.latency(0, mask=15) == hit_cycles(cfg) + 2  # (128 + 8) / 64, rounded up, less one


def test_write_and_reduction_are_acknowledged():
    cfg = small()
    bench = Bench(cfg)
    assert bench.latency(0, kind=RequestKind.WRITE) == hit_cycles(cfg)
    assert bench.latency(0, kind=RequestKind.REDUCTION) == hit_cycles(cfg) + int(cfg.l2.atomic_cycles)
    assert bench.latency(0, kind=RequestKind.ATOMIC, operations=7) == hit_cycles(cfg) + round(7 * cfg.l2.atomic_cycles)


def test_far_partition_costs_its_cycles_once():
    cfg = small(**{k.replace(".", "__"): v for k, v in TWO_PARTITIONS.items()})
    bench = Bench(cfg)
    far = int(cfg.l2.far_partition_cycles)
    line = next(line for line in range(0, 1 << 20, 128) if bench.place(line)[0] >= 2)  # at home in the second partition
    near_sm, far_sm = 3, 0
    assert bench.latency(line, sm=near_sm) == miss_cycles(cfg, 0, int(cfg.dram.tRCD))
    assert bench.latency(line, sm=far_sm) == hit_cycles(cfg) + far  # at home, not yet copied
    assert bench.latency(line, sm=far_sm) == hit_cycles(cfg)  # the copy
    assert bench.latency(line, sm=far_sm, kind=RequestKind.WRITE) == hit_cycles(cfg) + far
    assert bench.latency(line, sm=near_sm, kind=RequestKind.WRITE) == hit_cycles(cfg)
    assert bench.latency(line, sm=far_sm) == hit_cycles(cfg) + far  # that write dropped the copy
    assert bench.counters()["l2_copies_invalidated"] == 1
    at = bench.now
    neighbour = next(n for n in range(line + 128, 1 << 24, 128) if bench.dram_place(n) == bench.dram_place(line))
    assert bench.latency(neighbour, sm=far_sm) == miss_cycles(cfg, at, 0, far)  # row still open
