"""Floating-point operations and conversions over the 32 lanes of a warp."""

from __future__ import annotations

import math

import numpy as np

from isa.jit import routine, stage
from traces.emulator.integer import combine, predicate, relation_mask
from traces.emulator.records import LANES, Operation
from traces.emulator.scalar import (
    BFLOAT_NAN,
    DOWN,
    HALF_NAN,
    NEAREST,
    UP,
    ZERO,
    bfloat_from_double,
    bits_from_float32,
    bits_from_float64,
    canonical,
    direct32,
    float32_from_bits,
    float64_from_bits,
    float_from_half,
    flush_bits,
    fma32,
    fma32_directed,
    fma64_directed,
    half_from_double,
    odd_sum,
)

# `variant` of FP32 and FP64 arithmetic: rounding mode in bits 0-1, then
FLUSH, SATURATE = 4, 8
THREE = 16  # FMNMX3: c as well
# SPECIAL_FUNCTION
RECIPROCAL, RECIPROCAL_ROOT, ROOT, EXPONENTIAL2, LOGARITHM2, SINE, COSINE, TANH, RECIPROCAL_64H, ROOT_64H = range(10)
# HALF_*: format of the 16-bit values, accumulation, and which halves of a source are used (2 bits per source)
BFLOAT, HALF_RELU, HALF_SATURATE, HALF_FLUSH, HALF_FLOAT_RESULT = 1, 2, 4, 8, 16
BOTH, LOW_LOW, HIGH_HIGH, AS_FLOAT = range(4)
# DOUBLE_COMPARE, `extra`: a combination (AND, OR, XOR) or
SELECTS_MINIMUM, SELECTS_MAXIMUM = 8, 9
# conversions: `variant` bits 0-1 rounding mode, `extra` = source and result formats
CONVERT_FLUSH, CONVERT_SATURATE, CONVERT_RAW_NAN = 4, 8, 16


@routine
def arithmetic32_modes(op, warp):
    """FP32 with directed rounding, FTZ or SAT: the rare forms."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    mode = op.variant & 3
    for lane in range(LANES):
        x, y, z = a[lane], b[lane], c[lane]
        if op.variant & FLUSH:
            x, y, z = flush_bits(x), flush_bits(y), flush_bits(z)
        fx, fy, fz = float32_from_bits(x), float32_from_bits(y), float32_from_bits(z)
        if op.operation == Operation.FLOAT_ADD:
            value = fma32_directed(fx, np.float32(1.0), fy, mode) if mode else bits_from_float32(fx + fy)
        elif op.operation == Operation.FLOAT_MULTIPLY:
            # the addend has the product's sign, so that an exact zero keeps it
            zero = float32_from_bits((x ^ y) & np.uint32(0x80000000))
            value = fma32_directed(fx, fy, zero, mode) if mode else bits_from_float32(fx * fy)
        else:
            value = fma32_directed(fx, fy, fz, mode) if mode else bits_from_float32(fma32(fx, fy, fz))
        value = canonical(float32_from_bits(value))
        if op.variant & FLUSH:
            value = flush_bits(value)
        if op.variant & SATURATE:
            number = float32_from_bits(value)
            value = bits_from_float32(min(number, np.float32(1.0))) if number > np.float32(0.0) else np.uint32(0)
        result[lane] = value


@routine
def compare32(op, warp):
    a, b = warp.a, warp.b
    less, equal, unordered = np.uint32(0), np.uint32(0), np.uint32(0)
    flush = op.immediate & FLUSH != 0
    for lane in range(LANES):
        x, y = np.uint32(a[lane]), np.uint32(b[lane])
        if flush:
            x, y = flush_bits(x), flush_bits(y)
        fx, fy = float32_from_bits(x), float32_from_bits(y)
        less |= np.uint32(fx < fy) << np.uint32(lane)
        equal |= np.uint32(fx == fy) << np.uint32(lane)
        unordered |= np.uint32((fx != fx) | (fy != fy)) << np.uint32(lane)
    combine(op, warp, relation_mask(op.variant, less, equal, unordered), predicate(op, warp, 0))


@stage
def smaller_or_larger(x, y, wants_smaller):
    """Bits of the minimum or maximum. A NaN loses against a number, -0 is below +0 (PTX ISA, min and max)."""
    fx, fy = float32_from_bits(x), float32_from_bits(y)
    below = fx < fy or (fx == fy and x > y)  # equal values with different bits are zeros: -0 has the larger bits
    if fx != fx:
        return canonical(fy)
    return x if fy != fy or below == wants_smaller else y


@routine
def minimum_maximum32(op, warp):
    """FMNMX, FMNMX3: minimum where predicate 0 holds."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    minimum = predicate(op, warp, 0)
    for lane in range(LANES):
        x, y, z = np.uint32(a[lane]), np.uint32(b[lane]), np.uint32(c[lane])
        if op.variant & FLUSH:
            x, y, z = flush_bits(x), flush_bits(y), flush_bits(z)
        wants_smaller = (minimum >> np.uint32(lane)) & np.uint32(1) != 0
        x = smaller_or_larger(x, y, wants_smaller)
        result[lane] = smaller_or_larger(x, z, wants_smaller) if op.variant & THREE else x


