"""Micro-operations of floating-point instructions and conversions."""

from __future__ import annotations

from dataclasses import replace

from isa.operand import Operand
from traces.emulator import conversion as v
from traces.emulator import floating as f
from traces.emulator import half as h
from traces.emulator.lowering import COMBINE, FLOAT_RELATIONS, Lowering, Unsupported, expect, lowers, relation
from traces.emulator.records import TRUE, Operation
from traces.emulator.scalar import DOWN, UP, ZERO
from traces.emulator.tensor import Element


def _rounding(low: Lowering) -> int:
    modes = {"RM": DOWN, "FLOOR": DOWN, "RP": UP, "CEIL": UP, "RZ": ZERO, "TRUNC": ZERO}
    return next((modes[m] for m in low.ins.modifiers if m in modes), 0)


@lowers("FADD", "FMUL", "FFMA", "FADD32I", "FMUL32I", "FFMA32I", "UFADD", "UFMUL", "UFFMA")
def _float_arithmetic(low: Lowering) -> None:
    low.only("FTZ", "RM", "RP", "RZ", "SAT")
    name = low.ins.mnemonic.removeprefix("U").removesuffix("32I")
    operation, count = {
        "FADD": (Operation.FLOAT_ADD, 2),
        "FMUL": (Operation.FLOAT_MULTIPLY, 2),
        "FFMA": (Operation.FLOAT_MULTIPLY_ADD, 3),
    }[name]
    variant = _rounding(low) | (f.FLUSH if low.has("FTZ") else 0) | (f.SATURATE if low.has("SAT") else 0)
    low.start(operation, variant)
    for slot, operand in enumerate(expect(low.data, count)):
        low.source(slot, operand, "f32")


@lowers("FHADD", "FHFMA")
def _mixed_arithmetic(low: Lowering) -> None:
    """Half precision factors or terms with a float32 addend."""
    low.only("BF16", "RZ", "RM", "RP", "FTZ")
    adds = low.ins.mnemonic == "FHADD"
    factors = f.BFLOAT_FACTORS if low.has("BF16") else f.HALF_FACTORS
    low.start(
        Operation.FLOAT_ADD if adds else Operation.FLOAT_MULTIPLY_ADD,
        _rounding(low) | factors | (f.FLUSH if low.has("FTZ") else 0),
    )
    for slot, operand in enumerate(expect(low.data, 2 if adds else 3)):
        half = slot < (1 if adds else 2)
        low.source(slot, operand, "u32" if half else "f32")
        if half and (operand.negate or operand.absolute):
            raise Unsupported(f"operand {operand.text}")


@lowers("FADD2", "FMUL2", "FFMA2")
def _pair_arithmetic(low: Lowering) -> None:
    low.only("FTZ", "RM", "RP", "RZ")
    operation, slots = {
        "FADD2": (Operation.FLOAT_ADD, (0, 2)),
        "FMUL2": (Operation.FLOAT_MULTIPLY, (0, 1)),
        "FFMA2": (Operation.FLOAT_MULTIPLY_ADD, (0, 1, 2)),
    }[low.ins.mnemonic]
    low.start(Operation.PAIR_ARITHMETIC, _rounding(low) | (f.FLUSH if low.has("FTZ") else 0), wide_result=True)
    low.op["extra"] = operation
    for slot, operand in zip(slots, expect(low.data, len(slots)), strict=True):
        if operand.negate or operand.absolute or operand.suffixes not in ((), ("F32x2", "HI_LO")):
            raise Unsupported(f"operand {operand.text}")
        low.source(slot, replace(operand, suffixes=()), "u64")


@lowers("FMNMX", "UFMNMX", "FMNMX3")
def _float_minimum_maximum(low: Lowering) -> None:
    low.only("FTZ", "NAN", "XORSIGN")
    three = low.ins.mnemonic == "FMNMX3"
    variant = (f.FLUSH if low.has("FTZ") else 0) | (f.THREE if three else 0)
    variant |= (f.NAN_WINS if low.has("NAN") else 0) | (f.XOR_SIGN if low.has("XORSIGN") else 0)
    low.start(Operation.FLOAT_MINIMUM_MAXIMUM, variant)
    for slot, operand in enumerate(expect(low.data, 3 if three else 2)):
        # .XORSIGN needs the signs that |R2| takes off
        low.source(slot, replace(operand, absolute=False) if low.has("XORSIGN") else operand, "f32")
    low.predicate(0, expect(low.predicates, 1)[0])


