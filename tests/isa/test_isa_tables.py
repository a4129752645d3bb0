"""Opcode and latency tables: every row is meaningful, and published values are where they belong."""

import numpy as np
import pytest

from isa.latency import (
    ConsumerClass,
    ProducerClass,
    antidependence_latency,
    overwrite_latency,
    predicate_latency,
    register_latency,
    uniform_latency,
    uniform_predicate_latency,
)
from isa.opcodes import MNEMONICS, OPCODES, consumer_class, find_opcode, producer_class, tensor_shape
from isa.program import Access, Flag, MemorySpace, TensorKind, Unit

P, C = ProducerClass, ConsumerClass
TABLES = {
    "register": register_latency,
    "predicate": predicate_latency,
    "uniform": uniform_latency,
    "uniform predicate": uniform_predicate_latency,
}
ARCHITECTURES = (60, 61, 70, 75, 80, 86, 87, 89, 90, 100, 103, 120, 121)


def test_mnemonics_index_the_table():
    assert MNEMONICS[0] == ""
    for mnemonic, opcode in OPCODES.items():
        assert MNEMONICS[opcode.number] == mnemonic


def test_memory_rows_say_what_they_access():
    for opcode in OPCODES.values():
        if opcode.unit == Unit.MEMORY:
            assert opcode.access != Access.NONE, opcode.mnemonic
        if opcode.access in (Access.LOAD, Access.STORE, Access.ATOMIC, Access.REDUCTION, Access.ASYNC_COPY):
            assert opcode.space != MemorySpace.NONE, opcode.mnemonic


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_fixed_latency_result_has_latencies(architecture):
    """A result without a dependence counter must not be usable at once: it needs a row in a table."""
    rows = {name: [bool(row.any()) for row in table(architecture)] for name, table in TABLES.items()}
    for opcode in OPCODES.values():
        kind = producer_class(opcode, (), architecture)
        if kind in (P.NONE, P.VARIABLE):
            continue
        uniform = opcode.unit == Unit.UNIFORM or kind == P.R2UR
        if opcode.registers:
            assert rows["uniform" if uniform else "register"][kind], opcode.mnemonic
        if opcode.predicates:
            assert rows["uniform predicate" if uniform and kind != P.R2UR else "predicate"][kind], opcode.mnemonic


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tables_are_read_only_and_bounded(architecture):
    for name, table in TABLES.items():
        values = table(architecture)
        assert values.shape == (len(P), len(C)), name
        assert values.dtype == np.int32 and not values.flags.writeable, name
        assert values.min() >= 0 and values.max() <= 29, name
        assert not values[:, C.NONE].any() and not values[[P.NONE, P.VARIABLE]].any(), name


def test_published_distances():
    ampere = register_latency(86)
    assert ampere[P.FMA, C.FMA] == 4  # MICRO 2025 section 5.3, listing 2
    assert ampere[P.DUAL_ALU, C.ALU] == 4 and ampere[P.DUAL_ALU, C.AGU] == 5  # MICRO 2025 listing 3: MOV, MOV, LDG
    assert ampere[P.ALU, C.FMA] == ampere[P.FMA, C.ALU] == 5
    assert (ampere[P.WIDE_LOW, C.WIDE_C], ampere[P.WIDE_HIGH, C.WIDE_C_HIGH]) == (2, 2)
    assert predicate_latency(86)[P.ALU, C.GUARD] == 13 and predicate_latency(75)[P.ALU, C.GUARD] == 12
    assert register_latency(90)[P.FP64, C.FP64] == 8
    assert register_latency(120)[P.DUAL_ALU, C.ALU] == 5
    assert register_latency(100)[P.MMA_1X, C.MMA] == 20 and register_latency(86)[P.MMA_2X, C.MMA] == 24
    assert uniform_latency(90)[P.R2UR, C.UNIFORM] == 13 and uniform_latency(86)[P.R2UR, C.UNIFORM] == 0
    assert uniform_predicate_latency(86)[P.UNIFORM, C.BRANCH] == 9


def test_overwrite_rules():
    assert overwrite_latency(P.ALU, P.FMA) == 1
    assert overwrite_latency(P.ALU, P.VARIABLE) == overwrite_latency(P.FMA, P.NONE, C.AGU) == 5
    assert overwrite_latency(P.MMA_2X, P.ALU) == 1 and overwrite_latency(P.MMA_2X, P.ALU, predicated=True) == 13
    assert overwrite_latency(P.VARIABLE, P.ALU) == 0
    assert antidependence_latency(C.FMA, C.ALU) == 1
    assert antidependence_latency(C.FMA, C.AGU) == 2
    assert antidependence_latency(C.AGU, C.ALU) == 0


