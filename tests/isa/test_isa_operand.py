"""Operand parsing from text alone; no NVIDIA package needed."""

import pytest

from isa.disassemble import ListedInstruction
from isa.operand import Instruction, Operand, OperandKind, parse_instruction, split_operands
from isa.widths import address_counts, register_counts

K = OperandKind


def parse(text: str, architecture: int = 86, encoding: int = 0, labels: dict[str, int] | None = None) -> Instruction:
    guard, _, rest = text.partition(" ") if text.startswith("@") else ("", "", text)
    opcode, _, operands = rest.partition(" ")
    return parse_instruction(ListedInstruction(guard, opcode, operands), 3, 48, encoding, architecture, labels or {})


def roles(instruction: Instruction) -> list[tuple[str, int, int]]:
    return [(o.kind.name, o.register, o.count) for o in instruction.operands]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("R2[R2.64]", ["R2", "[R2.64]"]),
        ("[R2+0x800][R12.64]", ["[R2+0x800]", "[R12.64]"]),
        ("R4,desc[UR8][R2.64+0x10]", ["R4", "desc[UR8][R2.64+0x10]"]),
        ("R1,RZ,RZ,c[0x0][0x28]", ["R1", "RZ", "RZ", "c[0x0][0x28]"]),
        ("R24,R28,gdesc[UR8],R24,gsb0", ["R24", "R28", "gdesc[UR8]", "R24", "gsb0"]),
        ("SB0,0x1,{4,3}", ["SB0", "0x1", "{4,3}"]),
        ("P0,PT,|R1|,+INF ,PT", ["P0", "PT", "|R1|", "+INF", "PT"]),
        ("PT,R12[R6],R12", ["PT", "R12", "[R6]", "R12"]),
        ("", []),
    ],
)
def test_operands_are_split_where_the_listing_omits_commas(text, tokens):
    assert split_operands(text) == tokens


def test_guard_and_modifiers():
    instruction = parse("@!UP3 IADD3.X R9,~R13,R15,R23,P1,!PT")
    assert (instruction.guard, instruction.guard_negate, instruction.guard_uniform) == (3, True, True)
    assert instruction.opcode == "IADD3.X"
    a, b, c, carry, never = instruction.sources
    assert (a.invert, a.slot, b.slot, c.slot) == (True, 0, 1, 2)
    assert (carry.kind, carry.register, carry.negate) == (K.PREDICATE, 1, False)
    assert (never.register, never.negate) == (7, True)


def test_carry_outputs_are_destinations_and_carry_inputs_are_not():
    instruction = parse("IADD3 R12,P0,P1,R14,R12,R20")
    assert [o.text for o in instruction.destinations] == ["R12", "P0", "P1"]
    instruction = parse("VOTE.ANY R0,PT,P1")
    assert [o.text for o in instruction.destinations] == ["R0", "PT"]
    assert [o.text for o in parse("VOTE.ANY P3,P1").destinations] == ["P3"]
    assert [o.text for o in parse("LOP3.LUT P1,R2,R2,0x1f,RZ,0xc0,!PT").destinations] == ["P1", "R2"]
    assert parse("STG.E [R2.64],R4").destinations == ()


