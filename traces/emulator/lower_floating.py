"""Micro-operations of floating-point instructions and conversions."""

from __future__ import annotations

from dataclasses import replace

from isa.operand import Operand
from traces.emulator import floating as f
from traces.emulator.lowering import COMBINE, FLOAT_RELATIONS, Lowering, Unsupported, expect, lowers, relation
from traces.emulator.records import TRUE, Operation
from traces.emulator.scalar import DOWN, UP, ZERO


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


@lowers("FMNMX", "UFMNMX", "FMNMX3")
def _float_minimum_maximum(low: Lowering) -> None:
    low.only("FTZ")
    three = low.ins.mnemonic == "FMNMX3"
    low.start(Operation.FLOAT_MINIMUM_MAXIMUM, (f.FLUSH if low.has("FTZ") else 0) | (f.THREE if three else 0))
    for slot, operand in enumerate(expect(low.data, 3 if three else 2)):
        low.source(slot, operand, "f32")
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
    low.only(*functions)
    low.start(Operation.SPECIAL_FUNCTION, functions[low.ins.modifiers[0]])
    low.source(0, expect(low.data, 1)[0], "f32")


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
        return f.BOTH
    choices = {("H0_H0",): f.LOW_LOW, ("H1_H1",): f.HIGH_HIGH, ("F32",): f.AS_FLOAT, ("H1_H0",): f.BOTH}
    if operand.suffixes not in choices:
        raise Unsupported(f"operand {operand.text}")
    return choices[operand.suffixes]


@lowers("HADD2", "HMUL2", "HFMA2", "HADD2_32I", "HMUL2_32I", "HFMA2_32I")
def _half_arithmetic(low: Lowering) -> None:
    low.only("MMA", "BF16_V2", "BF16", "F32", "RELU", "SAT", "FTZ", "FMZ")
    if low.has("FMZ"):
        raise Unsupported("modifier .FMZ")
    bfloat = low.has("BF16_V2", "BF16")
    variant = (f.BFLOAT if bfloat else 0) | (f.HALF_FLOAT_RESULT if low.has("F32") else 0)
    variant |= (f.HALF_RELU if low.has("RELU") else 0) | (f.HALF_SATURATE if low.has("SAT") else 0)
    low.start(Operation.HALF_MULTIPLY_ADD, variant | (f.HALF_FLUSH if low.has("FTZ") and not bfloat else 0))
    name = low.ins.mnemonic.removesuffix("_32I")
    sources = list(expect(low.data, 3 if name == "HFMA2" else 2))
    slots = {"HFMA2": (0, 1, 2), "HADD2": (0, 2), "HMUL2": (0, 1)}[name]
    choice = 0
    for slot, operand in zip(slots, sources, strict=True):
        half = _halves(operand)
        low.source(slot, operand, "f16")
        if half == f.AS_FLOAT and (operand.negate or operand.absolute):
            raise Unsupported(f"operand {operand.text}")
        choice |= half << (2 * slot)
    if name == "HADD2":
        low.constant(1, 0x3F803F80 if bfloat else 0x3C003C00)
    elif name == "HMUL2":
        low.constant(2, 0x80008000)  # -0 keeps the sign of a zero product
    low.op["extra"] = choice


@lowers("HMNMX2")
def _half_minimum_maximum(low: Lowering) -> None:
    low.only("BF16_V2")
    low.start(Operation.HALF_MINIMUM_MAXIMUM, f.BFLOAT if low.has("BF16_V2") else 0)
    choice = 0
    for slot, operand in enumerate(expect(low.data, 2)):
        low.source(slot, operand, "f16")
        choice |= _halves(operand) << (2 * slot)
    low.op["extra"] = choice
    low.predicate(0, expect(low.predicates, 1)[0])


@lowers("HSETP2", "HSET2")
def _half_compare(low: Lowering) -> None:
    low.only(*FLOAT_RELATIONS, *COMBINE, "BF", "BF16_V2")
    low.start(Operation.HALF_COMPARE)
    choice = 0
    for slot, operand in enumerate(expect(low.data, 2)):
        low.source(slot, operand, "f16")
        choice |= _halves(operand) << (2 * slot)
    bfloat = low.has("BF16_V2")
    one = (0x3F80 if bfloat else 0x3C00) if low.has("BF") else 0xFFFF
    low.op["variant"] = relation(low, FLOAT_RELATIONS)
    low.op["immediate"] = int(bfloat) | choice << 8 | one << 16
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
    if result == 3:
        raise Unsupported("bfloat16 result")
    low.start(Operation.INTEGER_TO_FLOAT, _rounding(low), wide_result=result == 8)
    operand, position = _position(expect(low.data, 1)[0])
    _place(low, operand, "u64" if source_bytes == 8 else "u32")
    low.op["extra"] = source_bytes | signed << 4 | position << 5 | result << 8


@lowers("F2I", "UF2I")
def _float_to_integer(low: Lowering) -> None:
    low.only(*_INTEGERS, *_FLOATS, *_ROUNDINGS, "FTZ", "NTZ")
    result, signed = next((_INTEGERS[m] for m in low.ins.modifiers if m in _INTEGERS), (4, 1))
    source = next((_FLOATS[m] for m in low.ins.modifiers if m in _FLOATS), 4)
    variant = _rounding(low) | (f.CONVERT_FLUSH if low.has("FTZ") else 0)
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
    if len(types) != 2 or (rounds and types[0] in (2, 3)):
        raise Unsupported("types of the conversion")
    variant = (
        _rounding(low) | (f.CONVERT_FLUSH if low.has("FTZ") else 0) | (f.CONVERT_SATURATE if low.has("SAT") else 0)
    )
    low.start(Operation.ROUND_FLOAT if rounds else Operation.FLOAT_TO_FLOAT, variant, wide_result=types[0] == 8)
    operand, position = _position(expect(low.data, 1)[0])
    _place(low, operand, "f64" if types[1] == 8 else "f32" if types[1] == 4 else "f16")
    low.op["extra"] = types[1] | (position >> 1) << 5 | types[0] << 8


@lowers("F2FP")
def _pack_halves(low: Lowering) -> None:
    low.only("F16", "BF16", "F32", "PACK_AB", "RELU", "RZ")
    low.start(Operation.PACK_HALVES, _rounding(low))
    for slot, operand in enumerate(expect(low.data, 2)):
        low.source(slot, operand, "f32")
    low.op["immediate"] = int(low.has("BF16")) | int(low.has("RELU")) << 1