@pytest.mark.parametrize(
    ("opcode", "architecture", "expected"),
    [
        ("IMAD", 86, P.FMA),
        ("IMAD.WIDE.U32", 86, P.WIDE_LOW),
        ("CS2R", 86, P.DISP64),
        ("CS2R.32", 86, P.DUAL_ALU),
        ("HFMA2.MMA", 80, P.HFMA2_MMA),
        ("HFMA2", 80, P.FP16),
        ("HMMA.16816.F32", 86, P.MMA_2X),
        ("HMMA.1688.F32", 86, P.MMA_1X),
        ("HMMA.1688.F32.TF32", 86, P.MMA_2X),
        ("HMMA.1688.F32", 75, P.VARIABLE),
        ("IMMA.8816.S8.S8", 86, P.IMMA_88),
        ("IMMA.16816.S8.S8", 86, P.IMMA_1X),
        ("IMMA.16832.S8.S8", 86, P.IMMA_2X),
        ("DFMA", 86, P.VARIABLE),
        ("DFMA", 90, P.FP64),
        ("DFMA", 100, P.FP64),
        ("DFMA", 120, P.VARIABLE),
        ("R2UR", 86, P.VARIABLE),
        ("R2UR", 90, P.R2UR),
        ("I2FP.F32.S32", 86, P.ALU),
        ("I2F", 86, P.VARIABLE),
        ("ULDC.64", 86, P.UNIFORM_MOVE),
        ("LDCU.64", 120, P.VARIABLE),
        ("STG.E", 86, P.VARIABLE),
        ("BRA", 86, P.NONE),
    ],
)
def test_producer_classes(opcode, architecture, expected):
    mnemonic, *modifiers = opcode.split(".")
    assert producer_class(find_opcode(mnemonic), tuple(modifiers), architecture) == expected


def test_consumer_classes():
    assert consumer_class(find_opcode("IMAD"), ("WIDE",)) == C.WIDE_AB
    assert consumer_class(find_opcode("HFMA2"), ("MMA",)) == C.HFMA2_MMA
    assert consumer_class(find_opcode("LDG"), ("E",)) == C.AGU
    assert consumer_class(find_opcode("MUFU"), ("RCP",)) == C.DECOUPLED


@pytest.mark.parametrize(
    ("opcode", "kind", "size", "bits", "accumulator", "registers"),
    [
        ("HMMA.16816.F32", TensorKind.HMMA, (16, 8, 16), 16, 32, (4, 2, 4)),
        ("HMMA.16816.F16", TensorKind.HMMA, (16, 8, 16), 16, 16, (4, 2, 2)),
        ("HMMA.16816.F32.BF16", TensorKind.HMMA, (16, 8, 16), 16, 32, (4, 2, 4)),
        ("HMMA.1688.F32.TF32", TensorKind.HMMA, (16, 8, 8), 32, 32, (4, 2, 4)),
        ("HMMA.1684.F32.TF32", TensorKind.HMMA, (16, 8, 4), 32, 32, (2, 1, 4)),
        ("HMMA.SP.16832.F32", TensorKind.HMMA, (16, 8, 32), 16, 32, (4, 4, 4)),
        ("IMMA.8816.S8.S8", TensorKind.IMMA, (8, 8, 16), 8, 32, (1, 1, 2)),
        ("IMMA.16864.S4.S4", TensorKind.IMMA, (16, 8, 64), 4, 32, (4, 2, 4)),
        ("BMMA.168256.AND.POPC", TensorKind.BMMA, (16, 8, 256), 1, 32, (4, 2, 4)),
        ("QMMA.16832.F32.E4M3.E5M2", TensorKind.QMMA, (16, 8, 32), 8, 32, (4, 2, 4)),
        ("DMMA.884", TensorKind.DMMA, (8, 8, 4), 64, 64, (2, 2, 4)),
        ("DMMA.8x8x4", TensorKind.DMMA, (8, 8, 4), 64, 64, (2, 2, 4)),
    ],
)
def test_tensor_shapes(opcode, kind, size, bits, accumulator, registers):
    mnemonic, *modifiers = opcode.split(".")
    shape = tensor_shape(mnemonic, tuple(modifiers))
    assert shape is not None
    assert (shape.kind, (shape.m, shape.n, shape.k)) == (kind, size)
    assert (shape.bits, shape.accumulator_bits) == (bits, accumulator)
    assert tuple(shape.registers(operand) for operand in "abc") == registers


def test_warpgroup_shape_counts_registers_of_128_threads():
    shape = tensor_shape("HGMMA", ("64x128x16", "F32"))
    assert shape is not None and shape.registers("c") == 64 and shape.registers("a") == 4


def test_unknown_mnemonic_is_flagged():
    assert find_opcode("FROBNICATE").flags == Flag.UNKNOWN
    assert tensor_shape("FADD", ()) is None
