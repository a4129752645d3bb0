"""Bulk copies between global and shared memory: UBLKCP, UBLKRED, UTMALDG, UTMASTG, UTMAREDG and prefetches; STAS.

They take effect when issued, the bytes count at the mbarrier at once: see `matrix_memory` for what a program can see of
it. Tensor copies read our own tensor map (`tensor_map`). The tile lies densely in shared memory, dimension 0 fastest,
with the swizzle on its addresses; elements outside the tensor read as zero and are not written (CUDA driver API,
cuTensorMapEncodeTiled; PTX ISA, cp.async.bulk.tensor).
"""

from __future__ import annotations

import numpy as np

from isa.jit import routine, stage
from traces.emulator.atomics import Atomic, Number, data_word, updated
from traces.emulator.memory import RANK_BELOW, RANK_SHIFT, fail, find_allocation, lane_addresses, resolve
from traces.emulator.phase_barrier import arrived
from traces.emulator.records import LANES, Space, Status
from traces.emulator.tensor_map import (
    ADDRESS,
    BOX,
    DIMENSIONS,
    ELEMENT_STRIDES,
    KIND,
    MAGIC,
    MAX_RANK,
    NO_NUMBER,
    STRIDES,
    TENSOR_MAP_BYTES,
)

# `variant`: direction and flags; of reductions, the atomic from bit 8 and its number type from bit 16
LOAD, STORE, REDUCE, PREFETCH, BETWEEN_BLOCKS, MULTICAST = 1, 2, 4, 8, 16, 32


@stage
def shared_place(machine, address, size):
    """Byte offset of a shared address of any block of the cluster, or -1 with the error in the machine record."""
    rank, offset = address >> RANK_SHIFT, address & RANK_BELOW
    if rank >= machine.cluster_blocks:
        fail(machine, Status.REMOTE_BOUNDS, 0, address)
        return np.int64(-1)
    if offset < machine.shared_base or offset + size > machine.shared_end:
        fail(machine, Status.SHARED_BOUNDS, 0, address)
        return np.int64(-1)
    return machine.shared_at + (rank - machine.rank) * machine.shared_step + offset


@stage
def shared_status(machine, address):
    rank = address >> RANK_SHIFT
    return np.int64(Status.REMOTE_BOUNDS if rank >= machine.cluster_blocks else Status.SHARED_BOUNDS)


@routine
def check_global(machine, allocation, address, size, writes):
    """Status of an access to `size` bytes of one buffer."""
    found = allocation[find_allocation(machine, allocation, address)]
    if address < found.start or address + size > found.end:
        return fail(machine, Status.OUT_OF_BOUNDS, 0, address)
    if writes and not found.writable:
        return fail(machine, Status.READ_ONLY, 0, address)
    return np.int64(Status.RUNNING)


@routine
def check_values(machine, data, at, size, address):
    """UNINITIALIZED if one of the tracked bytes from offset `at` on has no value."""
    if machine.unwritten and machine.shadow_from <= at < machine.local_at:
        for k in range(size):
            if data[at + machine.shadow_move + k] == 0:
                return fail(machine, Status.UNINITIALIZED, 0, address + k)
    return np.int64(Status.RUNNING)


@routine
def note_values(machine, data, at, size):
    if machine.unwritten and machine.shadow_from <= at < machine.local_at:
        fresh = np.int64(0)
        for k in range(size):
            fresh += np.int64(data[at + machine.shadow_move + k] == 0)
            data[at + machine.shadow_move + k] = np.uint8(255)
        machine.unwritten -= fresh


@stage
def copy_bytes(data, to, source, size):
    for k in range(size):
        data[to + k] = data[source + k]


@stage
def read_bytes(data, at, size):
    value = np.uint64(0)
    for k in range(size):
        value |= np.uint64(data[at + k]) << np.uint64(8 * k)
    return value


@routine
def reduce_bytes(data, to, source, size, element, operation, number):
    """Combine elements of `element` bytes; packed types go by halves."""
    for at in range(0, size, element):
        old, value = read_bytes(data, to + at, element), read_bytes(data, source + at, element)
        new = np.uint64(updated(operation, number, old, value, old, element == 8))
        for k in range(element):
            data[to + at + k] = np.uint8((new >> np.uint64(8 * k)) & np.uint64(0xFF))


