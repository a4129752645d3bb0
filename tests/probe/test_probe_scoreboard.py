"""Scoreboard mode: dependences without control bits, from the latency tables of the architecture."""

import pytest

from isa.errors import SubcoreError
from sim.state import LogKind
from sim.stats import Stall
from tests.probe.harness import GLOBAL_BASE, exit_, kernel, op, run

HERE = (GLOBAL_BASE, 4)


def gaps(*ops, settings=(), gpu="rtx_a6000", architecture=86):
    trace = kernel([*ops, exit_()], control_bits=False, architecture=architecture, shared_bytes=512)
    return run(trace, *settings, gpu=gpu).gaps()


def test_mode_follows_from_the_trace_and_the_knob():
    ops = [op("NOP", stall=9), op("NOP"), exit_()]
    assert run(kernel(ops, control_bits=False)).result.scoreboard
    with_bits, ignored = run(ops), run(ops, "issue.dependence=scoreboard")
    assert (with_bits.gaps()[0], with_bits.result.scoreboard) == (9, False)
    assert (ignored.gaps()[0], ignored.result.scoreboard) == (1, True)
    with pytest.raises(SubcoreError, match="control_bits"):
        run(kernel(ops, control_bits=False), "issue.dependence=control_bits")


@pytest.mark.parametrize(
    ("producer", "consumer", "distance"),
    [
        ("IADD3", "IADD3", 4),
        ("IADD3", "FFMA", 5),
        ("FFMA", "FFMA", 4),
        ("FFMA", "IADD3", 5),
        ("HADD2", "HADD2", 4),
        ("HADD2", "FADD", 5),
        ("FADD", "MUFU.RCP", 4),
        ("IMAD.WIDE", "IADD3", 3),  # the low register
        ("IMAD.WIDE", "FFMA", 2),
    ],
)
def test_fixed_latency_distance_of_the_ampere_sheet(producer, consumer, distance):
    assert gaps(op(producer, [20], [9]), op(consumer, [30], [20]))[0] == distance


def test_upper_register_of_a_wide_product_comes_later():
    assert gaps(op("IMAD.WIDE", [20], [9]), op("IADD3", [30], [21]))[0] == 5


def test_address_of_a_load_needs_one_cycle_more_than_arithmetic():
    assert gaps(op("IADD3", [20], [9]), op("LDS", [30], [20], at=(0, 4)))[0] == 5


def test_turing_distances_differ():
    made = [op("HADD2", [20], [9], architecture=75), op("FADD", [30], [20], architecture=75)]
    assert gaps(*made, gpu="rtx_2080_ti", architecture=75)[0] == 8


def test_independent_instructions_issue_back_to_back():
    assert gaps(*[op("FADD", [20 + i], [9]) for i in range(6)])[:5] == [1] * 5


def test_load_result_blocks_its_reader_until_it_is_written():
    probe = run(kernel([op("LDG.E", [8], [2], at=HERE), op("NOP"), op("FADD", [9], [8]), exit_()], control_bits=False))
    assert probe.issue()[2] == probe.stage(LogKind.DONE)[0]
    assert probe.stalled(Stall.LONG_SCOREBOARD) > 100


def test_load_result_blocks_its_overwriter():
    probe = run(kernel([op("LDS", [8], [2], at=(0, 4)), op("FADD", [8], [9]), exit_()], control_bits=False,
                       shared_bytes=512))  # fmt: skip
    assert probe.gaps()[0] == 24


def test_source_of_a_load_may_be_overwritten_after_its_read():
    assert gaps(op("LDS", [8], [2], at=(0, 4)), op("FADD", [2], [9]))[0] == 9


def test_second_register_of_a_wide_load_is_tracked():
    assert gaps(op("LDS.128", [8], [2], at=(0, 16)), op("FADD", [20], [11]))[0] == 26


def test_consumer_limit_of_one_serialises_readers():
    """One reader per register at a time: the second waits until the first has read (MICRO 2025, Table 7)."""
    ops = [op("LDS", [8 + i], [2], at=(0, 4)) for i in range(3)]
    assert gaps(*ops)[:2] == [1, 1]
    one = gaps(*ops, settings=("issue.scoreboard_consumers=1",))
    assert one[:2] == [9, 9]


def test_consumer_limit_counts_fixed_latency_readers_until_they_read():
    ops = [op("FADD", [20 + i], [9]) for i in range(3)]
    assert gaps(*ops)[:2] == [1, 1]
    assert gaps(*ops, settings=("issue.scoreboard_consumers=1",))[0] == 6


def test_no_consumer_limit_means_none():
    ops = [op("LDS", [8 + i], [2], at=(0, 4)) for i in range(4)]
    assert gaps(*ops, settings=("issue.scoreboard_consumers=0",))[:3] == [1, 1, 1]


def test_predicated_branch_waits_for_its_predicate():
    """ISETP -> guard of another instruction: 13 cycles on Ampere."""
    setp = op("ISETP", [], [9], predicate_destinations=1)
    assert gaps(setp, op("FADD", [20], [9], guard=0))[0] == 13


def test_registers_of_different_warps_are_independent():
    ops = [op("LDG.E", [8], [2], at=HERE), op("FADD", [9], [8]), exit_()]
    trace = kernel(ops, warps=5, control_bits=False, streams=lambda b, w: [0, 1, 2] if w == 0 else [1, 2])
    probe = run(trace)
    assert probe.issue(4)[0] < 10 < probe.issue(0)[1]
