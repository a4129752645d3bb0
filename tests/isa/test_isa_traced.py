"""Records from traced opcode text."""

import pytest

from isa.program import Access, Flag, MemorySpace, Unit
from isa.traced import finish_program, traced_instruction


def registers(record, name):
    pairs = zip(record[name], record[f"{name}_registers"], strict=True)
    return [(int(r), int(n)) for r, n in pairs if n]


def test_wide_multiply_writes_a_pair():
    record = traced_instruction("IMAD.WIDE", [2], [0, 3], 0, 75)
    assert registers(record, "destination") == [(2, 2)]
    assert registers(record, "source") == [(0, 1), (3, 1)]
    assert record["flags"] & Flag.WIDE


@pytest.mark.parametrize(
    ("opcode", "destinations", "sources", "width", "expected"),
    [
        ("LDG.E.64.SYS", [4], [2], 8, ([(4, 2)], [(2, 2)])),
        ("LDG.E.SYS", [4], [255], 4, ([(4, 1)], [])),
        ("STG.E.128", [], [2, 8], 16, ([], [(2, 2), (8, 4)])),
        ("LDS.U.128", [8], [3], 16, ([(8, 4)], [(3, 1)])),
        ("STS", [], [3, 9], 4, ([], [(3, 1), (9, 1)])),
        ("LDGSTS.E.BYPASS.128", [], [13, 2], 16, ([], [(13, 1), (2, 2)])),
        ("ATOMG.E.CAS.64.STRONG.GPU", [4], [10, 6, 8], 8, ([(4, 2)], [(10, 2), (6, 2), (8, 2)])),
        ("RED.E.ADD.STRONG.GPU", [], [2, 5], 4, ([], [(2, 2), (5, 1)])),
        ("DADD", [2], [4, 6], 0, ([(2, 2)], [(4, 2), (6, 2)])),
        ("HMMA.884.F32.F32.STEP0", [8], [4, 2, 8], 0, ([(8, 2)], [(4, 1), (2, 1), (8, 2)])),
        ("HMMA.16816.F32", [8], [4, 2, 8], 0, ([(8, 4)], [(4, 4), (2, 2), (8, 4)])),
        ("LDSM.16.M88.4", [8], [3], 16, ([(8, 4)], [(3, 1)])),
        ("MOV", [255], [1], 0, ([], [(1, 1)])),
    ],
)
def test_register_counts(opcode, destinations, sources, width, expected):
    record = traced_instruction(opcode, destinations, sources, width, 70)
    assert (registers(record, "destination"), registers(record, "source")) == expected


def test_memory_fields():
    record = traced_instruction("LDG.E.U8.CONSTANT", [4], [2], 1, 80)
    assert (record["space"], record["access"], record["access_bytes"]) == (MemorySpace.GLOBAL, Access.LOAD, 1)
    assert record["address_registers"] == 2 and record["flags"] & Flag.ADDRESS_64
    assert registers(record, "destination") == [(4, 1)]
    assert record["variable_latency"] == 1


def test_unknown_mnemonic_is_an_alu_record_with_a_warning():
    record = traced_instruction("FROBNICATE.X", [1], [2], 0, 75)
    assert record["unit"] == Unit.ALU and record["flags"] & Flag.UNKNOWN
    program = finish_program("k", 75, {0: record}, {0: "FROBNICATE.X R1, R2"})
    assert program.warnings == ("FROBNICATE: not in the opcode table, treated as a fixed-latency ALU instruction",)


def test_unvisited_slots_are_unknown():
    exit_record = traced_instruction("EXIT", [], [], 0, 70)
    program = finish_program("k", 70, {0: traced_instruction("NOP", [], [], 0, 70), 64: exit_record}, {64: "EXIT"})
    assert len(program) == 5
    assert program.instructions["pc"].tolist() == [0, 16, 32, 48, 64]
    unknown = (program.instructions["flags"] & int(Flag.UNKNOWN)) != 0
    assert unknown.tolist() == [False, True, True, True, False]
    assert program.instructions[4]["flags"] & Flag.EXIT and not program.has_control_bits


def test_pascal_slots_are_eight_bytes():
    program = finish_program("k", 61, {8: traced_instruction("XMAD", [1], [2, 3], 0, 61)}, {8: "XMAD"})
    assert (program.pc_step, len(program)) == (8, 2)


def test_empty_trace_gives_an_empty_program():
    assert len(finish_program("k", 75, {}, {})) == 0
