"""Memory pipeline: the queue of each sub-core and the unit shared by the SM.

Behaviour (MICRO 2025, section 5.4): a sub-core queues `subcore_entries` - 1 instructions, one more waits in control;
its address unit takes one instruction per 4 cycles; the shared unit accepts one per `accept_interval_cycles`, round
robin.
Timing: Table 1 (issue of back-to-back accesses) and Table 2 (WAR and RAW distance on a hit), from the tables of the
configuration, lowered into each instruction: `leave_cycles`, `read_cycles`, `done_cycles` after issue.
"""

from isa.program import Access, MemorySpace, Unit
from sim.async_state import Async
from sim.core.barrier import check_memory_barrier
from sim.core.bulk_copy import engine_is_full, start_copy
from sim.core.cluster import access_rank, rank_of, serve_distributed
from sim.core.constant import variable_constant_hit
from sim.core.dependence import complete_copy_groups, lower_counter, release_read_counter, scoreboard_write_done
from sim.core.events import INTERNAL, push_event
from sim.core.log import log_event
from sim.core.mbarrier import deliver_deferred, serve_mbarrier
from sim.core.operands import load_write_conflicts, take_write_port
from sim.core.shared_memory import serve_shared
from sim.jit import routine, stage
from sim.state import BANKS, MEMORY_QUEUE, NEVER, NONE, SUBCORES, Event, LogKind
from sim.stats import Counter

_MEMORY_DONE = int(Event.MEMORY_DONE)
_COPY = int(Access.ASYNC_COPY)
_MEMORY = int(Unit.MEMORY)
_SHARED = int(MemorySpace.SHARED)
_CONSTANT = int(MemorySpace.CONSTANT)
_NO_COUNTER = 7
_WAIT = int(Async.WAIT)
_TO_CLUSTER = int(Async.TO_CLUSTER)
_GENERIC = int(Async.GENERIC)
_ENQUEUE = int(LogKind.ENQUEUE)
_LEAVE = int(LogKind.LEAVE)
_DONE = int(LogKind.DONE)
_GLOBAL_INSTRUCTIONS = int(Counter.GLOBAL_INSTRUCTIONS)
_SHARED_INSTRUCTIONS = int(Counter.SHARED_INSTRUCTIONS)
_WRITE_CONFLICTS = int(Counter.WRITE_CONFLICTS)
_GRANT_WAIT = int(Counter.GRANT_WAIT_CYCLES)


@stage
def queue_has_room(sub, cfg):
    """The instruction in control is the last of the `subcore_entries` that the sub-core holds."""
    return sub.queue_count < max(1, cfg.memory_unit.subcore_entries - 1)


@routine
def enqueue(sm, s, sub, run, now):
    """Control stage: the instruction enters the queue of its sub-core."""
    latch = sub.control
    op = run.op[latch.op]
    position = (sub.queue_first + sub.queue_count) & (MEMORY_QUEUE - 1)
    entry = sub.queue[position]
    entry.warp = latch.warp
    entry.op = latch.op
    entry.stream = latch.stream
    entry.issued_at = latch.issued_at
    # leave: address calculation done, and the address unit free again after the instruction before
    entry.ready_at = max(latch.issued_at + op.leave_cycles, now + 1)
    if sub.queue_count == 0:
        entry.ready_at = max(entry.ready_at, sub.left_at)
    sub.queue_count += 1
    log_event(sm, run, now, _ENQUEUE, s << 4 | latch.warp, latch.stream, latch.op)
    sm.unit_wake_at = min(sm.unit_wake_at, max(now + 1, entry.ready_at))


@stage
def is_full(sm, cfg):
    return sm.pending_free < 0 or sm.pending_count >= cfg.memory_unit.pending_requests


