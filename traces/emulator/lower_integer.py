"""Micro-operations of integer, logic and predicate instructions."""

from __future__ import annotations

from isa.operand import OperandKind
from traces.emulator import integer as i
from traces.emulator.lower_packed import add_packed, dot_product2, extremum_packed, sign_logic
from traces.emulator.lowering import (
    COMBINE,
    PREDICATE_KINDS,
    REGISTER_KINDS,
    RELATIONS,
    WORD64,
    Lowering,
    Unsupported,
    expect,
    lowers,
    relation,
)
from traces.emulator.records import ALL, NONE, TRUE, Kind, Operation


@lowers("NOP", "MEMBAR", "ERRBAR", "CCTL", "DEPBAR", "LDGDEPBAR", "FENCE", "CGAERRBAR", "ENDCOLLECTIVE")
def _nothing(low: Lowering) -> None:
    """Ordering and hints: the emulator runs memory in program order, and copies complete at once."""
    low.op["operation"] = Operation.NOTHING


@lowers("MOV", "UMOV", "MOV32I")
def _move(low: Lowering) -> None:
    low.only("64", "U32")
    wide = low.has("64")
    low.start(Operation.MOVE_WIDE if wide else Operation.MOVE, wide_result=wide)
    low.source(0, low.data[0], "u64" if wide else "u32")


@lowers("SEL", "USEL", "FSEL")
def _select(low: Lowering) -> None:
    low.only("64", "FTZ")
    if low.has("FTZ"):
        raise Unsupported("modifier .FTZ")
    wide = low.has("64")
    low.start(Operation.SELECT_WIDE if wide else Operation.SELECT, wide_result=wide)
    kind = "f32" if low.ins.mnemonic == "FSEL" else "u64" if wide else "u32"
    first, second = expect(low.data, 2)
    low.source(0, first, kind)
    low.source(1, second, kind)
    low.predicate(0, low.predicates[0])


@lowers("IMAD", "UIMAD", "VIMAD")
def _multiply_add(low: Lowering) -> None:
    low.only("MOV", "SHL", "IADD", "U32", "S32", "WIDE", "HI", "X")
    a, b, c = expect(low.data, 3)
    product_negated = a.negate != b.negate
    wide = low.has("WIDE", "HI")
    variant = i.NEGATE_PRODUCT if product_negated else 0
    if wide:
        variant |= i.UNSIGNED if low.has("U32") else 0
        low.start(Operation.MULTIPLY_ADD_WIDE, wide_result=low.has("WIDE"))
    elif low.has("MOV") and a.register == NONE and not low.has("X"):
        low.start(Operation.MOVE)
        low.source(0, c)
        return
    else:
        low.start(Operation.MULTIPLY_ADD)
        if any(o.register != TRUE for o in low.ins.destinations if o.kind in PREDICATE_KINDS):
            raise Unsupported("carry out of a 32-bit IMAD")
    low.source(0, a, plain=a.kind != OperandKind.IMMEDIATE)
    low.source(1, b, plain=b.kind != OperandKind.IMMEDIATE)
    low.source(2, c, "u64" if wide else "u32")
    if low.predicates:
        variant |= i.CARRY_IN
        low.predicate(0, expect(low.predicates, 1)[0])
    if low.has("X") and c.negate:
        raise Unsupported("negated addend with carry")
    low.op["variant"] = variant


@lowers("IADD3", "UIADD3", "IADD", "UIADD", "VIADD", "IADD32I")
def _add(low: Lowering) -> None:
    if low.has("16x2", "U8x4", "S8x4", "ISAT"):
        add_packed(low)
        return
    low.only("X", "64", "U32", "S32")
    wide = low.has("64")
    low.start(Operation.ADD3_WIDE if wide else Operation.ADD3, wide_result=wide)
    negated = 0
    full = WORD64 if wide else ALL
    for slot, operand in enumerate(expect(low.data, 2, 3)):
        low.source(slot, operand, "u64" if wide else "u32", plain=operand.kind != OperandKind.IMMEDIATE)
        if operand.kind != OperandKind.IMMEDIATE and (operand.negate or operand.invert):
            # a - b = a + ~b + 1; with .X the one comes from the carry, so "-" and "~" both mean the complement
            record = low.op["source"][slot]
            if record["kind"] == Kind.IMMEDIATE:
                record["value"] = full
            else:
                record["modified"], record["keep"], record["flip"], record["add"] = 1, full, full, 0
            negated += operand.negate and not low.has("X")
    if len(low.data) == 2:
        low.constant(2, 0)
        low.op["source"][2]["wide"] = wide
    low.op["immediate"] = negated
    low.op["variant"] = int(low.has("X"))
    carries = expect(low.predicates, 0, 1, 2)
    for slot in range(2):
        if slot < len(carries):
            low.predicate(slot, carries[slot])
        else:
            low.op["predicate_flip"][slot] = ALL  # not PT: no carry