@routine
def log_copy(machine, accesses, shared, size, barrier, mask, other, row, steps, pitches, dimensions):
    """Append the records of a bulk copy (see `traces.stream`). Returns the index of the first."""
    first = machine.accesses
    for k in range(3 + dimensions):
        record = accesses[first + k]
        record.list_at = -1
        record.more = np.int32(k < 2 + dimensions)
        if k == 0:
            record.base, record.stride = shared, np.int32(size)
        elif k == 1:
            record.base, record.stride = barrier, np.int32(mask)
        elif k == 2:
            record.base, record.stride = other, np.int32(row)
        else:
            record.base, record.stride = pitches[k - 2], np.int32(steps[k - 2])
    machine.accesses = first + 3 + dimensions
    return first


@routine
def complete(machine, words, address, mask, size):
    """Count `size` bytes at the mbarrier, of every block of the multicast mask. Returns a Status."""
    machine.expired = 0
    for rank in range(16 if mask else 1):
        if mask and not (mask >> rank) & 1:
            continue
        target = ((rank << RANK_SHIFT) | (address & RANK_BELOW)) if mask else address
        at = shared_place(machine, np.int64(target), 8)
        if at < 0:
            return shared_status(machine, np.int64(target))
        if at & 7:
            return fail(machine, Status.MISALIGNED, 0, target)
        old = np.uint64(words[at >> 2]) | (np.uint64(words[(at >> 2) + 1]) << np.uint64(32))
        new = arrived(old, np.int64(0), -np.int64(size), 0)
        words[at >> 2], words[(at >> 2) + 1] = np.uint32(new), np.uint32(new >> np.uint64(32))
    return np.int64(Status.RUNNING)


@routine
def multicast(machine, data, shared, mask, size):
    """Copy what lies at `shared` of the own block to the other blocks of the mask."""
    own = machine.shared_at + (shared & RANK_BELOW)
    for rank in range(16):
        if not (mask >> rank) & 1:
            continue
        if rank >= machine.cluster_blocks:
            return fail(machine, Status.REMOTE_BOUNDS, 0, np.int64(rank) << RANK_SHIFT)
        to = own + (rank - machine.rank) * machine.shared_step
        if rank != machine.rank:
            copy_bytes(data, to, own, size)
        note_values(machine, data, to, size)
    return np.int64(Status.RUNNING)


@stage
def uniform_address(warp, register):
    return np.int64(warp.uniform[register]) | (np.int64(warp.uniform[register + 1]) << 32)


@routine
def bulk_copy(op, warp, machine, allocation, words, data, accesses):
    """UBLKCP, UBLKRED, UBLKPF. source[0..2].index: uniform registers of both addresses, of size and mask.

    Logs the copy; the index goes to `machine.copied`. Returns a Status.
    """
    amounts = np.int64(warp.uniform[op.source[2].index])
    size, mask = (amounts & 0xFFFF) << 4, amounts >> 16 if op.variant & MULTICAST else np.int64(0)
    first, second = np.int64(op.source[0].index), np.int64(op.source[1].index)
    shared, barrier = np.int64(-1), np.int64(-1)
    status = np.int64(Status.RUNNING)
    if op.variant & PREFETCH:
        other = uniform_address(warp, first)
        status = check_global(machine, allocation, other, size, False)
    elif op.variant & BETWEEN_BLOCKS:  # destination and mbarrier, source
        shared, barrier = np.int64(warp.uniform[first]), np.int64(warp.uniform[first + 1])
        other = np.int64(warp.uniform[second])
        to, source = shared_place(machine, shared, size), shared_place(machine, other, size)
        if to < 0 or source < 0:
            return shared_status(machine, shared if to < 0 else other)
        status = check_values(machine, data, source, size, other)
        if status == Status.RUNNING:
            copy_bytes(data, to, source, size)
            note_values(machine, data, to, size)
    else:
        loads = op.variant & LOAD != 0
        shared = np.int64(warp.uniform[first if loads else second])
        other = uniform_address(warp, second if loads else first)
        if loads:
            barrier = np.int64(warp.uniform[first + 1])
        at = shared_place(machine, shared, size)
        if at < 0:
            return shared_status(machine, shared)
        if (other | shared) & 15:
            return fail(machine, Status.MISALIGNED, 0, other if other & 15 else shared)
        status = check_global(machine, allocation, other, size, not loads)
        there = other - machine.global_base
        if status == Status.RUNNING:
            status = check_values(machine, data, there if loads else at, size, other if loads else shared)
        if status != Status.RUNNING:
            return status
        if loads:
            copy_bytes(data, at, there, size)
            note_values(machine, data, at, size)
            if mask:
                status = multicast(machine, data, shared, mask, size)
        elif op.variant & REDUCE:
            status = check_values(machine, data, there, size, other)
            operation, number = np.int64((op.variant >> 8) & 255), np.int64(op.variant >> 16)
            if status == Status.RUNNING:
                reduce_bytes(data, there, at, size, np.int64(op.bytes), operation, number)
        else:
            copy_bytes(data, there, at, size)
            note_values(machine, data, there, size)
    if status == Status.RUNNING and barrier >= 0:
        status = complete(machine, words, barrier, mask, size)
    machine.copied = log_copy(
        machine, accesses, shared, size, barrier, mask, other, size, machine.copy_steps, machine.copy_pitch, 0
    )
    return status


