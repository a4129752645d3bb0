"""Integer and predicate operations over the 32 lanes of a warp. Semantics found by differential tests against C."""

from __future__ import annotations

import numpy as np

from isa.bits import leading_zeros, popcount
from isa.jit import routine, stage
from traces.emulator.records import ALL, LANES, NONE, Operation

# MULTIPLY_ADD, MULTIPLY_ADD_WIDE
UNSIGNED, HIGH, NEGATE_PRODUCT, CARRY_IN = 1, 2, 4, 8
# SHIFT
SHIFT_RIGHT, SHIFT_SIGNED, SHIFT_64, SHIFT_HIGH, SHIFT_WRAP = 1, 2, 4, 8, 16
# SHIFT_ADD
LEA_HIGH, LEA_SIGN_EXTEND, LEA_CARRY_IN, LEA_NEGATE = 1, 2, 4, 8
# COMPARE: bits of the relation, then the combination with a predicate
LESS, EQUAL, GREATER, UNORDERED, EXTENDED = 1, 2, 4, 8, 16
AND, OR, XOR = 0, 1, 2  # `extra`
# FIND_LEADING_ONE
LEADING_SIGNED, LEADING_SHIFT = 1, 2
# SELECT and minimum/maximum choose by predicate source 0
LOW = np.uint32(ALL)


@stage
def predicate(op, warp, slot):
    """Lane mask of a predicate source."""
    return np.uint32(warp.predicate[op.predicate_source[slot]] ^ op.predicate_flip[slot])


@stage
def combine(op, warp, relation, other):
    """Store both results of a compare: (relation op other) and (not relation op other)."""
    inverse = np.uint32(~relation)
    if op.extra == AND:
        warp.mask_result[0] = relation & other
        warp.mask_result[1] = inverse & other
    elif op.extra == OR:
        warp.mask_result[0] = relation | other
        warp.mask_result[1] = inverse | other
    else:
        warp.mask_result[0] = relation ^ other
        warp.mask_result[1] = inverse ^ other


@stage
def relation_mask(variant, less, equal, unordered):
    """Lanes for which the wanted relation holds."""
    greater = np.uint32(~(less | equal | unordered))
    mask = np.uint32(0)
    if variant & LESS:
        mask |= less
    if variant & EQUAL:
        mask |= equal
    if variant & GREATER:
        mask |= greater
    if variant & UNORDERED:
        mask |= unordered
    return np.uint32(mask)


