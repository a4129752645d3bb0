"""Thread blocks: order over SMs, occupancy limits, replacement, launch cost."""

import dataclasses

import numpy as np
import pytest

from isa.errors import SubcoreError
from sim.gpu import occupancy
from sim.state import LogKind
from sim.stats import Counter
from tests.probe.harness import SMALL, config_of, exit_, kernel, op, run

SLOW = op("NOP", stall=15, yields=True)
BODY = [*[SLOW] * 8, exit_()]
A6000 = config_of(("gpu.sms=2",))


def placement(probe):
    """SM of each block, in block order."""
    log = probe.log[probe.log["kind"] == LogKind.ISSUE]
    return [int(log["sm"][np.flatnonzero(log["block"] == b)[0]]) for b in range(int(log["block"].max()) + 1)]


def test_every_sm_gets_a_block_before_any_gets_its_second():
    probe = run(kernel(BODY, blocks=6), "gpu.sms=4")
    assert placement(probe) == [0, 1, 2, 3, 0, 1]


def test_blocks_leave_the_dispatcher_at_its_rate():
    probe = run(kernel(BODY, blocks=6), "gpu.sms=4", "launch.block_interval_cycles=7")
    firsts = [probe.issue(0, b)[0] for b in range(6)]
    assert firsts == [7 * b for b in range(6)]


def test_fractional_dispatch_rate_adds_up():
    probe = run(kernel(BODY, blocks=5), "gpu.sms=8", "launch.block_interval_cycles=1.5")
    assert [probe.issue(0, b)[0] for b in range(5)] == [0, 1, 3, 4, 6]


def test_warps_of_a_block_start_at_the_rate_of_the_sm():
    probe = run(kernel(BODY, warps=4), "launch.warp_interval_cycles=2.5")
    assert [probe.issue(w)[0] for w in range(4)] == [0, 2, 5, 7]


def test_warps_go_round_the_subcores():
    probe = run(kernel(BODY, warps=10))
    log = probe.log[probe.log["kind"] == LogKind.ISSUE]
    slots = [int(log["warp"][log["stream"] == probe.start[0, w]][0]) for w in range(10)]
    assert [s >> 4 for s in slots] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_waiting_block_takes_the_place_of_the_first_to_finish():
    """One block per SM fits; block 1 is the shorter one, so block 2 follows it on SM 1."""
    long, short = [*range(9)], [7, 8]
    trace = kernel(BODY, warps=1, blocks=3, streams=lambda b, w: short if b == 1 else long, shared_bytes=90_000)
    probe = run(trace, "launch.dispatch_latency_cycles=200")
    assert placement(probe) == [0, 1, 1]
    ended = probe.absolute(LogKind.ISSUE, 0, 1)[-1] + 2
    assert probe.absolute(LogKind.ISSUE, 0, 2)[0] == ended + 200 + 3


def test_first_replacement_of_an_sm_is_queued_there_and_starts_sooner():
    streams = {1: [7, 8]}
    trace = kernel(BODY, warps=1, blocks=5, streams=lambda b, w: streams.get(b, [*range(9)]), shared_bytes=90_000)
    queue = ("launch.queued_blocks_per_sm=1", "launch.queued_block_latency_cycles=160")
    probe = run(trace, "launch.dispatch_latency_cycles=200", *queue)
    assert placement(probe) == [0, 1, 1, 0, 1]
    for before, after, latency in ((1, 2, 160), (0, 3, 160), (2, 4, 200)):
        ended = probe.absolute(LogKind.ISSUE, 0, before)[-1] + 2
        assert probe.absolute(LogKind.ISSUE, 0, after)[0] == ended + latency + 3, f"block {after}"


def test_no_more_blocks_are_resident_than_fit():
    trace = kernel(BODY, warps=16, blocks=12)
    probe = run(trace)
    assert probe.result.blocks_per_sm == 3
    log = probe.log[(probe.log["kind"] == LogKind.ISSUE) & (probe.log["sm"] == 0)]
    spans = [(log["cycle"][log["block"] == b].min(), log["cycle"][log["block"] == b].max()) for b in set(log["block"])]
    assert max(sum(a <= t <= z for a, z in spans) for t, _ in spans) == 3


@pytest.mark.parametrize(
    ("threads", "registers", "shared", "blocks", "limit"),
    [
        (32, 16, 0, 16, "blocks"),
        (1024, 32, 0, 1, "warps"),
        (512, 32, 0, 3, "warps"),
        (256, 128, 0, 2, "registers"),
        (64, 16, 20_000, 4, "shared memory"),
        (96, 16, 0, 16, "blocks"),
    ],
)
def test_occupancy_is_that_of_the_programming_guide(threads, registers, shared, blocks, limit):
    launch = kernel(BODY, threads=threads, registers=registers, shared_bytes=shared).launch
    found = occupancy(launch, A6000)
    assert (found.blocks, found.limited_by) == (blocks, limit)


def test_registers_are_given_to_warps_in_units():
    """33 registers take 40 per thread: 51 warps fit instead of 62, rounded down to 48; 4 blocks of 12 warps."""
    launch = kernel(BODY, threads=384, registers=33).launch
    assert occupancy(launch, A6000).blocks == 4
    assert occupancy(dataclasses.replace(launch, registers=41), A6000).blocks == 3


