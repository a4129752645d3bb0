"""The code that the hardware suites keep: results, and instruction counts of the captured programs."""

import pytest

from traces.kernels import load_launch
from validate.hardware.run import estimate_instructions, trace_of
from validate.hardware.suite import list_suites, load_suite

pytestmark = pytest.mark.sass
KERNELS = sorted({launch.kernel for s in list_suites() for b in load_suite(s) for launch in b.launches})


@pytest.mark.parametrize("name", KERNELS)
def test_kept_code_computes_what_its_reference_does(name):
    case = load_launch(name)
    trace = trace_of(case, 90)
    outputs = trace.outputs()
    assert outputs == {} if case.reference is None else not case.check(outputs)
    assert estimate_instructions(trace) == pytest.approx(trace.executed_instructions, rel=0.01)


@pytest.mark.parametrize(
    ("name", "parameters", "per_warp"),
    [
        ("ffma_loop", {"blocks": 1, "threads": 32, "turns": 10}, 1328),
        ("ffma_short", {"blocks": 2, "threads": 16}, 25),
        ("emptykernel", {"blocks": 3, "threads": 33}, 2),
    ],
)
def test_warps_execute_as_many_instructions_as_the_captured_program(name, parameters, per_warp):
    """Counts of the mgpusim captures simtune-ffmakernel-1-32-10 and -4096-16; an empty body is LDC and EXIT."""
    trace = trace_of(load_launch(name, parameters), 90)
    (chunk,) = trace.blocks()
    assert {int(n) for n in chunk.warp_start[1:] - chunk.warp_start[:-1]} == {per_warp}


def test_ffma_chain_is_the_captured_code():
    """Opcodes of a turn: MOV, UIADD3, FFMA, ISETP, 127 FFMA, BRA (simtune-ffmakernel-1-32-10, pc 0x60 to 0x890)."""
    text = [line.split(" ")[0] for line in trace_of(load_launch("ffma_loop"), 90).program.text]
    assert text[6:10] == ["MOV", "UIADD3", "FFMA", "ISETP.LE.AND"]
    assert text[10:137] == ["FFMA"] * 127 and text[138] == "FSETP.NEU.AND"
