"""Matrix instructions: intervals by shape and type, operand reads, results, neighbours."""

import dataclasses

import pytest

from isa.errors import SubcoreError
from sim.state import LogKind
from sim.stats import Counter
from tests.probe.harness import exit_, op, run

HALF_RATE = ("tensor.f32_accumulate_factor=2",)
GPU_OF = {70: "v100", 75: "rtx_2080_ti", 80: "a100", 86: "rtx_a6000", 90: "h100_pcie", 120: "rtx_5070_ti"}


def intervals(opcode, architecture, settings=(), sources=(60, 68, 76)):
    """Issue gaps of four independent instructions of one warp."""
    ops = [op(opcode, [8 + 4 * i], list(sources), architecture=architecture) for i in range(4)]
    return run([*ops, exit_()], *settings, gpu=GPU_OF[architecture], architecture=architecture).gaps()[:3]


@pytest.mark.parametrize(
    ("opcode", "architecture", "cycles"),
    [
        ("HMMA.16816.F16", 86, 16),
        ("HMMA.1688.F16", 86, 8),
        ("IMMA.16832.S8.S8", 86, 16),
        ("HMMA.1688.F32.TF32", 80, 8),
        ("HMMA.16816.F32", 80, 8),
        ("IMMA.16864.S4.S4", 80, 8),
        ("BMMA.168256.AND.POPC", 80, 8),
        ("HMMA.SP.16832.F32", 80, 8),
        ("HMMA.16816.F32", 120, 32),
        ("HMMA.16816.F16", 120, 16),
        ("QMMA.16832.F32.E4M3.E4M3", 120, 32),
        ("QMMA.16832.F16.E4M3.E5M2", 120, 16),
    ],
)
def test_interval_follows_work_and_type(opcode, architecture, cycles):
    assert intervals(opcode, architecture) == [cycles] * 3


def test_fp32_accumulation_at_half_rate_doubles_the_interval_of_floating_point_only():
    assert intervals("HMMA.16816.F32", 86, HALF_RATE) == [32] * 3
    assert intervals("HMMA.16816.F16", 86, HALF_RATE) == [16] * 3
    assert intervals("IMMA.16832.S8.S8", 86, HALF_RATE) == [16] * 3


@pytest.mark.parametrize(
    ("opcode", "cycles"),
    [
        ("QMMA.SF.16832.F32.E4M3.E4M3.E8", 16),
        ("QMMA.SF.16832.F32.E3M2.E3M2.E8", 32),
        ("QMMA.16832.F16.E2M1.E2M1", 32),
        ("OMMA.SF.16864.F32.E2M1.E2M1.E8", 16),
    ],
)
def test_block_scaled_forms_escape_the_half_rate_and_narrow_ones_in_bytes_do_not(opcode, cycles):
    assert intervals(opcode, 120) == [cycles] * 3


@pytest.mark.parametrize(
    ("opcode", "cycles"),
    [("HMMA.16816.F32", 6), ("HMMA.16816.F16", 6), ("HMMA.1688.F32", 4), ("HMMA.SP.16832.F32", 8)],
)
def test_reading_operands_bounds_the_rate_where_arithmetic_is_faster(opcode, cycles):
    """512 multiply-accumulates per cycle on Hopper, but four operand registers in two cycles."""
    assert intervals(opcode, 90) == [cycles] * 3
    assert intervals(opcode, 90, ("tensor.operand_step_cycles=4",))[0] == 2 * cycles


def test_small_sparse_shape_takes_as_long_as_the_large_one_where_k_goes_in_larger_steps():
    assert intervals("HMMA.SP.16816.F32", 120) == intervals("HMMA.SP.16832.F32", 120) == [32] * 3
    assert intervals("HMMA.SP.16816.F32", 86) == [8] * 3


def test_thirteen_registers_of_a_sparse_form_fit_into_their_window():
    """A and B of four registers, C of four, metadata: seven reads on one bank."""
    ops = [op("HMMA.SP.16832.F32", [8], [60, 64, 68, 72]), exit_()]
    probe = run(ops, registers=80)
    assert probe.stage(LogKind.ALLOCATE)[0] == 2


