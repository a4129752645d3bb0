"""Floating-point operations and conversions over the 32 lanes of a warp."""

from __future__ import annotations

import math

import numpy as np

from isa.jit import routine, stage
from traces.emulator.conversion import (
    float_to_float,
    float_to_integer,
    integer_to_float,
    pack_bytes,
    pack_floats,
)
from traces.emulator.half import half_compare, half_minimum_maximum, half_multiply_add
from traces.emulator.integer import combine, predicate, relation_mask
from traces.emulator.records import LANES, Operation
from traces.emulator.scalar import (
    FLOAT_NAN,
    NEAREST,
    bfloat_from_double,
    bits_from_float32,
    bits_from_float64,
    canonical,
    float32_from_bits,
    float64_from_bits,
    float_from_half,
    flush_bits,
    fma32,
    fma32_directed,
    fma64_directed,
    half_from_double,
)

# `variant` of FP32 and FP64 arithmetic: rounding mode in bits 0-1, then
FLUSH, SATURATE = 4, 8
THREE, NAN_WINS, XOR_SIGN = 16, 32, 64  # FMNMX: a third source, .NAN, .XORSIGN
HALF_FACTORS, BFLOAT_FACTORS = 16, 32  # FHADD, FHFMA: a (and b of a product) are halves in the low bits
# SPECIAL_FUNCTION
RECIPROCAL, RECIPROCAL_ROOT, ROOT, EXPONENTIAL2, LOGARITHM2, SINE, COSINE, TANH, RECIPROCAL_64H, ROOT_64H = range(10)
# DOUBLE_COMPARE, `extra`: a combination (AND, OR, XOR) or
SELECTS_MINIMUM, SELECTS_MAXIMUM = 8, 9


@stage
def widened(word, variant):
    """float32 bits of the half precision value in the low bits of a word."""
    if variant & BFLOAT_FACTORS:
        return np.uint32(word << np.uint32(16))
    return bits_from_float32(float_from_half(np.uint32(word & np.uint32(0xFFFF))))


@routine
def arithmetic32_modes(op, warp):
    """FP32 with directed rounding, FTZ or SAT: the rare forms."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    mode = op.variant & 3
    for lane in range(LANES):
        x, y, z = np.uint32(a[lane]), np.uint32(b[lane]), np.uint32(c[lane])
        if op.variant & (HALF_FACTORS | BFLOAT_FACTORS):
            x = widened(x, op.variant)
            y = widened(y, op.variant) if op.operation == Operation.FLOAT_MULTIPLY_ADD else y
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


@routine
def float_set(op, warp):
    """FSET: the compare of FSETP as a word: the upper half of `immediate` (all ones, or 1.0 with .BF) or zero."""
    compare32(op, warp)
    mask, one = warp.mask_result[0], np.uint32(op.immediate >> 32)
    for lane in range(LANES):
        warp.result[0, lane] = one if (mask >> np.uint32(lane)) & np.uint32(1) else np.uint32(0)


@stage
def smaller_or_larger(x, y, wants_smaller, variant):
    """Bits of the minimum or maximum. A NaN loses against a number (wins with .NAN), -0 is below +0 (PTX ISA)."""
    sign = np.uint32((x ^ y) & np.uint32(0x80000000))
    if variant & XOR_SIGN:
        x, y = np.uint32(x & np.uint32(0x7FFFFFFF)), np.uint32(y & np.uint32(0x7FFFFFFF))
    fx, fy = float32_from_bits(x), float32_from_bits(y)
    below = fx < fy or (fx == fy and x > y)  # equal values with different bits are zeros: -0 has the larger bits
    if (fx != fx and fy != fy) or (variant & NAN_WINS and (fx != fx or fy != fy)):
        return FLOAT_NAN
    bits = y
    if fx == fx and (fy != fy or below == wants_smaller):
        bits = x
    return np.uint32(bits | sign) if variant & XOR_SIGN else np.uint32(bits)


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
        x = smaller_or_larger(x, y, wants_smaller, op.variant)
        result[lane] = smaller_or_larger(x, z, wants_smaller, op.variant) if op.variant & THREE else x


@routine
def pair_arithmetic(op, warp):
    """FADD2, FMUL2, FFMA2: two float32 in a register pair. `extra`: the operation."""
    mode = op.variant & 3
    for lane in range(LANES):
        total = np.uint64(0)
        for half in range(2):
            shift = np.uint64(32 * half)
            x, y = np.uint32(warp.wide_a[lane] >> shift), np.uint32(warp.wide_b[lane] >> shift)
            z = np.uint32(warp.wide_c[lane] >> shift)
            if op.extra == Operation.FLOAT_ADD:
                y = np.uint32(0x3F800000)
            if op.variant & FLUSH:
                x, y, z = flush_bits(x), flush_bits(y), flush_bits(z)
            if op.extra == Operation.FLOAT_MULTIPLY:
                z = np.uint32((x ^ y) & np.uint32(0x80000000))
            fx, fy, fz = float32_from_bits(x), float32_from_bits(y), float32_from_bits(z)
            value = fma32_directed(fx, fy, fz, mode) if mode else bits_from_float32(fma32(fx, fy, fz))
            value = canonical(float32_from_bits(value))
            total |= np.uint64(flush_bits(value) if op.variant & FLUSH else value) << shift
        warp.wide_result[lane] = total


@stage
def special(function, x):
    """MUFU in double precision. The hardware's result differs in its last bit or two.

    It also takes subnormals as zeros in most functions; compiled code scales them first.
    """
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
            x32 = np.uint32(a[lane])
            if op.extra:
                word = np.uint32(x32 >> np.uint32(16)) if op.extra & 2 else np.uint32(x32 & np.uint32(0xFFFF))
                x = np.float64(float32_from_bits(np.uint32(word << np.uint32(16))))
                if op.extra & 4 == 0:
                    x = np.float64(float_from_half(word))
                value = special(function, x)
                result[lane] = bfloat_from_double(value, 0) if op.extra & 4 else half_from_double(value, 0)
            else:
                result[lane] = canonical(np.float32(special(function, np.float64(float32_from_bits(x32)))))


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
    elif kind == Operation.FLOAT_SET:
        float_set(op, warp)
    elif kind == Operation.PAIR_ARITHMETIC:
        pair_arithmetic(op, warp)
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
    elif kind == Operation.PACK_FLOATS:
        pack_floats(op, warp)
    elif kind == Operation.PACK_BYTES:
        pack_bytes(op, warp)
    else:
        float_to_float(op, warp)