def test_carve_out_is_the_smallest_that_keeps_the_occupancy():
    launch = kernel(BODY, threads=512, shared_bytes=3000).launch
    found = occupancy(launch, A6000)
    assert found.blocks == 3
    assert found.shared_carveout_bytes == 16384, "3 x (3000 + 1024 rounded up to 4096)"
    assert found.l1_bytes == 131072 - 16384 - 7168


@pytest.mark.parametrize(
    ("gpu", "shared_kib", "l1_kib"),
    [("v100", 0, 121), ("v100", 64, 57), ("v100", 96, 25), ("rtx_2080_ti", 32, 57), ("rtx_2080_ti", 64, 25)],
)
def test_l1_is_as_large_as_pointer_chases_find_it(gpu, shared_kib, l1_kib):
    """Jia 2018 and 2019, Table 3.3: detected L1 of V100 and T4 by shared memory per SM."""
    launch = kernel(BODY, shared_bytes=shared_kib << 10).launch
    assert occupancy(launch, config_of(("sm.max_blocks=1",), gpu)).l1_bytes == l1_kib << 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"block": (2048, 1, 1)}, "2048 threads per block, at most 1024"),
        ({"shared_bytes": 200_000}, "200000 B of shared memory per block"),
        ({"registers": 255, "block": (1024, 1, 1)}, "255 registers per thread"),
        ({"grid": (0, 1, 1)}, "must be positive"),
    ],
)
def test_impossible_launch_names_what_does_not_fit(change, words):
    launch = dataclasses.replace(kernel(BODY).launch, **change)
    with pytest.raises(SubcoreError, match=words):
        occupancy(launch, A6000)


def test_launch_cost_comes_before_the_first_and_after_the_last_block():
    plain = run(kernel(BODY))
    knobs = ("launch.kernel_cycles=1000", "launch.drain_cycles=70", "launch.block_start_cycles=20")
    costly = run(kernel(BODY), *knobs)
    assert costly.result.kernel_cycles == plain.result.kernel_cycles + 1020
    assert costly.result.cycles == costly.result.kernel_cycles + 70


def test_blocks_and_warps_are_counted_once():
    probe = run(kernel(BODY, warps=3, blocks=7, threads=70))
    assert (probe.count(Counter.BLOCKS), probe.count(Counter.WARPS)) == (7, 21)
    assert probe.count(Counter.WARP_CYCLES) >= probe.count(Counter.ACTIVE_CYCLES) > 0


def test_large_grid_passes_through_few_sms():
    probe = run(kernel([SLOW, exit_()], warps=2, blocks=400, chunk_blocks=7))
    assert probe.count(Counter.BLOCKS) == 400
    assert "gpu.sms=2" in SMALL and set(placement(probe)) == {0, 1}


def test_slot_is_kept_for_its_time_beside_the_warps():
    """Block 1 is shorter than that, block 0 longer; a block that is queued at the SM does not wait for it."""
    trace = kernel(BODY, warps=2, blocks=4, streams=lambda b, w: [7, 8] if b % 2 else [*range(9)], shared_bytes=90_000)
    keep = ("launch.dispatch_latency_cycles=200", "launch.block_slot_cycles=60", "launch.warp_slot_cycles=10")
    probe = run(trace, *keep)
    assert placement(probe) == [0, 1, 1, 0]
    first = [probe.absolute(LogKind.ISSUE, 0, b)[0] for b in range(4)]
    assert first[2] == first[1] + 60 + 2 * 10 + 200
    assert first[3] == max(probe.absolute(LogKind.ISSUE, w, 0)[-1] for w in range(2)) + 2 + 200 + 3
    queue = ("launch.queued_blocks_per_sm=1", "launch.queued_block_latency_cycles=30")
    probe = run(trace, *keep, *queue)
    ended = max(probe.absolute(LogKind.ISSUE, w, 1)[-1] for w in range(2))
    assert probe.absolute(LogKind.ISSUE, 0, 2)[0] == ended + 2 + 30 + 3
    assert probe.result.cycles >= first[1] + 80 + 80


def test_kernel_ends_with_the_time_of_its_last_slot():
    assert run(kernel(BODY, warps=1)).result.cycles < 1000
    assert run(kernel(BODY, warps=1), "launch.block_slot_cycles=5000").result.cycles == 5000


@pytest.mark.parametrize("quantum", [1, 7, 29])
def test_order_of_vacancies_does_not_depend_on_the_quantum(quantum):
    """Blocks of many lengths, queued ones among them: each goes where it goes with the largest quantum."""
    lengths = np.random.default_rng(5).integers(1, 9, 60)
    trace = kernel(BODY, warps=2, blocks=60, streams=lambda b, w: [*range(9 - int(lengths[b]), 9)], shared_bytes=40_000)
    keep = ("gpu.sms=4", "launch.block_slot_cycles=60", "launch.queued_blocks_per_sm=1")
    queue = ("launch.queued_block_latency_cycles=30", "launch.dispatch_latency_cycles=170")
    whole, parts = run(trace, *keep, *queue), run(trace, *keep, *queue, quantum=quantum)
    assert placement(parts) == placement(whole)
    assert parts.result.cycles == whole.result.cycles
