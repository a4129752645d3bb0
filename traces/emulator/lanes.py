"""Operations that look across the lanes of a warp, and special registers."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from isa.bits import trailing_zeros
from isa.jit import routine, stage
from traces.emulator.floating import NAN_WINS, smaller_or_larger
from traces.emulator.integer import predicate
from traces.emulator.records import ALL, LANES, Operation


class Special(IntEnum):
    """Special registers that have a value here. CLOCK counts the instructions of the warp: the emulator has no time."""

    ZERO = 0
    THREAD_X = 1
    THREAD_Y = 2
    THREAD_Z = 3
    BLOCK_X = 4
    BLOCK_Y = 5
    BLOCK_Z = 6
    LANE = 7
    CLOCK = 8
    EQUAL_MASK = 9
    LESS_MASK = 10
    LESS_EQUAL_MASK = 11
    GREATER_MASK = 12
    GREATER_EQUAL_MASK = 13
    WARP = 14
    SHARED_WINDOW_HIGH = 15
    LOCAL_WINDOW_HIGH = 16
    GLOBAL_TIMER = 17  # nanoseconds: the warp instructions of the launch so far
    SHARED_BYTES = 18
    VIRTUAL_WARP = 19  # bits 8 and up: the warp in its SM
    WARP_SLOTS = 20  # bits 8 and up: warps that an SM can hold
    CLUSTER_SIZE = 21  # 1, see `launch`: it only selects where code looks for the size
    RANK = 22  # of the block in its cluster


ANY, ALL_LANES, EQUAL = 0, 1, 2  # VOTE
UP, DOWN, BUTTERFLY, INDEX = 0, 1, 2, 3  # SHFL
# REDUX; `extra` 1: signed, 2: float32
R_AND, R_OR, R_XOR, R_SUM, R_MINIMUM, R_MAXIMUM, R_MINIMUM_MAGNITUDE, R_MAXIMUM_MAGNITUDE = range(8)


@routine
def special_register(op, warp, machine):
    result = warp.result[0]
    which = op.variant
    value = np.uint32(0)
    if Special.THREAD_X <= which <= Special.THREAD_Z:
        for lane in range(LANES):
            result[lane] = warp.thread[which - Special.THREAD_X, lane]
    elif Special.EQUAL_MASK <= which <= Special.GREATER_EQUAL_MASK:
        for lane in range(LANES):
            equal = np.uint32(1) << np.uint32(lane)
            less = equal - np.uint32(1)
            if which == Special.EQUAL_MASK:
                result[lane] = equal
            elif which == Special.LESS_MASK:
                result[lane] = less
            elif which == Special.LESS_EQUAL_MASK:
                result[lane] = less | equal
            elif which == Special.GREATER_MASK:
                result[lane] = ~(less | equal)
            else:
                result[lane] = ~less
    elif which == Special.LANE:
        for lane in range(LANES):
            result[lane] = lane
    else:
        if Special.BLOCK_X <= which <= Special.BLOCK_Z:
            value = np.uint32(machine.block_index[which - Special.BLOCK_X])
        elif which == Special.CLOCK:
            value = np.uint32(warp.executed)
        elif which == Special.GLOBAL_TIMER:
            value = np.uint32(machine.executed)
        elif which == Special.SHARED_BYTES:
            value = np.uint32(machine.shared_end)
        elif which == Special.VIRTUAL_WARP:
            value = np.uint32(warp.index << 8)
        elif which == Special.WARP_SLOTS:
            value = np.uint32(op.extra << 8)
        elif which == Special.CLUSTER_SIZE:
            value = np.uint32(1)
        elif which == Special.RANK:
            value = np.uint32(machine.rank)
        elif which == Special.WARP:
            value = np.uint32(warp.index)
        elif which == Special.SHARED_WINDOW_HIGH:
            value = np.uint32(machine.shared_window >> 32)
        elif which == Special.LOCAL_WINDOW_HIGH:
            value = np.uint32(machine.local_window >> 32)
        for lane in range(LANES):
            result[lane] = value
    for lane in range(LANES):
        warp.wide_result[lane] = np.uint64(result[lane])


@routine
def shuffle(op, warp):
    """SHFL (PTX ISA, shfl.sync): b = lane operand, c = clamp and segment mask. Outside: the own value."""
    a, b, c, result = warp.a, warp.b, warp.c, warp.result[0]
    inside = np.uint32(0)
    for lane in range(LANES):
        operand = np.int64(b[lane] & np.uint32(31))
        clamp = np.int64(c[lane] & np.uint32(31))
        segment = np.int64((c[lane] >> np.uint32(8)) & np.uint32(31))
        low = lane & segment
        high = low | (clamp & ~segment)
        if op.variant == UP:
            source = lane - operand
            valid = source >= high
        elif op.variant == DOWN:
            source = lane + operand
            valid = source <= high
        elif op.variant == BUTTERFLY:
            source = lane ^ operand
            valid = source <= high
        else:
            source = low | (operand & ~segment)
            valid = source <= high
        if not valid:
            source = np.int64(lane)
        result[lane] = a[source & 31]
        inside |= np.uint32(valid) << np.uint32(lane)
    warp.mask_result[0] = inside


@stage
def reduce_floats(op, warp, active, first):
    """REDUX.F32: extremum of the lanes; a NaN loses, or wins with .NAN (`immediate` 1)."""
    minimum = op.variant == R_MINIMUM or op.variant == R_MINIMUM_MAGNITUDE
    keep = np.uint32(0x7FFFFFFF) if op.variant >= R_MINIMUM_MAGNITUDE else np.uint32(ALL)
    total = np.uint32(warp.a[first] & keep)
    for lane in range(first + 1, LANES):
        if (active >> np.uint32(lane)) & np.uint32(1):
            word = np.uint32(warp.a[lane] & keep)
            total = smaller_or_larger(total, word, minimum, np.uint32(NAN_WINS) if op.immediate else np.uint32(0))
    for lane in range(LANES):
        warp.result[0, lane] = total


@routine
def across(op, warp, active):
    """VOTE, MATCH, REDUX, R2UR and R2P for the lanes of `active` (not empty)."""
    result = warp.result[0]
    first = np.int64(trailing_zeros(np.uint64(active)))
    kind = op.operation
    if kind == Operation.VOTE:
        votes = np.uint32(predicate(op, warp, 0) & active)
        if op.variant == ANY:
            outcome = votes != 0
        elif op.variant == ALL_LANES:
            outcome = votes == active
        else:
            outcome = votes == active or votes == 0
        warp.mask_result[0] = np.uint32(ALL) if outcome else np.uint32(0)
        for lane in range(LANES):
            result[lane] = votes
    elif kind == Operation.MATCH:
        everyone = True
        wide = op.source[0].wide != 0
        for lane in range(LANES):
            same = np.uint32(0)
            for other in range(LANES):
                if wide:
                    same |= np.uint32(warp.wide_a[lane] == warp.wide_a[other]) << np.uint32(other)
                else:
                    same |= np.uint32(warp.a[lane] == warp.a[other]) << np.uint32(other)
            result[lane] = same & active
            if (active >> np.uint32(lane)) & np.uint32(1) and result[lane] != active:
                everyone = False
        warp.mask_result[0] = np.uint32(ALL) if everyone else np.uint32(0)
        if op.variant == ALL_LANES:
            for lane in range(LANES):
                result[lane] = active if everyone else np.uint32(0)
    elif kind == Operation.REDUCE and op.extra == 2:
        reduce_floats(op, warp, active, first)
    elif kind == Operation.REDUCE:
        total = np.int64(warp.a[first])
        signed = op.extra != 0
        if signed:
            total = np.int64(np.int32(warp.a[first]))
        for lane in range(first + 1, LANES):
            if (active >> np.uint32(lane)) & np.uint32(1):
                value = np.int64(np.int32(warp.a[lane])) if signed else np.int64(warp.a[lane])
                if op.variant == R_AND:
                    total &= value
                elif op.variant == R_OR:
                    total |= value
                elif op.variant == R_XOR:
                    total ^= value
                elif op.variant == R_SUM:
                    total += value
                elif op.variant == R_MINIMUM:
                    total = min(total, value)
                else:
                    total = max(total, value)
        for lane in range(LANES):
            result[lane] = np.uint32(total)
    elif kind == Operation.FIRST_LANE:
        others = np.uint32(0)
        for lane in range(LANES):
            result[lane] = warp.a[first]
            others |= np.uint32(warp.a[lane] != warp.a[first]) << np.uint32(lane)
        # guess, from its use: compiled code skips the test for divergence where all lanes agree on a mask
        warp.mask_result[0] = np.uint32(ALL) if others & active == 0 else np.uint32(0)
    else:  # R2P: bits of a (from `variant`) go to the predicates that b chooses
        chosen = warp.b[first]
        for bit in range(7):
            if (chosen >> np.uint32(bit)) & np.uint32(1):
                mask = np.uint32(0)
                for lane in range(LANES):
                    mask |= ((warp.a[lane] >> np.uint32(bit + op.variant)) & np.uint32(1)) << np.uint32(lane)
                warp.predicate[bit] = (warp.predicate[bit] & ~active) | (mask & active)
