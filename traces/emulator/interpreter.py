"""The compiled loop: thread blocks in order, their warps in turn, one micro-operation after the other."""

from __future__ import annotations

import numpy as np

from isa.bits import trailing_zeros
from isa.jit import entry, routine, stage
from traces.emulator.blocks import at_chunk_end, enter_block, open_clusters, start_team
from traces.emulator.bulk_copy import bulk_copy, store_async, tensor_copy
from traces.emulator.control import control, open_barriers, rotate
from traces.emulator.floating import floating
from traces.emulator.integer import integer
from traces.emulator.lanes import across, shuffle, special_register
from traces.emulator.matrix_memory import copy_to_shared, matrix_access
from traces.emulator.memory import access, load_constant, log_addresses, query_space
from traces.emulator.packed import packed
from traces.emulator.phase_barrier import log_operands, phase_barrier
from traces.emulator.records import (
    ALL,
    FIRST_CONTROL,
    FIRST_MEMORY,
    LANES,
    NONE,
    UNIFORM_PREDICATE,
    Kind,
    Operation,
    Status,
)
from traces.emulator.tensor import matrix, transpose
from traces.emulator.warpgroup import group_matrix, group_wait

SLICE = 1 << 14  # instructions of one warp before the next one gets its turn (guess; matters only for spinning warps)
TEAM_SLICE = 1 << 9  # the same where several blocks run together, which often wait for each other
EXPIRATIONS = 64  # waits at mbarriers that end with nothing, all warps waiting, before that is a deadlock (guess)


@stage
def fetch(source, warp, constants, narrow, wide):
    """Read one source operand for all lanes into its buffer."""
    kind = source.kind
    if kind == Kind.REGISTER:
        if source.wide:
            low, high = warp.register[source.index], warp.register[source.index + 1]
            for lane in range(LANES):
                wide[lane] = np.uint64(low[lane]) | (np.uint64(high[lane]) << np.uint64(32))
            if source.modified:
                for lane in range(LANES):
                    wide[lane] = ((wide[lane] & source.keep) ^ source.flip) + source.add
        else:
            row = warp.register[source.index]
            for lane in range(LANES):
                narrow[lane] = row[lane]
            if source.modified:
                keep, flip, add = np.uint32(source.keep), np.uint32(source.flip), np.uint32(source.add)
                for lane in range(LANES):
                    narrow[lane] = ((narrow[lane] & keep) ^ flip) + add
        return
    value = source.value
    if kind == Kind.UNIFORM:
        value = np.uint64(warp.uniform[source.index])
        if source.wide:
            value |= np.uint64(warp.uniform[source.index + 1]) << np.uint64(32)
    elif kind == Kind.CONSTANT:
        at = np.int64(source.value)
        value = np.uint64(constants[at])
        if source.wide:
            value |= np.uint64(constants[at + 1]) << np.uint64(32)
    if source.modified:
        value = ((value & source.keep) ^ source.flip) + source.add
    if source.wide:
        for lane in range(LANES):
            wide[lane] = value
    else:
        word = np.uint32(value)
        for lane in range(LANES):
            narrow[lane] = word


@routine
def fetch_sources(op, warp, constants):
    if op.source[0].kind != Kind.NONE:
        fetch(op.source[0], warp, constants, warp.a, warp.wide_a)
    if op.source[1].kind != Kind.NONE:
        fetch(op.source[1], warp, constants, warp.b, warp.wide_b)
    if op.source[2].kind != Kind.NONE:
        fetch(op.source[2], warp, constants, warp.c, warp.wide_c)


@routine
def write_back(op, warp, active):
    """Write results of the lanes in `active` (not empty): registers, uniform registers, predicates."""
    if op.wide_result:
        low, high, wide = warp.result[0], warp.result[1], warp.wide_result
        for lane in range(LANES):
            low[lane] = np.uint32(wide[lane])
            high[lane] = np.uint32(wide[lane] >> np.uint64(32))
    if op.destination_kind == Kind.REGISTER:
        for k in range(op.destination_registers):
            row, result = warp.register[op.destination + k], warp.result[k]
            if active == ALL:
                for lane in range(LANES):
                    row[lane] = result[lane]
            else:
                for lane in range(LANES):
                    row[lane] = result[lane] if (active >> np.uint32(lane)) & np.uint32(1) else row[lane]
    elif op.destination_kind == Kind.UNIFORM:
        first = np.int64(trailing_zeros(np.uint64(active)))
        for k in range(op.destination_registers):
            warp.uniform[op.destination + k] = warp.result[k, first]
    for slot in range(2):
        target = op.predicate_destination[slot]
        if target == NONE:
            continue
        mask = np.uint32(warp.mask_result[slot])
        if target >= UNIFORM_PREDICATE:
            lowest = np.uint32(trailing_zeros(np.uint64(active)))
            warp.predicate[target] = np.uint32(ALL) if (mask >> lowest) & np.uint32(1) else np.uint32(0)
        else:
            warp.predicate[target] = (warp.predicate[target] & ~active) | (mask & active)