@lowers("LEA", "ULEA")
def _shift_add(low: Lowering) -> None:
    low.only("HI", "X", "SX32")
    *sources, amount = low.data
    if amount.kind != OperandKind.IMMEDIATE:
        raise Unsupported("shift amount that is not an immediate")
    low.start(Operation.SHIFT_ADD)
    a, b = sources[:2]
    variant = i.LEA_NEGATE if a.negate else 0
    low.source(0, a, plain=True)
    low.source(1, b)
    if low.has("X") and (b.negate or a.negate):
        raise Unsupported("negated source with carry")
    if low.has("HI"):
        variant |= i.LEA_HIGH | (i.LEA_SIGN_EXTEND if low.has("SX32") else 0)
        if low.has("SX32") or len(sources) < 3:
            low.constant(2, 0)
        else:
            low.source(2, sources[2])
    if low.has("X"):
        variant |= i.LEA_CARRY_IN
        low.predicate(0, expect(low.predicates, 1)[0])
    low.op["variant"], low.op["immediate"] = variant, amount.value


@lowers("LOP3", "ULOP3")
def _logic(low: Lowering) -> None:
    low.only("LUT")
    *sources, table = low.data
    low.start(Operation.LOGIC3)
    for slot, operand in enumerate(expect(sources, 3)):
        low.source(slot, operand)
    low.op["immediate"] = table.value
    low.op["predicate_flip"][0] = ALL
    if low.predicates:  # or'ed to the predicate result; !PT as a rule
        low.predicate(0, expect(low.predicates, 1)[0])


@lowers("PLOP3", "UPLOP3")
def _predicate_logic(low: Lowering) -> None:
    if any(o.kind in REGISTER_KINDS for o in low.ins.sources):
        sign_logic(low)
        return
    low.only("LUT")
    low.start(Operation.LOGIC3_PREDICATE)
    for slot, operand in enumerate(expect(low.predicates, 3)):
        low.predicate(slot, operand)
    first, second = expect([o for o in low.data if o.kind == OperandKind.IMMEDIATE], 2)
    low.op["immediate"], low.op["extra"] = first.value, second.value


@lowers("SHF", "USHF")
def _shift(low: Lowering) -> None:
    low.only("L", "R", "U32", "S32", "U64", "S64", "HI", "W")
    variant = (i.SHIFT_RIGHT if low.has("R") else 0) | (i.SHIFT_SIGNED if low.has("S32", "S64") else 0)
    variant |= (i.SHIFT_64 if low.has("U64", "S64") else 0) | (i.SHIFT_HIGH if low.has("HI") else 0)
    low.start(Operation.SHIFT, variant | (i.SHIFT_WRAP if low.has("W") else 0))
    for slot, operand in enumerate(expect(low.data, 3)):
        low.source(slot, operand)


@lowers("ISETP", "UISETP")
def _integer_compare(low: Lowering) -> None:
    low.only(*RELATIONS, *COMBINE, "U32", "S32", "U64", "S64", "64", "EX")
    wide = low.has("U64", "S64", "64")
    low.start(Operation.COMPARE_WIDE if wide else Operation.COMPARE)
    first, second = expect(low.data, 2)
    low.source(0, first, "u64" if wide else "u32")
    low.source(1, second, "u64" if wide else "u32")
    if low.has("U32", "U64"):
        low.flip_sign(0, 1)
    low.op["variant"] = relation(low, RELATIONS) | (i.EXTENDED if low.has("EX") else 0)
    for slot, operand in enumerate(expect(low.predicates, 2 if low.has("EX") else 1)):
        low.predicate(slot, operand)


