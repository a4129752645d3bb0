"""Conversions between number formats over the 32 lanes of a warp."""

from __future__ import annotations

import math

import numpy as np

from isa.jit import routine, stage
from traces.emulator.packed import clamp
from traces.emulator.records import LANES, Operation
from traces.emulator.scalar import (
    DOWN,
    FLOAT_NAN,
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
    half_from_double,
    next_up64,
    small_from_double,
)
from traces.emulator.tensor import Element, element

# `variant`: rounding mode in bits 0 and 1, then
CONVERT_FLUSH, CONVERT_SATURATE = 4, 8
PACK_RELU, PACK_FINITE, PACK_FROM_HALVES, PACK_ONE, PACK_MERGE, PACK_UNPACK, PACK_HIGH = (4 << k for k in range(7))
# Formats of floats: their bytes, 3 = bfloat16; in F2FP beyond them 16 + Element.
BFLOAT_FORMAT = 3


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


@stage
def integer_to_float64(magnitude, negative, mode):
    """float64 of a 64-bit magnitude that will get a sign, rounded once in any mode."""
    value = np.float64(magnitude)
    if mode == NEAREST or magnitude >> np.uint64(53) == 0:
        return value
    above = value >= 18446744073709551616.0 or np.uint64(value) > magnitude
    below = not above and np.uint64(value) < magnitude
    away = (mode == UP and not negative) or (mode == DOWN and negative)
    if below and away:
        return next_up64(value)
    if above and not away:
        return -next_up64(-value)
    return value


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
            value = integer_to_float64(magnitude, negative, mode)
            warp.wide_result[lane] = bits_from_float64(-value if negative else value)
        elif result_bytes <= BFLOAT_FORMAT:
            value = np.float64(magnitude)
            if magnitude >> np.uint64(53):  # keep a bit for what float64 cannot hold: only one rounding counts
                value = np.float64((magnitude >> np.uint64(11)) | np.uint64(magnitude & np.uint64(2047) != 0)) * 2048.0
            value = -value if negative else value
            bits = half_from_double(value, mode) if result_bytes == 2 else bfloat_from_double(value, mode)
            warp.result[0][lane] = bits
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
            if op.variant & CONVERT_SATURATE:
                value = min(max(value, 0.0), 1.0) if value == value else 0.0
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
        else:
            if op.variant & CONVERT_SATURATE:
                value = min(max(value, 0.0), 1.0) if value == value else 0.0
            round_mode = NEAREST if op.operation == Operation.ROUND_FLOAT else mode
            narrow = result_bytes == BFLOAT_FORMAT
            bits = bfloat_from_double(value, round_mode) if narrow else half_from_double(value, round_mode)
            warp.result[0][lane] = bits


@stage
def packed_value(value, form, op):
    """Bits of one float64 in a format of F2FP."""
    mode = op.variant & 3
    if op.variant & PACK_RELU and value <= 0.0:
        value = 0.0
    finite = op.variant & PACK_FINITE != 0
    if form == 2:
        bits = half_from_double(value, mode)
        return np.uint32(bits - np.uint32(1)) if finite and bits & np.uint32(0x7FFF) == np.uint32(0x7C00) else bits
    if form == BFLOAT_FORMAT:
        bits = bfloat_from_double(value, mode)
        return np.uint32(bits - np.uint32(1)) if finite and bits & np.uint32(0x7FFF) == np.uint32(0x7F80) else bits
    if form == 16 + Element.TF32:
        if value != value:
            return FLOAT_NAN
        bits = small_from_double(value, 10, 127, 0x3FC00, 0x40000, mode)
        if finite and bits & np.uint32(0x3FFFF) == np.uint32(0x3FC00):
            bits = np.uint32(bits - np.uint32(1))
        return np.uint32(bits << np.uint32(13))
    if form == 16 + Element.E4M3:
        if value != value:
            return np.uint32(0x7F)
        bits = small_from_double(value, 3, 7, 0x7F, 0x80, mode)
        return np.uint32(bits - np.uint32(1)) if bits & np.uint32(0x7F) == np.uint32(0x7F) else bits
    if form == 16 + Element.E5M2:
        if value != value:
            return np.uint32(0x7F)
        bits = small_from_double(value, 2, 15, 0x7C, 0x80, mode)
        return np.uint32(bits - np.uint32(1)) if bits & np.uint32(0x7F) == np.uint32(0x7C) else bits
    # without infinity and NaN: a NaN becomes the largest number
    if form == 16 + Element.E2M1:
        return np.uint32(7) if value != value else min_code(small_from_double(value, 1, 1, 8, 16, mode), 8)
    if form == 16 + Element.E2M3:
        return np.uint32(31) if value != value else min_code(small_from_double(value, 3, 1, 32, 64, mode), 32)
    return np.uint32(31) if value != value else min_code(small_from_double(value, 2, 3, 32, 64, mode), 32)


