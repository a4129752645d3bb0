"""Warp scheduler of a sub-core: which warp issues, and why none does.

Policy (MICRO 2025, section 5.1.2): the warp that issued last, then the others from the youngest to the oldest (CGGTY).
A warp may issue when its next instruction is decoded, its stall count has passed, the counters of its wait mask are
zero, its fixed-latency unit is free and its constant operand hits.
"""

import numpy as np

from configs.schema import IssuePolicy
from isa.bits import popcount
from isa.program import Flag
from sim.async_state import Trait
from sim.core.barrier import arrive, start_memory_barrier
from sim.core.cluster import arrive_at_cluster, set_registers, wait_at_cluster
from sim.core.constant import fixed_constant_hit
from sim.core.dependence import counters_block, scoreboard_block, scoreboard_issue
from sim.core.log import log_event
from sim.jit import routine, stage
from sim.state import INSTRUCTION_BUFFER, NEVER, NONE, WARPS_PER_SUBCORE, LogKind, Path
from sim.stats import ACTIVE_LANES, Counter, Stall

_ISSUED = int(Stall.ISSUED)
_DISPATCH = int(Stall.DISPATCH_STALL)
_MIO = int(Stall.MIO_THROTTLE)
_PIPE = int(Stall.MATH_PIPE_THROTTLE)
_CONSTANT_MISS = int(Stall.IMC_MISS)
_WAIT = int(Stall.WAIT)
_BARRIER = int(Stall.BARRIER)
_MEMBAR = int(Stall.MEMBAR)
_NO_INSTRUCTION = int(Stall.NO_INSTRUCTION)
_DRAIN = int(Stall.DRAIN)
_NO_WARP = int(Stall.NO_WARP)
_CGGTY = int(IssuePolicy.CGGTY)
_GTO = int(IssuePolicy.GTO)
_LRR = int(IssuePolicy.LRR)
_ISSUE = int(LogKind.ISSUE)
_FIXED = int(Path.FIXED)
_MEMORY = int(Path.MEMORY)
_BLOCK_BARRIER = int(Flag.BLOCK_BARRIER)
_BARRIER_ARRIVE = int(Flag.BARRIER_ARRIVE)
_MEMORY_BARRIER = int(Flag.MEMORY_BARRIER)
_DEPENDENCE_BARRIER = int(Flag.DEPENDENCE_BARRIER)
_CLUSTER_ARRIVE = int(Trait.CLUSTER_ARRIVE)
_CLUSTER_WAIT = int(Trait.CLUSTER_WAIT)
_SET_REGISTERS = int(Trait.SET_REGISTERS)
_OF_CLUSTER = _CLUSTER_ARRIVE | _CLUSTER_WAIT | _SET_REGISTERS
_SPECIAL = _BLOCK_BARRIER | _BARRIER_ARRIVE | _MEMORY_BARRIER | _DEPENDENCE_BARRIER | _OF_CLUSTER
_INSTRUCTIONS = int(Counter.WARP_INSTRUCTIONS)
_THREADS = int(Counter.THREAD_INSTRUCTIONS)
_FIRST_UNIT = int(Counter.ISSUE_FMA)
_TAKEN = int(Counter.BRANCHES_TAKEN)
_CONSTANT_REQUESTS = int(Counter.CONSTANT_REQUESTS)
_BUFFER = INSTRUCTION_BUFFER - 1