@stage
def special(function, x):
    """MUFU in double precision. The hardware's result differs in its last bit or two."""
    if function == RECIPROCAL:
        return 1.0 / x
    if function == RECIPROCAL_ROOT:
        return 1.0 / np.sqrt(x)
    if function == ROOT:
        return np.sqrt(x)
    if function == EXPONENTIAL2:
        return np.exp2(x)
    if function == LOGARITHM2:
        return np.log2(x)
    if function == TANH:
        return math.tanh(x)
    if not np.isfinite(x):
        return np.nan
    turn = x - np.floor(x)  # sine and cosine take revolutions
    return math.sin(2.0 * math.pi * turn) if function == SINE else math.cos(2.0 * math.pi * turn)


@routine
def special_function(op, warp):
    a, result = warp.a, warp.result[0]
    function = op.variant
    for lane in range(LANES):
        if function >= RECIPROCAL_64H:
            x = float64_from_bits(np.uint64(a[lane]) << np.uint64(32))
            y = 1.0 / x if function == RECIPROCAL_64H else 1.0 / np.sqrt(x)
            result[lane] = np.uint32(bits_from_float64(y) >> np.uint64(32))
        else:
            # Subnormal inputs count as zero for the root, logarithm and reciprocal: compiled code scales them first.
            x32 = np.uint32(a[lane])
            value = canonical(np.float32(special(function, np.float64(float32_from_bits(x32)))))
            result[lane] = value


@routine
def division_check(op, warp):
    """FCHK: true where the fast division a / b would lose accuracy (exponents near the ends or far apart)."""
    a, b = warp.a, warp.b
    mask = np.uint32(0)
    for lane in range(LANES):
        x = np.int32((a[lane] >> np.uint32(23)) & np.uint32(255))
        y = np.int32((b[lane] >> np.uint32(23)) & np.uint32(255))
        slow = x == 255 or y == 255 or x < 24 or y < 2 or y > 252 or x - y >= 126 or x - y <= -126
        mask |= np.uint32(slow) << np.uint32(lane)
    warp.mask_result[0] = mask


@stage
def select_first(op, warp, less, equal):
    """DSETP.MIN, .MAX: predicate 0 = the result is a; predicate 1 = both are NaN, and b, made quiet, is the result."""
    first, both = np.uint32(0), np.uint32(0)
    for lane in range(LANES):
        x, y = float64_from_bits(warp.wide_a[lane]), float64_from_bits(warp.wide_b[lane])
        below = (less >> np.uint32(lane)) & np.uint32(1) != 0
        if (equal >> np.uint32(lane)) & np.uint32(1):
            below = np.signbit(x) and not np.signbit(y)
        picks_x = below if op.extra == SELECTS_MINIMUM else not below
        picks_x = (picks_x and x == x) or (y != y and x == x)
        first |= np.uint32(picks_x) << np.uint32(lane)
        both |= np.uint32((x != x) & (y != y)) << np.uint32(lane)
    warp.mask_result[0] = first
    warp.mask_result[1] = both


