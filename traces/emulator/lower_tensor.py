"""Micro-operations of matrix instructions and of the moves that feed them: HMMA ..., MOVM, LDSM, STSM, LDGSTS."""

from __future__ import annotations

from isa.opcodes import tensor_shape
from isa.operand import Operand, OperandKind
from isa.program import TensorKind
from isa.widths import matrices
from traces.emulator import tensor as t
from traces.emulator.lower_system import CACHING, SCOPES, SIZES, memory_address
from traces.emulator.lowering import Lowering, Unsupported, expect, lowers
from traces.emulator.matrix_memory import ZERO_FILL
from traces.emulator.records import NONE, TRUE, Operation, Space
from traces.emulator.tensor import Accumulator, Element

_INTEGERS = {"S8": Element.S8, "U8": Element.U8, "S4": Element.S4, "U4": Element.U4}
_SMALL = {"E4M3": Element.E4M3, "E5M2": Element.E5M2, "E3M2": Element.E3M2, "E2M3": Element.E2M3, "E2M1": Element.E2M1}
_LARGE = {"BF16": Element.BFLOAT, "TF32": Element.TF32}


def _register(operand: Operand, *suffixes: str, negative: bool = False) -> int:
    if operand.kind != OperandKind.REGISTER or operand.invert or (operand.negate and not negative):
        raise Unsupported(f"operand {operand.text}")
    if not set(operand.suffixes) <= set(suffixes):
        raise Unsupported(f"operand {operand.text}")
    return operand.register


@lowers("HMMA", "IMMA", "BMMA", "DMMA", "QMMA")
def _matrix(low: Lowering) -> None:
    name, modifiers = low.ins.mnemonic, low.ins.modifiers
    shape = tensor_shape(name, modifiers)
    if shape is None:
        raise Unsupported("matrix shape")
    sizes = [m for m in modifiers if m[0].isdigit()]
    steps = [m for m in modifiers if m.startswith("STEP")]
    low.only(*sizes, *steps, *_INTEGERS, *_SMALL, *_LARGE, "F16", "F32", "SP", "SAT", "XOR", "AND", "POPC")
    quarter = shape.kind == TensorKind.HMMA and shape.k == 4 and shape.m == 8
    types = [{**_INTEGERS, **_SMALL, **_LARGE}[m] for m in modifiers if m in {**_INTEGERS, **_SMALL, **_LARGE}]
    results = [m for m in modifiers if m in ("F16", "F32")]
    accumulator = Accumulator.HALF if results[:1] == ["F16"] else Accumulator.FLOAT
    variant = 0
    if name == "IMMA":
        accumulator = Accumulator.SATURATING if low.has("SAT") else Accumulator.INTEGER
    elif name == "BMMA":
        types, accumulator = [Element.BIT], Accumulator.INTEGER
        variant |= t.XOR if low.has("XOR") else 0
        if not low.has("POPC") or low.has("AND") == low.has("XOR"):
            raise Unsupported("form of BMMA")
    elif name == "DMMA":
        types, accumulator = [Element.DOUBLE], Accumulator.DOUBLE
    elif name == "HMMA":
        types = types or [Element.HALF]
        if quarter:
            if len(set(results)) != 1 or len(steps) != 1:
                raise Unsupported("accumulators of two types")
            variant |= t.QUARTER
            low.op["extra"] = int(steps[0][4:])
    if not types or len(types) > 2 or (low.has("SAT") and name != "IMMA"):
        raise Unsupported("element types")
    low.op["operation"] = Operation.MATRIX
    variant |= types[0] | types[-1] << 4 | accumulator << 8
    low.op["immediate"] = shape.m << 16 | shape.k
    low.op["data_register"] = _register(low.ins.destinations[0])
    sources = list(low.ins.sources)
    a, b, c = sources[:3]
    if quarter:
        variant |= t.COLUMN_A if "COL" in a.suffixes else 0
        variant |= t.COLUMN_B if "COL" in b.suffixes else 0
    elif "COL" in a.suffixes or "ROW" in b.suffixes:
        raise Unsupported("layout of the factors")
    variant |= t.NEGATE_C if c.negate else 0
    indices = [_register(a, "ROW", "COL"), _register(b, "ROW", "COL"), _register(c, negative=True)]
    if shape.sparse:
        metadata, selector = expect(sources[3:], 2)
        if selector.kind != OperandKind.IMMEDIATE:
            raise Unsupported("selector of the metadata")
        indices.append(_register(metadata))
        pairs = shape.m * shape.k * shape.bits // 1024 // 2 > 2 or shape.bits <= 8  # two threads hold metadata, or four
        low.op["extra"] = selector.value * (2 if pairs else 1)
        variant |= t.SPARSE
    elif len(sources) != 3:
        raise Unsupported("operands")
    for slot, index in enumerate(indices):
        low.op["source"][slot]["index"] = index
    low.op["variant"] = variant


@lowers("MOVM")
def _transpose(low: Lowering) -> None:
    low.only("16", "MT88", "U4TO8", "M832")
    widens = low.has("U4TO8")
    if low.has("16", "MT88") == widens or low.has("M832") != widens:
        raise Unsupported("form of MOVM")
    low.start(Operation.TRANSPOSE, int(widens))
    low.op["source"][0]["index"] = _register(expect(low.data, 1)[0])


@lowers("LDSM", "STSM")
def _matrix_access(low: Lowering) -> None:
    low.only("16", "M88", "MT88", "2", "4")
    loads = low.ins.mnemonic == "LDSM"
    low.start(Operation.LOAD_MATRIX if loads else Operation.STORE_MATRIX)
    memory_address(low, low.address, Space.SHARED, 16)
    low.op["variant"] = matrices(low.ins.modifiers)
    low.op["extra"] = low.has("MT88")
    if not loads:
        low.op["data_register"] = _register(expect(low.data, 1)[0])


@lowers("LDGSTS")
def _copy_to_shared(low: Lowering) -> None:
    """A predicate says where the source is read; elsewhere, and behind the bytes that .ZFILL asks for, zeros come."""
    low.only(*SCOPES, *CACHING, *SIZES, "BYPASS", "ACCESS", "ZFILL")
    low.op["operation"] = Operation.COPY_TO_SHARED
    shared, source = expect([o for o in low.ins.operands if o.kind == OperandKind.ADDRESS], 2)
    size = next((int(m) // 8 for m in low.ins.modifiers if m in ("64", "128")), 4)
    memory_address(low, source, Space.GLOBAL, size)
    if shared.uniform != NONE and shared.uniform_count != 1:
        raise Unsupported(f"operand {shared.text}")
    low.op["source"][0]["index"], low.op["source"][1]["index"] = shared.register, shared.uniform
    low.op["source"][0]["value"] = shared.offset & 0xFFFFFFFF
    low.op["extra"] = shared.scale
    low.op["variant"] = ZERO_FILL if low.has("ZFILL") else 0
    predicates = expect(low.predicates, 0, 1)
    if predicates and (predicates[0].register != TRUE or predicates[0].negate):
        low.predicate(0, predicates[0])