@stage
def swizzle(address, span):
    """Shared address after the swizzle of `span` bytes (0, 32, 64, 128)."""
    return address ^ (((address >> 7) & ((span >> 4) - 1)) << 4) if span else address


@routine
def tensor_copy(op, warp, machine, allocation, words, data, accesses):
    """UTMALDG, UTMASTG, UTMAREDG, UTMAPF of `extra` dimensions. source[0..2].index: uniform registers of the shared
    address, (of loads) the mbarrier and the coordinates; of the tensor map's address; of the multicast mask or NONE.

    Logs the copy; the index goes to `machine.copied`. Returns a Status.
    """
    map_address = uniform_address(warp, np.int64(op.source[1].index))
    rank = np.int64(op.extra)
    status = check_global(machine, allocation, map_address, TENSOR_MAP_BYTES, False)
    if status != Status.RUNNING or map_address & 63:
        return fail(machine, Status.DESCRIPTOR, 0, map_address)
    at = (map_address - machine.global_base) >> 2
    kind = np.int64(words[at + KIND])
    if words[at] != MAGIC or (kind >> 8) & 255 != rank:
        return fail(machine, Status.DESCRIPTOR, 0, map_address)
    span, element = ((kind >> 16) & 255) << 4, kind >> 24
    operation, number = np.int64((op.variant >> 8) & 255), kind & 255
    packed = number == Number.HALVES or number == Number.BFLOATS
    if op.variant & REDUCE and (
        number == NO_NUMBER or (number > Number.SIGNED and operation > (Atomic.MAXIMUM if packed else Atomic.ADD))
    ):
        return fail(machine, Status.DESCRIPTOR, 0, map_address)
    base = np.int64(words[at + ADDRESS]) | (np.int64(words[at + ADDRESS + 1]) << 32)
    register = np.int64(op.source[0].index)
    shared, barrier = np.int64(-1), np.int64(-1)
    if not op.variant & PREFETCH:
        shared = np.int64(warp.uniform[register])
        register += 1
    if op.variant & LOAD:
        barrier = np.int64(warp.uniform[register])
        register += 1
    # per dimension: first coordinate inside, steps inside, steps of the tile, pitch
    start, inside, box, pitch = machine.copy_start, machine.copy_steps, machine.copy_box, machine.copy_pitch
    rows, size, address = np.int64(1), element, base
    for d in range(MAX_RANK):
        start[d], inside[d], box[d], pitch[d] = 0, 1, 1, 0
        if d >= rank:
            continue
        extent, count = np.int64(words[at + DIMENSIONS + d]), np.int64(words[at + BOX + d])
        step = np.int64(words[at + ELEMENT_STRIDES + d]) if d else np.int64(1)
        coordinate = np.int64(np.int32(warp.uniform[register + d]))
        count = (count + step - 1) // step
        low = (max(-coordinate, np.int64(0)) + step - 1) // step
        high = min(count, (extent - coordinate + step - 1) // step)
        one = element
        if d:
            one = np.int64(words[at + STRIDES + 2 * d - 2]) | (np.int64(words[at + STRIDES + 2 * d - 1]) << 32)
        box[d], pitch[d] = count, one * step
        start[d], inside[d] = low, max(high - low, np.int64(0))
        address += one * coordinate
        size *= count
        if d:
            rows *= count
    row_bytes = box[0] * element
    first, part = start[0] * element, inside[0] * element
    for d in range(1, MAX_RANK):
        if inside[d] == 0:
            part = np.int64(0)
    place = np.int64(0)
    if shared >= 0:
        if shared & 127:
            return fail(machine, Status.MISALIGNED, 0, shared)
        place = shared_place(machine, shared, size)
        if place < 0:
            return shared_status(machine, shared)
        if op.variant & LOAD:
            for k in range(size):
                data[place + k] = np.uint8(0)
    shared_low = shared & RANK_BELOW
    origin = place - shared_low
    begin = address
    for d in range(MAX_RANK):
        begin += start[d] * pitch[d]
    for row in range(rows if part else np.int64(0)):
        left, source, within = row, address, True
        for d in range(1, MAX_RANK):
            at_d = left % box[d]
            left //= box[d]
            within = within and start[d] <= at_d < start[d] + inside[d]
            source += at_d * pitch[d]
        if not within:
            continue
        source += first
        status = check_global(machine, allocation, source, part, op.variant & (STORE | REDUCE) != 0)
        if status != Status.RUNNING:
            return status
        there = source - machine.global_base
        if op.variant & (LOAD | REDUCE):
            status = check_values(machine, data, there, part, source)
        if op.variant & PREFETCH:
            continue
        # in pieces that the swizzle leaves together
        done = np.int64(0)
        while done < part and status == Status.RUNNING:
            tile = shared_low + row * row_bytes + first + done
            piece = min(16 - (tile & 15), part - done)
            here = origin + swizzle(tile, span)
            if op.variant & LOAD:
                copy_bytes(data, here, there + done, piece)
            else:
                status = check_values(machine, data, here, piece, shared + here - place)
                if status == Status.RUNNING and op.variant & REDUCE:
                    reduce_bytes(data, there + done, here, piece, element, operation, number)
                elif status == Status.RUNNING:
                    copy_bytes(data, there + done, here, piece)
            done += piece
        if status != Status.RUNNING:
            return status
        if op.variant & STORE:
            note_values(machine, data, there, part)
    mask = np.int64(0)
    if op.variant & LOAD:
        note_values(machine, data, place, size)
        if op.variant & MULTICAST:
            mask = np.int64(warp.uniform[op.source[2].index]) >> 16
            status = multicast(machine, data, shared, mask, size)
        if status == Status.RUNNING:
            status = complete(machine, words, barrier, mask, size)
    machine.copied = log_copy(
        machine, accesses, shared, size, barrier, mask, begin, part, machine.copy_steps, machine.copy_pitch, rank - 1
    )
    return status


@routine
def store_async(op, warp, machine, allocation, words, halves, data, active):
    """STAS and REDAS: write or combine a value in a block's shared memory, count its bytes at an mbarrier there.

    The address register is a pair: where the value goes, and the mbarrier (left in `wide_c` for the log).
    """
    lane_addresses(op, warp)
    barriers = warp.register[op.address_register + 1]
    for lane in range(LANES):
        warp.wide_c[lane] = np.uint64(barriers[lane])
    status = resolve(op, warp, machine, allocation, active, np.int64(Space.SHARED))
    if status != Status.RUNNING:
        return status
    for lane in range(LANES):
        if not (active >> np.uint32(lane)) & np.uint32(1):
            continue
        at = np.int64(warp.wide_d[lane])
        for k in range(op.bytes >> 2):
            value = data_word(warp, op.data_register, k, lane)
            if op.variant & REDUCE:
                old = np.uint64(words[(at >> 2) + k])
                operation, number = np.int64((op.variant >> 8) & 255), np.int64(op.variant >> 16)
                value = np.uint32(updated(operation, number, old, np.uint64(value), old, False))
            words[(at >> 2) + k] = value
        note_values(machine, data, at, np.int64(op.bytes))
        status = complete(machine, words, np.int64(barriers[lane]), np.int64(0), np.int64(op.bytes))
        if status != Status.RUNNING:
            return status
    return status