@routine
def asynchronous(op, warp, warps, machine, allocation, words, halves, data, accesses, lane_address, active, record):
    """Run a bulk copy or a part of a warpgroup's matrix instruction, and log it. Returns a Status."""
    kind = op.operation
    if kind == Operation.STORE_ASYNC:
        status = store_async(op, warp, machine, allocation, words, halves, data, active)
        if status == Status.RUNNING:
            record.access = log_operands(warp, machine, accesses, lane_address, active)
    elif kind == Operation.BULK_COPY or kind == Operation.TENSOR_COPY:
        if kind == Operation.BULK_COPY:
            status = bulk_copy(op, warp, machine, allocation, words, data, accesses)
        else:
            status = tensor_copy(op, warp, machine, allocation, words, data, accesses)
        record.access = machine.copied
    elif kind == Operation.GROUP_MATRIX:
        status = group_matrix(op, warp, warps, machine, words, active)
    else:
        status = group_wait(op, warp, warps, machine)
    return status


@routine
def run_warp(
    machine, warps, warp, ops, constants, allocation, words, halves, data, log, accesses, lane_address, slot, limit
):
    """Run a warp for at most `limit` instructions, until it waits, ends or fails. Returns a Status.

    An instruction that is BLOCKED leaves no trace; the warp's other groups of lanes run, if there are any.
    """
    instructions = len(ops)
    left = limit
    stuck = 0
    status = np.int64(Status.RUNNING)
    logged = machine.logged
    while warp.groups > 0 and left > 0:
        top = warp.groups - 1
        pc = np.int64(warp.group_pc[top])
        group = np.uint32(warp.group_mask[top])
        stays = True
        while stays and left > 0:
            if pc < 0 or pc >= instructions:
                status = np.int64(Status.BAD_TARGET)
                break
            op = ops[pc]
            active = np.uint32(group & (warp.predicate[op.guard] ^ op.guard_flip))
            left -= 1
            warp.executed += 1
            record = log[logged]
            record.instruction = pc
            record.mask = active
            record.access = -1
            record.slot = slot
            logged += 1
            if active == 0:
                pc += 1
                continue
            kind = op.operation
            if kind >= FIRST_CONTROL:
                fetch_sources(op, warp, constants)
                warp.group_pc[top] = pc
                status = control(op, warp, machine, pc, active, instructions)
                if status == Status.RUNNING:
                    write_back(op, warp, active)
                stays = False
                if machine.pauses:
                    limit -= left
                    left = 0
                break
            if kind != Operation.NOTHING:
                fetch_sources(op, warp, constants)
                if kind < Operation.FLOAT_ADD:
                    if kind == Operation.REGISTER_TO_PREDICATES:
                        across(op, warp, active)
                    elif kind >= Operation.PACKED_ADD:
                        packed(op, warp)
                    else:
                        integer(op, warp)
                elif kind < Operation.SPECIAL_REGISTER:
                    floating(op, warp)
                elif kind >= FIRST_MEMORY:
                    if kind == Operation.LOAD_CONSTANT:
                        status = load_constant(op, warp, machine, constants, active)
                        if status == Status.RUNNING and op.source[0].kind == Kind.REGISTER:
                            record.access = log_addresses(warp, machine, accesses, lane_address, active)
                    elif kind == Operation.COPY_TO_SHARED:
                        record.access = machine.accesses
                        status = copy_to_shared(
                            op, warp, machine, allocation, words, data, accesses, lane_address, active
                        )
                    elif kind == Operation.PHASE_BARRIER:
                        status = phase_barrier(op, warp, machine, allocation, words, active)
                        if status == Status.RUNNING:
                            record.access = log_operands(warp, machine, accesses, lane_address, active)
                    elif kind > Operation.PHASE_BARRIER:
                        status = asynchronous(
                            op, warp, warps, machine, allocation, words, halves, data, accesses, lane_address,
                            active, record,
                        )  # fmt: skip
                    elif kind == Operation.QUERY_SPACE:
                        query_space(op, warp, machine)
                    elif kind >= Operation.LOAD_MATRIX:
                        status = matrix_access(op, warp, machine, allocation, words, halves, data, active)
                        record.access = log_addresses(warp, machine, accesses, lane_address, active)
                    else:
                        status = access(op, warp, machine, allocation, words, halves, data, active)
                        if status == Status.RUNNING:
                            record.access = log_addresses(warp, machine, accesses, lane_address, active)
                    if status != Status.RUNNING:
                        break
                elif kind == Operation.SPECIAL_REGISTER:
                    special_register(op, warp, machine)
                elif kind == Operation.SHUFFLE:
                    shuffle(op, warp)
                elif kind == Operation.MATRIX:
                    matrix(op, warp, machine, active)
                elif kind == Operation.TRANSPOSE:
                    transpose(op, warp, active)
                else:
                    across(op, warp, active)
                write_back(op, warp, active)
                if machine.pauses:
                    limit -= left
                    left = 0
            pc += 1
        if status == Status.BLOCKED:
            logged -= 1
            left += 1
            warp.executed -= 1
            warp.blocked = ops[pc].operation
            warp.group_pc[top] = pc
            stuck += 1
            if stuck >= warp.groups:
                break
            status = np.int64(Status.RUNNING)
            rotate(warp)
            continue
        stuck = 0
        if status != Status.RUNNING:
            machine.error_pc = pc
            break
        if stays:
            warp.group_pc[top] = pc
    machine.logged = logged
    machine.executed += limit - left
    if status != Status.RUNNING:
        return status
    return np.int64(Status.RUNNING if warp.groups > 0 else Status.WAITING)


