"""Matrix instructions of a warpgroup: HGMMA, QGMMA, IGMMA, dense and 2:4 sparse, and the waits around them.

Four warps, 4i to 4i + 3, each make 16 rows of the 64-row result. Factor B, and A if it is not in registers, are read
from shared memory through 64-bit descriptors (PTX ISA, wgmma): bits 0-13 address, 16-29 leading and 32-45 stride
offset, all in units of 16 bytes, 62-63 the swizzle (0 none, 1: 128, 2: 64, 3: 32 bytes). In units of 16 bytes, with W
= 1, 2, 4, 8 for the swizzles of 0, 32, 64, 128 bytes (canonical layouts of CUTLASS, `mma_traits_sm90_gmma.hpp`):

* K-major: row r, unit j lies at (r % 8) W + (r / 8) stride + j (without swizzle j leading);
* transposed: unit i of the rows, column k lies at i % W + (i / W) leading + (k % 8) W + (k / 8) stride
  (without swizzle i stride + k % 8 + (k / 8) leading).

The swizzle exclusive-ors bits 4-6 (5, 4) of the address with bits 7-9 (8, 7). Products enter when the instruction is
issued, which a program that waits for its groups cannot tell from later. Sums: see `tensor`.
"""

from __future__ import annotations

import numpy as np

from isa.bits import popcount
from isa.jit import routine, stage
from traces.emulator.integer import predicate
from traces.emulator.memory import fail
from traces.emulator.records import GROUP_COMMITS, GROUP_WARPS, LANES, NONE, SCRATCH, Operation, Status
from traces.emulator.scalar import bits_from_float64
from traces.emulator.tensor import BITS, EMPTY, SPARSE, addend, element, read_a, store_sum

# `variant`: as `tensor`, and
NEGATE_A, NEGATE_B, TRANSPOSE_A, TRANSPOSE_B = 1 << 18, 1 << 19, 1 << 20, 1 << 21
FROM_MEMORY, COMMITS = 1 << 22, 1 << 23
EMPTY_GROUP = 1 << 24  # commits what was issued before, and computes nothing
SWIZZLE_SHIFT = np.array([0, 3, 2, 1], np.int64)  # logarithm of W by the descriptor's field


@stage
def swizzled(at, below):
    """Shared address `at` after the swizzle of `below` + 1 times 16 bytes."""
    return at ^ (((at >> 7) & below) << 4)


@stage
def unit_address(descriptor, transposed, row, unit):
    """Shared address of 16 bytes: unit of K `unit` in row `row`; transposed: unit of rows `row` in column `unit`."""
    start = np.int64(descriptor & np.uint64(0x3FFF))
    leading = np.int64((descriptor >> np.uint64(16)) & np.uint64(0x3FFF))
    stride = np.int64((descriptor >> np.uint64(32)) & np.uint64(0x3FFF))
    shift = SWIZZLE_SHIFT[np.int64(descriptor >> np.uint64(62))]
    below = (np.int64(1) << shift) - 1
    if transposed:
        if shift == 0:
            at = row * stride + (unit & 7) + (unit >> 3) * leading
        else:
            at = (row & below) + (row >> shift) * leading + ((unit & 7) << shift) + (unit >> 3) * stride
    elif shift == 0:
        at = (row & 7) + (row >> 3) * stride + unit * leading
    else:  # the units beyond the swizzle (sparse factors) lie a leading offset further
        at = ((row & 7) << shift) + (row >> 3) * stride + (unit & below) + (unit >> shift) * leading
    return swizzled((start + at) << 4, below)


@stage
def usable(machine, words, descriptor, at):
    """Status of reading 16 bytes at shared address `at`."""
    if (descriptor >> np.uint64(49)) & np.uint64(7):
        return fail(machine, Status.DESCRIPTOR, 0, at)
    if at < machine.shared_base or at + 16 > machine.shared_end:
        return fail(machine, Status.SHARED_BOUNDS, 0, at)
    if machine.unwritten:
        shadow = (machine.shared_at + at + machine.shadow_move) >> 2
        for k in range(4):
            if machine.shared_at >= machine.shadow_from and words[shadow + k] != np.uint32(0xFFFFFFFF):
                return fail(machine, Status.UNINITIALIZED, 0, at + 4 * k)
    return np.int64(Status.RUNNING)


