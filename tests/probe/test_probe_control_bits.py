"""Stall count, yield, dependence counters, DEPBAR and copy groups, to the cycle (MICRO 2025, section 4)."""

import pytest

from sim.state import LogKind
from sim.stats import Stall
from tests.probe.harness import GLOBAL_BASE, exit_, kernel, line_of_ops, op, run

COALESCED = (GLOBAL_BASE, 4)
PAIR = (COALESCED, (0, 4))


@pytest.mark.parametrize("stall", [1, 2, 3, 4, 7, 11])
def test_stall_count_is_the_distance_to_the_next_instruction(stall):
    assert run([op("FADD", [8], [9], stall=stall), op("NOP"), exit_()]).gaps() == [stall, 1]


@pytest.mark.parametrize("stall", [12, 15])
def test_large_stall_count_holds_when_yield_is_set(stall):
    assert run([op("NOP", stall=stall, yields=True), exit_()]).gaps() == [stall]


def test_large_stall_count_without_yield_blocks_two_cycles():
    assert run([op("NOP", stall=13), exit_()]).gaps() == [2]


def test_zero_stall_issues_back_to_back():
    assert run([op("NOP", stall=0), op("NOP", stall=0), exit_()]).gaps() == [1, 1]


def test_yield_alone_is_one_bubble():
    assert run([op("NOP", yields=True), exit_()]).gaps() == [2]


def test_zero_stall_with_yield_blocks_45_cycles():
    probe = run([op("NOP", stall=0, yields=True), exit_()])
    assert probe.gaps() == [46], "45 blocked cycles lie between the two issues"


def test_listing_2_wrong_stall_shows_in_the_elapsed_cycles():
    def elapsed(stall):
        body = [op("CS2R.32", [1]), op("NOP"), op("FADD", [8], [9], stall=stall), op("FADD", [10], [8]), op("NOP")]
        clocks = run([*body, op("CS2R.32", [2]), exit_()]).stage(LogKind.CONTROL)
        return clocks[5] - clocks[0]

    assert (elapsed(1), elapsed(4)) == (5, 8)


def test_counter_is_invisible_to_the_very_next_cycle():
    ops = [op("LDG.E", [8], [2], stall=1, write=0, at=COALESCED), op("IADD3", [9], [8], wait=[0]), exit_(wait=[0])]
    gaps = run(ops).gaps()
    assert gaps[0] == 1, "raised in control at t+1, seen by issue at t+2: stall 1 lets the consumer slip through"
    assert gaps[1] > 30


def test_wait_mask_blocks_until_counter_zero():
    ops = [op("LDG.E", [8], [2], stall=2, write=3, at=COALESCED), op("IADD3", [9], [8], wait=[3]), exit_()]
    probe = run(ops)
    assert probe.issue()[1] == probe.stage(LogKind.DONE)[0]
    assert probe.stalled(Stall.LONG_SCOREBOARD) == probe.issue()[1] - 2


def test_wait_mask_waits_for_every_counter_it_names():
    ops = [
        op("LDS", [8], [2], stall=1, write=0, at=(0, 4)),
        op("LDS", [9], [2], stall=2, write=5, at=(0, 4)),
        op("IADD3", [10], [8], wait=[0]),
        op("IADD3", [11], [9], wait=[0, 5]),
        exit_(),
    ]
    probe = run(ops)
    assert probe.issue()[2:4] == probe.stage(LogKind.DONE)


def test_counter_shared_by_two_loads_falls_to_zero_with_the_second():
    ops = [op("LDS", [8 + i], [2], stall=2, write=0, at=(0, 4)) for i in range(2)]
    probe = run([*ops, op("IADD3", [10], [8], wait=[0]), exit_()])
    assert probe.issue()[2] == max(probe.stage(LogKind.DONE))


def test_depbar_waits_for_the_first_of_two_in_order_loads():
    ops = [op("LDS", [8 + i], [2], stall=2, write=0, at=(0, 4)) for i in range(2)]
    depbar = op("DEPBAR.LE", stall=4, depbar_counter=0, depbar_threshold=1)
    probe = run([*ops, depbar, op("IADD3", [10], [8]), op("IADD3", [11], [9], wait=[0]), exit_()])
    done = probe.stage(LogKind.DONE)
    assert done[1] > done[0]
    assert probe.issue()[2] == 4, "DEPBAR itself issues at once (MICRO 2025, Fig. 2)"
    assert probe.issue()[3:5] == done


