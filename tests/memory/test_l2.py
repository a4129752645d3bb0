"""L2 slices: tags against an independent model, merging, write-back, atomics, warm start, copies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from l2_reference import L2Reference
from memory_bench import TWO_PARTITIONS, Bench, requests, small, steady_bytes_per_cycle, stream

from isa.errors import SubcoreError
from sim.memory.state import RequestKind, new_memory
from sim.memory.system import warm_l2

READ, WRITE, ATOMIC = RequestKind.READ, RequestKind.WRITE, RequestKind.ATOMIC

accesses = st.lists(
    st.tuples(st.integers(0, 99), st.sampled_from(list(RequestKind)), st.integers(1, 15), st.integers(0, 15)),
    max_size=150,
)


def bits(mask: int) -> set[int]:
    return {i for i in range(4) if mask >> i & 1}


@settings(max_examples=25, deadline=None)
@given(accesses)
def test_lone_accesses_agree_with_the_reference(sequence):
    bench = Bench(small())
    model = L2Reference(ways=4)
    for number, kind, mask, full in sequence:
        bench.latency(number * 128, kind=kind, mask=mask, full=full & mask)
        model.access(bench.place(number * 128), number, kind, bits(mask), bits(full & mask))
        counters = bench.counters()
        assert {k: counters[k] for k in model.count} == dict(model.count), f"after line {number}, {kind.name}, {mask}"


def same_set(bench: Bench, count: int) -> list[int]:
    """Line addresses that share a slice and a set."""
    place = bench.place(0)
    return [line for line in range(0, 1 << 20, 128) if bench.place(line) == place][:count]


def test_least_recently_used_line_goes():
    bench = Bench(small())
    a, b, c, d, e = same_set(bench, 5)
    for line in (a, b, c, d, a, e):  # e replaces b, the oldest since a was used again
        bench.latency(line)
    before = bench.counters()["dram__sectors_read"]
    for line in (a, c, d, e):
        bench.latency(line)
    assert bench.counters()["dram__sectors_read"] == before
    bench.latency(b)
    assert bench.counters()["dram__sectors_read"] == before + 1


def test_misses_on_one_sector_merge():
    bench = Bench(small())
    replies = bench.run(requests([(i, 0, sm, i, READ, 1, 0, 0) for sm in range(4) for i in range(5)]))
    counters = bench.counters()
    assert len(replies) == 20
    assert counters["dram__sectors_read"] == 1
    assert counters["l2_sectors_merged"] == 19


def test_sectors_that_hit_come_first():
    bench = Bench(small())
    bench.latency(0, mask=0b0101)
    replies = bench.run(requests([(bench.now, 0, 0, 9, READ, 15, 0, 0)]))
    assert replies["sector_mask"].tolist() == [0b0101, 0b1010]
    assert replies["at"][1] - replies["at"][0] > bench.cfg.dram.access_cycles


def test_partly_written_sector_is_fetched_before_it_is_read():
    bench = Bench(small())
    bench.latency(0, kind=WRITE, mask=3, full=1)
    bench.latency(0, mask=1)
    assert bench.counters()["dram__sectors_read"] == 0
    bench.latency(0, mask=2)
    assert bench.counters()["dram__sectors_read"] == 1


def test_streaming_writes_write_back_what_does_not_fit():
    cfg = small()
    bench = Bench(cfg)
    lines = (np.arange(400)[None, :] * 4 + np.arange(4)[:, None]) * 128
    stream(bench, lines, 32, kind=WRITE)
    bench.run(requests([]))
    counters = bench.counters()
    assert counters["l2_sectors_written_back"] == 4 * 1600 - int(cfg.l2.bytes) // 32
    assert counters["dram__sectors_write"] == counters["l2_sectors_written_back"]
    assert counters["dram__sectors_read"] == 0


@pytest.mark.parametrize("atomic_cycles", [1, 3])
def test_atomics_on_one_line_run_one_after_the_other(atomic_cycles):
    bench = Bench(small(l2__atomic_cycles=atomic_cycles))
    bench.latency(0)
    start = bench.now
    rows = requests([(start + i, 0, sm, i, RequestKind.REDUCTION, 1, 0, 8) for sm in range(4) for i in range(100)])
    replies = bench.run(rows)
    at = np.sort(replies["at"])
    assert set(np.diff(at)) == {8 * atomic_cycles}
    assert bench.counters()["l2_atomic_operations"] == 3200


def test_hits_saturate_the_slice_ports():
    cfg = small(
        l2__bytes=4 * 4 * 64 * 128, interconnect__sm_reply_bytes_per_cycle=256, interconnect__gpc_bytes_per_cycle=1024
    )
    bench = Bench(cfg)
    lines = np.tile(np.arange(64) * 128, (4, 40))
    stream(bench, lines[:, :64], 64)
    rate = steady_bytes_per_cycle(*stream(bench, lines, 400))
    assert rate == pytest.approx(4 * int(cfg.interconnect.slice_reply_bytes_per_cycle), rel=0.02)


@pytest.mark.parametrize("mask", [0b0001, 0b0110, 0b1111])
def test_store_takes_a_flit_for_the_request_and_one_for_each_sector(mask):
    bench = Bench(small(interconnect__request_header_bytes=32, interconnect__slice_request_bytes_per_cycle=32))
    bench.latency(0)
    start = bench.now
    stores = [(start + i, 0, sm, i, WRITE, mask, 15, 0) for sm in range(4) for i in range(100)]
    at = np.sort(bench.run(requests(stores))["at"])
    assert set(np.diff(at)) == {1 + mask.bit_count()}


def test_warm_lines_hit_and_the_last_ones_stay():
    bench = Bench(small())
    lines = np.arange(0, 2 * int(bench.cfg.l2.bytes), 128)
    warm_l2(bench.memory, bench.cfg, lines, len(lines), 0)
    for line in lines[len(lines) // 2 :]:
        bench.latency(int(line), mask=15)
    assert bench.counters()["dram__sectors_read"] == 0
    bench.latency(0)
    assert bench.counters()["dram__sectors_read"] == 1


def test_copies_fill_the_near_partition_and_lines_stay_at_home():
    cfg = small(**{k.replace(".", "__"): v for k, v in TWO_PARTITIONS.items()}, l2__bytes=4 * 4 * 16 * 128)
    bench = Bench(cfg)
    far = [line for line in range(0, 1 << 20, 128) if bench.place(line)[0] >= 2][:100]
    for _ in range(2):
        for line in far:
            bench.latency(line, sm=0, mask=15)
    counters = bench.counters()
    assert counters["lts__t_sectors_lookup_hit"] == 400  # the second round finds the copies
    assert counters["lts__t_sectors_srcunit_ltcfabric"] == 400
    assert counters["dram__sectors_read"] == 400
    for line in far:
        bench.latency(line, sm=3, mask=15)
    assert bench.counters()["dram__sectors_read"] == 400


def test_contradicting_knobs_are_named_together():
    cfg = small()
    cfg.l2.slices, cfg.l2.bytes, cfg.dram.row_bytes = 6, 1000, 64
    with pytest.raises(SubcoreError, match="(?s)dram.channels = 4.*l2.bytes = 1000.*dram.row_bytes = 64"):
        new_memory(cfg)