@routine
def double(op, warp):
    """DADD, DMUL, DFMA, DSETP."""
    a, b, c, result = warp.wide_a, warp.wide_b, warp.wide_c, warp.wide_result
    mode = op.variant & 3
    less, equal, unordered = np.uint32(0), np.uint32(0), np.uint32(0)
    for lane in range(LANES):
        x, y, z = float64_from_bits(a[lane]), float64_from_bits(b[lane]), float64_from_bits(c[lane])
        if op.operation == Operation.DOUBLE_ADD:
            result[lane] = bits_from_float64(x + y if mode == NEAREST else fma64_directed(x, 1.0, y, mode))
        elif op.operation == Operation.DOUBLE_MULTIPLY:
            zero = -0.0 if np.signbit(x) != np.signbit(y) else 0.0  # an exact zero keeps the product's sign
            result[lane] = bits_from_float64(x * y if mode == NEAREST else fma64_directed(x, y, zero, mode))
        elif op.operation == Operation.DOUBLE_MULTIPLY_ADD:
            result[lane] = bits_from_float64(fma64_directed(x, y, z, mode))
        else:
            less |= np.uint32(x < y) << np.uint32(lane)
            equal |= np.uint32(x == y) << np.uint32(lane)
            unordered |= np.uint32((x != x) | (y != y)) << np.uint32(lane)
    if op.operation == Operation.DOUBLE_COMPARE and op.extra >= SELECTS_MINIMUM:
        select_first(op, warp, less, equal)
    elif op.operation == Operation.DOUBLE_COMPARE:
        combine(op, warp, relation_mask(op.variant, less, equal, unordered), predicate(op, warp, 0))


@stage
def half_value(word, high, choice, bfloat):
    """Value of one half of a packed source."""
    if choice == AS_FLOAT:
        return np.float64(float32_from_bits(np.uint32(word)))
    if choice == LOW_LOW or (choice == BOTH and not high):
        bits = np.uint32(word & np.uint32(0xFFFF))
    else:
        bits = np.uint32(word >> np.uint32(16))
    if bfloat:
        return np.float64(float32_from_bits(np.uint32(bits << np.uint32(16))))
    return np.float64(float_from_half(bits))


