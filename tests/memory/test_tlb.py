"""Address translation: reach, adders, walks, sharing."""

import numpy as np
import pytest
from memory_bench import Bench, requests, small

from sim.memory.tlb import LOCAL_REGION

PAGE = 1 << 21
TLB = {"tlb__miss_cycles": 9, "tlb__tpc_entries": 4, "tlb__walk_cycles": 300}
TLB |= {"tlb__gpc_entries": 16, "tlb__gpc_ways": 2}


def bench(**settings) -> Bench:
    return Bench(small(**TLB | settings))


def extra(machine: Bench, line: int, sm: int = 0) -> int:
    """Cycles of translation in the latency of a request that hits in the L2."""
    cfg = machine.cfg
    machine.latency(line, sm=3 - sm)  # the line is in the L2; SMs 0 and 3 share no TLB
    hit = int(cfg.interconnect.request_cycles + cfg.l2.access_cycles + cfg.interconnect.reply_cycles)
    return machine.latency(line, sm=sm) - hit


def test_first_use_of_a_page_misses_and_the_second_hits():
    machine = bench()
    assert [extra(machine, 0), extra(machine, 128), extra(machine, PAGE)] == [9, 0, 9]
    assert machine.counters()["tlb_misses"] == 4, "two pages, each in two TLBs"


def test_reach_is_the_number_of_entries():
    machine = bench()
    for page in range(4):
        extra(machine, page * PAGE)
    assert [extra(machine, page * PAGE) for page in range(4)] == [0, 0, 0, 0]
    extra(machine, 4 * PAGE)  # replaces page 0, the least recently used
    assert [extra(machine, page * PAGE) for page in (1, 2, 3, 0)] == [0, 0, 0, 9]


def test_cold_pages_are_walked_once_per_gpc():
    machine = bench(tlb__warm="false")
    machine.latency(0, sm=3)
    assert extra(machine, 0) == 309
    assert extra(machine, 0, sm=1) == 9, "SM 1 is in the GPC of SM 0"
    assert machine.counters()["tlb_walks"] == 2


def test_warm_pages_are_walked_again_when_the_gpc_has_lost_them():
    machine = bench(tlb__gpc_entries=2)
    assert [extra(machine, page * PAGE) for page in range(8)][:2] == [9, 9]
    assert extra(machine, 0) == 309


def test_sms_of_a_tpc_share_their_tlb():
    machine = bench(gpu__sms_per_tpc=2, gpu__tpcs_per_gpc=1)
    extra(machine, 0, sm=0)
    assert extra(machine, 128, sm=1) == 0


def test_requests_wait_for_a_walk_under_way_and_do_not_block_others():
    machine = bench(tlb__warm="false")
    extra(machine, PAGE)
    rows = requests([(machine.now + at, line, 0, tag, 0, 1, 1, 0) for tag, (at, line) in
                     enumerate([(0, 8 * PAGE), (1, 8 * PAGE + 128), (2, PAGE)])])  # fmt: skip
    for line in (8 * PAGE, 8 * PAGE + 128):
        machine.latency(line, sm=3)
    rows["at"] += machine.now - int(rows["at"][0])
    replies = machine.run(rows)
    at = {int(r["tag"]): int(r["at"]) for r in replies}
    assert at[2] < at[0] == at[1] - 1 or at[2] < at[0] <= at[1]
    assert at[1] - at[0] <= 1, "the second request waits for the same walk"


def test_local_memory_is_not_translated():
    machine = bench(tlb__warm="false")
    local = LOCAL_REGION << 40
    assert [extra(machine, local + i * PAGE) for i in range(8)] == [0] * 8


@pytest.mark.parametrize("entries", [4, 16])
def test_random_pages_miss_in_proportion(entries):
    """Pages at random over twice the reach: half of the requests miss."""
    machine = bench(tlb__tpc_entries=entries)
    pages = np.random.default_rng(1).integers(0, 2 * entries, 4000)
    for page in pages:
        machine.latency(int(page) * PAGE + 128 * int(page))
    assert machine.counters()["tlb_misses"] == pytest.approx(2000, rel=0.1)
