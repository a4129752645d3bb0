"""Loads, stores and atomics: lane addresses, bounds and alignment checks, and the bytes themselves."""

from __future__ import annotations

import numpy as np

from isa.bits import popcount, trailing_zeros
from isa.jit import routine, stage
from traces.emulator.atomics import atomic
from traces.emulator.records import ALL, LANES, NONE, Operation, Space, Status

RANK_SHIFT = 24  # compiled code puts the rank of a block there (PRMT with selector 0x654, LEA by 24)
RANK_BELOW = (1 << RANK_SHIFT) - 1


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
def resolve_cluster(op, warp, machine, active):
    """`resolve` for shared memory in a cluster: bits 24 and up of an address are the rank of a block."""
    width = np.int64(op.bytes)
    remote = op.space == Space.GENERIC or op.operation >= Operation.PHASE_BARRIER
    substitute = np.uint64(0)
    for step in range(2):  # active lanes, then the others
        for lane in range(LANES):
            if not (active >> np.uint32(lane)) & np.uint32(1):
                if step:
                    warp.wide_d[lane] = substitute
                continue
            at = np.int64(warp.address[lane] & ALL)
            rank, offset = at >> RANK_SHIFT, at & RANK_BELOW
            if rank >= machine.cluster_blocks or (rank != machine.rank and not remote):
                return fail(machine, Status.REMOTE_BOUNDS, lane, warp.address[lane])
            if offset & (width - 1):
                return fail(machine, Status.MISALIGNED, lane, warp.address[lane])
            if offset < machine.shared_base or offset + width > machine.shared_end:
                return fail(machine, Status.SHARED_BOUNDS, lane, warp.address[lane])
            substitute = np.uint64(machine.shared_at + (rank - machine.rank) * machine.shared_step + offset)
            warp.wide_d[lane] = substitute
    return np.int64(Status.RUNNING)


@routine
def resolve(op, warp, machine, allocation, active, space):
    """Check every active lane and put byte offsets into the memory array into `warp.wide_d`. Returns a Status.

    Idle lanes get the offset of the first active one, so that loads may read all lanes. `space` is not GENERIC.
    """
    address, offset = warp.address, warp.wide_d
    width = np.int64(op.bytes)
    first = np.int64(trailing_zeros(np.uint64(active)))
    if space == Space.SHARED:
        if machine.cluster_blocks > 1:
            return resolve_cluster(op, warp, machine, active)
        begin, end, move = machine.shared_base, machine.shared_end, machine.shared_at
        status = np.int64(Status.SHARED_BOUNDS)
    elif space == Space.LOCAL:
        begin, end = np.int64(0), machine.local_bytes
        move = machine.local_at + np.int64(warp.slot) * LANES * machine.local_bytes
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
                return fail(machine, Status.MISALIGNED, lane, address[lane])
            if at >= begin and at <= end:
                continue
            if space != Space.GLOBAL:
                return fail(machine, status, lane, address[lane])
            found = find_allocation(machine, allocation, at)
            if at < allocation[found].start or at > allocation[found].end - width:  # at + width may overflow
                return fail(machine, status, lane, address[lane])
            op.allocation = found
    if space == Space.LOCAL:
        for lane in range(LANES):
            offset[lane] += np.uint64(lane * machine.local_bytes)
    elif space == Space.GLOBAL and (op.operation == Operation.STORE or op.operation == Operation.ATOMIC):
        return check_writable(op, warp, machine, allocation, active, outside != 0)
    return np.int64(Status.RUNNING)


@routine
def check_writable(op, warp, machine, allocation, active, apart):
    """READ_ONLY if an active lane lies in such an allocation. `apart`: lanes lie in several allocations."""
    if not apart and allocation[op.allocation].writable:
        return np.int64(Status.RUNNING)
    for lane in range(LANES):
        if (active >> np.uint32(lane)) & np.uint32(1):
            at = warp.address[lane]
            if not allocation[find_allocation(machine, allocation, at)].writable:
                return fail(machine, Status.READ_ONLY, lane, at)
    return np.int64(Status.RUNNING)


@routine
def check_written(op, warp, machine, words, data, active):
    """UNINITIALIZED if a resolved access reads a tracked byte that nothing has written."""
    if machine.unwritten == 0:
        return np.int64(Status.RUNNING)
    offset = warp.wide_d
    first = np.int64(offset[np.int64(trailing_zeros(np.uint64(active)))])
    if first < machine.shadow_from or first >= machine.local_at:
        return np.int64(Status.RUNNING)
    move, missing = machine.shadow_move, np.uint32(0)
    if op.bytes >= 4:
        for k in range(op.bytes >> 2):
            for lane in range(LANES):  # idle lanes have the offset of an active one
                missing |= ~words[((np.int64(offset[lane]) + move) >> 2) + k]
    else:
        for lane in range(LANES):
            for k in range(op.bytes):
                missing |= np.uint32(~data[np.int64(offset[lane]) + move + k])
    if missing:
        for lane in range(LANES):
            if (active >> np.uint32(lane)) & np.uint32(1):
                for k in range(op.bytes):
                    if data[np.int64(offset[lane]) + move + k] == 0:
                        return fail(machine, Status.UNINITIALIZED, lane, warp.address[lane])
    return np.int64(Status.RUNNING)


