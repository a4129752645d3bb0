"""Micro-operations of packed and saturating integer instructions."""

from __future__ import annotations

from dataclasses import replace

from isa.operand import OperandKind
from traces.emulator import packed as p
from traces.emulator.lowering import PREDICATE_KINDS, REGISTER_KINDS, Lowering, Unsupported, expect, lowers
from traces.emulator.records import ALL, TRUE, Operation

_ELEMENTS = {"U16x2": (16, 0), "S16x2": (16, p.SIGNED), "16x2": (16, 0), "U8x4": (8, 0), "S8x4": (8, p.SIGNED)}
_RANGES = {f"{sign}{bits}": (bits, p.SIGNED if sign == "S" else 0) for sign in "SU" for bits in (2, 4, 8, 16, 32)}


def _elements(low: Lowering) -> int:
    """Width and sign of the elements, as `variant`."""
    width, sign = next(
        (_ELEMENTS[m] for m in low.ins.modifiers if m in _ELEMENTS), (32, 0 if low.has("U32") else p.SIGNED)
    )
    return width | sign


def add_packed(low: Lowering) -> None:
    """VIADD of packed elements, or saturating."""
    low.only(*_ELEMENTS, "S32", "U32", "ISAT")
    variant = _elements(low) | (p.SATURATE if low.has("ISAT") else 0)
    a, b = expect(low.data, 2)
    variant |= (p.NEGATE_A if a.negate else 0) | (p.NEGATE_B if b.negate else 0)
    low.start(Operation.PACKED_ADD, variant)
    low.source(0, replace(a, negate=False))
    low.source(1, replace(b, negate=False))


def extremum_packed(low: Lowering) -> None:
    """VIMNMX, VIMNMX3 and VIADDMNMX with elements, RELU, three sources or predicate results."""
    low.only(*_ELEMENTS, "S32", "U32", "RELU")
    name = low.ins.mnemonic.removeprefix("U")
    three, adds = name.endswith("3"), "ADD" in name
    variant = _elements(low) | (p.RELU if low.has("RELU") else 0)
    low.start(Operation.PACKED_EXTREMUM, variant | (p.THREE if three else 0) | (p.ADDS if adds else 0))
    if low.op["variant"] & 63 == 8 and any(
        o.register != TRUE for o in low.ins.destinations if o.kind in PREDICATE_KINDS
    ):
        raise Unsupported("predicate destination")
    for slot, operand in enumerate(expect(low.data, 3 if three or adds else 2)):
        low.source(slot, operand)
    low.predicate(0, low.predicates[0])
    if len(low.predicates) > 1 and low.predicates[1].register != TRUE:
        raise Unsupported("second predicate source")


@lowers("VIMNMX3", "UVIMNMX3")
def _three_way_extremum(low: Lowering) -> None:
    extremum_packed(low)


@lowers("VABSDIFF4")
def _absolute_difference4(low: Lowering) -> None:
    low.only("U8", "S8", "ACC")
    variant = 8 | (0 if low.has("U8") else p.SIGNED) | (p.ACCUMULATE if low.has("ACC") else 0)
    low.start(Operation.PACKED_DIFFERENCE, variant)
    for slot, operand in enumerate(expect(low.data, 3)):
        low.source(slot, operand)


def dot_product2(low: Lowering) -> None:
    """IDP.2A."""
    low.only("2A", "LO", "HI", "U8", "S8", "U16", "S16")
    types = [m for m in low.ins.modifiers if m in ("U8", "S8", "U16", "S16")]
    if len(types) != 2 or low.has("LO") == low.has("HI"):
        raise Unsupported("form of IDP")
    low.start(Operation.DOT_PRODUCT2, p.HIGH if low.has("HI") else 0)
    low.op["extra"] = (types[0][0] == "S") | (types[1][0] == "S") << 1
    for slot, operand in enumerate(expect(low.data, 3)):
        low.source(slot, operand)


@lowers("BMSK", "UBMSK")
def _bit_mask(low: Lowering) -> None:
    low.only("W")
    low.start(Operation.BIT_MASK)
    low.op["extra"] = low.has("W")
    for slot, operand in enumerate(expect(low.data, 2)):
        low.source(slot, operand)


@lowers("I2I", "I2IP", "UI2I", "UI2IP")
def _clamp(low: Lowering) -> None:
    low.only(*_RANGES, "SAT")
    types = [m for m in low.ins.modifiers if m in _RANGES]
    if not low.has("SAT") or len(types) != 2 or types[1] not in ("S32", "U32"):
        raise Unsupported("conversion between integers")
    packs = low.ins.mnemonic.endswith("P")
    width, sign = _RANGES[types[0]]
    low.start(Operation.CLAMP_PACK if packs else Operation.CLAMP, width | sign)
    low.op["extra"] = types[1] == "S32"
    for slot, operand in enumerate(expect(low.data, 3 if packs else 1)):
        rest = str(32 - 2 * width)  # R6.24: its low 24 bits
        low.source(slot, replace(operand, suffixes=()) if operand.suffixes == (rest,) else operand)


def sign_logic(low: Lowering) -> None:
    """PLOP3 with R.SIGN operands."""
    low.only("LUT")
    kinds = (*REGISTER_KINDS, *PREDICATE_KINDS)
    inputs = expect([o for o in low.ins.sources if o.kind in kinds], 3)
    first, second = expect([o for o in low.ins.sources if o.kind == OperandKind.IMMEDIATE], 2)
    low.start(Operation.SIGN_LOGIC)
    variant = 0
    for slot, operand in enumerate(inputs):
        if operand.kind in PREDICATE_KINDS:
            low.predicate(slot, operand)
            continue
        if operand.suffixes != ("SIGN",) or operand.negate:
            raise Unsupported(f"operand {operand.text}")
        low.source(slot, replace(operand, suffixes=()))
        variant |= 1 << slot
    low.op["variant"], low.op["immediate"], low.op["extra"] = variant, first.value, second.value & ALL