@routine
def add3(op, warp):
    """IADD3: `immediate` = number of negated sources (their bits are inverted); carries count beyond 32 bits."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    carry_0, carry_1 = predicate(op, warp, 0), predicate(op, warp, 1)
    plus = np.uint64(op.immediate)
    if op.predicate_destination[0] == NONE and op.predicate_destination[1] == NONE and op.variant == 0:
        for lane in range(LANES):
            result[lane] = a[lane] + b[lane] + c[lane] + plus
        return
    one, two = np.uint32(0), np.uint32(0)
    for lane in range(LANES):
        total = np.uint64(a[lane]) + np.uint64(b[lane]) + np.uint64(c[lane]) + plus
        total += np.uint64((carry_0 >> np.uint32(lane)) & np.uint32(1))
        total += np.uint64((carry_1 >> np.uint32(lane)) & np.uint32(1))
        result[lane] = np.uint32(total)
        carries = total >> np.uint64(32)
        one |= np.uint32(carries >= 1) << np.uint32(lane)
        two |= np.uint32(carries >= 2) << np.uint32(lane)
    warp.mask_result[0] = one
    warp.mask_result[1] = two


@routine
def add3_wide(op, warp):
    """IADD.64, UIADD3.64: as `add3` on register pairs."""
    a, b, c, result = warp.wide_a, warp.wide_b, warp.wide_c, warp.wide_result
    carry_0, carry_1 = predicate(op, warp, 0), predicate(op, warp, 1)
    one, two = np.uint32(0), np.uint32(0)
    for lane in range(LANES):
        total, carries = a[lane], 0
        for k in range(5):
            if k < 2:
                term = b[lane] if k == 0 else c[lane]
            elif k == 2:
                term = np.uint64(op.immediate)
            else:
                mask = carry_0 if k == 3 else carry_1
                term = np.uint64((mask >> np.uint32(lane)) & np.uint32(1))
            total += term
            carries += total < term
        result[lane] = total
        one |= np.uint32(carries >= 1) << np.uint32(lane)
        two |= np.uint32(carries >= 2) << np.uint32(lane)
    warp.mask_result[0] = one
    warp.mask_result[1] = two


@routine
def multiply_add_wide(op, warp):
    """IMAD.WIDE and IMAD.HI: a 64-bit product plus a 64-bit addend."""
    a, b, wide_c, wide, result = warp.a, warp.b, warp.wide_c, warp.wide_result, warp.result[0]
    carry_in = predicate(op, warp, 0)
    carry_out = np.uint32(0)
    for lane in range(LANES):
        if op.variant & UNSIGNED:
            product = np.uint64(a[lane]) * np.uint64(b[lane])
        else:
            product = np.uint64(np.int64(np.int32(a[lane])) * np.int64(np.int32(b[lane])))
        if op.variant & NEGATE_PRODUCT:
            product = np.uint64(0) - product
        total = product + wide_c[lane]
        carry = total < product
        if op.variant & CARRY_IN:
            with_carry = total + np.uint64((carry_in >> np.uint32(lane)) & np.uint32(1))
            carry = carry or with_carry < total
            total = with_carry
        wide[lane] = total
        result[lane] = np.uint32(total >> np.uint64(32))
        carry_out |= np.uint32(carry) << np.uint32(lane)
    warp.mask_result[0] = carry_out


@routine
def logic3(op, warp):
    """LOP3: `immediate` is the truth table, index = a << 2 | b << 1 | c. Predicate 0: result is not zero."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    table = np.uint32(op.immediate)
    if table == 0xC0:  # a & b
        for lane in range(LANES):
            result[lane] = a[lane] & b[lane]
    else:
        m0 = np.uint32(0) - (table & np.uint32(1))
        m1 = np.uint32(0) - ((table >> np.uint32(1)) & np.uint32(1))
        m2 = np.uint32(0) - ((table >> np.uint32(2)) & np.uint32(1))
        m3 = np.uint32(0) - ((table >> np.uint32(3)) & np.uint32(1))
        m4 = np.uint32(0) - ((table >> np.uint32(4)) & np.uint32(1))
        m5 = np.uint32(0) - ((table >> np.uint32(5)) & np.uint32(1))
        m6 = np.uint32(0) - ((table >> np.uint32(6)) & np.uint32(1))
        m7 = np.uint32(0) - ((table >> np.uint32(7)) & np.uint32(1))
        for lane in range(LANES):
            x, y, z = np.uint32(a[lane]), np.uint32(b[lane]), np.uint32(c[lane])
            low = (~y & ((~z & m0) | (z & m1))) | (y & ((~z & m2) | (z & m3)))
            high = (~y & ((~z & m4) | (z & m5))) | (y & ((~z & m6) | (z & m7)))
            result[lane] = np.uint32((~x & low) | (x & high))
    nonzero = np.uint32(0)
    if op.predicate_destination[0] != NONE:
        for lane in range(LANES):
            nonzero |= np.uint32(result[lane] != 0) << np.uint32(lane)
        nonzero |= predicate(op, warp, 0)
    warp.mask_result[0] = nonzero


@stage
def truth_table(table, x, y, z):
    """Bitwise three-input function of masks."""
    result = np.uint32(0)
    for row in range(8):
        if (table >> row) & 1:
            term = x if row & 4 else ~x
            term &= y if row & 2 else ~y
            term &= z if row & 1 else ~z
            result |= np.uint32(term)
    return np.uint32(result)


