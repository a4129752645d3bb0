"""Loads, stores and atomics: lane addresses, bounds and alignment checks, and the bytes themselves."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from isa.bits import trailing_zeros
from isa.jit import routine, stage
from traces.emulator.records import ALL, LANES, NONE, Operation, Space, Status
from traces.emulator.scalar import (
    bits_from_float32,
    bits_from_float64,
    float32_from_bits,
    float64_from_bits,
    float_from_half,
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


class Number(IntEnum):
    """How an atomic reads its operands."""

    UNSIGNED = 0
    SIGNED = 1
    FLOAT = 2
    HALVES = 3


@routine
def lane_addresses(op, warp):
    """Fill `warp.address`: register (pair) times scale, plus uniform register (pair), plus offset."""
    address = warp.address
    base = op.immediate
    if op.address_uniform != NONE:
        base += np.int64(warp.uniform[op.address_uniform])
        if op.address_uniform_wide:
            base += np.int64(warp.uniform[op.address_uniform + 1]) << 32
    if op.address_register == NONE:
        for lane in range(LANES):
            address[lane] = base
    elif op.address_wide:
        low, high = warp.register[op.address_register], warp.register[op.address_register + 1]
        for lane in range(LANES):
            address[lane] = base + (np.int64(low[lane]) | (np.int64(high[lane]) << 32))
    else:
        register = warp.register[op.address_register]
        scale = np.int64(op.address_scale)
        for lane in range(LANES):
            address[lane] = base + np.int64(register[lane]) * scale
    if op.space == Space.SHARED or op.space == Space.LOCAL:  # 32-bit address spaces
        for lane in range(LANES):
            address[lane] &= ALL


@stage
def fail(machine, status, lane, address):
    machine.error_lane = lane
    machine.error_address = address
    return np.int64(status)


@stage
def find_allocation(machine, allocation, at):
    """The last allocation that starts at or below an address (or the first one)."""
    low, high = 0, machine.allocations - 1
    while low < high:
        middle = (low + high + 1) // 2
        if allocation[middle].start <= at:
            low = middle
        else:
            high = middle - 1
    return low


@routine
def resolve(op, warp, machine, allocation, active):
    """Check every active lane and put byte offsets into the memory array into `warp.wide_d`. Returns a Status.

    Idle lanes get the offset of the first active one, so that loads may read all lanes.
    """
    address, offset = warp.address, warp.wide_d
    width = np.int64(op.bytes)
    space = np.int64(op.space)
    first = np.int64(trailing_zeros(np.uint64(active)))
    if space == Space.GENERIC:
        window = address[first] >> 32
        if window == machine.shared_window >> 32:
            space = np.int64(Space.SHARED)
        elif window == machine.local_window >> 32:
            space = np.int64(Space.LOCAL)
        else:
            space = np.int64(Space.GLOBAL)
        if space != Space.GLOBAL:
            for lane in range(LANES):
                if (active >> np.uint32(lane)) & np.uint32(1) and address[lane] >> 32 != window:
                    return fail(machine, Status.MIXED_SPACES, lane, address[lane])
    if space == Space.SHARED:
        begin, end, move = machine.shared_base, machine.shared_end, machine.shared_at
        status = np.int64(Status.SHARED_BOUNDS)
    elif space == Space.LOCAL:
        begin, end = np.int64(0), machine.local_bytes
        move = machine.local_at + np.int64(warp.index) * LANES * machine.local_bytes
        status = np.int64(Status.LOCAL_BOUNDS)
    else:
        hint = allocation[op.allocation]
        begin, end, move = hint.start, hint.end, -machine.global_base
        status = np.int64(Status.OUT_OF_BOUNDS)
    keep = np.int64(-1) if space == Space.GLOBAL else np.int64(ALL)
    end -= width
    substitute = address[first] & keep
    outside, misaligned = np.int64(0), np.int64(0)
    for lane in range(LANES):
        runs = (active >> np.uint32(lane)) & np.uint32(1) != 0
        at = address[lane] & keep if runs else substitute
        outside |= np.int64(at < begin) | np.int64(at > end)
        misaligned |= at & (width - 1)
        offset[lane] = np.uint64(at + move)
    if misaligned or outside:
        for lane in range(LANES):
            if not (active >> np.uint32(lane)) & np.uint32(1):
                continue
            at = np.int64(address[lane] & keep)
            if at & (width - 1):
                return fail(machine, Status.MISALIGNED, lane, at)
            if at >= begin and at <= end:
                continue
            if space != Space.GLOBAL:
                return fail(machine, status, lane, at)
            found = find_allocation(machine, allocation, at)
            if at < allocation[found].start or at + width > allocation[found].end:
                return fail(machine, status, lane, at)
            op.allocation = found
    if space == Space.LOCAL:
        for lane in range(LANES):
            offset[lane] += np.uint64(lane * machine.local_bytes)
    return np.int64(Status.RUNNING)


@routine
def load(op, warp, words, halves, data):
    """Read `op.bytes` for every lane into the result rows; narrow loads extend by sign or zero."""
    offset = warp.wide_d
    if op.bytes >= 4:
        for k in range(op.bytes >> 2):
            result = warp.result[k]
            for lane in range(LANES):
                result[lane] = words[np.int64(offset[lane] >> np.uint64(2)) + k]
        return
    result = warp.result[0]
    for lane in range(LANES):
        at = np.int64(offset[lane])
        if op.bytes == 2:
            value = np.int64(halves[at >> 1])
            result[lane] = np.uint32(value - 0x10000 if op.signed and value >= 0x8000 else value)
        else:
            value = np.int64(data[at])
            result[lane] = np.uint32(value - 0x100 if op.signed and value >= 0x80 else value)


@routine
def store(op, warp, words, halves, data, active):
    """Write the result rows of the active lanes, in lane order."""
    offset = warp.wide_d
    for lane in range(LANES):
        if not (active >> np.uint32(lane)) & np.uint32(1):
            continue
        at = np.int64(offset[lane])
        if op.bytes >= 4:
            for k in range(op.bytes >> 2):
                words[(at >> 2) + k] = warp.result[k, lane]
        elif op.bytes == 2:
            halves[at >> 1] = np.uint16(warp.result[0, lane])
        else:
            data[at] = np.uint8(warp.result[0, lane])


@stage
def half_sum(old, value):
    low = half_from_double(
        np.float64(float_from_half(old & np.uint32(0xFFFF))) + float_from_half(value & np.uint32(0xFFFF)), 0
    )
    high = half_from_double(
        np.float64(float_from_half(old >> np.uint32(16))) + float_from_half(value >> np.uint32(16)), 0
    )
    return low | (high << np.uint32(16))


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
    if number == Number.FLOAT:
        if wide:
            return bits_from_float64(float64_from_bits(old) + float64_from_bits(value))
        return np.uint64(bits_from_float32(float32_from_bits(np.uint32(old)) + float32_from_bits(np.uint32(value))))
    if number == Number.HALVES:
        return np.uint64(half_sum(np.uint32(old), np.uint32(value)))
    if operation == Atomic.ADD:
        return old + value
    below = old < value
    if number == Number.SIGNED:
        below = np.int64(old) < np.int64(value) if wide else np.int32(np.uint32(old)) < np.int32(np.uint32(value))
    return old if below == (operation == Atomic.MINIMUM) else value


@routine
def atomic(op, warp, words, active):
    """Read, change and write one word per active lane, in lane order. Values: result rows 0-1, swaps: 2-3."""
    offset = warp.wide_d
    wide = op.bytes == 8
    swapped = np.uint32(0)
    for lane in range(LANES):
        if not (active >> np.uint32(lane)) & np.uint32(1):
            continue
        at = np.int64(offset[lane]) >> 2
        old, value, other = np.uint64(words[at]), np.uint64(warp.result[0, lane]), np.uint64(warp.result[2, lane])
        if wide:
            old |= np.uint64(words[at + 1]) << np.uint64(32)
            value |= np.uint64(warp.result[1, lane]) << np.uint64(32)
            other |= np.uint64(warp.result[3, lane]) << np.uint64(32)
        new = updated(op.variant, op.extra, old, value, other, wide)
        words[at] = np.uint32(new)
        if op.variant == Atomic.COMPARE_AND_SWAP_TEST:
            swapped |= np.uint32(old == value) << np.uint32(lane)
            old = np.uint64(old == value)
        warp.result[0, lane] = np.uint32(old)
        if wide:
            words[at + 1] = np.uint32(new >> np.uint64(32))
            warp.result[1, lane] = np.uint32(old >> np.uint64(32))
    warp.mask_result[0] = swapped


@routine
def log_addresses(warp, machine, accesses, lane_address, active):
    """Append one MEMORY_ACCESS: base and stride where the active lanes follow one, else a list. Returns its index."""
    address = warp.address
    first = np.int64(trailing_zeros(np.uint64(active)))
    rest = np.uint64(active) & (np.uint64(active) - np.uint64(1))
    stride = np.int64(0)
    if rest:
        second = np.int64(trailing_zeros(rest))
        step = address[second] - address[first]
        stride = step // (second - first)
    base = address[first] - first * stride
    apart = np.int64(0)
    for lane in range(LANES):
        runs = np.int64((active >> np.uint32(lane)) & np.uint32(1))
        apart |= (address[lane] - (base + lane * stride)) * runs
    at = machine.accesses
    machine.accesses += 1
    record = accesses[at]
    record.more = 0
    if apart == 0 and np.abs(stride) < 2**31:
        record.base, record.stride, record.list_at = base, stride, -1
    else:
        record.base, record.stride, record.list_at = 0, 0, machine.addresses
        for lane in range(LANES):
            if (active >> np.uint32(lane)) & np.uint32(1):
                lane_address[machine.addresses] = address[lane]
                machine.addresses += 1
    return at


@routine
def access(op, warp, machine, allocation, words, halves, data, active):
    """Run one load, store or atomic. Returns a Status."""
    lane_addresses(op, warp)
    status = resolve(op, warp, machine, allocation, active)
    if status != Status.RUNNING:
        return status
    if op.operation == Operation.LOAD:
        load(op, warp, words, halves, data)
        return status
    count = (op.bytes + 3) >> 2
    for k in range(count):
        for lane in range(LANES):
            value = np.uint32(0) if op.data_register == NONE else warp.register[op.data_register + k, lane]
            warp.result[k, lane] = value
    if op.operation == Operation.STORE:
        store(op, warp, words, halves, data, active)
        return status
    if op.swap_register != NONE:
        for k in range(count):
            for lane in range(LANES):
                warp.result[2 + k, lane] = warp.register[op.swap_register + k, lane]
    else:
        for lane in range(LANES):
            warp.result[2, lane] = 0
            warp.result[3, lane] = 0
    atomic(op, warp, words, active)
    return status


@routine
def load_constant(op, warp, machine, constants, active):
    """LDC, ULDC, LDCU: `variant` = bank, a = offset, plus `immediate`. Returns a Status."""
    start, end = machine.bank_start[op.variant], machine.bank_bytes[op.variant]
    for lane in range(LANES):
        if not (active >> np.uint32(lane)) & np.uint32(1):
            continue
        at = np.int64(np.int32(warp.a[lane])) + op.immediate
        warp.address[lane] = at
        if at < 0 or at + op.bytes > end:
            return fail(machine, Status.CONSTANT_BOUNDS, lane, at)
        if at & (op.bytes - 1):
            return fail(machine, Status.MISALIGNED, lane, at)
        word = constants[start + (at >> 2)]
        if op.bytes >= 4:
            for k in range(op.bytes >> 2):
                warp.result[k, lane] = constants[start + (at >> 2) + k]
        elif op.bytes == 2:
            value = np.int64((word >> np.uint32(8 * (at & 2))) & np.uint32(0xFFFF))
            warp.result[0, lane] = np.uint32(value - 0x10000 if op.signed and value >= 0x8000 else value)
        else:
            value = np.int64((word >> np.uint32(8 * (at & 3))) & np.uint32(0xFF))
            warp.result[0, lane] = np.uint32(value - 0x100 if op.signed and value >= 0x80 else value)
    return np.int64(Status.RUNNING)
