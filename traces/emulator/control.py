"""Control flow of one warp: groups of lanes that run together, convergence barriers, calls, block barriers.

Lanes of a warp split into groups at a divergent branch and meet again at BSYNC or WARPSYNC only. The fall-through
group runs first (guess). Hardware since Volta promises that every lane makes progress: a group that loops for
ROTATE_AFTER instructions gives way to the others, and at a YIELD it also frees lanes that wait for it at a convergence
barrier (NVIDIA patent US 2016/0019066, convergence barriers: lanes that yield do not hold a barrier).
"""

from __future__ import annotations

import numpy as np

from isa.bits import popcount, trailing_zeros
from isa.jit import routine, stage
from traces.emulator.integer import predicate
from traces.emulator.records import ALL, BLOCK_BARRIERS, LANES, LaneState, Operation, Status

ROTATE_AFTER = 2048  # guess
WAIT, ARRIVE, REDUCE_COUNT, REDUCE_AND, REDUCE_OR = range(5)  # variants of BLOCK_BARRIER


@stage
def push(warp, pc, mask):
    """A new group that runs next."""
    warp.group_pc[warp.groups] = pc
    warp.group_mask[warp.groups] = mask
    warp.groups += 1


@stage
def leave(warp, lanes, next_pc):
    """Take lanes out of the running group; the others go on at `next_pc`."""
    top = warp.groups - 1
    warp.group_mask[top] = np.uint32(warp.group_mask[top] & ~lanes)
    warp.group_pc[top] = next_pc
    if warp.group_mask[top] == 0:
        warp.groups = top


@stage
def wait(warp, lanes, state, what, pc):
    for lane in range(LANES):
        if (lanes >> np.uint32(lane)) & np.uint32(1):
            warp.lane_state[lane] = state
            warp.lane_wait[lane] = what
            warp.lane_pc[lane] = pc


@routine
def resume(warp, lanes):
    """Waiting lanes run again, one group per pc."""
    while lanes:
        pc = warp.lane_pc[np.int64(trailing_zeros(np.uint64(lanes)))]
        together = np.uint32(0)
        for lane in range(LANES):
            if (lanes >> np.uint32(lane)) & np.uint32(1) and warp.lane_pc[lane] == pc:
                together |= np.uint32(1) << np.uint32(lane)
                warp.lane_state[lane] = LaneState.RUNNING
        push(warp, pc, np.uint32(together))
        lanes = np.uint32(lanes & ~together)


@routine
def release(warp):
    """Let lanes go whose convergence barrier or warp synchronisation is complete."""
    pending = np.uint32(0)
    for lane in range(LANES):
        state = warp.lane_state[lane]
        if state == LaneState.CONVERGE or state == LaneState.WARP_SYNC:
            pending |= np.uint32(1) << np.uint32(lane)
    while pending:
        lowest = np.int64(trailing_zeros(np.uint64(pending)))
        own = np.uint32(1) << np.uint32(lowest)
        state, what = warp.lane_state[lowest], warp.lane_wait[lowest]
        converges = state == LaneState.CONVERGE
        mask = np.uint32((warp.convergence[what, lowest] if converges else what) & warp.alive)
        needed = np.uint32(mask | own)
        arrived = np.uint32(0)
        for other in range(LANES):
            # lanes of another call depth may wait at a barrier of the same number with another mask
            meets = not converges or warp.convergence[what, other] & warp.alive == mask
            if warp.lane_state[other] == state and warp.lane_wait[other] == what and meets:
                arrived |= np.uint32(1) << np.uint32(other)
        pending &= ~own
        if needed & ~arrived == 0:
            pending &= ~needed
            resume(warp, needed)


@stage
def diverge(warp, pc, taken, target):
    """Lanes `taken` of the running group go to `target`, the rest to pc + 1 and first."""
    top = warp.groups - 1
    rest = np.uint32(warp.group_mask[top] & ~taken)
    warp.group_pc[top] = target
    warp.group_mask[top] = taken
    if rest:
        push(warp, pc + 1, rest)


@stage
def rotate(warp):
    """The running group goes to the end of the queue."""
    top = warp.groups - 1
    pc, mask = warp.group_pc[top], warp.group_mask[top]
    for k in range(top, 0, -1):
        warp.group_pc[k] = warp.group_pc[k - 1]
        warp.group_mask[k] = warp.group_mask[k - 1]
    warp.group_pc[0] = pc
    warp.group_mask[0] = mask