@pytest.mark.parametrize(
    ("text", "registers"),
    [
        ("IMAD.WIDE R2,R0,R3,R8", [("R2", 2), ("R0", 1), ("R3", 1), ("R8", 2)]),
        ("IMAD.HI R2,R0,R3,R8", [("R2", 1), ("R0", 1), ("R3", 1), ("R8", 2)]),
        ("DFMA R4,R2,-R6,|R8|", [("R4", 2), ("-R6", 2), ("|R8|", 2)]),
        ("LDG.E.128 R4[R2.64]", [("R4", 4)]),
        ("STS.64 [R7],R10", [("R10", 2)]),
        ("F2F.F64.F32 R4,R6", [("R4", 2), ("R6", 1)]),
        ("F2I.S64.F64.TRUNC R4,R6", [("R4", 2), ("R6", 2)]),
        ("I2F.F64.U32 R4,R6", [("R4", 2), ("R6", 1)]),
        ("HMMA.16816.F32 R8,R4,R2,R8", [("R8", 4), ("R4", 4), ("R2", 2)]),
        ("HMMA.1688.F16 R8,R4,R2,R8", [("R8", 2), ("R4", 2), ("R2", 1)]),
        ("HMMA.SP.16832.F32 R8,R8,R12,R16,R0,0x0", [("R12", 4), ("R16", 4), ("R0", 1)]),
        ("IMMA.16832.S8.U8 R8,R4.ROW,R2.COL,R8", [("R8", 4), ("R4.ROW", 4), ("R2.COL", 2)]),
        ("BMMA.168256.AND.POPC R8,R4.ROW,R2.COL,R8", [("R8", 4), ("R4.ROW", 4), ("R2.COL", 2)]),
        ("DMMA.884 R8,R4,R6,R8", [("R8", 4), ("R4", 2), ("R6", 2)]),
        ("LDSM.16.M88.4 R8[R4]", [("R8", 4)]),
        ("CS2R R2,SR_CLOCKLO", [("R2", 2)]),
        ("CS2R.32 R2,SR_CLOCKLO", [("R2", 1)]),
        ("IADD.64 R2,R4,UR6", [("R2", 2), ("R4", 2), ("UR6", 2)]),
        ("IMNMX.S64 PT,PT,R8,R2.reuse,-0x63,!PT,!PT", [("R8", 2), ("R2.reuse", 2)]),
        ("MATCH.ANY.U64 R7,R6", [("R7", 1), ("R6", 2)]),
        ("ATOMG.E.CAS.64.STRONG.GPU PT,R4[R10],R6,R8", [("R4", 2), ("R6", 2), ("R8", 2)]),
        ("ATOMG.E.ADD.F32x4.FTZ.RN.STRONG.GPU PT,R12,desc[UR6][R2.64],R8", [("R12", 4), ("R8", 4)]),
        ("REDG.E.ADD.BF16x4.RN.STRONG.GPU desc[UR6][R2.64],R8", [("R8", 2)]),
        ("ATOM.E.ADD.F16x2.RN.STRONG.GPU P0,RZ,desc[UR6][R2.64],R8", [("R8", 1)]),
        ("LDG.E.ENL2.256 R8,R4,desc[UR6][R2.64]", [("R8", 4), ("R4", 4)]),
        ("FADD2 R6,R8.F32x2.HI_LO,R4.F32x2.HI_LO", [("R6", 2), ("R8.F32x2.HI_LO", 2)]),
        ("RET.REL.NODEC R6,k", [("R6", 2)]),
    ],
)
def test_register_counts(text, registers):
    found = {o.text: o.count for o in parse(text, labels={"k": 0}).operands}
    assert {name: found[name] for name, _ in registers} == dict(registers)


@pytest.mark.parametrize(
    ("text", "architecture", "expected"),
    [
        ("LDG.E R4[R2.64+0x10]", 86, (2, 2, 1, 255, 0, 0x10)),
        ("LDG.E R4[R2+-0x4]", 75, (2, 2, 1, 255, 0, -4)),
        ("LDG.E R0[R2.U32+UR4]", 75, (2, 1, 1, 4, 2, 0)),
        ("LDS R4[R7.X4+UR5+0x20]", 86, (7, 1, 4, 5, 1, 0x20)),
        ("STG.E desc[UR4][R2.64+UR8],R9", 90, (2, 2, 1, 8, 1, 0)),
        ("LDS R4[UR5]", 86, (255, 0, 1, 5, 1, 0)),
        ("RED.E.ADD.STRONG.GPU [UR4],R8", 75, (255, 0, 1, 4, 2, 0)),
        ("LDGSTS.E.64 [R2+0x800],desc[UR8][R12.64]", 90, (2, 1, 1, 255, 0, 0x800)),
    ],
)
def test_addresses(text, architecture, expected):
    o = next(o for o in parse(text, architecture).operands if o.kind == K.ADDRESS)
    assert (o.register, o.count, o.scale, o.uniform, o.uniform_count, o.offset) == expected


def test_descriptor_is_read_from_the_encoding_where_the_text_hides_it():
    hidden = parse("LDG.E R4[R2.64]", 80, encoding=6 << 32)
    assert hidden.operands[1].descriptor == 6
    assert parse("STG.E desc[UR4][R2.64],R9", 90).operands[0].descriptor == 4
    assert parse("LDG.E R4[R2]", 75, encoding=6 << 32).operands[1].descriptor == 255