@routine
def shift(op, warp):
    """SHF: a = low word, b = amount, c = high word of a 64-bit value; the amount clamps, or wraps with .W."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    variant = op.variant
    limit = np.uint32(63) if variant & SHIFT_64 else np.uint32(31)
    for lane in range(LANES):
        value = np.uint64(a[lane]) | (np.uint64(c[lane]) << np.uint64(32))
        amount = np.uint32(b[lane])
        if variant & SHIFT_WRAP:
            amount &= limit
        elif amount > limit:
            amount = np.uint32(limit + np.uint32(1))
        inside = np.uint64(min(amount, np.uint32(63)))
        if variant & SHIFT_RIGHT:
            if variant & SHIFT_SIGNED:
                value = np.uint64(np.int64(value) >> np.int64(inside))
            else:
                value = np.uint64(0) if amount > 63 else value >> inside
        else:
            value = np.uint64(0) if amount > 63 else value << inside
        if variant & SHIFT_HIGH:
            value >>= np.uint64(32)
        result[lane] = np.uint32(value)


@routine
def shift_add(op, warp):
    """LEA: (a << immediate) + b, or with .HI the high word of (c:a << immediate), + b."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    amount = np.uint64(op.immediate)
    variant = op.variant
    carry_in = predicate(op, warp, 0)
    carry_out = np.uint32(0)
    for lane in range(LANES):
        value = np.uint64(a[lane])
        if variant & LEA_SIGN_EXTEND:
            value = np.uint64(np.int64(np.int32(a[lane])))
        elif variant & LEA_HIGH:
            value |= np.uint64(c[lane]) << np.uint64(32)
        if variant & LEA_NEGATE:
            value = np.uint64(0) - value
        value <<= amount
        word = (value >> np.uint64(32)) if variant & LEA_HIGH else value & np.uint64(ALL)
        total = word + np.uint64(b[lane])
        if variant & LEA_CARRY_IN:
            total += np.uint64((carry_in >> np.uint32(lane)) & np.uint32(1))
        result[lane] = np.uint32(total)
        carry_out |= np.uint32(total >> np.uint64(32) != 0) << np.uint32(lane)
    warp.mask_result[0] = carry_out


@routine
def compare(op, warp):
    """ISETP: signed compare (unsigned sources arrive with their sign bit flipped)."""
    a, b = warp.a, warp.b
    less, equal = np.uint32(0), np.uint32(0)
    for lane in range(LANES):
        less |= np.uint32(np.int32(a[lane]) < np.int32(b[lane])) << np.uint32(lane)
        equal |= np.uint32(a[lane] == b[lane]) << np.uint32(lane)
    if op.variant & EXTENDED:  # high words of a 64-bit compare; predicate 1 is the result of the low words
        relation = relation_mask(op.variant & ~EQUAL, less, equal, np.uint32(0)) | (equal & predicate(op, warp, 1))
    else:
        relation = relation_mask(op.variant, less, equal, np.uint32(0))
    combine(op, warp, np.uint32(relation), predicate(op, warp, 0))


@routine
def compare_wide(op, warp):
    """ISETP.S64/.U64."""
    a, b = warp.wide_a, warp.wide_b
    less, equal = np.uint32(0), np.uint32(0)
    for lane in range(LANES):
        less |= np.uint32(np.int64(a[lane]) < np.int64(b[lane])) << np.uint32(lane)
        equal |= np.uint32(a[lane] == b[lane]) << np.uint32(lane)
    combine(op, warp, relation_mask(op.variant, less, equal, np.uint32(0)), predicate(op, warp, 0))