@routine
def half_multiply_add(op, warp):
    """HFMA2, HMUL2 (c = -0), HADD2 (b = 1) on packed halves, rounded once. `extra`: 2 bits per source: which halves."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    bfloat = op.variant & BFLOAT != 0
    for lane in range(LANES):
        packed = np.uint32(0)
        for half in range(2):
            x = half_value(a[lane], half == 1, op.extra & 3, bfloat)
            y = half_value(b[lane], half == 1, (op.extra >> 2) & 3, bfloat)
            z = half_value(c[lane], half == 1, (op.extra >> 4) & 3, bfloat)
            product = x * y
            if op.variant & HALF_FLOAT_RESULT:
                packed = canonical(np.float32(odd_sum(product, z)))
                break
            bits = bfloat_from_double(odd_sum(product, z), 0) if bfloat else half_from_double(odd_sum(product, z), 0)
            if op.variant & HALF_FLUSH and bits & np.uint32(0x7C00) == 0:
                bits = np.uint32(bits & np.uint32(0x8000))
            if op.variant & HALF_RELU and (bits & np.uint32(0x8000)) and bits & np.uint32(0x7FFF) <= np.uint32(0x7C00):
                bits = np.uint32(0)
            if op.variant & HALF_SATURATE:
                one = np.uint32(0x3F80) if bfloat else np.uint32(0x3C00)
                if bits & np.uint32(0x8000) or bits > np.uint32(0x7C00):
                    bits = np.uint32(0)
                elif bits > one:
                    bits = one
            packed |= np.uint32(bits << np.uint32(16 * half))
        result[lane] = packed


@stage
def half_bits(word, high, choice):
    return (
        np.uint32(word >> np.uint32(16))
        if choice == HIGH_HIGH or (choice == BOTH and high)
        else np.uint32(word & np.uint32(0xFFFF))
    )


@routine
def half_minimum_maximum(op, warp):
    """HMNMX2: minimum where predicate 0 holds. A NaN loses against a number, -0 is below +0."""
    bfloat = op.variant & BFLOAT != 0
    minimum = predicate(op, warp, 0)
    for lane in range(LANES):
        packed = np.uint32(0)
        for half in range(2):
            x_bits, y_bits = (
                half_bits(warp.a[lane], half == 1, op.extra & 3),
                half_bits(warp.b[lane], half == 1, op.extra >> 2),
            )
            x = half_value(warp.a[lane], half == 1, op.extra & 3, bfloat)
            y = half_value(warp.b[lane], half == 1, op.extra >> 2, bfloat)
            below = x < y or (x == y and x_bits > y_bits)
            picks_x = below == ((minimum >> np.uint32(lane)) & np.uint32(1) != 0)
            bits = y_bits
            if x != x and y != y:
                bits = BFLOAT_NAN if bfloat else HALF_NAN
            elif y != y or (x == x and picks_x):
                bits = x_bits
            packed |= np.uint32(bits << np.uint32(16 * half))
        warp.result[0, lane] = packed


@routine
def half_compare(op, warp):
    """HSETP2 and HSET2: both halves compared; HSET2 writes ones (or 1.0 with .BF) per half."""
    a, b, result = warp.a, warp.b, warp.result[0]
    bfloat = op.immediate & BFLOAT != 0
    other = predicate(op, warp, 0)
    masks = warp.mask_result
    for half in range(2):
        less, equal, unordered = np.uint32(0), np.uint32(0), np.uint32(0)
        for lane in range(LANES):
            x = half_value(a[lane], half == 1, (op.immediate >> 8) & 3, bfloat)
            y = half_value(b[lane], half == 1, (op.immediate >> 10) & 3, bfloat)
            less |= np.uint32(x < y) << np.uint32(lane)
            equal |= np.uint32(x == y) << np.uint32(lane)
            unordered |= np.uint32((x != x) | (y != y)) << np.uint32(lane)
        relation = relation_mask(op.variant, less, equal, unordered)
        if op.extra == 0:
            masks[half] = relation & other
        elif op.extra == 1:
            masks[half] = relation | other
        else:
            masks[half] = relation ^ other
    one = np.uint32((op.immediate >> 16) & 0xFFFF)
    for lane in range(LANES):
        low = one if (masks[0] >> np.uint32(lane)) & np.uint32(1) else np.uint32(0)
        high = one if (masks[1] >> np.uint32(lane)) & np.uint32(1) else np.uint32(0)
        result[lane] = low | (high << np.uint32(16))


@stage
def integer_to_float32(magnitude, negative, mode):
    """float32 bits of a 64-bit magnitude with a sign, rounded once in any mode."""
    value = np.float32(magnitude)
    bits = bits_from_float32(value)
    if mode != NEAREST and magnitude != 0:
        back = np.float64(value)  # exact; compare with the integer in two halves
        below = back < 18446744073709551616.0 and np.uint64(back) < magnitude
        above = back >= 18446744073709551616.0 or np.uint64(back) > magnitude
        away = (mode == UP and not negative) or (mode == DOWN and negative)
        if below and away:
            bits = np.uint32(bits + np.uint32(1))
        elif above and not away:
            bits = np.uint32(bits - np.uint32(1))
    return np.uint32(bits | np.uint32(0x80000000)) if negative else bits


@routine
def integer_to_float(op, warp):
    """I2F: `extra` = source bytes | signed << 4 | byte position << 5 | result bytes << 8."""
    source_bytes, is_signed = op.extra & 15, (op.extra >> 4) & 1
    position, result_bytes = (op.extra >> 5) & 3, (op.extra >> 8) & 15
    mode = op.variant & 3
    for lane in range(LANES):
        word = warp.wide_a[lane] if source_bytes == 8 else np.uint64(warp.a[lane]) >> np.uint64(8 * position)
        if source_bytes < 8:
            bits = np.uint64(8 * source_bytes)
            word &= (np.uint64(1) << bits) - np.uint64(1)
            if is_signed and (word >> (bits - np.uint64(1))) & np.uint64(1):
                word |= ~((np.uint64(1) << bits) - np.uint64(1))
        negative = is_signed == 1 and np.int64(word) < 0
        magnitude = np.uint64(0) - word if negative else word
        if result_bytes == 8:
            value = np.float64(magnitude)
            warp.wide_result[lane] = bits_from_float64(-value if negative else value)
        elif result_bytes == 2:
            value = np.float64(magnitude)  # 16-bit results only meet sources of at most 32 bits or overflow anyway
            warp.result[0][lane] = half_from_double(-value if negative else value, mode)
        else:
            warp.result[0][lane] = integer_to_float32(magnitude, negative, mode)


@stage
def rounded(value, mode):
    """Round to an integral value: 0 nearest even, 1 floor, 2 ceil, 3 truncate."""
    if mode == DOWN:
        return np.floor(value)
    if mode == UP:
        return np.ceil(value)
    if mode == ZERO:
        return np.trunc(value)
    return np.rint(value)


@stage
def source_float(op, warp, lane, source_bytes):
    """Source a of a conversion as float64; 2 = IEEE half, 3 = bfloat16."""
    if source_bytes == 8:
        return float64_from_bits(warp.wide_a[lane])
    word = np.uint32(warp.a[lane])
    if source_bytes == 2 or source_bytes == 3:
        word = np.uint32(word >> np.uint32(16)) if (op.extra >> 5) & 3 else np.uint32(word & np.uint32(0xFFFF))
        if source_bytes == 3:
            return np.float64(float32_from_bits(np.uint32(word << np.uint32(16))))
        return np.float64(float_from_half(word))
    if op.variant & CONVERT_FLUSH:
        word = flush_bits(word)
    return np.float64(float32_from_bits(word))


@routine
def float_to_integer(op, warp):
    """F2I clamps to the range of the result. NaN gives 0, or the top bit alone with 64-bit types (PTX ISA, cvt)."""
    source_bytes, result_bytes, is_signed = op.extra & 15, (op.extra >> 8) & 15, (op.extra >> 4) & 1
    for lane in range(LANES):
        value = source_float(op, warp, lane, source_bytes)
        bits = 8 * result_bytes
        if value != value:
            word = np.uint64(0)
            if result_bytes == 8 or source_bytes == 8:
                word = np.uint64(1) << np.uint64(bits - 1)
        else:
            value = rounded(value, op.variant & 3)
            if is_signed:
                limit = math.ldexp(1.0, bits - 1)
                if value >= limit:
                    word = (np.uint64(1) << np.uint64(bits - 1)) - np.uint64(1)
                elif value <= -limit:
                    word = np.uint64(0) - (np.uint64(1) << np.uint64(bits - 1))
                else:
                    word = np.uint64(np.int64(value))
            else:
                limit = math.ldexp(1.0, bits)
                if value >= limit:
                    word = ~np.uint64(0) >> np.uint64(64 - bits)
                elif value <= 0.0:
                    word = np.uint64(0)
                else:
                    word = np.uint64(value)
        warp.wide_result[lane] = word
        warp.result[0][lane] = np.uint32(word)


@routine
def float_to_float(op, warp):
    """F2F, FRND: `extra` = source format | half position << 5 | result format << 8 (formats in bytes; 3 = bfloat16)."""
    source_bytes, result_bytes = op.extra & 15, (op.extra >> 8) & 15
    mode = op.variant & 3
    for lane in range(LANES):
        value = source_float(op, warp, lane, source_bytes)
        if op.operation == Operation.ROUND_FLOAT:
            value = rounded(value, mode)
        if result_bytes == 8:
            warp.wide_result[lane] = bits_from_float64(value)
        elif result_bytes == 4:
            nearest = np.float32(value)
            bits = canonical(nearest)
            if mode != NEAREST and op.operation == Operation.FLOAT_TO_FLOAT and np.isfinite(value):
                bits = direct32(nearest, value - np.float64(nearest), mode)
            if op.variant & CONVERT_FLUSH:
                bits = flush_bits(bits)
            if op.variant & CONVERT_SATURATE:
                number = float32_from_bits(bits)
                bits = bits_from_float32(min(number, np.float32(1.0))) if number > np.float32(0.0) else np.uint32(0)
            warp.result[0][lane] = bits
        elif result_bytes == 3:
            warp.result[0][lane] = bfloat_from_double(value, mode)
        else:
            warp.result[0][lane] = half_from_double(value, mode)


@routine
def pack_halves(op, warp):
    """F2FP: two float32 to packed halves, a in the high half. `immediate` 1: bfloat16."""
    a, b, result = warp.a, warp.b, warp.result[0]
    for lane in range(LANES):
        high, low = np.float64(float32_from_bits(a[lane])), np.float64(float32_from_bits(b[lane]))
        mode = op.variant & 3
        if op.immediate & 1:
            top, bottom = bfloat_from_double(high, mode), bfloat_from_double(low, mode)
        else:
            top, bottom = half_from_double(high, mode), half_from_double(low, mode)
        if op.immediate & 2:  # .RELU
            top = np.uint32(0) if top & np.uint32(0x8000) else top
            bottom = np.uint32(0) if bottom & np.uint32(0x8000) else bottom
        result[lane] = (top << np.uint32(16)) | bottom


@routine
def floating(op, warp):
    """Run one floating-point operation."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    kind = op.operation
    if kind <= Operation.FLOAT_MULTIPLY_ADD:
        if op.variant != 0:
            arithmetic32_modes(op, warp)
        elif kind == Operation.FLOAT_MULTIPLY_ADD:
            for lane in range(LANES):
                result[lane] = canonical(
                    fma32(float32_from_bits(a[lane]), float32_from_bits(b[lane]), float32_from_bits(c[lane]))
                )
        elif kind == Operation.FLOAT_MULTIPLY:
            for lane in range(LANES):
                result[lane] = canonical(float32_from_bits(a[lane]) * float32_from_bits(b[lane]))
        else:
            for lane in range(LANES):
                result[lane] = canonical(float32_from_bits(a[lane]) + float32_from_bits(b[lane]))
    elif kind == Operation.FLOAT_COMPARE:
        compare32(op, warp)
    elif kind == Operation.FLOAT_MINIMUM_MAXIMUM:
        minimum_maximum32(op, warp)
    elif kind == Operation.SPECIAL_FUNCTION:
        special_function(op, warp)
    elif kind == Operation.DIVISION_CHECK:
        division_check(op, warp)
    elif kind <= Operation.DOUBLE_COMPARE:
        double(op, warp)
    elif kind == Operation.HALF_MULTIPLY_ADD:
        half_multiply_add(op, warp)
    elif kind == Operation.HALF_MINIMUM_MAXIMUM:
        half_minimum_maximum(op, warp)
    elif kind == Operation.HALF_COMPARE:
        half_compare(op, warp)
    elif kind == Operation.INTEGER_TO_FLOAT:
        integer_to_float(op, warp)
    elif kind == Operation.FLOAT_TO_INTEGER:
        float_to_integer(op, warp)
    elif kind == Operation.PACK_HALVES:
        pack_halves(op, warp)
    else:
        float_to_float(op, warp)
