"""BAR, MEMBAR and the end of a warp."""

import pytest

from sim.state import LogKind
from sim.stats import Counter, Stall
from tests.probe.harness import GLOBAL_BASE, exit_, kernel, op, run

HERE = (GLOBAL_BASE, 4)
BAR, NOP = op("BAR.SYNC", stall=2), op("NOP")
SLOW = op("NOP", stall=15, yields=True)


def test_barrier_releases_after_the_last_arrival():
    """Warp 1 arrives late; the release time is the knob, counted from its arrival."""
    trace = kernel([SLOW, BAR, NOP, exit_()], warps=2, streams=lambda b, w: [0, 0, 1, 2, 3] if w else [1, 2, 3])
    probe = run(trace)
    last = probe.issue(1)[2]
    release = probe.machine.config.barrier.sync_release_cycles
    assert probe.issue(0)[0] < last
    assert probe.issue(0)[1] == probe.issue(1)[3] == last + release
    assert probe.count(Counter.BARRIERS) == 1
    assert probe.stalled(Stall.BARRIER) > 0


def test_arrivals_in_one_cycle_are_served_one_per_two_cycles():
    probe = run([BAR, NOP, exit_()], warps=4)
    knobs = probe.machine.config.barrier
    assert [probe.issue(w)[0] for w in range(4)] == [0] * 4
    assert probe.issue(0)[1] == 3 * knobs.sync_issue_cycles + knobs.sync_release_cycles


def test_warp_that_exits_counts_as_arrived():
    """Warp 1 never reaches the barrier: its exit lets the others go."""
    ops = [BAR, NOP, exit_(), SLOW, exit_()]
    probe = run(kernel(ops, warps=2, streams=lambda b, w: [3, 3, 4] if w else [0, 1, 2]))
    release = probe.machine.config.barrier.sync_release_cycles
    assert probe.issue(0)[1] >= probe.issue(1)[-1] + release
    assert probe.count(Counter.BARRIERS) == 1


def test_barrier_can_be_used_again_and_again():
    probe = run([BAR, NOP, BAR, NOP, BAR, exit_()], warps=8)
    assert probe.count(Counter.BARRIERS) == 3


def test_two_barriers_of_a_block_are_independent():
    other = op("BAR.SYNC", stall=2, barrier=1, barrier_threads=64)
    mine = op("BAR.SYNC", stall=2, barrier=2, barrier_threads=64)
    ops = [mine, other, SLOW, exit_()]
    streams = {0: [0, 3], 1: [0, 3], 2: [2, 2, 2, 1, 3], 3: [1, 3]}
    probe = run(kernel(ops, warps=4, streams=lambda b, w: streams[w]))
    assert probe.issue(0)[1] == probe.issue(1)[1] < probe.issue(2)[3] < probe.issue(3)[1]


def test_arrive_does_not_wait():
    """BAR.ARV counts a warp without holding it; the other is released by it."""
    ops = [
        op("BAR.ARV", stall=2, barrier=1, barrier_threads=64),
        op("BAR.SYNC", stall=2, barrier=1, barrier_threads=64),
    ]
    probe = run(kernel([*ops, NOP, exit_()], warps=2, streams=lambda b, w: [0, 2, 3] if w else [1, 2, 3]))
    assert probe.issue(1)[1] == 3, "the refill after the jump over BAR.SYNC, no barrier"
    assert probe.issue(0)[1] >= probe.machine.config.barrier.sync_release_cycles


def test_blocks_do_not_share_barriers():
    ops = [BAR, NOP, exit_(), SLOW]
    probe = run(
        kernel(ops, warps=2, blocks=2, streams=lambda b, w: [3, 3, 3, 0, 1, 2] if b and w else [0, 1, 2]),
        "gpu.sms=1",
        "gpu.sms_per_tpc=1",
    )
    assert probe.issue(0, 0)[1] < probe.issue(1, 1)[3] < probe.issue(0, 1)[1]


@pytest.mark.parametrize(("scope", "knob"), [(".SC.CTA", "block"), (".SC.GPU", "gpu"), (".SC.SYS", "sys")])
def test_memory_barrier_of_an_idle_warp_takes_the_time_of_its_scope(scope, knob):
    probe = run([op(f"MEMBAR{scope}", stall=1), NOP, exit_()])
    assert probe.gaps()[0] == getattr(probe.machine.config.barrier, f"membar_{knob}_cycles")


def test_memory_barrier_waits_for_the_stores_before_it():
    store = op("STG.E", [], [2, 6], stall=2, at=HERE)
    probe = run([store, op("MEMBAR.SC.GPU"), NOP, exit_()])
    knobs = probe.machine.config
    round_trip = knobs.interconnect.request_cycles + knobs.interconnect.reply_cycles
    assert probe.gaps()[1] > knobs.barrier.membar_gpu_cycles + round_trip
    assert probe.stalled(Stall.MEMBAR) > round_trip


def test_memory_barrier_does_not_hold_other_warps():
    ops = [op("MEMBAR.SC.SYS"), NOP, exit_()]
    probe = run(kernel(ops, warps=5, streams=lambda b, w: [0, 1, 2] if w == 0 else [1, 2]))
    assert probe.issue(4)[-1] < 20 < probe.issue(0)[1]


def test_exit_drains_the_stores_into_the_l1_and_the_kernel_waits_for_the_l2():
    probe = run([op("STG.E", [], [2, 6], stall=2, at=HERE), exit_()])
    knobs = probe.machine.config
    round_trip = knobs.interconnect.request_cycles + knobs.interconnect.reply_cycles
    assert probe.result.kernel_cycles - probe.absolute(LogKind.ISSUE)[-1] > round_trip
    assert 0 < probe.stalled(Stall.DRAIN) < 20


def test_exit_without_outstanding_work_ends_two_cycles_later():
    """Control and allocate are still to be passed."""
    probe = run([NOP, exit_()])
    assert probe.result.kernel_cycles - probe.absolute(LogKind.ISSUE)[-1] == 2


def test_empty_kernel_of_an_empty_stream_ends():
    probe = run(kernel([exit_()], warps=3, streams=lambda b, w: [] if w else [0]))
    assert probe.result.warp_instructions == 1


def test_barrier_with_its_count_in_a_register_waits_for_the_block():
    """Such a count is no part of a trace (barrier_threads = -1): all warps of the block are waited for."""
    bar = op("BAR.SYNC", stall=2, barrier=1, barrier_threads=-1)
    probe = run(kernel([SLOW, bar, NOP, exit_()], warps=2, streams=lambda b, w: [0, 0, 1, 2, 3] if w else [1, 2, 3]))
    assert probe.issue(0)[1] == probe.issue(1)[3]
