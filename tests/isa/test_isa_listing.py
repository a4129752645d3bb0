"""The listing reader: what `subcore trace disasm` prints gives the decoded records back; errors name line and token."""

import numpy as np
import pytest

from isa.errors import SubcoreError
from isa.listing import PC_STEP, load_listing, read_listing
from isa.program import NO_COUNTER, NO_PREDICATE, Flag
from subcore.listing import listing
from tests.isa.corpus import ARCHITECTURES, kernels

# Fields that the text of an instruction does not tell, by architecture and mnemonic.
HIDDEN_DESCRIPTOR = {"LDG", "LD", "STG", "ST", "ATOMG", "ATOM", "RED", "LDGSTS"}


def with_symbols(kernel):
    """Disassembly of a kernel with a label where each of its subroutines starts."""
    lines = list(listing(kernel.program))
    for name, start in sorted(kernel.code.functions.items(), key=lambda f: -f[1]):
        lines.insert(start // PC_STEP, f"{name}:")
    return "\n".join(lines)


@pytest.mark.sass
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_disassembly_reads_back_to_the_same_records(architecture):
    compared = 0
    for kernel in kernels("basic", architecture):
        program = kernel.program
        read = read_listing(with_symbols(kernel), architecture, kernel=program.kernel).program
        assert [t.strip() for t in read.text] == [t.strip() for t in program.text]
        assert read.has_control_bits
        mnemonic = np.array([i.mnemonic for i in kernel.instructions])
        hidden = np.isin(mnemonic, list(HIDDEN_DESCRIPTOR)) & (80 <= architecture < 90)
        for field in program.instructions.dtype.names:
            if field == "source_line":
                continue
            rows = slice(None) if not field.startswith("uniform_source") else ~hidden
            wanted, got = program.instructions[field][rows], read.instructions[field][rows]
            differing = np.flatnonzero((wanted != got).reshape(len(wanted), -1).any(axis=1))
            assert not len(differing), f"{program.kernel}: {field} of {np.array(program.text)[rows][differing][0]}"
        compared += len(program)
    assert compared > 1000


LISTING = """
    // a loop                                   # every form of line
    loop:
    /*0000*/  B0----5:R-:W1:-:S04  @!P0 LDG.E R4, [R2.64+0x10] ;
              B------:R2:W-:Y:S15  FFMA R8, R4.reuse, R5, c[0x0][0x160];   # constant
    B-1----:R-:W-:-:S00 @P0 BRA `(loop)
    B------:R-:W-:-:S05 DEPBAR.LE SB0, 0x1, {4,3}
    B------:R-:W-:-:S05 EXIT
"""


def test_listing_gives_control_bits_operands_and_targets():
    read = read_listing(LISTING, 86)
    records = read.program.instructions
    assert read.labels == {"loop": 0}
    assert [int(x) for x in records["stall"]] == [4, 15, 0, 5, 5]
    assert [int(x) for x in records["yield_hint"]] == [0, 1, 0, 0, 0]
    assert [int(x) for x in records["wait_mask"]] == [0b100001, 0, 0b10, 0, 0]
    assert [int(x) for x in records["write_counter"]] == [1, *[NO_COUNTER] * 4]
    assert [int(x) for x in records["read_counter"]] == [NO_COUNTER, 2, *[NO_COUNTER] * 3]
    assert [int(x) for x in records["guard"]] == [0, NO_PREDICATE, 0, NO_PREDICATE, NO_PREDICATE]
    assert [int(x) for x in records["target"]] == [-1, -1, 0, -1, -1]
    assert int(records["reuse"][1]) == 0b001 and int(records["constant_offset"][1]) == 0x160
    assert (int(records["depbar_threshold"][3]), int(records["depbar_mask"][3])) == (1, 0b11000)
    assert read.program.registers == 9
    assert all(int(f) & int(Flag.DECODED_CONTROL) for f in records["flags"])


def test_listing_without_control_bits_runs_by_the_scoreboard():
    program = read_listing("IADD3 R1, R2, R3, RZ\nEXIT", 75).program
    assert not program.has_control_bits
    assert not int(program.instructions["flags"][0]) & int(Flag.DECODED_CONTROL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no instructions"),
        ("EXIT\nFFMAA R1, R2, R3, R4", r"line 2: unknown instruction FFMAA; did you mean FFMA\?"),
        ("B------:R-:W-:-:S16 EXIT", "line 1: stall count 16: 0 to 15"),
        ("B1-----:R-:W-:-:S01 EXIT", "line 1: wait mask B1-----: position 0"),
        ("B-----:R-:W-:-:S01 EXIT", "line 1: control bits 'B-----:R-:W-:-:S01': must look like"),
        ("B------:R6:W-:-:S01 EXIT", "line 1: control bits"),
        ("EXIT\nB------:R-:W-:-:S01 EXIT", "line 2: has control bits, unlike line 1"),
        ("B------:R-:W-:-:S01 EXIT\n\nEXIT", "line 3: has no control bits, unlike line 1"),
        ("@P9 EXIT", "line 1: guard '@P9'"),
        ("@P0", "line 1: no instruction"),
        ("IADD3 R1, R300, R3, RZ", "line 1: operand 'R300': no such register"),
        ("LDG.E R1, [R255.64]", r"line 1: operand '\[R255.64\]': no such register"),
        ("IADD3 R1, Q3, R3, RZ", "line 1: cannot read the operand 'Q3'"),
        ("LDG.E R1, [R2", "line 1: cannot read"),
        ("LDG.E R1, [R2+zz]", "line 1: cannot read the operands"),
        ("BRA nowhere", "line 1: cannot read the operand 'nowhere'"),
        ("BRA 0x100", "line 1: branch to 0x100, beyond the end"),
        ("here:\nEXIT\nhere:\nEXIT", "line 3: label here is defined twice"),
        ("EXIT\nhere:", "no instruction behind label here"),
        ("/*0010*/ EXIT", "line 1: offset 0010 of an instruction that lies at 0x0"),
        ("exit", "line 1: 'exit' is no opcode"),
    ],
)
def test_bad_listing_is_refused_with_line_and_token(text, message):
    with pytest.raises(SubcoreError, match=message):
        read_listing(text, 86)


def test_unknown_architecture_is_refused():
    with pytest.raises(SubcoreError, match="sm_61 cannot be listed, choose one of 70"):
        read_listing("EXIT", 61)


def test_listing_file_is_named_in_its_errors(tmp_path):
    path = tmp_path / "probe.sass"
    path.write_text("EXIT\nNOPE\n")
    with pytest.raises(SubcoreError, match=r"probe\.sass, line 2: unknown instruction NOPE"):
        load_listing(path, 86)
    path.write_text("NOP\nEXIT\n")
    assert load_listing(path, 86).program.kernel == "probe"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SubcoreError, match="not a text file"):
        load_listing(path, 86)
