"""Matrix instructions: HMMA, IMMA, BMMA, DMMA, QMMA, dense and 2:4 sparse, and MOVM.

Fragments (PTX ISA, warp-level matrix instructions): with g = lane / 4, t = lane % 4 and e elements per register,
register r of A holds row g + 8 (r & 1), columns 4e (r >> 1) + et ..., register r of B rows 4er + et ... of column g,
and the accumulator rows g and g + 8, columns 2t and 2t + 1. m8n8k4 of half precision has fragments of its own.

Accumulation: products are exact; they and the addend are summed in float64 and rounded once, to nearest even, to the
accumulator's type. Hardware truncates partial sums of a few products instead, in ways that differ between generations
(Fasi et al. 2021, "Numerical behavior of NVIDIA tensor cores"), so its last bits may differ. FP64 is a chain of fused
multiply-adds in ascending k. Integers are exact.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from isa.bits import popcount
from isa.jit import routine, stage
from traces.emulator.records import LANES, NONE
from traces.emulator.scalar import (
    bits_from_float64,
    canonical,
    float32_from_bits,
    float64_from_bits,
    float_from_half,
    fma64,
    half_from_double,
)


class Element(IntEnum):
    """Type of the factors."""

    HALF = 0
    BFLOAT = 1
    TF32 = 2
    E4M3 = 3
    E5M2 = 4
    E3M2 = 5
    E2M3 = 6
    E2M1 = 7
    S8 = 8
    U8 = 9
    S4 = 10
    U4 = 11
    DOUBLE = 12
    BIT = 13


class Accumulator(IntEnum):
    FLOAT = 0
    HALF = 1
    INTEGER = 2
    SATURATING = 3
    DOUBLE = 4


# `variant`: type of A | type of B << 4 | accumulator << 8 | flags
SPARSE, XOR, QUARTER, COLUMN_A, COLUMN_B = 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16
NEGATE_C = 1 << 17
EMPTY = np.uint64(0xFFF0000000000001)  # marks the columns of a sparse A that hold nothing: they meet no B, not even inf
BITS = np.array(  # of an element, in the order of Element; floats of 4 and 6 bits lie in bytes
    [16, 16, 32, 8, 8, 8, 8, 8, 8, 8, 4, 4, 64, 1], np.int64
)


@stage
def small_float(code, exponent_bits, mantissa_bits, bias):
    """Value of a float without infinities: sign, `exponent_bits`, `mantissa_bits`."""
    mantissa = np.int64(code & ((1 << mantissa_bits) - 1))
    exponent = np.int64((code >> mantissa_bits) & ((1 << exponent_bits) - 1))
    if exponent == 0:
        exponent = np.int64(1)
    else:
        mantissa += 1 << mantissa_bits
    shift = np.uint64(1023 + exponent - bias - mantissa_bits) << np.uint64(52)
    value = np.float64(mantissa) * float64_from_bits(shift)
    return -value if (code >> (exponent_bits + mantissa_bits)) & 1 else value


@stage
def element(kind, bits):
    """Value of an element as float64. `bits` holds nothing above it."""
    code = np.int64(bits)
    if kind == Element.HALF:
        return np.float64(float_from_half(np.uint32(bits)))
    if kind == Element.BFLOAT:
        return np.float64(float32_from_bits(np.uint32(bits << np.uint32(16))))
    if kind == Element.TF32:  # the low 13 bits are not read
        return np.float64(float32_from_bits(np.uint32(bits & np.uint32(0xFFFFE000))))
    if kind == Element.S8:
        return np.float64(code - 256 if code >= 128 else code)
    if kind == Element.S4:
        return np.float64(code - 16 if code >= 8 else code)
    if kind == Element.E4M3:  # 0x7f alone is NaN
        return np.nan if code & 0x7F == 0x7F else small_float(code, 4, 3, 7)
    if kind == Element.E5M2:  # as IEEE half with eight bits fewer
        return np.float64(float_from_half(np.uint32(code << 8)))
    if kind == Element.E3M2:
        return small_float(code & 0x3F, 3, 2, 3)
    if kind == Element.E2M3:
        return small_float(code & 0x3F, 2, 3, 1)
    if kind == Element.E2M1:  # in bits 2 to 5 of its byte
        return small_float((code >> 2) & 0xF, 2, 1, 1)
    return np.float64(code)


@stage
def register_word(warp, first, k, lane):
    return np.uint32(0) if first == NONE else warp.register[first + k, lane]


@stage
def place_in_chunk(warp, metadata, lane, row_high, half, step, selector, byte):
    """Position (0 to 3) of a stored granule in its chunk of four, from the metadata of the sparse A.

    16-bit granules: the word of thread `selector` (+ 1 for the second half of the columns) holds row g in its low half
    and row g + 8 in the high one. 8-bit granules: one word per row and half. Read off the metadata conversion that the
    compiler emits for sm_100 and later.
    """
    thread, first = lane & 3, lane & ~3
    if byte:
        word = register_word(warp, metadata, 0, first + ((selector + 2 * half + row_high) & 3))
        at = 8 * thread + 2 * step
    else:
        word = register_word(warp, metadata, 0, first + ((selector + half) & 3))
        at = 16 * row_high + 4 * thread + 2 * step
    return np.int64((word >> np.uint32(at)) & np.uint32(3))


@stage
def read_a(op, warp, matrix, kind, m, k, first, metadata):
    """Fill matrix[:m, :k] with A."""
    bits = BITS[kind]
    mask = np.uint32(0xFFFFFFFF) >> np.uint32(32 - bits)
    registers = max(1, m * k * bits // 1024)
    if op.variant & SPARSE:
        registers //= 2
        for row in range(m):
            for column in range(k):
                matrix[row, column] = float64_from_bits(EMPTY)
    per_register = 32 // bits
    for lane in range(LANES):
        g, t = lane >> 2, lane & 3
        for r in range(registers):
            word = register_word(warp, first, r, lane)
            high = r & 1 if m == 16 else 0
            group = r >> 1 if m == 16 else r
            row = g + 8 * high
            if op.variant & SPARSE == 0:
                column = (4 * group + t) * per_register
                for i in range(per_register):
                    matrix[row, column + i] = element(kind, (word >> np.uint32(i * bits)) & mask)
                continue
            # a register holds granules of 16 bits (halves) or 8 bits (bytes) out of twice as many columns
            byte = bits <= 8
            granule = 8 if byte else 16
            chunk = (4 * group + t) * 2 * per_register
            width = max(1, granule // bits)  # elements per granule
            for i in range(32 // granule):
                column = place_in_chunk(warp, metadata, lane, high, group, i, op.extra, byte)
                if bits == 32:  # the pair of positions is (0, 1) or (2, 3): one element of two
                    if i == 0:
                        matrix[row, chunk + (column >> 1)] = element(kind, word)
                    continue
                column = chunk + (4 * (i >> 1) + column) * width
                for j in range(width):
                    part = np.uint32((word >> np.uint32(granule * i + bits * j)) & mask)
                    matrix[row, column + j] = element(kind, part)


@stage
def read_b(warp, matrix, kind, k, first):
    """Fill matrix[:k, :8] with B."""
    bits = BITS[kind]
    mask = np.uint32(0xFFFFFFFF) >> np.uint32(32 - bits)
    per_register = 32 // bits
    for lane in range(LANES):
        g, t = lane >> 2, lane & 3
        for r in range(k * bits // 128):
            word = register_word(warp, first, r, lane)
            for i in range(per_register):
                part = np.uint32((word >> np.uint32(i * bits)) & mask)
                matrix[(4 * r + t) * per_register + i, g] = element(kind, part)


@stage
def half_of(word, high):
    return np.float64(
        float_from_half(np.uint32(word >> np.uint32(16)) if high else np.uint32(word & np.uint32(0xFFFF)))
    )


@stage
def addend(warp, accumulator, first, i, lane):
    """Element i of a lane's accumulators that begin at register `first`."""
    if accumulator == Accumulator.HALF:
        return half_of(register_word(warp, first, i >> 1, lane), i & 1)
    if accumulator == Accumulator.FLOAT:
        return np.float64(float32_from_bits(register_word(warp, first, i, lane)))
    if accumulator == Accumulator.DOUBLE:
        low, high = register_word(warp, first, 2 * i, lane), register_word(warp, first, 2 * i + 1, lane)
        return float64_from_bits(np.uint64(low) | (np.uint64(high) << np.uint64(32)))
    return np.float64(np.int32(register_word(warp, first, i, lane)))


