"""Packed half precision (IEEE half and bfloat16): arithmetic, extrema, compares."""

from __future__ import annotations

import numpy as np

from isa.jit import routine, stage
from traces.emulator.integer import predicate, relation_mask
from traces.emulator.records import LANES
from traces.emulator.scalar import (
    BFLOAT_NAN,
    HALF_NAN,
    bfloat_from_double,
    canonical,
    float32_from_bits,
    float_from_half,
    half_from_double,
    odd_sum,
)

# `variant`: format of the values and accumulation; 2 bits per source say which halves are used
BFLOAT, HALF_RELU, HALF_SATURATE, HALF_FLUSH, HALF_FLOAT_RESULT, HALF_NAN_WINS, HALF_XOR_SIGN = (
    1 << k for k in range(7)
)
BOTH, LOW_LOW, HIGH_HIGH, AS_FLOAT = range(4)


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
            infinity = np.uint32(0x7F80) if bfloat else np.uint32(0x7C00)
            if op.variant & HALF_RELU and (bits & np.uint32(0x8000)) and bits & np.uint32(0x7FFF) <= infinity:
                bits = np.uint32(0)
            if op.variant & HALF_SATURATE:
                one = np.uint32(0x3F80) if bfloat else np.uint32(0x3C00)
                if bits & np.uint32(0x8000) or bits > infinity:
                    bits = np.uint32(0)
                elif bits > one:
                    bits = one
            packed |= np.uint32(bits << np.uint32(16 * half))
        result[lane] = packed


@stage
def flush_half(bits):
    """FTZ on IEEE half bits."""
    return np.uint32(bits & np.uint32(0x8000)) if bits & np.uint32(0x7C00) == 0 else np.uint32(bits)


@stage
def half_bits(word, high, choice):
    return (
        np.uint32(word >> np.uint32(16))
        if choice == HIGH_HIGH or (choice == BOTH and high)
        else np.uint32(word & np.uint32(0xFFFF))
    )


@routine
def half_minimum_maximum(op, warp):
    """HMNMX2: minimum where predicate 0 holds. A NaN loses against a number, or wins with .NAN; -0 is below +0.

    .XORSIGN compares magnitudes and gives the result the product of the signs.
    """
    bfloat = op.variant & BFLOAT != 0
    minimum = predicate(op, warp, 0)
    magnitude = np.uint32(0x7FFF) if op.variant & HALF_XOR_SIGN else np.uint32(0xFFFF)
    for lane in range(LANES):
        packed = np.uint32(0)
        for half in range(2):
            x_bits = half_bits(warp.a[lane], half == 1, op.extra & 3)
            y_bits = half_bits(warp.b[lane], half == 1, op.extra >> 2)
            if op.variant & HALF_FLUSH:
                x_bits, y_bits = flush_half(x_bits), flush_half(y_bits)
            sign = np.uint32((x_bits ^ y_bits) & np.uint32(0x8000))
            x_bits &= magnitude
            y_bits &= magnitude
            x, y = half_value(x_bits, False, LOW_LOW, bfloat), half_value(y_bits, False, LOW_LOW, bfloat)
            below = x < y or (x == y and x_bits > y_bits)
            picks_x = below == ((minimum >> np.uint32(lane)) & np.uint32(1) != 0)
            bits = np.uint32(y_bits)
            if (x != x and y != y) or (op.variant & HALF_NAN_WINS and (x != x or y != y)):
                bits = BFLOAT_NAN if bfloat else HALF_NAN
                sign = np.uint32(0)
            elif y != y or (x == x and picks_x):
                bits = np.uint32(x_bits)
            if op.variant & HALF_XOR_SIGN:
                bits |= sign
            packed |= np.uint32(bits << np.uint32(16 * half))
        warp.result[0, lane] = packed


@routine
def half_compare(op, warp):
    """HSETP2 and HSET2: both halves compared; HSET2 writes ones (or 1.0 with .BF) per half."""
    a, b, result = warp.a, warp.b, warp.result[0]
    bfloat, flush = op.immediate & BFLOAT != 0, op.immediate & HALF_FLUSH != 0
    other = predicate(op, warp, 0)
    masks = warp.mask_result
    for half in range(2):
        less, equal, unordered = np.uint32(0), np.uint32(0), np.uint32(0)
        for lane in range(LANES):
            x = half_value(a[lane], half == 1, (op.immediate >> 8) & 3, bfloat)
            y = half_value(b[lane], half == 1, (op.immediate >> 10) & 3, bfloat)
            if flush:
                x = 0.0 if np.abs(x) < 2.0**-14 else x
                y = 0.0 if np.abs(y) < 2.0**-14 else y
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