@lowers("FSETP", "UFSETP", "DSETP")
def _float_compare(low: Lowering) -> None:
    low.only(*FLOAT_RELATIONS, *COMBINE, "FTZ", "MIN", "MAX")
    double = low.ins.mnemonic == "DSETP"
    low.start(Operation.DOUBLE_COMPARE if double else Operation.FLOAT_COMPARE)
    for slot, operand in enumerate(expect(low.data, 2)):
        low.source(slot, operand, "f64" if double else "f32")
    third = expect(low.predicates, 1)[0]
    if low.has("MIN", "MAX"):
        if not double or not low.has("AND") or third.register != TRUE or third.negate:
            raise Unsupported("form of the selecting compare")
        low.op["extra"] = f.SELECTS_MINIMUM if low.has("MIN") else f.SELECTS_MAXIMUM
        return
    low.op["variant"] = relation(low, FLOAT_RELATIONS)
    low.op["immediate"] = f.FLUSH if low.has("FTZ") else 0
    low.predicate(0, third)


@lowers("FSET")
def _float_set(low: Lowering) -> None:
    low.only(*FLOAT_RELATIONS, *COMBINE, "FTZ", "BF")
    low.start(Operation.FLOAT_SET)
    for slot, operand in enumerate(expect(low.data, 2)):
        low.source(slot, operand, "f32")
    low.op["variant"] = relation(low, FLOAT_RELATIONS)
    low.op["immediate"] = (0x3F800000 << 32 if low.has("BF") else -1 << 32) | (f.FLUSH if low.has("FTZ") else 0)
    low.predicate(0, expect(low.predicates, 1)[0])


@lowers("FCHK")
def _division_check(low: Lowering) -> None:
    low.only()
    low.start(Operation.DIVISION_CHECK)
    for slot, operand in enumerate(expect(low.data, 2)):
        low.source(slot, operand, "f32")


@lowers("MUFU")
def _special_function(low: Lowering) -> None:
    functions = {
        "RCP": f.RECIPROCAL,
        "RSQ": f.RECIPROCAL_ROOT,
        "SQRT": f.ROOT,
        "EX2": f.EXPONENTIAL2,
        "LG2": f.LOGARITHM2,
        "SIN": f.SINE,
        "COS": f.COSINE,
        "TANH": f.TANH,
        "RCP64H": f.RECIPROCAL_64H,
        "RSQ64H": f.ROOT_64H,
    }
    low.only(*functions, "F16", "BF16")
    low.start(Operation.SPECIAL_FUNCTION, functions[low.ins.modifiers[0]])
    operand = expect(low.data, 1)[0]
    if low.has("F16", "BF16"):
        if operand.suffixes not in ((), ("H1",)) or operand.negate or operand.absolute:
            raise Unsupported(f"operand {operand.text}")
        low.op["extra"] = 1 | (2 if operand.suffixes else 0) | (4 if low.has("BF16") else 0)
        operand = replace(operand, suffixes=())
    low.source(0, operand, "f32")


@lowers("DADD", "DMUL", "DFMA")
def _double_arithmetic(low: Lowering) -> None:
    low.only("RM", "RP", "RZ")
    operation, count = {
        "DADD": (Operation.DOUBLE_ADD, 2),
        "DMUL": (Operation.DOUBLE_MULTIPLY, 2),
        "DFMA": (Operation.DOUBLE_MULTIPLY_ADD, 3),
    }[low.ins.mnemonic]
    low.start(operation, _rounding(low), wide_result=True)
    for slot, operand in enumerate(expect(low.data, count)):
        low.source(slot, operand, "f64")


def _halves(operand: Operand) -> int:
    if not operand.suffixes:
        return h.BOTH
    choices = {("H0_H0",): h.LOW_LOW, ("H1_H1",): h.HIGH_HIGH, ("F32",): h.AS_FLOAT, ("H1_H0",): h.BOTH}
    if operand.suffixes not in choices:
        raise Unsupported(f"operand {operand.text}")
    return choices[operand.suffixes]


