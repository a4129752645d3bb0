"""Atomic operations on memory words."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from isa.jit import routine, stage
from traces.emulator.records import LANES, NONE
from traces.emulator.scalar import (
    bfloat_from_double,
    bits_from_float32,
    bits_from_float64,
    float32_from_bits,
    float64_from_bits,
    float_from_half,
    flush_bits,
    half_from_double,
)


class Atomic(IntEnum):
    ADD = 0
    MINIMUM = 1
    MAXIMUM = 2
    AND = 3
    OR = 4
    XOR = 5
    INCREMENT = 6  # old >= value ? 0 : old + 1
    DECREMENT = 7
    EXCHANGE = 8
    COMPARE_AND_SWAP = 9
    INCREMENT_ONE = 10  # POPC.INC: one for every lane
    COMPARE_AND_SWAP_TEST = 11  # CAST: the result is 1 (predicate: true) for the lanes that swapped
    ARRIVE = 12  # ATOMS.ARRIVE.64: one arrival at an mbarrier of sm_80


class Number(IntEnum):
    """How an atomic reads its operands. FLOAT and the packed ones: every 32-bit word on its own."""

    UNSIGNED = 0
    SIGNED = 1
    FLOAT = 2
    HALVES = 3
    BFLOATS = 4
    DOUBLE = 5
    FLUSHED_FLOAT = 6  # .FTZ


@stage
def half_value_of(bits, number):
    if number == Number.BFLOATS:
        return np.float64(float32_from_bits(np.uint32(bits << np.uint32(16))))
    return np.float64(float_from_half(bits))


@stage
def halves_updated(operation, number, old, value):
    """New word of two packed values. Minimum and maximum: a number beats NaN."""
    word = np.uint32(0)
    for k in range(2):
        shift = np.uint32(16 * k)
        x_bits, y_bits = np.uint32((old >> shift) & np.uint32(0xFFFF)), np.uint32((value >> shift) & np.uint32(0xFFFF))
        x, y = half_value_of(x_bits, number), half_value_of(y_bits, number)
        if operation == Atomic.ADD:
            total = x + y
            bits = bfloat_from_double(total, 0) if number == Number.BFLOATS else half_from_double(total, 0)
        else:
            below = x < y or (x == y and x_bits > y_bits)
            picks_x = y != y or (x == x and below == (operation == Atomic.MINIMUM))
            bits = np.uint32(0x7FFF) if x != x and y != y else x_bits if picks_x else y_bits
        word |= np.uint32(bits << shift)
    return word


@stage
def updated(operation, number, old, value, other, wide):
    """New memory word of an atomic. 32-bit words arrive zero-extended."""
    if operation == Atomic.EXCHANGE:
        return value
    if operation == Atomic.COMPARE_AND_SWAP or operation == Atomic.COMPARE_AND_SWAP_TEST:
        return other if old == value else old
    if operation == Atomic.INCREMENT_ONE:
        return old + np.uint64(1)
    if operation == Atomic.AND:
        return old & value
    if operation == Atomic.OR:
        return old | value
    if operation == Atomic.XOR:
        return old ^ value
    if operation == Atomic.INCREMENT:
        return np.uint64(0) if old >= value else old + np.uint64(1)
    if operation == Atomic.DECREMENT:
        return value if old == 0 or old > value else old - np.uint64(1)
    if operation == Atomic.ARRIVE:
        # Upper word: bit 31 the phase, below it the arrivals that are missing, negative; lower word, bits 0 to 29: its
        # start value for the next phase. As compiled code for sm_80 initialises and tests it.
        high = np.uint64(((old >> np.uint64(32)) + np.uint64(1)) & np.uint64(0xFFFFFFFF))
        if high & np.uint64(0x7FFFFFFF) == 0:
            high |= (old & np.uint64(0x3FFFFFFF)) | np.uint64(0x40000000)
        return (old & np.uint64(0xFFFFFFFF)) | (high << np.uint64(32))
    if number == Number.DOUBLE:
        return bits_from_float64(float64_from_bits(old) + float64_from_bits(value))
    if number == Number.FLOAT:
        return np.uint64(bits_from_float32(float32_from_bits(np.uint32(old)) + float32_from_bits(np.uint32(value))))
    if number == Number.FLUSHED_FLOAT:
        x, y = float32_from_bits(flush_bits(np.uint32(old))), float32_from_bits(flush_bits(np.uint32(value)))
        return np.uint64(flush_bits(bits_from_float32(x + y)))
    if number == Number.HALVES or number == Number.BFLOATS:
        return np.uint64(halves_updated(operation, number, np.uint32(old), np.uint32(value)))
    if operation == Atomic.ADD:
        return old + value
    below = old < value
    if number == Number.SIGNED:
        below = np.int64(old) < np.int64(value) if wide else np.int32(np.uint32(old)) < np.int32(np.uint32(value))
    return old if below == (operation == Atomic.MINIMUM) else value


@stage
def data_word(warp, first, k, lane):
    return np.uint32(0) if first == NONE else warp.register[first + k, lane]


@stage
def exchange_128(op, warp, words, at, lane):
    """EXCH.128 and CAS.128."""
    same = True
    for k in range(4):
        warp.result[k, lane] = words[at + k]
        same = same and words[at + k] == data_word(warp, op.data_register, k, lane)
    for k in range(4):
        if op.variant == Atomic.EXCHANGE:
            words[at + k] = data_word(warp, op.data_register, k, lane)
        elif same:
            words[at + k] = data_word(warp, op.swap_register, k, lane)


@routine
def atomic(op, warp, words, active):
    """Read, change and write memory for every active lane, in lane order. The old values go to the result rows."""
    offset = warp.wide_d
    number = op.extra
    wide = op.bytes == 8 and (number == Number.DOUBLE or number <= Number.SIGNED)
    swapped = np.uint32(0)
    for lane in range(LANES):
        if not (active >> np.uint32(lane)) & np.uint32(1):
            continue
        at = np.int64(offset[lane]) >> 2
        if op.bytes == 16 and number <= Number.SIGNED:
            exchange_128(op, warp, words, at, lane)
            continue
        for k in range(1 if wide else op.bytes >> 2):
            old = np.uint64(words[at + k])
            value, other = np.uint64(data_word(warp, op.data_register, k, lane)), np.uint64(0)
            if op.swap_register != NONE:
                other = np.uint64(warp.register[op.swap_register, lane])
            if wide:
                old |= np.uint64(words[at + 1]) << np.uint64(32)
                value |= np.uint64(data_word(warp, op.data_register, 1, lane)) << np.uint64(32)
                if op.swap_register != NONE:
                    other |= np.uint64(warp.register[op.swap_register + 1, lane]) << np.uint64(32)
            new = updated(op.variant, number, old, value, other, wide)
            words[at + k] = np.uint32(new)
            if op.variant == Atomic.COMPARE_AND_SWAP_TEST:
                swapped |= np.uint32(old == value) << np.uint32(lane)
                old = np.uint64(old == value)
            warp.result[k, lane] = np.uint32(old)
            if wide:
                words[at + 1] = np.uint32(new >> np.uint64(32))
                warp.result[1, lane] = np.uint32(old >> np.uint64(32))
    warp.mask_result[0] = swapped
