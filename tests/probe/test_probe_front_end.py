"""Fetch, decode, instruction buffers, L0 and L1 instruction caches, stream buffer, branches (MICRO 2025, 5.2)."""

import pytest

from sim.state import LogKind
from sim.stats import Counter, Stall
from tests.probe.harness import config_of, exit_, kernel, op, run

WARM_L1 = ("fetch.stream_buffer_lines=0",)
MISS = 39 + 1 + 39  # to the L1 instruction cache, its access, and back


def straight(count):
    return [*[op("NOP") for _ in range(count - 1)], exit_()]


def test_first_instruction_issues_three_cycles_after_its_fetch():
    probe = run(straight(2))
    assert probe.absolute(LogKind.ISSUE)[0] == 3, "the warp starts and fetches at 0: latch 1, decode 2, issue 3"


def test_block_start_cycles_come_before_the_first_fetch():
    assert run(straight(2), "launch.block_start_cycles=20").absolute(LogKind.ISSUE)[0] == 23


def test_three_buffer_entries_keep_one_warp_at_full_rate():
    assert run(straight(24)).gaps() == [1] * 23


def test_two_buffer_entries_break_the_greedy_issue():
    probe = run(straight(24), "fetch.instruction_buffer_entries=2")
    assert sum(probe.gaps()) > 23 and probe.stalled(Stall.NO_INSTRUCTION) > 3


@pytest.mark.parametrize(("stall", "gap"), [(1, 3), (3, 3), (5, 5)])
def test_taken_branch_refills_the_buffer(stall, gap):
    ops = [op("NOP"), op("BRA", stall=stall), op("NOP"), op("NOP"), exit_()]
    probe = run(kernel(ops, streams=lambda b, w: [0, 1, 3, 4]))
    assert probe.gaps() == [1, gap, 1]
    assert probe.count(Counter.BRANCHES_TAKEN) == 1


def test_branch_not_taken_costs_nothing():
    probe = run([op("NOP"), op("BRA"), op("NOP"), exit_()])
    assert probe.gaps() == [1, 1, 1] and probe.count(Counter.BRANCHES_TAKEN) == 0


def test_redirect_knobs_add_to_the_refill():
    ops = [op("NOP"), op("BRA"), exit_()]
    trace = kernel(ops, streams=lambda b, w: [0, 1, 0, 1, 2])
    settings = ("fetch.branch_redirect_cycles=2", "fetch.backward_branch_redirect_cycles=5")
    assert run(trace).gaps() == [1, 3, 1, 1]
    assert run(trace, *settings).gaps() == [1, 10, 1, 1]


def late_follower(ops, *settings):
    """Warp 0 warms the L1 instruction cache and waits; warp 1, on another sub-core, starts 3000 cycles later."""
    code = [*ops[:-1], op("BAR.SYNC", stall=2), exit_()]
    return run(code, "launch.warp_interval_cycles=3000", *settings, warps=2, fetch=())


def test_l0_miss_takes_the_round_trip_to_the_l1():
    probe = late_follower(straight(4), *WARM_L1)
    first = probe.absolute(LogKind.ISSUE, 1)[0]
    assert first - 3000 == MISS + 2, "the answer is decoded for two cycles as that of the L0"


def test_each_line_misses_once_without_the_stream_buffer():
    """Code beyond the end of the kernel is not fetched; 40 instructions are five lines of eight."""
    probe = late_follower(straight(40), *WARM_L1)
    issues = [c - 3000 for c in probe.absolute(LogKind.ISSUE, 1)]
    assert probe.count(Counter.L0_MISSES) == 2 * 6  # the barrier makes it 41
    assert probe.count(Counter.PREFETCHES) == 0
    assert issues[8] - issues[0] > MISS


def test_stream_buffer_brings_the_following_lines_with_the_first():
    probe = late_follower(straight(40))
    issues = [c - 3000 for c in probe.absolute(LogKind.ISSUE, 1)]
    assert issues[0] == MISS + 2
    assert issues[39] - issues[0] <= 39 + 2, "eight lines follow at one per cycle: the warp hardly waits again"
    assert probe.count(Counter.L0_MISSES) == 2


def test_stream_buffer_is_faster_on_straight_code_than_none():
    with_buffer, without = (late_follower(straight(120), *settings) for settings in ((), WARM_L1))
    assert with_buffer.absolute(LogKind.ISSUE, 1)[-1] + 10 * MISS < without.absolute(LogKind.ISSUE, 1)[-1]