def test_depbar_also_waits_for_its_listed_counters():
    ops = [
        op("LDS", [8], [2], stall=2, write=0, at=(0, 4)),
        op("LDG.E", [9], [2], stall=2, write=4, at=COALESCED),
        op("DEPBAR.LE", stall=4, depbar_counter=0, depbar_threshold=1, depbar_mask=1 << 4),
        op("IADD3", [10], [9]),
        exit_(wait=[0]),
    ]
    probe = run(ops)
    assert probe.issue()[3] == probe.stage(LogKind.DONE)[1]


def test_timeline_of_paper_figure_2():
    """Every cycle that the figure shows; its loads hit in the L1."""
    warm = [op("LDG", [40], [2], stall=2, write=5, at=COALESCED), op("NOP", wait=[5], stall=15, yields=True)]
    code = [
        op("LDG", [5], [12], write=3, at=COALESCED),
        op("LDG", [7], [2], write=3, read=0, at=COALESCED),
        op("LDG", [15], [6], write=4, read=0, stall=2, at=COALESCED),
        op("IADD3", [20], [21]),
        op("DEPBAR.LE", stall=4, depbar_counter=0, depbar_threshold=1),
        op("IADD3", [2], [22]),
        op("IADD3", [23], [5], wait=[0, 3]),
        exit_(wait=[4]),
    ]
    probe = run([*warm, *code])
    start = probe.issue()[2] - 1
    assert [c - start for c in probe.issue()[2:9]] == [1, 2, 3, 5, 6, 15, 36]
    assert [c - start for c in probe.stage(LogKind.CONTROL)[2:5]] == [2, 3, 4]
    assert [c - start for c in probe.stage(LogKind.DONE)[1:3]] == [32, 36], "write-back one cycle before SB3 falls"


def copies(count, groups_of, threshold):
    ops = []
    for i in range(count):
        ops.append(op("LDGSTS.E", [], [4, 2], stall=2, at=((GLOBAL_BASE + 4096 * i, 4), (128 * i, 4))))
        if (i + 1) % groups_of == 0:
            ops.append(op("LDGDEPBAR", stall=2, write=0))
    depbar = op("DEPBAR.LE", stall=4, depbar_counter=0, depbar_threshold=threshold)
    return [*ops, depbar, op("NOP"), exit_(wait=[0])]


@pytest.mark.parametrize(("threshold", "last_copy"), [(0, 3), (1, 1)])
def test_depbar_waits_for_copy_groups_in_order(threshold, last_copy):
    ops = copies(4, 2, threshold)
    probe = run(ops, shared_bytes=1024)
    after = probe.issue()[ops.index(next(o for o in ops if o.text == "DEPBAR.LE")) + 1]
    assert after == probe.stage(LogKind.DONE)[last_copy]


def test_commit_of_no_copy_lets_depbar_pass_at_once():
    ops = [op("LDGDEPBAR", stall=2, write=0), op("DEPBAR.LE", stall=4, depbar_counter=0), op("NOP"), exit_()]
    assert run(ops).issue() == [0, 2, 6, 7]


def test_warp_that_exits_with_copies_outstanding_completes_them():
    ops = [op("LDGSTS.E", [], [4, 2], stall=2, at=PAIR), op("LDGDEPBAR", stall=2, write=0), exit_()]
    probe = run(ops, shared_bytes=1024)
    assert probe.result.kernel_cycles > probe.absolute(LogKind.DONE)[0] - 1


def test_independent_warps_are_not_held_by_a_waiting_one():
    waiting = [op("LDG.E", [8], [2], stall=2, write=0, at=COALESCED), op("IADD3", [9], [8], wait=[0]), exit_()]
    ops = [*waiting, *line_of_ops(4, "NOP"), exit_()]
    streams = {0: [0, 1, 2], 4: [3, 4, 5, 6, 7]}
    probe = run(kernel(ops, warps=5, streams=lambda b, w: streams.get(w, [7])))
    assert probe.issue(4)[-1] < 10 < probe.issue(0)[1]