@routine
def accept(sm, cfg, run, now):
    """Take the head of one sub-core queue, round robin. Returns the next cycle this can happen."""
    wake = NEVER
    if is_full(sm, cfg):
        return NEVER  # a completion wakes the unit
    if sm.accept_free_at > now:
        for s in range(SUBCORES):
            if sm.sub[s].queue_count > 0:
                wake = sm.accept_free_at
        return wake
    granted = NONE
    for i in range(SUBCORES):
        s = (sm.next_grant + i) & (SUBCORES - 1)
        sub = sm.sub[s]
        if sub.queue_count == 0:
            continue
        ready_at = sub.queue[sub.queue_first].ready_at
        if ready_at > now:
            wake = min(wake, ready_at)
        elif copies_wait(sm, sub, run):
            wake = now + 1
        elif granted < 0:
            granted = s
        else:
            wake = now + 1
            sm.counter[_GRANT_WAIT] += 1
    if granted >= 0:
        take_head(sm, granted, cfg, run, now)
        sm.next_grant = (granted + 1) & (SUBCORES - 1)
        if sm.sub[granted].queue_count > 0:
            wake = now + 1
    return max(wake, sm.accept_free_at)


@stage
def copies_wait(sm, sub, run):
    """The head of the queue is a bulk copy that the engine has no room for."""
    request = run.op[sub.queue[sub.queue_first].op].request
    return _WAIT < request <= _TO_CLUSTER and engine_is_full(run.engine[sm.id])


@routine
def take_head(sm, s, cfg, run, now):
    """One instruction leaves its sub-core and becomes a pending request of the shared unit."""
    sub = sm.sub[s]
    entry = sub.queue[sub.queue_first]
    op = run.op[entry.op]
    sub.queue_first = (sub.queue_first + 1) & (MEMORY_QUEUE - 1)
    sub.queue_count -= 1
    sub.left_at = now + op.address_cycles
    sm.accept_free_at = now + op.accept_cycles
    sub.busy_cycles[_MEMORY] += op.address_cycles
    sm.accept_busy_cycles += op.accept_cycles
    if sub.queue_count > 0:
        head = sub.queue[sub.queue_first]
        head.ready_at = max(head.ready_at, sub.left_at)
    if sub.control.valid or op.tracked:
        sub.wake_at = min(sub.wake_at, now)
    warp_id = s << 4 | entry.warp
    log_event(sm, run, now, _LEAVE, warp_id, entry.stream, entry.op)
    release_read_counter(sm, run, warp_id, entry.op, now, max(now, now + op.read_cycles - op.leave_cycles))
    index = sm.pending_free
    pending = sm.pending[index]
    sm.pending_free = pending.next
    sm.pending_count += 1
    pending.used = 1
    pending.subcore = s
    pending.warp = entry.warp
    pending.op = entry.op
    pending.stream = entry.stream
    pending.waiting_sectors = 0
    pending.constant_line = NONE
    pending.tail_cycles = max(1, op.done_cycles - op.leave_cycles)
    pending.ready_at = NEVER
    pending.next = NONE
    start_access(sm, s, cfg, run, index, now)


@routine
def start_access(sm, s, cfg, run, index, now):
    """Send an accepted instruction to the part that serves it."""
    pending = sm.pending[index]
    op = run.op[pending.op]
    has_addresses = run.access[pending.stream] >= 0 and run.active_mask[pending.stream] != 0
    if op.request and has_addresses and start_request(sm, cfg, run, index, now):
        return
    if op.is_cached and has_addresses:
        sm.counter[_GLOBAL_INSTRUCTIONS] += 1
        if sm.tag_last >= 0:
            sm.pending[sm.tag_last].next = index
        else:
            sm.tag_first = index
        sm.tag_last = index
    elif op.space == _CONSTANT:
        line = constant_line(cfg, run, pending.stream, op)
        if line < 0 or variable_constant_hit(sm, s, cfg, line, now):
            push_event(sm, INTERNAL, now, now + pending.tail_cycles, _MEMORY_DONE, index, 0)
        else:
            pending.constant_line = line
    elif op.space == _SHARED and has_addresses:
        sm.counter[_SHARED_INSTRUCTIONS] += 1
        done_at = serve_shared(sm, cfg, run, pending, op, now)
        push_event(sm, INTERNAL, now, done_at, _MEMORY_DONE, index, 0)
    else:  # SHFL, S2R ..., and accesses with every lane off
        start_at = max(now, sm.data_free_at)
        sm.data_free_at = start_at + op.interval_cycles
        sm.data_busy_cycles += op.interval_cycles
        push_event(sm, INTERNAL, now, start_at + pending.tail_cycles, _MEMORY_DONE, index, 0)