def test_steps_of_volta_by_accumulator():
    """wmma.m16n16k16 is 16 steps with FP32 accumulators, 8 with FP16: 32 cycles either way."""
    assert intervals("HMMA.884.F32.F32.STEP0", 70)[2] == 2
    assert intervals("HMMA.884.F16.F16.STEP0", 70)[2] == 4


@pytest.mark.parametrize(
    ("opcode", "architecture", "cycles"),
    [
        ("HMMA.1688.F16", 75, 14),
        ("IMMA.8816.S8.S8", 75, 10),
        ("HMMA.16816.F16", 80, 24),
        ("HMMA.1688.F16", 80, 16),
        ("HMMA.SP.16816.F32", 80, 16),
        ("IMMA.16816.S8.S8", 80, 16),
        ("IMMA.8816.S8.S8", 80, 14),
        ("HMMA.16816.F16", 86, 24),
        ("DMMA.884", 86, 38),
        ("HMMA.16816.F32", 90, 24),
        ("HMMA.16816.F16", 120, 29),
        ("IMMA.16832.S8.S8", 120, 34),
    ],
)
def test_dependent_chain_waits_for_the_accumulator(opcode, architecture, cycles):
    """Without control bits; shortest distances of ptxas, DMMA on sm_86 and IMMA on sm_120 measured."""
    ops = [op(opcode, [8], [60, 68, 8], architecture=architecture) for _ in range(4)]
    probe = run([*ops, exit_()], gpu=GPU_OF[architecture], architecture=architecture, control_bits=False)
    assert probe.gaps()[:3] == [cycles] * 3


def test_chain_is_bound_by_the_pipe_when_that_takes_longer():
    """GeForce: 24 cycles to the accumulator, 32 on the pipe; measured 33 to 34."""
    ops = [op("HMMA.16816.F32", [8], [60, 68, 8]) for _ in range(4)]
    probe = run([*ops, exit_()], *HALF_RATE, control_bits=False)
    assert probe.gaps()[:3] == [32] * 3


def test_neighbour_finds_the_read_ports_taken():
    """Ten registers are five reads of each bank in six cycles: an FFMA behind waits, one that hits no bank does not."""
    matrix = op("HMMA.16816.F32", [8], [60, 64, 68])
    busy = run([matrix, op("FFMA", [20], [21, 22, 23]), exit_()], registers=80)
    alone = run([op("NOP"), op("FFMA", [20], [21, 22, 23]), exit_()], registers=80)
    free = run([matrix, op("FFMA", [20], [255, 255, 255]), exit_()], registers=80)
    assert alone.stage(LogKind.ALLOCATE)[1] == free.stage(LogKind.ALLOCATE)[1] == 3
    # reads at 3 to 7 on both banks; two reads on one bank fit into 3 cycles from 7 on: allocated at 6
    assert busy.stage(LogKind.ALLOCATE)[1] == 6


def test_reuse_of_b_takes_reads_off_the_ports():
    def reads(reuse):
        ops = [op("HMMA.16816.F16", [8 + 4 * i], [60, 64, 68], reuse=reuse) for i in range(2)]
        return run([*ops, exit_()], registers=80).result.counter(Counter.REGISTER_READS)

    assert (reads(0), reads(2)) == (16, 14)


@pytest.mark.parametrize(("opcode", "conflicts"), [("HMMA.16816.F16", 0), ("HMMA.16816.F32", 1)])
def test_four_result_registers_take_two_writes_of_each_bank(opcode, conflicts):
    """HMMA allocates at 2 and writes at 30 and 31; IADD3, issued at 21, wants the port at 31."""
    ops = [op(opcode, [8], [60, 64, 68], stall=11), op("NOP", stall=10), op("IADD3", [20], [255]), exit_()]
    assert run(ops, registers=80).result.counter(Counter.WRITE_CONFLICTS) == conflicts