@routine
def give_way(warp, active):
    """Free the lanes that wait at convergence barriers for lanes of `active` alone; these no longer expect them."""
    for lane in range(LANES):
        if warp.lane_state[lane] != LaneState.CONVERGE:
            continue
        barrier = warp.lane_wait[lane]
        needed = np.uint32(warp.convergence[barrier, lane] & warp.alive)
        arrived = np.uint32(0)
        for other in range(LANES):
            meets = warp.convergence[barrier, other] & warp.alive == needed
            if warp.lane_state[other] == LaneState.CONVERGE and warp.lane_wait[other] == barrier and meets:
                arrived |= np.uint32(1) << np.uint32(other)
        if needed & ~(arrived | active) == 0:
            freed = np.uint32((needed & arrived) | (np.uint32(1) << np.uint32(lane)))
            for other in range(LANES):
                if (active >> np.uint32(other)) & np.uint32(1):
                    warp.convergence[barrier, other] &= ~freed
            resume(warp, freed)


@routine
def branch_indirect(op, warp, pc, active, instructions):
    """RET, BRX: byte target = a + immediate, per lane. Returns a Status."""
    leave(warp, active, pc + 1)
    lanes = active
    while lanes:
        first = np.int64(trailing_zeros(np.uint64(lanes)))
        where = np.int64(np.int32(warp.a[first])) + op.immediate
        if where & 15 or where < 0 or where >> 4 >= instructions:
            return np.int64(Status.BAD_TARGET)
        together = np.uint32(0)
        for lane in range(LANES):
            if (lanes >> np.uint32(lane)) & np.uint32(1) and warp.a[lane] == warp.a[first]:
                together |= np.uint32(1) << np.uint32(lane)
        push(warp, where >> 4, np.uint32(together))
        lanes = np.uint32(lanes & ~together)
    return np.int64(Status.RUNNING)


@routine
def control(op, warp, machine, pc, active, instructions):
    """Run one control instruction for the lanes of `active` (not empty). Returns a Status."""
    top = warp.groups - 1
    group = np.uint32(warp.group_mask[top])
    kind = op.operation
    warp.group_pc[top] = pc + 1
    if kind == Operation.BRANCH or kind == Operation.BRANCH_DIVERGED:
        taken = np.uint32(active & predicate(op, warp, 0) & predicate(op, warp, 1))
        if kind == Operation.BRANCH and op.variant and taken:  # .ANY: one lane takes all of them along
            taken = group
        if kind == Operation.BRANCH_DIVERGED:
            # taken when the lanes that run are not (BRA.DIV) or are (BRA.CONV) all those of the mask in a
            converged = group == np.uint32(warp.a[0] & warp.alive)
            taken = active if converged == (op.variant == 1) else np.uint32(0)
        if taken:
            diverge(warp, pc, taken, op.immediate)
            if op.immediate <= pc and warp.groups > 1 and warp.executed >= warp.rotate_at:
                warp.rotate_at = warp.executed + ROTATE_AFTER
                rotate(warp)
    elif kind == Operation.EXIT:
        active = np.uint32(active & predicate(op, warp, 0))
        if active == 0:
            return np.int64(Status.RUNNING)
        warp.alive = np.uint32(warp.alive & ~active)
        for lane in range(LANES):
            if (active >> np.uint32(lane)) & np.uint32(1):
                warp.lane_state[lane] = LaneState.EXITED
        leave(warp, active, pc + 1)
        if warp.alive:
            release(warp)
    elif kind == Operation.SET_CONVERGENCE:
        for lane in range(LANES):
            if (active >> np.uint32(lane)) & np.uint32(1):
                warp.convergence[op.variant, lane] = active
    elif kind == Operation.CONVERGE:
        leave(warp, active, pc + 1)
        wait(warp, active, LaneState.CONVERGE, op.variant, pc + 1)
        release(warp)
    elif kind == Operation.BREAK:
        for lane in range(LANES):
            warp.convergence[op.variant, lane] &= ~active
        release(warp)
    elif kind == Operation.WARP_SYNC:
        together = op.variant == 0
        for lane in range(LANES):
            if (active >> np.uint32(lane)) & np.uint32(1) and warp.a[lane] & warp.alive & ~active:
                together = False
        if not together:  # every lane has a mask of its own
            leave(warp, active, pc + 1)
            for lane in range(LANES):
                wait(warp, active & (np.uint32(1) << np.uint32(lane)), LaneState.WARP_SYNC, warp.a[lane], pc + 1)
            release(warp)
    elif kind == Operation.YIELD or kind == Operation.SLEEP:
        machine.pauses = kind == Operation.SLEEP and warp.groups == 1
        if warp.executed >= warp.rotate_at:
            warp.rotate_at = warp.executed + ROTATE_AFTER
            if warp.groups > 1:
                rotate(warp)
            else:
                machine.pauses = 1
                give_way(warp, active)
    elif kind == Operation.ELECT:
        leader = np.uint32(active & predicate(op, warp, 0))
        lowest = np.uint32(trailing_zeros(np.uint64(leader))) if leader else np.uint32(0)
        for lane in range(LANES):
            warp.result[0, lane] = lowest
        warp.mask_result[0] = leader & (~leader + np.uint32(1))
    elif kind == Operation.BRANCH_INDIRECT:
        return branch_indirect(op, warp, pc, active, instructions)
    elif kind == Operation.SAVE_CONVERGENCE:
        for lane in range(LANES):
            warp.result[0, lane] = warp.convergence[op.variant, lane]
            if op.extra and (active >> np.uint32(lane)) & np.uint32(1):
                warp.convergence[op.variant, lane] = 0
    elif kind == Operation.RESTORE_CONVERGENCE:
        for lane in range(LANES):
            if (active >> np.uint32(lane)) & np.uint32(1):
                warp.convergence[op.variant, lane] = warp.a[lane]
    elif kind == Operation.BARRIER_RESULT:
        for lane in range(LANES):
            warp.result[0, lane] = warp.barrier_count
        warp.mask_result[0] = warp.barrier_outcome
    elif kind == Operation.BLOCK_BARRIER:
        first = np.int64(trailing_zeros(np.uint64(active)))
        barrier, threads = np.int64(warp.a[first] & np.uint32(15)), np.int64(warp.b[first])
        machine.barrier_threads[barrier] = threads
        if op.variant == ARRIVE:
            machine.barrier_arrived[barrier] += LANES if active == warp.alive else popcount(active)
        else:
            machine.barrier_variant[barrier] = op.variant
            machine.barrier_voters[barrier] += popcount(active)
            machine.barrier_votes[barrier] += popcount(active & predicate(op, warp, 0))
            leave(warp, active, pc + 1)
            wait(warp, active, LaneState.BLOCK_BARRIER, barrier, pc + 1)
    elif kind == Operation.CLUSTER_ARRIVE:
        warp.cluster_arrived |= active
    elif kind == Operation.CLUSTER_WAIT:
        waiting = np.uint32(active & warp.cluster_arrived)
        if waiting:
            leave(warp, waiting, pc + 1)
            wait(warp, waiting, LaneState.CLUSTER, 0, pc + 1)
    else:
        return np.int64(Status.UNSUPPORTED)
    return np.int64(Status.RUNNING)