def test_constants():
    indexed = parse("LDC R5,c[0x3][R14+0x108]").operands[1]
    assert (indexed.kind, indexed.bank, indexed.offset, indexed.register, indexed.count) == (
        K.CONSTANT,
        3,
        0x108,
        14,
        1,
    )
    plain = parse("FFMA R4,R4,-c[0x0][0x16c],R2").operands[2]
    assert (plain.bank, plain.offset, plain.negate, plain.slot) == (0, 0x16C, True, 1)
    bindless = parse("FADD R4,R4,cx[UR6][0x10]").operands[2]
    assert (bindless.bank, bindless.descriptor, bindless.offset) == (-1, 6, 0x10)


def test_float_immediates_come_from_the_encoding():
    assert parse("FMUL R0,R1,0.10000000149011611938", encoding=0x3DCCCCCD << 32).operands[2].value == 0x3DCCCCCD
    assert parse("DADD R0,R2,1.5", encoding=0x3FF80000 << 32).operands[2].value == 0x3FF80000 << 32
    half = parse("HFMA2 R25,R11,3,3,R4", encoding=0x42004200 << 32)
    assert [(o.text, o.slot) for o in half.sources] == [("R11", 0), ("3,3", 1), ("R4", 2)]
    assert half.sources[1].value == 0x42004200
    assert parse("IADD3 R0,R1,-0x4,RZ").operands[2].value == -4


def test_branch_targets():
    assert parse("BRA 0xf0").target == 15
    assert parse("@!P1 BRA !P2,0x760").target == 0x76
    assert parse("BSSY B0,0x150").target == 0x15
    assert parse("CALL.REL.NOINC $k$f", labels={"$k$f": 0x200}).target == 0x20
    assert parse("CALL.REL.NOINC R6,k", labels={"k": 0}).target == -1
    assert parse("RET.REL.NODEC R20,k", labels={"k": 0}).target == -1
    assert parse("BRX R2,-0x1d0").target == -1
    assert parse("WARPSYNC 0xffffffff").target == -1
    assert parse("WARPSYNC.COLLECTIVE R11,0x500").target == 0x50
    assert parse("BRA.DIV UR6,0x230").target == 0x23


def test_reuse_positions_follow_the_hardware_slots():
    assert [o.slot for o in parse("FADD R11,R9.reuse,R10.reuse").sources] == [0, 2]
    assert [o.slot for o in parse("FMUL R11,R9,R10").sources] == [0, 1]
    assert [o.slot for o in parse("MOV R11,R9.reuse").sources] == [1]
    assert all(o.reuse for o in parse("FADD R11,R9.reuse,R10.reuse").sources)


def test_unknown_instruction_keeps_its_text():
    instruction = parse("FROBNICATE.WILD R1,<what>,R2")
    assert [o.kind for o in instruction.operands] == [K.REGISTER, K.OTHER, K.REGISTER]
    assert instruction.operands[1].text == "<what>"


def test_scoreboards_and_special_registers():
    instruction = parse("DEPBAR.LE SB0,0x1,{4,3}")
    assert [(o.kind, o.register, o.value) for o in instruction.operands] == [
        (K.SCOREBOARD, 0, 0),
        (K.IMMEDIATE, 255, 1),
        (K.SCOREBOARD, 255, 0b11000),
    ]
    assert parse("S2R R0,SR_TID.X").operands[1] == Operand(K.SPECIAL_REGISTER, "SR_TID.X")


@pytest.mark.parametrize(
    ("opcode", "destination", "source"),
    [
        ("SYNCS.ARRIVE.TRANS64.A1T0", 2, 1),
        ("SYNCS.EXCH.64", 2, 2),
        ("SYNCS.PHASECHK.TRANS64.TRYWAIT", 2, 1),
        ("QGMMA.SP.64x8x64.F32.E4M3.E4M3", 4, 4),
        ("HGMMA.64x128x16.F32", 64, 4),
    ],
)
def test_register_counts_of_mbarriers_and_warpgroup_products(opcode, destination, source):
    """As `nvdisasm -plr` shows them for compiled code."""
    mnemonic, *modifiers = opcode.split(".")
    to, sources = register_counts(mnemonic, tuple(modifiers))
    assert (to, sources[0]) == (destination, source)


@pytest.mark.parametrize(
    ("opcode", "uniform"),
    [("UBLKCP.S.G", [2, 2]), ("UBLKCP.G.S", [2, 1]), ("UBLKCP.S.S", [2, 1]), ("UTMALDG.3D", [5, 2])],
)
def test_uniform_registers_of_bulk_copies(opcode, uniform):
    mnemonic, *modifiers = opcode.split(".")
    assert [count for _, count in address_counts(mnemonic, tuple(modifiers))] == uniform
