"""Memory instructions of matrix code: LDGSTS (copies of global to shared memory), LDSM and STSM.

A copy takes effect when it is issued. A program that waits for its copies, as it must, sees the same values as on
hardware; one that reads the destination too early sees the new values instead of undefined ones.
"""

from __future__ import annotations

import numpy as np

from isa.bits import trailing_zeros
from isa.jit import routine, stage
from traces.emulator.integer import predicate
from traces.emulator.memory import (
    check_written,
    fail,
    find_allocation,
    lane_addresses,
    log_addresses,
    mark_written,
    resolve,
)
from traces.emulator.records import ALL, LANES, NONE, Operation, Space, Status

ZERO_FILL = 1  # `variant` of COPY_TO_SHARED: the low bits of the source address count the bytes that stay zero


@stage
def read_source(op, warp, machine, allocation, words, data, reads):
    """Bytes that the lanes of `reads` copy, in the result rows; zeros elsewhere. Returns a Status."""
    address, offset, rows = warp.address, warp.wide_d, (op.bytes + 3) >> 2
    size = np.int64(op.bytes)
    whole = np.uint32(reads)
    for k in range(rows):
        for lane in range(LANES):
            warp.result[k, lane] = 0
    if op.variant & ZERO_FILL:
        for lane in range(LANES):
            if not (reads >> np.uint32(lane)) & np.uint32(1) or address[lane] & (size - 1) == 0:
                continue
            whole &= ~(np.uint32(1) << np.uint32(lane))
            count = size - (address[lane] & (size - 1))
            address[lane] &= -size
            at = address[lane]
            found = find_allocation(machine, allocation, at)
            if at < allocation[found].start or at + count > allocation[found].end:
                return fail(machine, Status.OUT_OF_BOUNDS, lane, at)
            for byte in range(count):
                value = np.uint32(data[at - machine.global_base + byte])
                warp.result[byte >> 2, lane] |= value << np.uint32(8 * (byte & 3))
    if whole == 0:
        return np.int64(Status.RUNNING)
    status = resolve(op, warp, machine, allocation, whole, np.int64(Space.GLOBAL))
    if status == Status.RUNNING:
        status = check_written(op, warp, machine, words, data, whole)
    if status == Status.RUNNING:
        for lane in range(LANES):
            if (whole >> np.uint32(lane)) & np.uint32(1):
                for k in range(rows):
                    warp.result[k, lane] = words[np.int64(offset[lane] >> np.uint64(2)) + k]
    return status


@routine
def copy_to_shared(op, warp, machine, allocation, words, data, accesses, lane_address, active):
    """LDGSTS. Predicate 0: lanes that read the source; the others write zeros. Logs two accesses. Returns a Status."""
    lane_addresses(op, warp)
    reads = np.uint32(active & predicate(op, warp, 0))
    status = read_source(op, warp, machine, allocation, words, data, reads)
    if status != Status.RUNNING:
        return status
    address = warp.address
    if reads:  # the trace has an address for every active lane: those that read nothing repeat another's
        first = np.int64(trailing_zeros(np.uint64(reads)))
        for lane in range(LANES):
            if not (reads >> np.uint32(lane)) & np.uint32(1):
                address[lane] = address[first]
    at = log_addresses(warp, machine, accesses, lane_address, active)
    base = np.int64(op.source[0].value)
    if op.source[1].index != NONE:
        base += np.int64(warp.uniform[op.source[1].index])
    register = np.int64(op.source[0].index)
    for lane in range(LANES):
        own = np.int64(0) if register == NONE else np.int64(warp.register[register, lane]) * op.extra
        address[lane] = (base + own) & ALL
    status = resolve(op, warp, machine, allocation, active, np.int64(Space.SHARED))
    if status != Status.RUNNING:
        return status
    accesses[at].more = 1
    log_addresses(warp, machine, accesses, lane_address, active)
    for lane in range(LANES):
        if (active >> np.uint32(lane)) & np.uint32(1):
            for k in range((op.bytes + 3) >> 2):
                words[np.int64(warp.wide_d[lane] >> np.uint64(2)) + k] = warp.result[k, lane]
    mark_written(op, warp, machine, words, data, active)
    return status


@routine
def matrix_access(op, warp, machine, allocation, words, halves, data, active):
    """LDSM and STSM: `variant` matrices of 8 rows of 16 bytes, named by lanes 8m to 8m + 7; `extra` 1: transposed."""
    lane_addresses(op, warp)
    named = np.uint32(active) & (np.uint32(ALL) >> np.uint32(32 - 8 * op.variant))
    if named == 0:
        return np.int64(Status.RUNNING)
    status = resolve(op, warp, machine, allocation, named, np.int64(Space.SHARED))
    if status == Status.RUNNING and op.operation == Operation.LOAD_MATRIX:
        status = check_written(op, warp, machine, words, data, named)
    if status != Status.RUNNING:
        return status
    if op.operation != Operation.LOAD_MATRIX:
        mark_written(op, warp, machine, words, data, named)
    for m in range(op.variant):
        for lane in range(LANES):
            g, t = lane >> 2, lane & 3
            row = np.int64(warp.wide_d[8 * m + g])
            if op.operation == Operation.LOAD_MATRIX:
                if op.extra:
                    low = halves[(np.int64(warp.wide_d[8 * m + 2 * t]) >> 1) + g]
                    high = halves[(np.int64(warp.wide_d[8 * m + 2 * t + 1]) >> 1) + g]
                    warp.result[m, lane] = np.uint32(low) | (np.uint32(high) << np.uint32(16))
                else:
                    warp.result[m, lane] = words[(row >> 2) + t]
                continue
            word = np.uint32(0) if op.data_register == NONE else warp.register[op.data_register + m, lane]
            if op.extra:
                halves[(np.int64(warp.wide_d[8 * m + 2 * t]) >> 1) + g] = np.uint16(word)
                halves[(np.int64(warp.wide_d[8 * m + 2 * t + 1]) >> 1) + g] = np.uint16(word >> np.uint32(16))
            else:
                words[(row >> 2) + t] = word
    return status