@entry
def run(machine, blocks, warps, ops, constants, allocation, words, halves, data, log, accesses, lane_address):
    """Emulate until a chunk of blocks is complete, the log is full, a pause is due, or an error. Returns a Status.

    Call again to go on. `log`, `accesses` and `lane_address` hold the chunk so far and may be replaced by longer copies
    between calls. `words`, `halves` and `data` are views of one memory array; `blocks` and `warps` hold one team.
    """
    team_warps = machine.team_blocks * machine.warps
    turn = SLICE if machine.team_blocks == 1 else TEAM_SLICE
    while True:
        if machine.block_live == 0:
            if machine.next_block >= machine.blocks:
                return np.int64(Status.GRID_DONE)
            full = machine.chunk_blocks >= machine.chunk_block_limit or machine.logged >= machine.chunk_target
            if full and at_chunk_end(machine):
                return np.int64(Status.CHUNK_DONE)
            start_team(machine, blocks, warps, words)
        while machine.current_warp < team_warps:
            warp = warps[machine.current_warp]
            if warp.groups > 0:
                at = machine.current_warp // machine.warps
                if at != machine.block_at:
                    enter_block(machine, blocks, at)
                # an instruction has up to two accesses with lane addresses, or seven without
                room = min(len(log) - machine.logged, (len(accesses) - machine.accesses) // 7)
                room = min(room, (len(lane_address) - machine.addresses) // (2 * LANES))
                if room <= 0:
                    return np.int64(Status.LOG_FULL)
                if machine.executed >= machine.budget:
                    machine.error_pc = warp.group_pc[warp.groups - 1]
                    machine.error_warp = warp.index
                    return np.int64(Status.BUDGET)
                if machine.executed >= machine.pause_at:
                    return np.int64(Status.PAUSED)
                limit = min(room, turn, machine.budget - machine.executed, machine.pause_at - machine.executed)
                before = machine.executed
                warp.blocked = 0
                status = run_warp(
                    machine,
                    warps,
                    warp,
                    ops,
                    constants,
                    allocation,
                    words,
                    halves,
                    data,
                    log,
                    accesses,
                    lane_address,
                    (blocks[at].linear - machine.next_block + machine.chunk_blocks) * machine.warps + warp.index,
                    limit,
                )
                if machine.executed != before:
                    machine.progress = 1
                if status > Status.WAITING and status != Status.BLOCKED:
                    machine.error_warp = warp.index
                    return status
                pauses = machine.pauses
                machine.pauses = 0
                if status == Status.RUNNING and limit < turn and not pauses:
                    continue  # stopped for room, pause or budget: see why at once
            machine.current_warp += 1
        machine.current_warp = 0
        opened = False
        for at in range(machine.team_blocks):
            if at != machine.block_at:
                enter_block(machine, blocks, at)
            if open_barriers(machine, warps):
                opened = True
        if (machine.cluster_blocks > 1 or machine.progress == 0) and open_clusters(machine, warps):
            opened = True
        last, waits = -1, False
        for w in range(team_warps):
            if warps[w].alive:
                last = w
                if warps[w].blocked == Operation.PHASE_BARRIER:
                    waits = True
        if opened:
            machine.expired = 0
        if last < 0:
            machine.block_live = 0
            machine.next_block += machine.team_blocks
            machine.chunk_blocks += machine.team_blocks
        elif machine.progress == 0 and not opened:
            if waits and machine.expired < EXPIRATIONS:
                machine.expired += 1
                for w in range(team_warps):
                    warps[w].expires = 1
            else:
                enter_block(machine, blocks, last // machine.warps)
                warp = warps[last]
                machine.error_warp = warp.index
                machine.error_lane = np.int64(trailing_zeros(np.uint64(warp.alive)))
                machine.error_pc = warp.lane_pc[machine.error_lane] - 1
                if warp.groups:
                    machine.error_pc = warp.group_pc[warp.groups - 1]
                return np.int64(Status.DEADLOCK)
        machine.progress = 0


@entry
def sort_log(log, count, starts, instruction, active_mask, access):
    """Stable counting sort of the log by warp slot into columns. `starts`, shape (slots + 1,), is filled."""
    for k in range(len(starts)):
        starts[k] = 0
    for k in range(count):
        starts[log[k].slot + 1] += 1
    for k in range(1, len(starts)):
        starts[k] += starts[k - 1]
    for k in range(count):
        record = log[k]
        at = starts[record.slot]
        starts[record.slot] = at + 1
        instruction[at] = record.instruction
        active_mask[at] = record.mask
        access[at] = record.access
    for k in range(len(starts) - 1, 0, -1):
        starts[k] = starts[k - 1]
    starts[0] = 0