@routine
def fetch_a(op, warp, machine, words, kind, k, descriptor):
    """Bring the warp's 16 rows of A from shared memory into the fragments of the scratch registers."""
    bits = BITS[kind]
    columns = k >> 1 if op.variant & SPARSE else k
    first = 16 * (warp.index % GROUP_WARPS)
    for r in range(4):
        for lane in range(LANES):
            warp.register[SCRATCH + r, lane] = 0
    if op.variant & TRANSPOSE_A:  # 16-bit elements, eight rows in 16 bytes
        for column in range(columns):
            for unit in range(2):
                at = unit_address(descriptor, True, (first >> 3) + unit, column)
                status = usable(machine, words, descriptor, at)
                if status != Status.RUNNING:
                    return status
                for g in range(8):
                    word = words[((machine.shared_at + at) >> 2) + (g >> 1)]
                    value = np.uint32((word >> np.uint32(16 * (g & 1))) & np.uint32(0xFFFF))
                    register, lane = unit + 2 * (column >> 3), 4 * g + ((column & 7) >> 1)
                    warp.register[SCRATCH + register, lane] |= value << np.uint32(16 * (column & 1))
        return np.int64(Status.RUNNING)
    for row in range(16):
        for unit in range(columns * bits >> 7):
            at = unit_address(descriptor, False, first + row, unit)
            status = usable(machine, words, descriptor, at)
            if status != Status.RUNNING:
                return status
            for t in range(4):
                register = (row >> 3) + 2 * unit
                warp.register[SCRATCH + register, 4 * (row & 7) + t] = words[((machine.shared_at + at) >> 2) + t]
    return np.int64(Status.RUNNING)


@routine
def fetch_b(op, machine, words, kind, k, n, descriptor, right):
    """Fill right[:k, :n] with factor B."""
    bits = BITS[kind]
    per_word = 32 // bits
    mask = np.uint32(0xFFFFFFFF) >> np.uint32(32 - bits)
    transposed = op.variant & TRANSPOSE_B != 0
    rows, units = (n >> 3, k) if transposed else (n, k * bits >> 7)
    sign = -1.0 if op.variant & NEGATE_B else 1.0
    for row in range(rows):
        for unit in range(units):
            at = unit_address(descriptor, transposed, np.int64(row), np.int64(unit))
            status = usable(machine, words, descriptor, at)
            if status != Status.RUNNING:
                return status
            for t in range(4):
                word = words[((machine.shared_at + at) >> 2) + t]
                for i in range(per_word):
                    value = sign * element(kind, np.uint32((word >> np.uint32(i * bits)) & mask))
                    if transposed:
                        right[unit, 8 * row + 2 * t + i] = value
                    else:
                        right[(4 * unit + t) * per_word + i, row] = value
    return np.int64(Status.RUNNING)


@stage
def read_accumulator(warp, total, n, first, accumulator):
    for i in range(n >> 1):
        for lane in range(LANES):
            row, column = (lane >> 2) + 8 * ((i >> 1) & 1), 8 * (i >> 2) + 2 * (lane & 3) + (i & 1)
            total[row, column] = addend(warp, accumulator, first, i, lane)


@stage
def write_accumulator(warp, total, n, first, accumulator):
    for i in range(n >> 1):
        for lane in range(LANES):
            row, column = (lane >> 2) + 8 * ((i >> 1) & 1), 8 * (i >> 2) + 2 * (lane & 3) + (i & 1)
            store_sum(warp, accumulator, first, i, lane, total[row, column])