@routine
def minimum_maximum(op, warp):
    """IMNMX: minimum where predicate 0 holds; `immediate` flips the sign bit of unsigned values back."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    minimum = predicate(op, warp, 0)
    flip = np.uint32(op.immediate)
    adds = op.operation == Operation.ADD_MINIMUM_MAXIMUM  # (a + b) against c
    for lane in range(LANES):
        x = np.uint32(a[lane])
        y = np.uint32(b[lane])
        if adds:
            x = np.uint32((x + y) ^ flip)
            y = np.uint32(c[lane])
        smaller = np.int32(x) < np.int32(y)
        wants_smaller = (minimum >> np.uint32(lane)) & np.uint32(1) != 0
        result[lane] = (x if smaller == wants_smaller else y) ^ flip


@routine
def minimum_maximum_wide(op, warp):
    """IMNMX.S64/.U64: as `minimum_maximum` on register pairs; unsigned values arrive with their sign bit flipped."""
    a, b, result = warp.wide_a, warp.wide_b, warp.wide_result
    minimum = predicate(op, warp, 0)
    flip = np.uint64(op.immediate) << np.uint64(32)
    for lane in range(LANES):
        smaller = np.int64(a[lane]) < np.int64(b[lane])
        wants_smaller = (minimum >> np.uint32(lane)) & np.uint32(1) != 0
        result[lane] = (a[lane] if smaller == wants_smaller else b[lane]) ^ flip


@routine
def permute_bytes(op, warp):
    """PRMT: b selects among the bytes of a and c. `variant`: 0 index, 1 F4E, 2 B4E, 3 RC8, 4 ECL, 5 ECR, 6 RC16."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    mode = op.variant
    for lane in range(LANES):
        value = np.uint64(a[lane]) | (np.uint64(c[lane]) << np.uint64(32))
        selector = np.uint32(b[lane])
        first = selector & np.uint32(3)
        word = np.uint64(0)
        for byte in range(4):
            at = np.uint32(byte)
            nibble = np.uint32(0)
            if mode == 0:
                nibble = (selector >> np.uint32(4 * byte)) & np.uint32(15)
            elif mode == 1:
                nibble = first + at
            elif mode == 2:
                nibble = (first - at) & np.uint32(7)
            elif mode == 3:
                nibble = first
            elif mode == 4:
                nibble = max(first, at)
            elif mode == 5:
                nibble = min(first, at)
            else:
                nibble = (first & np.uint32(1)) * np.uint32(2) + (at & np.uint32(1))
            picked = (value >> np.uint64((nibble & np.uint32(7)) * np.uint32(8))) & np.uint64(255)
            if nibble & np.uint32(8):  # replicate the sign
                picked = np.uint64(255) if picked & np.uint64(128) else np.uint64(0)
            word |= picked << np.uint64(8 * byte)
        result[lane] = np.uint32(word)


@routine
def count_bits(op, warp):
    """POPC, FLO, BREV, IABS."""
    a, result = warp.a, warp.result[0]
    found = np.uint32(0)
    if op.operation == Operation.POPULATION_COUNT:
        for lane in range(LANES):
            result[lane] = popcount(a[lane])
    elif op.operation == Operation.FIND_LEADING_ONE:
        for lane in range(LANES):
            value = np.uint32(a[lane])
            if op.variant & LEADING_SIGNED and np.int32(value) < 0:
                value = np.uint32(~value)
            position = 63 - leading_zeros(value)
            if position >= 0:
                found |= np.uint32(1) << np.uint32(lane)
                result[lane] = 31 - position if op.variant & LEADING_SHIFT else position
            else:
                result[lane] = LOW
    elif op.operation == Operation.REVERSE_BITS:
        for lane in range(LANES):
            value = np.uint32(a[lane])
            value = ((value >> np.uint32(1)) & np.uint32(0x55555555)) | (
                (value & np.uint32(0x55555555)) << np.uint32(1)
            )
            value = ((value >> np.uint32(2)) & np.uint32(0x33333333)) | (
                (value & np.uint32(0x33333333)) << np.uint32(2)
            )
            value = ((value >> np.uint32(4)) & np.uint32(0x0F0F0F0F)) | (
                (value & np.uint32(0x0F0F0F0F)) << np.uint32(4)
            )
            value = ((value >> np.uint32(8)) & np.uint32(0x00FF00FF)) | (
                (value & np.uint32(0x00FF00FF)) << np.uint32(8)
            )
            result[lane] = (value >> np.uint32(16)) | (value << np.uint32(16))
    else:
        for lane in range(LANES):
            result[lane] = np.uint32(abs(np.int64(np.int32(a[lane]))))
    warp.mask_result[0] = found