@routine
def start_request(sm, cfg, run, index, now):
    """mbarriers, bulk copies, shared memory of the cluster. False if the rest is as for any other instruction."""
    pending = sm.pending[index]
    request = run.op[pending.op].request
    box = run.engine[sm.id]
    if request <= _WAIT:
        return serve_mbarrier(sm, run, index, now)
    if request <= _TO_CLUSTER:
        start_copy(sm, run, index, now)
        return False
    rank = rank_of(run, box, pending.stream) if request == _GENERIC else access_rank(run, box, pending.stream)
    if rank < 0:
        return False
    serve_distributed(sm, cfg, run, index, rank, now)
    return True


@stage
def constant_line(cfg, run, stream, op):
    """Line of an LDC: from the first lane's address if the trace has it, else from its immediate offset; -1 unknown."""
    access = run.access[stream]
    if access < 0:
        return op.constant_line
    record = run.accesses[access]
    address = record.origin
    if record.list_at >= 0:
        address += run.lane_address[record.list_at]
    return (address & 0xFFFFFF) // cfg.constant.line_bytes


@routine
def memory_done(sm, cfg, run, index, now):
    """Completion: the result is written and dependents may issue now, unless a write port or path is taken."""
    pending = sm.pending[index]
    op = run.op[pending.op]
    sub = sm.sub[pending.subcore]
    if op.result_banks:
        if pending.used != 2:
            # the path to the sub-core moves 512 bits per cycle: 2, 4 or 8 cycles for a full 32, 64 or 128-bit load
            words = max(1, op.bytes // 4) * 128 // cfg.memory_unit.writeback_bytes_per_cycle
            if now < sub.writeback_free_at:
                push_event(sm, INTERNAL, now, sub.writeback_free_at, _MEMORY_DONE, index, 0)
                return
            sub.writeback_free_at = now + words
            pending.used = 2
        if load_write_conflicts(sub, cfg, op, now - 1):
            sm.counter[_WRITE_CONFLICTS] += 1
            push_event(sm, INTERNAL, now, now + 1, _MEMORY_DONE, index, 0)
            return
        for bank in range(BANKS):
            if op.result_banks >> bank & 1:
                take_write_port(sub, bank, now - 1)
    warp = sub.warp[pending.warp]
    log_event(sm, run, now, _DONE, pending.subcore << 4 | pending.warp, pending.stream, pending.op)
    if op.access == _COPY:
        warp.copies_done += 1
        complete_copy_groups(sm, sub, warp, now)
        if run.engine[sm.id].deferred:
            deliver_deferred(sm, run, pending.subcore << 4 | pending.warp, now)
    if op.write_counter != _NO_COUNTER:
        lower_counter(sm, sub, warp, op.write_counter, now)
    if op.tracked:
        scoreboard_write_done(run, run.boards[sm.id, pending.subcore << 4 | pending.warp], op)
    warp.loads -= 1
    check_memory_barrier(warp, now)
    if op.tracked or warp.active != 1 or warp.membar_until > now:
        sub.wake_at = min(sub.wake_at, now)
    if is_full(sm, cfg):
        sm.unit_wake_at = min(sm.unit_wake_at, now)
    pending.used = 0
    pending.next = sm.pending_free
    sm.pending_free = index
    sm.pending_count -= 1