@stage
def multiply(op, left, right, total, k, n):
    sparse = op.variant & SPARSE != 0
    sign = -1.0 if op.variant & NEGATE_A else 1.0
    for row in range(16):
        sums = total[row]
        for at in range(k):
            x = left[row, at]
            if sparse and bits_from_float64(x) == EMPTY:
                continue
            x *= sign
            factors = right[at]
            for column in range(n):
                sums[column] += x * factors[column]


@stage
def uniform_pair(warp, register):
    return np.uint64(warp.uniform[register]) | (np.uint64(warp.uniform[register + 1]) << np.uint64(32))


@routine
def group_matrix(op, warp, warps, machine, words, active):
    """One matrix instruction of a warpgroup, this warp's rows. Returns a Status; BLOCKED until all warps have arrived.

    source[0..3].index: registers of A (if not from memory), the descriptors (A, B), C, the metadata of a sparse A.
    Predicate 0 false: the accumulator starts at zero.
    """
    if active != warp.alive or popcount(active) != LANES:
        return fail(machine, Status.DIVERGED, 0, 0)
    first = warp.slot - warp.index % GROUP_WARPS
    if warp.index - warp.index % GROUP_WARPS + GROUP_WARPS > machine.warps:
        return fail(machine, Status.DIVERGED, 0, 0)
    for w in range(first, first + GROUP_WARPS):
        if warps[w].group_arrivals < warp.group_arrivals:
            return np.int64(Status.BLOCKED)
    if op.variant & EMPTY_GROUP:
        warp.group_commits += 1
        warp.group_issued_at[warp.group_commits % GROUP_COMMITS] = warp.group_issued
        return np.int64(Status.RUNNING)
    m, n, k = np.int64(16), np.int64(op.immediate >> 16), np.int64(op.immediate & 0xFFFF)
    kind, kind_b = np.int64(op.variant & 15), np.int64((op.variant >> 4) & 15)
    accumulator = np.int64((op.variant >> 8) & 15)
    descriptor = np.int64(op.source[1].index)
    a = np.int64(op.source[0].index)
    if op.variant & FROM_MEMORY:
        status = fetch_a(op, warp, machine, words, kind, k, uniform_pair(warp, descriptor))
        if status != Status.RUNNING:
            return status
        a = np.int64(SCRATCH)
    left, right, total = machine.matrix_a, machine.group_b, machine.group_c
    read_a(op, warp, left, kind, m, k, a, np.int64(op.source[3].index))
    status = fetch_b(op, machine, words, kind_b, k, n, uniform_pair(warp, descriptor + 2), right)
    if status != Status.RUNNING:
        return status
    c = np.int64(op.source[2].index)
    if c != NONE and predicate(op, warp, 0) & active:
        read_accumulator(warp, total, n, c, accumulator)
    else:
        for row in range(16):
            for column in range(n):
                total[row, column] = 0.0
    multiply(op, left, right, total, k, n)
    if op.data_register != NONE:
        write_accumulator(warp, total, n, np.int64(op.data_register), accumulator)
    warp.group_issued += 1
    if op.variant & COMMITS:
        warp.group_commits += 1
        warp.group_issued_at[warp.group_commits % GROUP_COMMITS] = warp.group_issued
    return np.int64(Status.RUNNING)


@routine
def group_wait(op, warp, warps, machine):
    """WARPGROUP.ARRIVE and .DEPBAR: `extra` groups may be under way. BLOCKED until the other warps issued the rest."""
    if op.operation == Operation.GROUP_ARRIVE:
        warp.group_arrivals += 1
        return np.int64(Status.RUNNING)
    commit = warp.group_commits - op.extra
    if commit <= 0 or op.extra >= GROUP_COMMITS:
        return np.int64(Status.RUNNING)
    first = warp.slot - warp.index % GROUP_WARPS
    last = min(first + GROUP_WARPS, warp.slot - warp.index + machine.warps)
    for w in range(first, last):
        if warps[w].group_issued < warp.group_issued_at[commit % GROUP_COMMITS]:
            return np.int64(Status.BLOCKED)
    return np.int64(Status.RUNNING)