@routine
def dot_product4(op, warp):
    """IDP.4A: `variant` bit 0: bytes of a are signed, bit 1: bytes of b."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    for lane in range(LANES):
        total = np.int64(c[lane])
        for byte in range(4):
            x = np.int64((a[lane] >> np.uint32(8 * byte)) & np.uint32(255))
            y = np.int64((b[lane] >> np.uint32(8 * byte)) & np.uint32(255))
            if op.variant & 1 and x >= 128:
                x -= 256
            if op.variant & 2 and y >= 128:
                y -= 256
            total += x * y
        result[lane] = np.uint32(total)


@routine
def integer(op, warp):
    """Run one integer operation. False: the operation is not one of them."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    kind = op.operation
    if kind == Operation.MULTIPLY_ADD:
        for lane in range(LANES):
            result[lane] = a[lane] * b[lane] + c[lane]
        if op.variant & NEGATE_PRODUCT:
            for lane in range(LANES):
                result[lane] = c[lane] - a[lane] * b[lane]
        if op.variant & CARRY_IN:
            carry = predicate(op, warp, 0)
            for lane in range(LANES):
                result[lane] += (carry >> np.uint32(lane)) & np.uint32(1)
    elif kind == Operation.MOVE:
        for lane in range(LANES):
            result[lane] = a[lane]
    elif kind == Operation.ADD3:
        add3(op, warp)
    elif kind == Operation.MULTIPLY_ADD_WIDE:
        multiply_add_wide(op, warp)
    elif kind == Operation.LOGIC3:
        logic3(op, warp)
    elif kind == Operation.SHIFT:
        shift(op, warp)
    elif kind == Operation.SHIFT_ADD:
        shift_add(op, warp)
    elif kind == Operation.COMPARE:
        compare(op, warp)
    elif kind == Operation.COMPARE_WIDE:
        compare_wide(op, warp)
    elif kind == Operation.SELECT:
        chosen = predicate(op, warp, 0)
        for lane in range(LANES):
            result[lane] = a[lane] if (chosen >> np.uint32(lane)) & np.uint32(1) else b[lane]
    elif kind == Operation.MINIMUM_MAXIMUM or kind == Operation.ADD_MINIMUM_MAXIMUM:
        minimum_maximum(op, warp)
    elif kind == Operation.MINIMUM_MAXIMUM_WIDE:
        minimum_maximum_wide(op, warp)
    elif kind == Operation.ABSOLUTE_DIFFERENCE:  # of signed values; a flipped sign bit in both leaves it as it is
        for lane in range(LANES):
            difference = np.int64(np.int32(a[lane])) - np.int64(np.int32(b[lane]))
            result[lane] = np.uint32(abs(difference) + np.int64(c[lane]))
    elif kind == Operation.PERMUTE_BYTES:
        permute_bytes(op, warp)
    elif kind == Operation.DOT_PRODUCT4:
        dot_product4(op, warp)
    elif kind == Operation.LOGIC3_PREDICATE:
        x, y, z = predicate(op, warp, 0), predicate(op, warp, 1), predicate(op, warp, 2)
        warp.mask_result[0] = truth_table(op.immediate, x, y, z)
        warp.mask_result[1] = truth_table(op.extra, x, y, z)
    elif (
        kind == Operation.PREDICATES_TO_REGISTER
    ):  # P2R: bits of b choose predicates, for byte `variant` / 8; the rest is a
        for lane in range(LANES):
            word = np.uint32(0)
            for bit in range(7):
                word |= ((warp.predicate[bit] >> np.uint32(lane)) & np.uint32(1)) << np.uint32(bit)
            word = np.uint32(word << np.uint32(op.variant))
            chosen = np.uint32(np.uint32(b[lane] & np.uint32(op.immediate)) << np.uint32(op.variant))
            result[lane] = (a[lane] & ~chosen) | (word & chosen)
    elif kind == Operation.MOVE_WIDE:
        for lane in range(LANES):
            warp.wide_result[lane] = warp.wide_a[lane]
    elif kind == Operation.SELECT_WIDE:
        chosen = predicate(op, warp, 0)
        for lane in range(LANES):
            picks_a = (chosen >> np.uint32(lane)) & np.uint32(1) != 0
            warp.wide_result[lane] = warp.wide_a[lane] if picks_a else warp.wide_b[lane]
    elif kind == Operation.ADD3_WIDE:
        add3_wide(op, warp)
    elif kind == Operation.SIGN_EXTEND:  # SGXT: keep the low b bits of a, sign extended if variant is 1
        for lane in range(LANES):
            width = np.uint32(b[lane] & np.uint32(31)) if op.variant & 2 else min(np.uint32(b[lane]), np.uint32(32))
            left = np.uint32(32) - width
            if width == 0:
                result[lane] = np.uint32(0)
            elif op.variant & 1:
                result[lane] = np.uint32(np.int32(a[lane] << left) >> np.int32(left))
            else:
                result[lane] = np.uint32(np.uint32(a[lane] << left) >> left)
    else:
        count_bits(op, warp)
