"""Integer operations on 32-bit words or on the halves and bytes packed in them: saturation, extrema, differences."""

from __future__ import annotations

import numpy as np

from isa.jit import routine, stage
from traces.emulator.integer import predicate
from traces.emulator.records import ALL, LANES, Operation

# `variant`: element width in bits (32, 16 or 8), then
SIGNED, RELU, ADDS, THREE, SATURATE, NEGATE_A, NEGATE_B, ACCUMULATE, HIGH = (1 << k for k in range(8, 17))


@stage
def part(word, width, index, signed):
    """Element `index` of a word as a signed 64-bit integer."""
    value = (np.int64(word) >> np.int64(width * index)) & ((np.int64(1) << np.int64(width)) - 1)
    return value - (np.int64(1) << np.int64(width)) if signed and value >> np.int64(width - 1) else value


@stage
def clamp(value, width, signed):
    """Saturate to the range of an integer of `width` bits."""
    if signed:
        limit = np.int64(1) << np.int64(width - 1)
        return min(max(value, -limit), limit - 1)
    return min(max(value, np.int64(0)), (np.int64(1) << np.int64(width)) - 1)


@stage
def placed(value, width, index):
    """The low `width` bits of a value at the place of element `index`."""
    return np.uint32((value & ((np.int64(1) << np.int64(width)) - 1)) << np.int64(width * index))


@stage
def add_packed(op, warp, width, signed):
    """VIADD.16x2, .U8x4, .S8x4 and .S32.ISAT: sums wrap, or saturate."""
    for lane in range(LANES):
        word = np.uint32(0)
        for k in range(32 // width):
            x, y = part(warp.a[lane], width, k, signed), part(warp.b[lane], width, k, signed)
            total = (-x if op.variant & NEGATE_A else x) + (-y if op.variant & NEGATE_B else y)
            word |= placed(clamp(total, width, signed) if op.variant & SATURATE else total, width, k)
        warp.result[0, lane] = word


@stage
def extremum_packed(op, warp, width, signed):
    """VIMNMX, VIMNMX3, VIADDMNMX: minimum where predicate 0 holds. Predicate results: the first source is the extremum,
    of the upper (0) and lower (1) half, or of the word (0)."""
    minimum = predicate(op, warp, 0)
    first, second = np.uint32(0), np.uint32(0)
    for lane in range(LANES):
        word = np.uint32(0)
        wants_smaller = (minimum >> np.uint32(lane)) & np.uint32(1) != 0
        for k in range(32 // width):
            x, y = part(warp.a[lane], width, k, signed), part(warp.b[lane], width, k, signed)
            if op.variant & ADDS:
                x = part(placed(x + y, width, 0), width, 0, signed)
                y = part(warp.c[lane], width, k, signed)
            picks_x = x <= y if wants_smaller else x >= y
            if k == 32 // width - 1:
                first |= np.uint32(picks_x) << np.uint32(lane)
            elif k == 0:
                second |= np.uint32(picks_x) << np.uint32(lane)
            value = x if picks_x else y
            if op.variant & THREE:
                z = part(warp.c[lane], width, k, signed)
                value = min(value, z) if wants_smaller else max(value, z)
            if op.variant & RELU:
                value = max(value, np.int64(0))
            word |= placed(value, width, k)
        warp.result[0, lane] = word
    warp.mask_result[0] = first
    warp.mask_result[1] = second


@stage
def difference_packed(op, warp, width, signed):
    """VABSDIFF4: absolute differences of bytes, or their sum onto c."""
    for lane in range(LANES):
        word = np.uint32(0)
        total = np.int64(warp.c[lane])
        for k in range(32 // width):
            value = abs(part(warp.a[lane], width, k, signed) - part(warp.b[lane], width, k, signed))
            total += value
            word |= placed(value, width, k)
        warp.result[0, lane] = np.uint32(total) if op.variant & ACCUMULATE else word


@stage
def dot_product2(op, warp):
    """IDP.2A: two halves of a times two bytes of b, plus c. `extra`: bit 0 a is signed, bit 1 b."""
    for lane in range(LANES):
        total = np.int64(warp.c[lane])
        for k in range(2):
            byte = k + 2 if op.variant & HIGH else k
            total += part(warp.a[lane], 16, k, op.extra & 1) * part(warp.b[lane], 8, byte, op.extra & 2)
        warp.result[0, lane] = np.uint32(total)


@stage
def bit_mask(op, warp):
    """BMSK: b ones from bit a; both wrap at 32 (`extra` 1) or saturate."""
    for lane in range(LANES):
        at, width = np.uint32(warp.a[lane]), np.uint32(warp.b[lane])
        if op.extra:
            at, width = np.uint32(at & np.uint32(31)), np.uint32(width & np.uint32(31))
        ones = (np.uint64(1) << np.uint64(min(width, np.uint32(32)))) - np.uint64(1)
        warp.result[0, lane] = np.uint32(ones << np.uint64(min(at, np.uint32(32))))


@routine
def packed(op, warp):
    """Run one operation on packed integers."""
    width, signed = np.int64(op.variant & 63), op.variant & SIGNED != 0
    kind = op.operation
    if kind == Operation.PACKED_ADD:
        add_packed(op, warp, width, signed)
    elif kind == Operation.PACKED_EXTREMUM:
        extremum_packed(op, warp, width, signed)
    elif kind == Operation.PACKED_DIFFERENCE:
        difference_packed(op, warp, width, signed)
    elif kind == Operation.DOT_PRODUCT2:
        dot_product2(op, warp)
    elif kind == Operation.BIT_MASK:
        bit_mask(op, warp)
    elif kind == Operation.CLAMP:  # I2I.SAT; `extra` 1: the source is signed
        for lane in range(LANES):
            warp.result[0, lane] = np.uint32(clamp(part(warp.a[lane], 32, 0, op.extra), width, signed))
    elif kind == Operation.CLAMP_PACK:  # I2IP: two saturated values, a above b, and c moved up behind them
        for lane in range(LANES):
            high, low = part(warp.a[lane], 32, 0, op.extra), part(warp.b[lane], 32, 0, op.extra)
            word = placed(clamp(low, width, signed), width, 0) | placed(clamp(high, width, signed), width, 1)
            warp.result[0, lane] = np.uint32((np.uint64(warp.c[lane]) << np.uint64(2 * width)) & np.uint64(ALL)) | word
    else:  # SIGN_LOGIC: PLOP3 on sign bits of the registers that `variant` names, else on predicates
        inputs = warp.mask_result
        x, y, z = predicate(op, warp, 0), predicate(op, warp, 1), predicate(op, warp, 2)
        sign_x, sign_y, sign_z = np.uint32(0), np.uint32(0), np.uint32(0)
        for lane in range(LANES):
            sign_x |= (warp.a[lane] >> np.uint32(31)) << np.uint32(lane)
            sign_y |= (warp.b[lane] >> np.uint32(31)) << np.uint32(lane)
            sign_z |= (warp.c[lane] >> np.uint32(31)) << np.uint32(lane)
        x = np.uint32(sign_x if op.variant & 1 else x)
        y = np.uint32(sign_y if op.variant & 2 else y)
        z = np.uint32(sign_z if op.variant & 4 else z)
        for slot in range(2):
            table = op.immediate if slot == 0 else np.int64(op.extra)
            total = np.uint32(0)
            for row in range(8):
                if (table >> row) & 1:
                    term = np.uint32(x if row & 4 else ~x)
                    term &= np.uint32(y if row & 2 else ~y)
                    term &= np.uint32(z if row & 1 else ~z)
                    total |= term
            inputs[slot] = total