@lowers("HADD2", "HMUL2", "HFMA2", "HADD2_32I", "HMUL2_32I", "HFMA2_32I")
def _half_arithmetic(low: Lowering) -> None:
    low.only("MMA", "BF16_V2", "BF16", "F32", "RELU", "SAT", "FTZ", "FMZ")
    if low.has("FMZ"):
        raise Unsupported("modifier .FMZ")
    bfloat = low.has("BF16_V2", "BF16")
    variant = (h.BFLOAT if bfloat else 0) | (h.HALF_FLOAT_RESULT if low.has("F32") else 0)
    variant |= (h.HALF_RELU if low.has("RELU") else 0) | (h.HALF_SATURATE if low.has("SAT") else 0)
    low.start(Operation.HALF_MULTIPLY_ADD, variant | (h.HALF_FLUSH if low.has("FTZ") and not bfloat else 0))
    name = low.ins.mnemonic.removesuffix("_32I")
    sources = list(expect(low.data, 3 if name == "HFMA2" else 2))
    slots = {"HFMA2": (0, 1, 2), "HADD2": (0, 2), "HMUL2": (0, 1)}[name]
    choice = 0
    for slot, operand in zip(slots, sources, strict=True):
        half = _halves(operand)
        low.source(slot, operand, "f16")
        if half == h.AS_FLOAT and (operand.negate or operand.absolute):
            raise Unsupported(f"operand {operand.text}")
        choice |= half << (2 * slot)
    if name == "HADD2":
        low.constant(1, 0x3F803F80 if bfloat else 0x3C003C00)
    elif name == "HMUL2":
        low.constant(2, 0x80008000)  # -0 keeps the sign of a zero product
    low.op["extra"] = choice


@lowers("HMNMX2")
def _half_minimum_maximum(low: Lowering) -> None:
    low.only("BF16_V2", "FTZ", "NAN", "XORSIGN")
    variant = h.BFLOAT if low.has("BF16_V2") else h.HALF_FLUSH if low.has("FTZ") else 0
    variant |= (h.HALF_NAN_WINS if low.has("NAN") else 0) | (h.HALF_XOR_SIGN if low.has("XORSIGN") else 0)
    low.start(Operation.HALF_MINIMUM_MAXIMUM, variant)
    choice = 0
    for slot, operand in enumerate(expect(low.data, 2)):
        low.source(slot, replace(operand, absolute=False) if low.has("XORSIGN") else operand, "f16")
        choice |= _halves(operand) << (2 * slot)
    low.op["extra"] = choice
    low.predicate(0, expect(low.predicates, 1)[0])


@lowers("HSETP2", "HSET2")
def _half_compare(low: Lowering) -> None:
    low.only(*FLOAT_RELATIONS, *COMBINE, "BF", "BF16_V2", "FTZ")
    low.start(Operation.HALF_COMPARE)
    choice = 0
    for slot, operand in enumerate(expect(low.data, 2)):
        low.source(slot, operand, "f16")
        choice |= _halves(operand) << (2 * slot)
    bfloat = low.has("BF16_V2")
    one = (0x3F80 if bfloat else 0x3C00) if low.has("BF") else 0xFFFF
    low.op["variant"] = relation(low, FLOAT_RELATIONS)
    flush = h.HALF_FLUSH if low.has("FTZ") and not bfloat else 0
    low.op["immediate"] = (h.BFLOAT if bfloat else 0) | flush | choice << 8 | one << 16
    low.predicate(0, expect(low.predicates, 1)[0])


# ---------------------------------------------------------------- conversions

_INTEGERS = {"U8": (1, 0), "S8": (1, 1), "U16": (2, 0), "S16": (2, 1), "U32": (4, 0), "S32": (4, 1)}
_INTEGERS |= {"U64": (8, 0), "S64": (8, 1)}
_FLOATS = {"F16": 2, "BF16": 3, "F32": 4, "F64": 8}
_ROUNDINGS = ("RM", "RP", "RZ", "FLOOR", "CEIL", "TRUNC", "ROUND", "RN")


def _position(operand: Operand) -> tuple[Operand, int]:
    """A source with its byte or half position taken off."""
    positions = {"B0": 0, "B1": 1, "B2": 2, "B3": 3, "H0": 0, "H1": 2, "H0_H0": 0, "H1_H1": 2}
    found = [positions[s] for s in operand.suffixes if s in positions]
    if len(found) != len(operand.suffixes):
        raise Unsupported(f"operand {operand.text}")
    return operand, found[0] if found else 0


def _place(low: Lowering, operand: Operand, kind: str) -> None:
    low.source(0, replace(operand, suffixes=()), kind)


@lowers("I2F", "I2FP", "UI2F", "UI2FP")
def _integer_to_float(low: Lowering) -> None:
    low.only(*_INTEGERS, *_FLOATS, *_ROUNDINGS)
    source_bytes, signed = next((_INTEGERS[m] for m in low.ins.modifiers if m in _INTEGERS), (4, 1))
    result = next((_FLOATS[m] for m in low.ins.modifiers if m in _FLOATS), 4)
    low.start(Operation.INTEGER_TO_FLOAT, _rounding(low), wide_result=result == 8)
    operand, position = _position(expect(low.data, 1)[0])
    _place(low, operand, "u64" if source_bytes == 8 else "u32")
    low.op["extra"] = source_bytes | signed << 4 | position << 5 | result << 8