@lowers("IMNMX", "VIMNMX", "UIMNMX", "UVIMNMX", "VIADDMNMX", "UVIADDMNMX")
def _minimum_maximum(low: Lowering) -> None:
    results = any(o.register != TRUE for o in low.ins.destinations if o.kind in PREDICATE_KINDS)
    if results or low.has("S16x2", "U16x2", "S8x4", "U8x4", "RELU"):
        extremum_packed(low)
        return
    low.only("U32", "S32", "U64", "S64")
    adds, wide = "ADD" in low.ins.mnemonic, low.has("U64", "S64")
    if wide:
        low.start(Operation.MINIMUM_MAXIMUM_WIDE, wide_result=True)
    else:
        low.start(Operation.ADD_MINIMUM_MAXIMUM if adds else Operation.MINIMUM_MAXIMUM)
    for slot, operand in enumerate(expect(low.data, 3 if adds else 2)):
        low.source(slot, operand, "u64" if wide else "u32")
    low.predicate(0, low.predicates[0])
    if len(low.predicates) > 1 and low.predicates[1].register != TRUE:
        raise Unsupported("second predicate source")
    if low.has("U32", "U64"):
        low.op["immediate"] = 1 << 31
        low.flip_sign(*((2,) if adds else (0, 1)))


@lowers("VABSDIFF")
def _absolute_difference(low: Lowering) -> None:
    low.only("U32", "S32")
    low.start(Operation.ABSOLUTE_DIFFERENCE)
    for slot, operand in enumerate(expect(low.data, 3)):
        low.source(slot, operand)
    if low.has("U32"):
        low.flip_sign(0, 1)


@lowers("IABS", "POPC", "UPOPC", "FLO", "UFLO", "BREV", "UBREV")
def _count_bits(low: Lowering) -> None:
    low.only("U32", "S32", "SH")
    name = low.ins.mnemonic.removeprefix("U")
    operation = {
        "IABS": Operation.ABSOLUTE,
        "POPC": Operation.POPULATION_COUNT,
        "FLO": Operation.FIND_LEADING_ONE,
        "BREV": Operation.REVERSE_BITS,
    }[name]
    variant = (i.LEADING_SIGNED if low.has("S32") else 0) | (i.LEADING_SHIFT if low.has("SH") else 0)
    low.start(operation, variant if name == "FLO" else 0)
    low.source(0, expect(low.data, 1)[0])


@lowers("PRMT", "UPRMT")
def _permute(low: Lowering) -> None:
    modes = ("IDX", "F4E", "B4E", "RC8", "ECL", "ECR", "RC16")
    low.only(*modes)
    low.start(Operation.PERMUTE_BYTES, next((modes.index(m) for m in low.ins.modifiers), 0))
    for slot, operand in enumerate(expect(low.data, 3)):
        low.source(slot, operand)


@lowers("IDP")
def _dot_product(low: Lowering) -> None:
    if low.has("2A"):
        dot_product2(low)
        return
    low.only("4A", "U8", "S8")
    types = [m for m in low.ins.modifiers if m in ("U8", "S8")]
    if not low.has("4A") or len(types) != 2:
        raise Unsupported("form of IDP")
    low.start(Operation.DOT_PRODUCT4, (types[0] == "S8") | (types[1] == "S8") << 1)
    for slot, operand in enumerate(expect(low.data, 3)):
        low.source(slot, operand)


@lowers("SGXT", "USGXT")
def _sign_extend(low: Lowering) -> None:
    low.only("U32", "W")
    low.start(Operation.SIGN_EXTEND, (0 if low.has("U32") else 1) | (2 if low.has("W") else 0))
    for slot, operand in enumerate(expect(low.data, 2)):
        low.source(slot, operand)


_BYTES = {"B0": 0, "B1": 8, "B2": 16, "B3": 24}


@lowers("P2R")
def _predicates_to_register(low: Lowering) -> None:
    low.only(*_BYTES)
    low.start(Operation.PREDICATES_TO_REGISTER, next((_BYTES[m] for m in low.ins.modifiers), 0))
    sources = low.data
    if [o.text for o in low.ins.sources if o.kind == OperandKind.OTHER] != ["PR"]:
        raise Unsupported("source of P2R")
    first, mask = expect(sources, 2)
    low.source(0, first)
    low.source(1, mask)
    low.op["immediate"] = 0xFF if low.has(*_BYTES) else ALL


@lowers("R2P")
def _register_to_predicates(low: Lowering) -> None:
    low.only()
    low.start(Operation.REGISTER_TO_PREDICATES)
    value, mask = expect([o for o in low.ins.operands if o.kind in (*REGISTER_KINDS, OperandKind.IMMEDIATE)], 2)
    low.op["variant"] = next((_BYTES[s] for s in value.suffixes if s in _BYTES), 0)
    low.op["source"][0]["kind"], low.op["source"][0]["index"] = Kind.REGISTER, value.register
    low.source(1, mask)
