"""Thread blocks that run together: the blocks of a cluster, all blocks of a cooperative launch, else one at a time.

The machine record holds the state of the running block; `blocks` keeps that of the others. A team is whole clusters,
one after the other, their blocks by rank; the log has them by linear id.
"""

from __future__ import annotations

import numpy as np

from isa.jit import routine, stage
from traces.emulator.control import ROTATE_AFTER, push, resume
from traces.emulator.records import (
    ALL,
    BLOCK_BARRIERS,
    CONVERGENCE_BARRIERS,
    GROUP_COMMITS,
    LANES,
    NONE,
    TRUE,
    UNIFORM_PREDICATE,
    LaneState,
)

SIZE_LIMIT = 1 << 40


@routine
def enter_block(machine, blocks, at):
    """Make block `at` of the team the running one."""
    old, new = blocks[machine.block_at], blocks[at]
    for barrier in range(BLOCK_BARRIERS):
        old.barrier_arrived[barrier] = machine.barrier_arrived[barrier]
        old.barrier_threads[barrier] = machine.barrier_threads[barrier]
        old.barrier_votes[barrier] = machine.barrier_votes[barrier]
        old.barrier_voters[barrier] = machine.barrier_voters[barrier]
        old.barrier_variant[barrier] = machine.barrier_variant[barrier]
    for barrier in range(BLOCK_BARRIERS):
        machine.barrier_arrived[barrier] = new.barrier_arrived[barrier]
        machine.barrier_threads[barrier] = new.barrier_threads[barrier]
        machine.barrier_votes[barrier] = new.barrier_votes[barrier]
        machine.barrier_voters[barrier] = new.barrier_voters[barrier]
        machine.barrier_variant[barrier] = new.barrier_variant[barrier]
    for k in range(3):
        machine.block_index[k] = new.block_index[k]
    machine.rank = new.rank
    machine.block_at = at
    machine.shared_at = machine.shared_first + at * machine.shared_step


@stage
def start_warp(machine, warp, w):
    """A fresh warp, number `w` of its block."""
    width, height = machine.block[0], machine.block[1]
    for register in range(machine.registers):
        for lane in range(LANES):
            warp.register[register, lane] = 0
    for register in range(NONE):
        warp.uniform[register] = 0
    for k in range(2 * UNIFORM_PREDICATE):
        warp.predicate[k] = np.uint32(ALL) if k & TRUE == TRUE else np.uint32(0)
    for barrier in range(CONVERGENCE_BARRIERS):
        for lane in range(LANES):
            warp.convergence[barrier, lane] = 0
    for k in range(GROUP_COMMITS):
        warp.group_issued_at[k] = 0
    warp.group_arrivals = 0
    warp.group_issued = 0
    warp.group_commits = 0
    warp.cluster_arrived = 0
    warp.blocked = 0
    warp.expires = 0
    warp.index = w
    warp.executed = 0
    warp.rotate_at = ROTATE_AFTER
    warp.groups = 0
    alive = np.uint32(0)
    for lane in range(LANES):
        thread = w * LANES + lane
        warp.thread[0, lane] = thread % width
        warp.thread[1, lane] = thread // width % height
        warp.thread[2, lane] = thread // width // height
        warp.lane_state[lane] = LaneState.EXITED
        if thread < machine.threads:
            alive |= np.uint32(1) << np.uint32(lane)
            warp.lane_state[lane] = LaneState.RUNNING
    warp.alive = alive
    push(warp, 0, alive)


@stage
def place_block(machine, block, number):
    """Index of block `number`, counted cluster by cluster and by rank within each."""
    cluster, rank = number // machine.cluster_blocks, number % machine.cluster_blocks
    x, y, z = machine.cluster[0], machine.cluster[1], machine.cluster[2]
    wide, high = machine.grid[0] // x, machine.grid[1] // y
    block.block_index[0] = cluster % wide * x + rank % x
    block.block_index[1] = cluster // wide % high * y + rank // x % y
    block.block_index[2] = cluster // wide // high * z + rank // x // y
    block.rank = rank
    row = block.block_index[1] + np.int64(block.block_index[2]) * machine.grid[1]
    block.linear = block.block_index[0] + row * machine.grid[0]


@routine
def start_team(machine, blocks, warps, words):
    """Fresh blocks, warps, shared and local memory for the team that begins with block `next_block`."""
    for barrier in range(BLOCK_BARRIERS):
        machine.barrier_arrived[barrier] = 0
        machine.barrier_votes[barrier] = 0
        machine.barrier_voters[barrier] = 0
    for at in range(machine.team_blocks):
        block = blocks[at]
        place_block(machine, block, machine.next_block + at)
        for barrier in range(BLOCK_BARRIERS):
            block.barrier_arrived[barrier] = 0
            block.barrier_votes[barrier] = 0
            block.barrier_voters[barrier] = 0
        for w in range(machine.warps):
            slot = at * machine.warps + w
            start_warp(machine, warps[slot], w)
            warps[slot].slot = slot
    first = machine.shared_first >> 2
    last = (machine.shared_first + machine.team_blocks * machine.shared_step) >> 2
    tracked = machine.shadow_from <= machine.shared_first
    for word in range(first, last):
        words[word] = 0
        if tracked:
            words[word + (machine.shadow_move >> 2)] = 0
    machine.unwritten = machine.team_blocks * (machine.shared_end - machine.shared_base)
    if machine.shadow_from != machine.shared_first:
        machine.unwritten = 0 if machine.shadow_from == machine.local_at else SIZE_LIMIT
    first = machine.local_at >> 2
    for word in range(first, first + machine.team_blocks * machine.warps * LANES * (machine.local_bytes >> 2)):
        words[word] = 0
    enter_block(machine, blocks, 0)
    machine.block_live = 1
    machine.current_warp = 0
    machine.progress = 0
    machine.expired = 0


@stage
def at_chunk_end(machine):
    """True if the blocks before `next_block` are those with the lowest linear ids: a chunk may end there."""
    band = np.int64(machine.team_blocks)
    if machine.cluster[2] > 1:
        band = np.int64(machine.grid[0]) * machine.grid[1] * machine.cluster[2]
    elif machine.cluster[1] > 1:
        band = np.int64(machine.grid[0]) * machine.cluster[1]
    return machine.next_block % max(band, np.int64(machine.team_blocks)) == 0


@routine
def open_clusters(machine, warps):
    """Release every cluster whose live lanes have all arrived. True if one was."""
    opened = False
    size = machine.cluster_blocks * machine.warps
    for first in range(0, machine.team_blocks * machine.warps, size):
        missing, arrived = np.uint32(0), np.uint32(0)
        for w in range(first, first + size):
            missing |= warps[w].alive & ~warps[w].cluster_arrived
            arrived |= warps[w].cluster_arrived
        if missing or not arrived:
            continue
        opened = True
        for w in range(first, first + size):
            warp = warps[w]
            waiting = np.uint32(0)
            for lane in range(LANES):
                if warp.lane_state[lane] == LaneState.CLUSTER:
                    waiting |= np.uint32(1) << np.uint32(lane)
            warp.cluster_arrived = 0
            resume(warp, waiting)
    return opened