def test_wide_matrix_loads_take_two_cycles_for_each_further_matrix():
    gaps = []
    for opcode in ("LDSM.16.M88", "LDSM.16.M88.2", "LDSM.16.M88.4"):
        ops = [op(opcode, [8], [2], at=(0, 16)), op("IADD3", [20], [8]), exit_()]
        gaps.append(run(ops, control_bits=False, shared_bytes=1024).gaps()[0])
    assert gaps == [24, 26, 30]


@pytest.mark.parametrize(
    ("opcode", "architecture", "message"),
    [
        ("QMMA.16832.F32.E4M3.E4M3", 86, "no rate for QMMA with 8-bit operands"),
        ("OMMA.SF.16864.F32.E2M1.E2M1.E8", 86, "no rate for OMMA with 4-bit operands"),
        ("HMMA.SP.16816.F32", 75, r"no rate for HMMA with 16-bit operands \(sparse\)"),
        ("IMMA.16864.S4.S4", 120, "no rate for IMMA with 4-bit operands"),
    ],
)
def test_operands_that_the_gpu_does_not_have_are_refused(opcode, architecture, message):
    with pytest.raises(SubcoreError, match=message):
        intervals(opcode, architecture)


def warpgroup(opcode, count, *, waits=True, registers_of_a=False):
    """`count` wgmma of one group, the wait for it and a NOP; the program of one warp."""
    sources = [4, 8] if registers_of_a else [255, 255, 8]
    ops = [op(opcode, [8], sources, architecture=90) for _ in range(count)]
    texts = [f"{opcode} R8, gdesc[UR4], R8" + (", gsb0" if i == count - 1 else "") for i in range(count)]
    ops = [dataclasses.replace(one, text=text) for one, text in zip(ops, texts, strict=True)]
    if waits:
        depbar = op("WARPGROUP.DEPBAR.LE", architecture=90)
        ops.append(dataclasses.replace(depbar, text="WARPGROUP.DEPBAR.LE gsb0, 0x0"))
    ops += [op("NOP", architecture=90), exit_(architecture=90)]
    return run(ops, gpu="h100_pcie", architecture=90, warps=4, registers=160)


@pytest.mark.parametrize(
    ("opcode", "registers_of_a", "cycles"),
    [
        ("HGMMA.64x256x16.F32", False, 128),
        ("HGMMA.64x64x16.F32", False, 32),
        ("HGMMA.64x8x16.F32", False, 18),  # A and B from shared memory: 2304 bytes at 128 a cycle
        ("HGMMA.64x8x16.F32", True, 13),
        ("HGMMA.SP.64x256x32.F32", False, 144),
        ("HGMMA.SP.64x256x32.F32", True, 128),
        ("QGMMA.64x256x32.F32.E4M3.E4M3", False, 128),
        ("HGMMA.64x256x8.F32.TF32", False, 128),
    ],
)
def test_wait_for_a_group_lasts_until_its_last_product(opcode, registers_of_a, cycles):
    issue = [warpgroup(opcode, count, registers_of_a=registers_of_a).issue()[-2] for count in (2, 4)]
    assert issue[1] - issue[0] == 2 * cycles


def test_warps_go_on_while_a_group_runs():
    """Four products queue behind the tensor core; what does not wait for them issues at once."""
    assert warpgroup("HGMMA.64x256x16.F32", 4, waits=False).issue()[4] < 10
    assert warpgroup("HGMMA.64x256x16.F32", 4).issue()[5] > 4 * 128


def test_group_of_a_trace_without_operands_is_waited_for_too():
    ops = [op("HGMMA.64x64x16.F32", [8], [255, 255, 8], architecture=90) for _ in range(3)]
    ops += [op("WARPGROUP.DEPBAR.LE", architecture=90), op("NOP", architecture=90), exit_(architecture=90)]
    probe = run(ops, gpu="h100_pcie", architecture=90, warps=4, registers=160, control_bits=False)
    assert 3 * 32 < probe.issue()[4] < 3 * 32 + 10