@routine
def lanes_at_barrier(warp, barrier):
    """Mask of the threads that wait at a block barrier."""
    here = np.uint32(0)
    for lane in range(LANES):
        if warp.lane_state[lane] == LaneState.BLOCK_BARRIER and warp.lane_wait[lane] == barrier:
            here |= np.uint32(1) << np.uint32(lane)
    return here


@routine
def open_barriers(machine, warps):
    """Release every barrier of the running block that is complete. True if one was."""
    opened = False
    first = machine.block_at * machine.warps
    for barrier in range(BLOCK_BARRIERS):
        waiting, alive, counted = 0, 0, 0
        for w in range(first, first + machine.warps):
            warp = warps[w]
            here = lanes_at_barrier(warp, barrier)
            alive += popcount(warp.alive)
            waiting += popcount(here)
            # thread counts are multiples of the warp size: the last, partly filled warp counts in full
            counted += LANES if here and here == warp.alive else popcount(here)
        if waiting == 0:
            continue
        wanted = machine.barrier_threads[barrier]
        if wanted == 0:
            if waiting < alive:
                continue
        elif counted + machine.barrier_arrived[barrier] < wanted:
            continue
        opened = True
        votes, voters = machine.barrier_votes[barrier], machine.barrier_voters[barrier]
        holds = votes > 0 if machine.barrier_variant[barrier] == REDUCE_OR else votes == voters
        machine.barrier_arrived[barrier] = 0
        machine.barrier_votes[barrier] = 0
        machine.barrier_voters[barrier] = 0
        for w in range(first, first + machine.warps):
            warp = warps[w]
            here = lanes_at_barrier(warp, barrier)
            if here:
                warp.barrier_count = votes
                warp.barrier_outcome = np.uint32(ALL) if holds else np.uint32(0)
                resume(warp, here)
    return opened