def test_stream_buffer_stops_at_the_end_of_the_code():
    probe = run(straight(20), fetch=())
    assert probe.count(Counter.PREFETCHES) == 2, "20 instructions: the lines after the first"


def test_loop_hits_the_l0_after_its_first_turn():
    ops = [*[op("NOP") for _ in range(15)], op("BRA", stall=5), exit_()]
    probe = run(kernel(ops, streams=lambda b, w: [*[*range(16)] * 4, 16]), fetch=())
    issues = probe.issue()
    turns = [issues[16 * (i + 1)] - issues[16 * i] for i in range(1, 3)]
    assert turns == [20, 20]
    assert probe.count(Counter.L0_MISSES) + probe.count(Counter.PREFETCHES) == 3


def test_code_larger_than_the_l0_misses_in_every_turn():
    ops = [*[op("NOP") for _ in range(1023)], op("BRA", stall=5), exit_()]
    trace = kernel(ops, streams=lambda b, w: [*[*range(1024)] * 3, 1024])
    small = ("fetch.l0_bytes=8192", "fetch.l0_ways=8")
    probe = run(trace, *small, *WARM_L1, fetch=())
    assert probe.count(Counter.L0_MISSES) == 3 * 129, "fetch runs ahead of the branch into the last line"
    assert run(trace, "fetch.l0_bytes=32768", *WARM_L1, fetch=()).count(Counter.L0_MISSES) == 129


def test_cold_instruction_cache_reads_the_l2_once_per_line():
    probe = run(straight(40), fetch=(), warps=8)
    assert probe.count(Counter.L1I_MISSES) == 3  # 40 instructions on lines of 256 B, read as two halves
    assert probe.count(Counter.REQUESTS_SENT) == 6 == probe.count(Counter.REPLIES_RECEIVED)


def test_subcores_share_the_link_one_request_per_cycle():
    """Four sub-cores miss one line together: the answers come one cycle apart."""
    probe = run(straight(4), *WARM_L1, fetch=(), warps=4)
    firsts = sorted(probe.absolute(LogKind.ISSUE, w)[0] for w in range(4))
    assert [b - a for a, b in zip(firsts, firsts[1:], strict=False)] == [1, 1, 1]


def test_missing_instruction_is_charged_to_no_instruction():
    probe = run(straight(2), fetch=())
    assert probe.stalled(Stall.NO_INSTRUCTION) == probe.first_issue


def misses_of_second_turn(gpu, kib, counter):
    """Requests that miss in the second turn of a loop of `kib` KiB of code, without prefetching.

    The loop is half a KiB shorter: fetch runs ahead of the branch into the lines behind it.
    """
    architecture = config_of((), gpu).gpu.architecture
    code = [*[op("NOP") for _ in range(kib * 64 - 33)], op("BRA"), exit_()]
    loop = list(range(len(code) - 1))
    quiet = ("fetch.stream_buffer_lines=0", "fetch.l0_mshrs=1")
    once, twice = (
        run(
            kernel(code, streams=lambda b, w, n=n: [*loop * n, len(code) - 1], architecture=architecture),
            *quiet,
            gpu=gpu,
            fetch=(),
        ).count(counter)
        for n in (1, 2)
    )
    return twice - once


# Measured sizes in KiB: Jia 2018 Table 3.1, Jia 2019 Table 3.1 (about 46), AmpereArchViaMicroBenchMark (RTX 3060).
@pytest.mark.parametrize(
    ("gpu", "counter", "kib"),
    [
        ("v100", Counter.L0_MISSES, 12),
        ("v100", Counter.L1I_MISSES, 128),
        ("rtx_2080_ti", Counter.L0_MISSES, 16),
        ("rtx_2080_ti", Counter.L1I_MISSES, 46),
        ("rtx_a6000", Counter.L0_MISSES, 16),
        ("rtx_a6000", Counter.L1I_MISSES, 32),
    ],
)
def test_loop_as_large_as_the_measured_instruction_cache_stays_in_it(gpu, counter, kib):
    assert misses_of_second_turn(gpu, kib, counter) == 0
    assert misses_of_second_turn(gpu, kib * 5 // 4, counter) > 8, "a quarter more does not fit"
