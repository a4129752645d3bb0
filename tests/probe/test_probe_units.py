"""Execution units: how often they take an instruction, latches of variable-latency units, the shared FP64 unit."""

import pytest

from sim.state import LogKind
from sim.stats import Counter, Stall
from tests.probe.harness import exit_, op, run


def chain(opcode, count=8, sources=(9,)):
    """Independent instructions of one kind that need at most one read per bank."""
    return [op(opcode, [20 + 2 * i], sources) for i in range(count)]


@pytest.mark.parametrize(
    ("gpu", "opcode", "gap"),
    [
        ("rtx_a6000", "FFMA", 1),  # 128 FP32 results per clock and SM: two pipes
        ("rtx_a6000", "IMAD", 2),
        ("rtx_a6000", "IADD3", 2),
        ("rtx_a6000", "HADD2", 2),
        ("rtx_a6000", "UIADD3", 2),
        ("rtx_a6000", "NOP", 1),
        ("a100", "FFMA", 2),
        ("a100", "HFMA2", 1),
        ("rtx_2080_ti", "FFMA", 2),
        ("h100_pcie", "FFMA", 1),
        ("rtx_5070_ti", "IADD3", 1),  # one pool for integer and FP32
    ],
)
def test_issue_interval_of_a_fixed_latency_unit(gpu, opcode, gap):
    probe = run([*chain(opcode), exit_()], gpu=gpu)
    assert probe.gaps()[:-1] == [gap] * 7, f"{opcode} on {gpu}"


def test_busy_unit_is_charged_to_the_math_pipe():
    assert run([*chain("IADD3", 4), exit_()]).stalled(Stall.MATH_PIPE_THROTTLE) == 3


def test_other_unit_issues_while_one_is_busy():
    ops = [op("IADD3", [20], [9]), op("IMAD", [22], [9]), op("IADD3", [24], [9]), op("IMAD", [26], [9]), exit_()]
    assert run(ops).gaps() == [1, 1, 1, 1]


def test_fp32_falls_back_to_the_alu_and_blocks_it():
    ops = [op("FADD", [20], [9]), op("FADD", [22], [9]), op("IADD3", [24], [9]), exit_()]
    assert run(ops).gaps()[:2] == [1, 2], "the second FADD took the ALU for two cycles"


def test_wide_multiply_keeps_the_issue_port_for_one_cycle():
    ops = [op("IMAD.WIDE", [20], [9]), op("NOP"), exit_()]
    assert run(ops).gaps() == [2, 1]
    assert run(ops, "issue.imad_wide_port_busy_cycles=0").gaps() == [1, 1]


def test_sfu_takes_one_every_eight_cycles_behind_one_latch():
    """First starts at once, second waits in the latch, third in control: then one per 8 cycles."""
    ops = [op("MUFU.RCP", [20 + 2 * i], [9]) for i in range(6)]
    assert run([*ops, exit_()]).gaps()[:5] == [1, 1, 8, 8, 8]


def test_full_sfu_latch_blocks_the_whole_subcore():
    ops = [*[op("MUFU.RCP", [20 + 2 * i], [9]) for i in range(3)], op("FADD", [40], [9]), exit_()]
    probe = run(ops)
    assert probe.issue()[3] == 10
    assert probe.stalled(Stall.MIO_THROTTLE) == 7


def test_sfu_result_latency_with_a_counter():
    ops = [op("MUFU.RCP", [20], [9], stall=2, write=0), op("FADD", [22], [20], wait=[0]), exit_()]
    probe = run(ops)
    assert probe.gaps()[0] == probe.machine.config.execute.sfu_latency_cycles
    assert probe.stalled(Stall.SHORT_SCOREBOARD) == probe.gaps()[0] - 2


def test_fp64_unit_is_shared_by_the_subcores_of_a_geforce_part():
    ops = [op("DADD", [20], [10, 12], stall=2, write=0), op("NOP", wait=[0]), exit_()]
    probe = run(ops, warps=4)
    latency, interval = (
        getattr(probe.machine.config.execute, f"fp64_{name}_cycles") for name in ("latency", "interval")
    )
    assert [probe.gaps(w)[0] for w in range(4)] == [latency + interval * w for w in range(4)]


def test_fp64_unit_per_subcore_on_a_data_centre_part():
    """Fixed latency there: no counter, one instruction per interval and sub-core."""
    ops = [op("DADD", [20 + 4 * i], [10], architecture=90) for i in range(4)]
    probe = run([*ops, exit_()], warps=4, gpu="h100_pcie", architecture=90)
    interval = probe.machine.config.execute.fp64_interval_cycles
    assert [probe.gaps(w)[:3] for w in range(4)] == [[interval] * 3] * 4


def test_tensor_interval_of_hmma():
    """m16n8k16 at 128 multiply-accumulates per cycle and sub-core: 16 cycles."""
    ops = [op("HMMA.16816.F16", [20 + 4 * i], [60, 64, 68]) for i in range(4)]
    assert run([*ops, exit_()]).gaps()[1:3] == [16, 16]


def test_instructions_are_counted_by_pipe():
    ops = [op("FFMA", [20], [9]), op("IADD3", [22], [9]), op("MUFU.RCP", [24], [9]), op("LDS", [26], [2], at=(0, 4))]
    probe = run([*ops, op("UIADD3"), op("HADD2", [28], [9]), op("NOP"), exit_()], shared_bytes=512)
    expected = {"FMA": 1, "ALU": 1, "SFU": 1, "MEMORY": 1, "UNIFORM": 1, "FP16": 1, "BRANCH": 1, "OTHER": 1, "FP64": 0}
    assert {name: probe.count(Counter[f"ISSUE_{name}"]) for name in expected} == expected
    assert probe.count(Counter.THREAD_INSTRUCTIONS) == 32 * 8


def test_stages_of_a_fixed_latency_instruction():
    """Issue t, control t + 1, allocate t + 2 (MICRO 2025, section 5.1)."""
    probe = run([op("FFMA", [20], [9, 10, 12]), exit_()])
    at = [probe.stage(kind)[0] for kind in (LogKind.ISSUE, LogKind.CONTROL, LogKind.ALLOCATE)]
    assert at == [0, 1, 2]


def test_variable_latency_reader_releases_its_source_after_the_read():
    """MUFU reads three cycles after it starts; an overwrite may issue then."""
    ops = [op("MUFU.RCP", [20], [9], stall=2, read=1), op("FADD", [9], [22], wait=[1]), exit_()]
    assert run(ops).gaps()[0] == 5


def test_fixed_latency_reader_with_a_read_counter():
    """Sources are read in the three cycles behind allocate: issue + 2, + 3 window, + 1."""
    ops = [op("FFMA", [20], [9, 10, 12], stall=2, read=1), op("FADD", [9], [22], wait=[1]), exit_()]
    assert run(ops).gaps()[0] == 6