@routine
def mark_written(op, warp, machine, words, data, active):
    """Enter the tracked bytes of a resolved store."""
    if machine.unwritten == 0:
        return
    offset = warp.wide_d
    first = np.int64(offset[np.int64(trailing_zeros(np.uint64(active)))])
    if first < machine.shadow_from or first >= machine.local_at:
        return
    move, fresh = machine.shadow_move, np.int64(0)
    if op.bytes >= 4:
        for k in range(op.bytes >> 2):
            for lane in range(LANES):
                at = ((np.int64(offset[lane]) + move) >> 2) + k
                fresh += popcount(~words[at]) >> 3
                words[at] = np.uint32(ALL)
    else:
        for lane in range(LANES):
            for k in range(op.bytes):
                at = np.int64(offset[lane]) + move + k
                fresh += np.int64(data[at] == 0)
                data[at] = np.uint8(255)
    machine.unwritten -= fresh


@routine
def load(op, warp, words, halves, data, some, lanes):
    """Read `op.bytes` for every lane (if `some`: those of `lanes`) into the result rows; narrow loads extend."""
    offset = warp.wide_d
    if some and op.bytes >= 4:
        for k in range(op.bytes >> 2):
            for lane in range(LANES):
                if (lanes >> np.uint32(lane)) & np.uint32(1):
                    warp.result[k, lane] = words[np.int64(offset[lane] >> np.uint64(2)) + k]
        return
    if op.bytes >= 4:
        for k in range(op.bytes >> 2):
            result = warp.result[k]
            for lane in range(LANES):
                result[lane] = words[np.int64(offset[lane] >> np.uint64(2)) + k]
        return
    result = warp.result[0]
    for lane in range(LANES):
        if some and not (lanes >> np.uint32(lane)) & np.uint32(1):
            continue
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


@stage
def space_of(machine, address):
    """Memory space of a generic address."""
    if address >> 32 == machine.shared_window >> 32:
        return np.int64(Space.SHARED)
    return np.int64(Space.LOCAL if address >> 32 == machine.local_window >> 32 else Space.GLOBAL)


@routine
def query_space(op, warp, machine):
    """QSPC: predicate 0 holds where a generic address lies in space `variant`."""
    lane_addresses(op, warp)
    inside = np.uint32(0)
    for lane in range(LANES):
        inside |= np.uint32(space_of(machine, warp.address[lane]) == op.variant) << np.uint32(lane)
    warp.mask_result[0] = inside


@routine
def access_space(op, warp, machine, allocation, words, halves, data, lanes, space, some):
    """Run an access for `lanes` that lie in one space; `some`: others lie elsewhere. Returns a Status."""
    status = resolve(op, warp, machine, allocation, lanes, space)
    if status == Status.RUNNING and op.operation != Operation.STORE:
        status = check_written(op, warp, machine, words, data, lanes)
    if status != Status.RUNNING:
        return status
    if op.operation == Operation.LOAD:
        load(op, warp, words, halves, data, some, lanes)
        if op.bytes == 32 and op.swap_register != NONE:  # the upper four registers are an operand of their own
            for k in range(4):
                for lane in range(LANES):
                    if (lanes >> np.uint32(lane)) & np.uint32(1):
                        warp.register[op.swap_register + k, lane] = warp.result[4 + k, lane]
    elif op.operation == Operation.STORE:
        for k in range((op.bytes + 3) >> 2):
            # 32 bytes: the upper four registers are an operand of their own
            first = op.swap_register if k >= 4 else op.data_register
            for lane in range(LANES):
                value = np.uint32(0) if first == NONE else warp.register[first + (k & 3), lane]
                warp.result[k, lane] = value
        store(op, warp, words, halves, data, lanes)
        mark_written(op, warp, machine, words, data, lanes)
    else:
        atomic(op, warp, words, lanes)
    return status


@routine
def access(op, warp, machine, allocation, words, halves, data, active):
    """Run one load, store or atomic. Returns a Status."""
    lane_addresses(op, warp)
    if op.space != Space.GENERIC:
        return access_space(op, warp, machine, allocation, words, halves, data, active, np.int64(op.space), False)
    done = np.uint32(0)
    left = np.uint32(active)
    status = np.int64(Status.RUNNING)
    while left and status == Status.RUNNING:
        space = space_of(machine, warp.address[np.int64(trailing_zeros(np.uint64(left)))])
        lanes = np.uint32(0)
        for lane in range(LANES):
            if (left >> np.uint32(lane)) & np.uint32(1) and space_of(machine, warp.address[lane]) == space:
                lanes |= np.uint32(1) << np.uint32(lane)
        left &= ~lanes
        if space == Space.GLOBAL or op.predicate_destination[0] == NONE:
            status = access_space(
                op, warp, machine, allocation, words, halves, data, lanes, space, lanes != np.uint32(active)
            )
            done |= lanes
    # an atomic with a predicate result works in global memory only, and says where it did
    warp.mask_result[0] = done
    return status


@routine
def load_constant(op, warp, machine, constants, active):
    """LDC, ULDC, LDCU: `variant` = bank, a = offset, plus `immediate`. Logged: bank << 16 + offset. Returns Status."""
    start, end = machine.bank_start[op.variant], machine.bank_bytes[op.variant]
    for lane in range(LANES):
        if not (active >> np.uint32(lane)) & np.uint32(1):
            continue
        at = np.int64(np.int32(warp.a[lane])) + op.immediate
        warp.address[lane] = (np.int64(op.variant) << 16) + at
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