@stage
def issue(sm, s, sub, cfg, run, now):
    """Issue at most one instruction. Returns the Stall of this cycle; `sub.issue_wake_at` says when to look again."""
    sub.issue_wake_at = NEVER
    sub.reason_op = run.length
    if sub.control.valid:
        sub.reason_op = sub.control.op
        path = run.op[sub.control.op].path
        return _DISPATCH if path == _FIXED else _MIO
    if sub.resident == 0:
        return _NO_WARP
    if sub.port_busy_until > now:
        sub.issue_wake_at = sub.port_busy_until
        if sub.greedy >= 0 and sub.warp[sub.greedy].active == 1:
            sub.reason_op = sub.warp[sub.greedy].head
        return _PIPE
    if sub.hold_until > now:
        if sub.warp[sub.greedy].constant_line >= 0:
            sub.reason_op = sub.warp[sub.greedy].head
            sub.issue_wake_at = sub.hold_until
            return _CONSTANT_MISS
        sub.hold_until = 0
    nearest = _NO_WARP
    for rank in range(-1, sub.resident):
        if rank < 0:
            if sub.greedy < 0 or cfg.issue.policy > _GTO:
                continue
            w = sub.greedy
        else:
            w = candidate(sub, cfg, rank)
            if w == sub.greedy and cfg.issue.policy <= _GTO:
                continue
        reason = check_ready(sm, s, sub, cfg, run, w, now)
        if reason == _ISSUED:
            sub.reason_op = sub.warp[w].head
            send(sm, s, sub, cfg, run, w, now)
            return reason
        if reason < nearest:
            nearest = reason
            sub.reason_op = run.length if sub.warp[w].active != 1 else sub.warp[w].head
        if sub.hold_until > now:
            break
    return nearest


@stage
def candidate(sub, cfg, rank):
    """Warp at a position of the policy's order."""
    if cfg.issue.policy == _CGGTY:
        return sub.order[rank]
    if cfg.issue.policy == _LRR:
        # by slot, starting behind the warp that issued last
        start = sub.last_slot + 1
        seen = 0
        for i in range(WARPS_PER_SUBCORE):
            w = (start + i) & (WARPS_PER_SUBCORE - 1)
            if sub.warp[w].active:
                if seen == rank:
                    return w
                seen += 1
    return sub.order[sub.resident - 1 - rank]


@stage
def check_ready(sm, s, sub, cfg, run, w, now):
    """ISSUED if the warp may issue now, else what blocks it."""
    warp = sub.warp[w]
    if warp.blocked:
        return np.int64(warp.blocked)
    if warp.active != 1:
        return _DRAIN
    if warp.barrier_wait:
        return _BARRIER
    if warp.membar_until > now:
        sub.issue_wake_at = min(sub.issue_wake_at, warp.membar_until)
        return _MEMBAR
    if warp.buffer_count == 0:
        return _NO_INSTRUCTION
    decoded_at = warp.buffer_ready_at[warp.buffer_first]
    if decoded_at > now:
        sub.issue_wake_at = min(sub.issue_wake_at, decoded_at)
        return _NO_INSTRUCTION
    if warp.stall_until > now:
        sub.issue_wake_at = min(sub.issue_wake_at, warp.stall_until)
        return _WAIT
    op = run.op[warp.head]
    reason = counters_block(warp, op)
    if reason != _ISSUED:
        warp.blocked = reason
        return reason
    if op.tracked:
        reason = scoreboard_block(run, cfg, run.boards[sm.id, s << 4 | w], warp, op, now)
        if reason != _ISSUED:
            if reason == _WAIT:
                sub.issue_wake_at = min(sub.issue_wake_at, warp.ready_at)
            return reason
    if op.path == _FIXED:
        free_at = sub.unit_free_at[unit_of(sub, cfg, op, now)]
        if free_at > now:
            sub.issue_wake_at = min(sub.issue_wake_at, free_at)
            return _PIPE
        if op.chain_cycles and warp.chain_until > now and op.source[2] == warp.chain_register:
            sub.issue_wake_at = min(sub.issue_wake_at, warp.chain_until)
            return _WAIT
        if op.constant_line >= 0 and not fixed_constant_hit(sm, s, sub, cfg, warp, op.constant_line, now):
            if w == sub.greedy and sub.held_for != warp.stream_at:
                # the scheduler holds on to its warp for a few cycles before it looks elsewhere (section 5.1.1)
                sub.held_for = warp.stream_at
                sub.hold_until = now + cfg.issue.constant_miss_hold_cycles
                sub.issue_wake_at = sub.hold_until
            return _CONSTANT_MISS
    return _ISSUED


@stage
def unit_of(sub, cfg, op, now):
    """Unit that takes a fixed-latency instruction; FP32 has a choice of two where the ALU executes it too."""
    if not op.second_unit:
        return op.unit
    if cfg.execute.pipes_alternate:
        return max(op.unit, op.second_unit) if sub.next_pipe else min(op.unit, op.second_unit)
    first_at, second_at = sub.unit_free_at[op.unit], sub.unit_free_at[op.second_unit]
    return op.second_unit if first_at > now and second_at < first_at else op.unit