@stage
def store_sum(warp, accumulator, first, i, lane, value):
    """Round a sum to the accumulator's type; elements come in ascending order."""
    if accumulator == Accumulator.HALF:
        bits = half_from_double(value, 0)
        if i & 1:
            warp.register[first + (i >> 1), lane] |= bits << np.uint32(16)
        else:
            warp.register[first + (i >> 1), lane] = bits
    elif accumulator == Accumulator.FLOAT:
        warp.register[first + i, lane] = canonical(np.float32(value))
    elif accumulator == Accumulator.DOUBLE:
        word = bits_from_float64(value)
        warp.register[first + 2 * i, lane] = np.uint32(word)
        warp.register[first + 2 * i + 1, lane] = np.uint32(word >> np.uint64(32))
    else:
        whole = np.int64(value)
        if accumulator == Accumulator.SATURATING:
            whole = min(max(whole, np.int64(-(1 << 31))), np.int64((1 << 31) - 1))
        warp.register[first + i, lane] = np.uint32(whole)


@stage
def read_c(op, warp, total, m, first):
    """Fill total[:m, :8] with the addend."""
    accumulator = (op.variant >> 8) & 15
    for lane in range(LANES):
        g, t = lane >> 2, lane & 3
        for i in range(m // 4):
            value = addend(warp, accumulator, first, i, lane)
            total[g + 8 * (i >> 1), 2 * t + (i & 1)] = -value if op.variant & NEGATE_C else value


@stage
def write_d(op, warp, total, m, active):
    accumulator = (op.variant >> 8) & 15
    for lane in range(LANES):
        if not (active >> np.uint32(lane)) & np.uint32(1):
            continue
        g, t = lane >> 2, lane & 3
        for i in range(m // 4):
            store_sum(warp, accumulator, op.data_register, i, lane, total[g + 8 * (i >> 1), 2 * t + (i & 1)])


@stage
def multiply_bits(op, warp, m, k, a, b, c, active):
    """BMMA: population count of A and B, or A xor B."""
    d = op.data_register
    for row_lane in range(LANES):
        warp.result[0, row_lane] = 0
    steps = k // 128
    for i in range(m // 4):
        for lane in range(LANES):
            g, t = lane >> 2, lane & 3
            total = np.int64(np.int32(register_word(warp, c, i, lane)))
            for step in range(steps):
                for other in range(4):
                    r = 2 * step + (i >> 1) if m == 16 else step
                    x = register_word(warp, a, r, 4 * g + other)
                    y = register_word(warp, b, step, 4 * (2 * t + (i & 1)) + other)
                    total += popcount(x ^ y if op.variant & XOR else x & y)
            warp.result[i, lane] = np.uint32(total)
    for i in range(m // 4):
        for lane in range(LANES):
            if (active >> np.uint32(lane)) & np.uint32(1):
                warp.register[d + i, lane] = warp.result[i, lane]


@stage
def multiply_double(warp, m, k, a, b, total):
    for row in range(m):
        for column in range(8):
            value = total[row, column]
            for at in range(k):
                r = 2 * (at >> 2) + (row >> 3) if m == 16 else at >> 2
                lane = 4 * (row & 7) + (at & 3)
                low, high = register_word(warp, a, 2 * r, lane), register_word(warp, a, 2 * r + 1, lane)
                x = float64_from_bits(np.uint64(low) | (np.uint64(high) << np.uint64(32)))
                r, lane = at >> 2, 4 * column + (at & 3)
                low, high = register_word(warp, b, 2 * r, lane), register_word(warp, b, 2 * r + 1, lane)
                y = float64_from_bits(np.uint64(low) | (np.uint64(high) << np.uint64(32)))
                value = fma64(x, y, value)
            total[row, column] = value


@stage
def multiply_quarter(op, warp, a, b, c, active):
    """HMMA.884 of sm_70 and sm_75: four products of 8 x 8 x 4, each by the lanes 4q ... 4q + 3 and 16 + 4q ....

    One step makes two registers of the result, number 2 `extra` and the next.
    """
    half = (op.variant >> 8) & 15 == Accumulator.HALF
    for i in range(2 if not half else 4):
        for lane in range(LANES):
            q, upper = (lane >> 2) & 3, lane >> 4
            number = 2 * op.extra + i if not half else 4 * op.extra + i
            if half:
                row, column = (lane & 3) + 4 * upper, number
                value = half_of(register_word(warp, c, i >> 1, lane), i & 1)
            else:
                row = (lane & 1) + (number & 2) + 4 * upper
                column = (number & 4) + (lane & 2) + (number & 1)
                value = np.float64(float32_from_bits(register_word(warp, c, i, lane)))
            for k in range(4):
                if op.variant & COLUMN_A:
                    x = half_of(register_word(warp, a, (row & 3) >> 1, 4 * q + k + 16 * (row >> 2)), row & 1)
                else:
                    x = half_of(register_word(warp, a, k >> 1, 4 * q + (row & 3) + 16 * (row >> 2)), k & 1)
                if op.variant & COLUMN_B:
                    y = half_of(register_word(warp, b, k >> 1, 4 * q + (column & 3) + 16 * (column >> 2)), k & 1)
                else:
                    y = half_of(register_word(warp, b, (column & 3) >> 1, 4 * q + k + 16 * (column >> 2)), column & 1)
                value += x * y
            if half:
                bits = half_from_double(value, 0)
                old = np.uint32(0) if i & 1 == 0 else warp.result[i >> 1, lane]
                warp.result[i >> 1, lane] = old | (bits << np.uint32(16 * (i & 1)))
            else:
                warp.result[i, lane] = canonical(np.float32(value))
    for i in range(2):
        for lane in range(LANES):
            if (active >> np.uint32(lane)) & np.uint32(1):
                warp.register[op.data_register + i, lane] = warp.result[i, lane]


@routine
def matrix(op, warp, machine, active):
    """Run one matrix instruction. Register numbers of A, B, C and the metadata are in `source[0..3].index`."""
    a, b, c = np.int64(op.source[0].index), np.int64(op.source[1].index), np.int64(op.source[2].index)
    m, k = np.int64(op.immediate >> 16), np.int64(op.immediate & 0xFFFF)
    kind, kind_b = np.int64(op.variant & 15), np.int64((op.variant >> 4) & 15)
    if op.variant & QUARTER:
        multiply_quarter(op, warp, a, b, c, active)
        return
    if kind == Element.BIT:
        multiply_bits(op, warp, m, k, a, b, c, active)
        return
    total = machine.matrix_c
    read_c(op, warp, total, m, c)
    if kind == Element.DOUBLE:
        multiply_double(warp, m, k, a, b, total)
    else:
        left, right = machine.matrix_a, machine.matrix_b
        read_a(op, warp, left, kind, m, k, a, np.int64(op.source[3].index))
        read_b(warp, right, kind_b, k, b)
        for row in range(m):
            for at in range(k):
                x = left[row, at]
                if op.variant & SPARSE and bits_from_float64(x) == EMPTY:
                    continue
                for column in range(8):
                    total[row, column] += x * right[at, column]
    write_d(op, warp, total, m, active)


@routine
def transpose(op, warp, active):
    """MOVM.16.MT88: the transpose of an 8 x 8 matrix of 16-bit elements, one register per lane.

    `variant` 1, .U4TO8.M832: 8 x 32 elements of 4 bits become bytes, as fragments of IMMA.16832 (the place of the
    columns is a guess: compiled code treats both factors alike).
    """
    source = np.int64(op.source[0].index)
    if op.variant:
        for lane in range(LANES):
            g, t = lane >> 2, lane & 3
            for half in range(2):
                word = np.uint32(register_word(warp, source, 0, 4 * g + 2 * half + (t >> 1)) >> np.uint32(16 * (t & 1)))
                wide = np.uint32(0)
                for i in range(4):
                    wide |= ((word >> np.uint32(4 * i)) & np.uint32(15)) << np.uint32(8 * i)
                warp.result[half, lane] = wide
        return
    for lane in range(LANES):
        g, t = lane >> 2, lane & 3
        word = np.uint32(0)
        for i in range(2):  # element (g, 2t + i) of the result is (2t + i, g) of the source
            other = register_word(warp, source, 0, 4 * (2 * t + i) + (g >> 1))
            word |= ((other >> np.uint32(16 * (g & 1))) & np.uint32(0xFFFF)) << np.uint32(16 * i)
        warp.result[0, lane] = word