@lowers("F2I", "UF2I")
def _float_to_integer(low: Lowering) -> None:
    low.only(*_INTEGERS, *_FLOATS, *_ROUNDINGS, "FTZ", "NTZ")
    result, signed = next((_INTEGERS[m] for m in low.ins.modifiers if m in _INTEGERS), (4, 1))
    source = next((_FLOATS[m] for m in low.ins.modifiers if m in _FLOATS), 4)
    variant = _rounding(low) | (v.CONVERT_FLUSH if low.has("FTZ") else 0)
    low.start(Operation.FLOAT_TO_INTEGER, variant, wide_result=result == 8)
    operand, position = _position(expect(low.data, 1)[0])
    _place(low, operand, "f64" if source == 8 else "f32" if source == 4 else "f16")
    low.op["extra"] = source | signed << 4 | (position >> 1) << 5 | result << 8


@lowers("F2F", "FRND", "UF2F", "UFRND")
def _float_to_float(low: Lowering) -> None:
    low.only(*_FLOATS, *_ROUNDINGS, "FTZ", "SAT")
    rounds = low.ins.mnemonic.endswith("FRND")
    types = [_FLOATS[m] for m in low.ins.modifiers if m in _FLOATS]
    if rounds:
        types = [types[0] if types else 4] * 2
    if len(types) != 2:
        raise Unsupported("types of the conversion")
    variant = (
        _rounding(low) | (v.CONVERT_FLUSH if low.has("FTZ") else 0) | (v.CONVERT_SATURATE if low.has("SAT") else 0)
    )
    low.start(Operation.ROUND_FLOAT if rounds else Operation.FLOAT_TO_FLOAT, variant, wide_result=types[0] == 8)
    operand, position = _position(expect(low.data, 1)[0])
    _place(low, operand, "f64" if types[1] == 8 else "f32" if types[1] == 4 else "f16")
    low.op["extra"] = types[1] | (position >> 1) << 5 | types[0] << 8


_PACKED = {"TF32": 16 + Element.TF32, "E4M3": 16 + Element.E4M3, "E5M2": 16 + Element.E5M2}
_PACKED |= {"E3M2": 16 + Element.E3M2, "E2M3": 16 + Element.E2M3, "E2M1": 16 + Element.E2M1}


@lowers("F2FP", "UF2FP")
def _pack_floats(low: Lowering) -> None:
    shapes = ("PACK_AB", "PACK_AB_MERGE_C", "MERGE_C", "PACK_B", "UNPACK_B", "UNPACK_B_MERGE_C")
    low.only(*_FLOATS, *_PACKED, *shapes, "RELU", "RZ", "SATFINITE")
    shape = next(m for m in low.ins.modifiers if m in shapes)
    types = [{**_FLOATS, **_PACKED}[m] for m in low.ins.modifiers if m in {**_FLOATS, **_PACKED}]
    if len(types) < 2:  # sm_80 and sm_86 name only a result that is not F16
        types = [types[0] if types else 2, 4]
    result, source = types
    variant = _rounding(low) | (v.PACK_RELU if low.has("RELU") else 0) | (v.PACK_FINITE if low.has("SATFINITE") else 0)
    unpacks = shape.startswith("UNPACK")
    if result in (4, 8) or (source != 4) != unpacks or (result > 16 + Element.TF32 and not low.has("SATFINITE")):
        raise Unsupported("types of the conversion")
    variant |= v.PACK_UNPACK if unpacks else 0
    variant |= v.PACK_MERGE if shape.endswith("MERGE_C") else 0
    variant |= v.PACK_ONE if shape in ("MERGE_C", "PACK_B") else 0
    slots = {"PACK_AB": (0, 1), "PACK_AB_MERGE_C": (0, 1, 2), "MERGE_C": (1, 2), "UNPACK_B_MERGE_C": (1, 2)}.get(
        shape, (1,)
    )
    sources = expect(low.data, len(slots))
    first = sources[0]
    if unpacks and first.suffixes == ("H1",):
        variant |= v.PACK_HIGH
        sources = [replace(first, suffixes=()), *sources[1:]]
    low.start(Operation.PACK_FLOATS, variant)
    low.op["extra"] = source | result << 8
    for slot, operand in zip(slots, sources, strict=True):
        low.source(slot, operand, "f32" if slot < 2 and not unpacks else "u32")


@lowers("F2IP", "UF2IP")
def _pack_bytes(low: Lowering) -> None:
    low.only("U8", "S8", "F32", *_ROUNDINGS, "NTZ")
    low.start(Operation.PACK_BYTES, _rounding(low))
    low.op["extra"] = low.has("S8")
    for slot, operand in enumerate(expect(low.data, 3)):
        low.source(slot, operand, "f32" if slot < 2 else "u32")