@routine
def send(sm, s, sub, cfg, run, w, now):
    """Issue: fill the control latch, start the stall count, take the unit, step the warp's stream."""
    warp = sub.warp[w]
    op = run.op[warp.head]
    latch = sub.control
    latch.valid = 1
    latch.fresh = 1
    latch.warp = w
    latch.op = warp.head
    latch.stream = warp.stream_at
    latch.issued_at = now
    sub.greedy = w
    sub.last_slot = w
    sub.held_for = NONE
    log_event(sm, run, now, _ISSUE, s << 4 | w, warp.stream_at, warp.head)
    sm.counter[_INSTRUCTIONS] += 1
    lanes = popcount(run.active_mask[warp.stream_at])
    sm.counter[_THREADS] += lanes
    run.profile[warp.head, ACTIVE_LANES] += lanes
    sm.counter[_FIRST_UNIT + op.counted_as] += 1
    warp.stall_until = now + op.stall_cycles
    if op.path == _FIXED:
        unit = unit_of(sub, cfg, op, now)
        sub.unit_free_at[unit] = now + op.interval_cycles
        sub.busy_cycles[unit] += op.interval_cycles
        if op.second_unit:
            sub.next_pipe ^= 1
        if op.chain_cycles:
            warp.chain_register = op.result
            warp.chain_until = now + op.chain_cycles
        sm.counter[_CONSTANT_REQUESTS] += op.constant_line >= 0
    elif op.path == _MEMORY:
        warp.loads += 1
        warp.copies_issued += op.is_copy
    else:
        warp.loads += 1
    if op.port_busy_cycles:
        sub.port_busy_until = now + 1 + op.port_busy_cycles
    if op.tracked:
        scoreboard_issue(run, cfg, run.boards[sm.id, s << 4 | w], warp, op, now)
    if op.traits & _SPECIAL:
        synchronise(sm, s << 4 | w, warp, op, cfg, run, now)
    step_stream(sm, sub, cfg, run, warp, now)


@routine
def synchronise(sm, warp_id, warp, op, cfg, run, now):
    """What stops the warp behind its instruction: barriers, and registers that it asks for."""
    if op.traits & (_BLOCK_BARRIER | _BARRIER_ARRIVE):
        arrive(sm, cfg, warp, op, op.traits & _BLOCK_BARRIER != 0, now)
    elif op.traits & _MEMORY_BARRIER:
        start_memory_barrier(warp, op.latency_cycles, now)
    elif op.traits & _DEPENDENCE_BARRIER:
        warp.depbar_active = 1
        warp.depbar_counter = op.depbar_counter
        warp.depbar_threshold = op.depbar_threshold
        warp.depbar_mask = op.depbar_mask
    elif op.traits & _CLUSTER_ARRIVE:
        arrive_at_cluster(sm, run, warp.block, now)
    elif op.traits & _CLUSTER_WAIT:
        wait_at_cluster(sm, run, warp_id, warp)
    elif op.traits & _SET_REGISTERS:
        set_registers(sm, run, warp_id, warp, op.barrier_threads, now)


@stage
def step_stream(sm, sub, cfg, run, warp, now):
    """Next instruction of the trace. If it does not follow in the code, the buffer is refilled from the target."""
    issued = warp.head
    warp.buffer_first = (warp.buffer_first + 1) & _BUFFER
    warp.buffer_count -= 1
    warp.stream_at += 1
    if warp.stream_at == warp.stream_end:
        warp.active = 2
        warp.buffer_count = 0
        sub.finishing += 1
        return
    following = run.instruction[warp.stream_at]
    warp.head = following
    if following != issued + 1:
        sm.counter[_TAKEN] += 1
        warp.buffer_count = 0
        warp.fetch_at = following
        warp.redirect_until = now + cfg.fetch.branch_redirect_cycles
        if following <= issued:
            warp.redirect_until += cfg.fetch.backward_branch_redirect_cycles