@stage
def min_code(bits, limit):
    """Step back from the code `limit`, one above the largest number; the sign lies above it."""
    sign = np.uint32(bits & np.uint32(2 * limit))
    return (
        np.uint32(limit - 1) | np.uint32(sign >> np.uint32(1))
        if bits & np.uint32(limit)
        else np.uint32((bits & np.uint32(limit - 1)) | (sign >> np.uint32(1)))
    )


@stage
def unpacked_value(word, form, index):
    """float64 of a packed value: `form` 2 and 3 are halves, 16 + Element are bytes (E2M1: four bits)."""
    if form <= BFLOAT_FORMAT:
        bits = np.uint32((word >> np.uint32(16 * index)) & np.uint32(0xFFFF))
        if form == BFLOAT_FORMAT:
            return np.float64(float32_from_bits(np.uint32(bits << np.uint32(16))))
        return np.float64(float_from_half(bits))
    if form == 16 + Element.E2M1:
        return element(
            np.int64(Element.E2M1), np.uint32(((word >> np.uint32(4 * index)) & np.uint32(15)) << np.uint32(2))
        )
    return element(np.int64(form - 16), np.uint32((word >> np.uint32(8 * index)) & np.uint32(255)))


@routine
def pack_floats(op, warp):
    """F2FP. `extra` = source format | result format << 8; two values a (high) and b (low), or both from b."""
    source, form = op.extra & 255, op.extra >> 8
    width = 32 if form == 16 + Element.TF32 else 16 if form <= BFLOAT_FORMAT else 4 if form == 16 + Element.E2M1 else 8
    for lane in range(LANES):
        low_word = np.uint32(warp.b[lane])
        if op.variant & PACK_HIGH:
            low_word = np.uint32(low_word >> np.uint32(16))
        if op.variant & PACK_UNPACK:
            low, high = unpacked_value(low_word, source, 0), unpacked_value(low_word, source, 1)
        else:
            low, high = np.float64(float32_from_bits(low_word)), np.float64(float32_from_bits(warp.a[lane]))
        word = packed_value(low, form, op)
        used = width
        if op.variant & PACK_ONE == 0:
            word |= np.uint32(packed_value(high, form, op) << np.uint32(width))
            used = 2 * width
        if op.variant & PACK_MERGE:
            word |= np.uint32(warp.c[lane] << np.uint32(used))
        warp.result[0, lane] = word


@routine
def pack_bytes(op, warp):
    """F2IP: two float32 to saturated bytes, a above b, c moved up behind them. `extra` 1: signed."""
    for lane in range(LANES):
        word = np.uint32(warp.c[lane] << np.uint32(16))
        for k in range(2):
            x = np.float64(float32_from_bits(warp.b[lane] if k == 0 else warp.a[lane]))
            value = np.int64(0)
            if x == x:
                value = np.int64(min(max(rounded(x, op.variant & 3), -1000.0), 1000.0))
            word |= np.uint32((clamp(value, np.int64(8), op.extra != 0) & 255) << (8 * k))
        warp.result[0, lane] = word
