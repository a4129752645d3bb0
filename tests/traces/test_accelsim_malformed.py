"""Malformed text gives one error with file and line, never a trace."""

import lzma

import numpy as np
import pytest
import synthetic_traces as synthetic

from isa.errors import SubcoreError
from traces.accelsim import open_accelsim

GROUPED, RAW = synthetic.grouped(), synthetic.raw()
FIRST = 25  # number of the first instruction line: warp 0 of block 0


def change(old: str, new: str, text: str = GROUPED) -> str:
    assert old in text
    return text.replace(old, new, 1)


def line(text: str, number: int, new: str | None) -> str:
    lines = text.split("\n")
    lines[number - 1 : number] = [] if new is None else [new]
    return "\n".join(lines)


LOAD = f"0010 ffffffff 1 R4 LDG.E 1 R2 4 1 {synthetic.LOAD_BASE:#x} 4 0 "
CASES = {
    "word for a count": (change("insts = 5", "insts = five"), 24, "expected `insts = N`"),
    "too few instructions": (change("insts = 5", "insts = 6"), 24, "insts = 6, but 5 instruction lines follow"),
    "too many instructions": (change("insts = 5", "insts = 4"), 24, "insts = 4, but 5 instruction lines follow"),
    "missing instruction": (line(GROUPED, FIRST, None), 24, "insts = 5, but 4 instruction lines follow"),
    "empty warp": (synthetic.grouped(lambda b, w: []), 24, "warp 0 has no instructions"),
    "wrong warp number": (change("warp = 1", "warp = 2"), 31, "warp = 2, expected warp 1 of 2"),
    "too few warps": (change("-block dim = (64,1,1)", "-block dim = (96,1,1)"), 39, "2 warps in the block, expected 3"),
    "too many warps": (change("-block dim = (64,1,1)", "-block dim = (32,1,1)"), 31, "expected warp 1 of 1"),
    "block out of order": (change("block = 0,0,0", "block = 1,0,0"), 21, "thread block (1, 0, 0), expected (0, 0, 0)"),
    "missing block": (change("-grid dim = (2,1,1)", "-grid dim = (3,1,1)"), 62, "ends after 2 of the grid's 3"),
    "surplus block": (change("-grid dim = (2,1,1)", "-grid dim = (1,1,1)"), 39, "more thread blocks than the grid's 1"),
    "no block name": (change("thread block = 0,0,0\n", "\n"), 23, "no #BEGIN_TB and `thread block"),
    "text for a block": (change("thread block = 0,0,0", "thread blok = 0,0,0"), 21, "expected `thread block = x,y,z`"),
    "cut inside a block": (GROUPED[: GROUPED.rindex("0030")], 58, "the file ends inside a thread block"),
    "garbage line": (line(GROUPED, 26, "garbage"), 26, "not an instruction: 'garbage'"),
    "short line": (line(GROUPED, 26, "0010 ffffffff 1 R4"), 26, "not an instruction"),
    "short mask": (line(GROUPED, 26, LOAD.replace("ffffffff", "ffff")), 26, "not an instruction"),
    "negative count": (line(GROUPED, 26, LOAD.replace("1 R4", "-1")), 26, "not an instruction"),
    "bad register": (line(GROUPED, 26, LOAD.replace("R4", "R256")), 26, "not an instruction"),
    "predicate for register": (line(GROUPED, 26, LOAD.replace("R4", "P0")), 26, "not an instruction"),
    "opcode missing": (line(GROUPED, 26, LOAD.replace("LDG.E", "42")), 26, "not an instruction"),
    "misaligned pc": (line(GROUPED, 26, LOAD.replace("0010", "0018")), 26, "no multiple of 16"),
    "huge pc": (line(GROUPED, 26, LOAD.replace("0010", "fffff0010")), 26, "no multiple of 16 bytes below"),
    "unknown form": (line(GROUPED, 26, LOAD.replace("4 1 0x", "4 3 0x")), 26, "unknown address form"),
    "no address": (line(GROUPED, 26, "0010 ffffffff 1 R4 LDG.E 1 R2 4 0 "), 26, "expected one immediate"),
    "no addresses for lanes": (line(GROUPED, 26, "0010 ffffffff 1 R4 LDG.E 1 R2 4 0 0 "), 26, "no addresses for 32"),
    "stride missing": (line(GROUPED, 26, "0010 ffffffff 1 R4 LDG.E 1 R2 4 1 0x1000 "), 26, "addresses not understood"),
    "too few differences": (
        line(GROUPED, 26, "0010 ffffffff 1 R4 LDG.E 1 R2 4 2 0x10 4 4 0 "),
        26,
        "4 addresses for 32",
    ),
    "address not hex": (line(GROUPED, 26, LOAD.replace("0x7f", "0xzz")), 26, "addresses not understood"),
    "mask with a gap": (line(GROUPED, 26, LOAD.replace("ffffffff", "ffff00ff")), 26, "one run of active lanes"),
    "immediate missing": (line(GROUPED, 26, LOAD[:-2]), 26, "ends before the immediate"),
    "text after addresses": (line(GROUPED, 26, LOAD + "7 "), 26, "unexpected text after the addresses: '7'"),
    "text at the end": (line(GROUPED, FIRST, "0000 ffffffff 1 R1 MOV 0 0 0 1 "), FIRST, "expected one immediate"),
    "addresses without width": (line(GROUPED, 26, LOAD.replace("R2 4", "R2 0")), 26, "addresses after memory width 0"),
    "other opcode at a pc": (line(GROUPED, 33, LOAD.replace("LDG.E", "LDG.E.64")), 33, "pc 0010 is `LDG.E.64 R4, R2`"),
    "other register at a pc": (line(GROUPED, 33, LOAD.replace("R2", "R3")), 33, "here and `LDG.E R4, R2` before"),
    "lanes beyond the block": (
        change("-block dim = (64,1,1)", "-block dim = (40,1,1)"),
        33,
        "active mask ffffffff has lanes beyond",
    ),
    "prefix of another block": (
        change("0 0 0 0 0010", "1 0 0 0 0010", synthetic.grouped(prefixed=True)),
        26,
        "does not begin with its block and warp `0 0 0 0 `",
    ),
    "address beyond 63 bits": (line(GROUPED, 26, LOAD.replace("0x7f", "0xfffff7f")), FIRST, "an address exceeds 63"),
    "unknown header line": (change("-shmem = 1024", "-shmem 1024"), 5, "header line without ` = `"),
    "number expected": (change("-nregs = 12", "-nregs = many"), 6, "nregs = 'many': not understood"),
    "number of 5000 digits": (change("-nregs = 12", "-nregs = " + "9" * 5000), 6, "not understood"),
    "stride beyond 32 bits": (line(GROUPED, 26, LOAD.replace(" 4 0 ", " 4294967296 0 ")), FIRST, "a stride 32 bits"),
    "raw: grid of 10^15 blocks": (change("(2,1,1)", "(100000,100000,100000)", RAW), 36, "thread block (2, 0, 0)"),
    "raw: block is no number": (change("1 0 0 1 0000", "\xb2 0 0 1 0000", RAW), 17, "block and warp \xb2 0 0 1 are"),
    "grid of zero": (change("-grid dim = (2,1,1)", "-grid dim = (0,1,1)"), 3, "each at least 1"),
    "block too large": (change("(64,1,1)", "(2048,1,1)"), 4, "at most 1024 threads"),
    "tracer of the future": (change("tracer version = 5", "tracer version = 6"), 12, "versions 1 to 5"),
    "no tracer version": (change("-accelsim tracer version = 5\n", ""), 18, "no `-accelsim tracer version = ` line"),
    "architecture too old": (change("-binary version = 80", "-binary version = 52"), 7, "sm_60 and later"),
    "header only": (synthetic.header(), 17, "the file ends before the first instruction"),
    "another file": ("hello\nworld\n", 1, "not an Accel-Sim trace"),
    "raw: block outside": (change("1 0 0 1 0000", "7 0 0 1 0000", RAW), 17, "block and warp 7 0 0 1 are outside"),
    "raw: garbage": (line(RAW, 20, "garbage"), 20, "expected block and warp before the instruction"),
    "raw: bad instruction": (line(RAW, 23, "0 0 0 1 0010 ffffffff 1 R4 LDG.E"), 23, "not an instruction"),
    "raw: bad address": (change("0x7f0000001080 4 0", "0x7f0000001080 x 0", RAW), 23, "addresses not understood"),
    "raw: missing warp": (
        "\n".join(r for r in RAW.split("\n") if r[:8] != "1 0 0 0 "),
        31,
        "warp 0 of thread block (1",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_malformed_text_names_file_and_line(case, tmp_path):
    text, number, why = CASES[case]
    path = tmp_path / "kernel-1.traceg"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(SubcoreError) as error:
        open_accelsim(path)
    message = str(error.value)
    assert message.startswith(f"{path}: line {number}: "), message
    assert why in message


def test_unharmed_texts_import(tmp_path):
    for text in (GROUPED, RAW):
        (tmp_path / "k").write_text(text)
        assert open_accelsim(tmp_path / "k").counts["warp_instructions"] == 20


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_cut_xz_data_name_the_line(keep, tmp_path):
    data = lzma.compress(synthetic.grouped(grid=(2000, 1, 1)).encode())
    path = tmp_path / "k.traceg.xz"
    path.write_bytes(data[: 40 + int(keep * (len(data) - 40))])
    with pytest.raises(SubcoreError, match=r"line \d+: the xz data are cut off or damaged"):
        open_accelsim(path)


def test_damaged_xz_data_are_an_error(tmp_path):
    data = bytearray(lzma.compress(GROUPED.encode()))
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / "k.traceg.xz"
    path.write_bytes(data)
    with pytest.raises(SubcoreError, match="cut off or damaged"):
        open_accelsim(path)


def test_empty_and_absent_files_are_errors(tmp_path):
    (tmp_path / "empty.traceg").touch()
    with pytest.raises(SubcoreError, match=r"empty\.traceg: the file is empty"):
        open_accelsim(tmp_path / "empty.traceg")
    with pytest.raises(SubcoreError, match=r"absent\.traceg: cannot read"):
        open_accelsim(tmp_path / "absent.traceg")


@pytest.mark.parametrize("text", [GROUPED, RAW, synthetic.grouped(prefixed=True)])
def test_random_damage_is_refused_or_reads_as_a_trace(text, tmp_path):
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        data = bytearray(text.encode())
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(len(data)))
            kind = rng.integers(3)
            if kind == 0:
                data[at] = int(rng.integers(256))
            elif kind == 1:
                del data[at : at + int(rng.integers(1, 200))]
            else:
                data[at:at] = data[at : at + int(rng.integers(1, 200))]
        path = tmp_path / "k"
        path.write_bytes(data)
        try:
            open_accelsim(path)
        except SubcoreError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ")
    assert refused > 200
