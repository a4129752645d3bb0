"""One SM: the order of its stages in a cycle, idle skipping, and the start and end of warps.

Stages run from the end of the pipeline to its front, so nothing passes two of them in one cycle. A sub-core that
cannot act sleeps until the first cycle at which something of its own can change; an event on one of its warps wakes it.
Sleeping is exact: the cycles slept through are charged to the reason they were entered with.
"""

from isa.bits import popcount
from sim.core.barrier import check_barrier, check_memory_barrier, release_barrier
from sim.core.bulk_copy import copy_done, receive_copy, step_copies
from sim.core.cluster import check_cluster_arrival, leave_cluster
from sim.core.constant import fill_fixed_constant, fill_variable_constant
from sim.core.dependence import (
    lower_counter,
    raise_counter,
    raise_counters,
    scoreboard_read_done,
    scoreboard_write_done,
)
from sim.core.events import INTERNAL, REPLIES, find_next_event, pop_event, push_event
from sim.core.execute import control
from sim.core.fetch import CONSTANT_LINES, access_l1i, fetch, fill_l0_request, fill_l1i, receive_l1i
from sim.core.issue import issue
from sim.core.l1 import fill_sectors, receive_sectors, send_request, tag_stage
from sim.core.log import log_end
from sim.core.mbarrier import forget_block, receive_messages
from sim.core.memory_unit import accept, memory_done
from sim.core.operands import allocate
from sim.core.states import log_states
from sim.jit import routine, stage
from sim.memory.state import RequestKind
from sim.state import (
    BARRIERS,
    NEVER,
    NONE,
    PENDING_REQUESTS,
    SCOREBOARD_ENTRIES,
    STORE_WARPS,
    SUBCORES,
    Event,
    Fault,
    FetchKind,
    Path,
    Reply,
)
from sim.stats import Counter, Stall

_COUNTER = int(Event.COUNTER)
_L1I_ACCESS = int(Event.L1I_ACCESS)
_L0_FILL = int(Event.L0_FILL)
_L1I_FILL = int(Event.L1I_FILL)
_MEMORY_DONE = int(Event.MEMORY_DONE)
_UNIT_DONE = int(Event.UNIT_DONE)
_BARRIER_RELEASE = int(Event.BARRIER_RELEASE)
_SCOREBOARD_READ = int(Event.SCOREBOARD_READ)
_FIXED_CONSTANT = int(FetchKind.FIXED_CONSTANT)
_LINE = int(Reply.LINE)
_PENDING = int(Reply.PENDING)
_STORE = int(Reply.STORE)
_INSTRUCTION = int(Reply.INSTRUCTION)
_COPY = int(Reply.COPY)
_COPY_STEP = int(Event.COPY_STEP)
_COPY_DONE = int(Event.COPY_DONE)
_INSTRUCTION_READ = int(RequestKind.INSTRUCTION)
_CONSTANT_READ = int(RequestKind.CONSTANT)
_FIXED = int(Path.FIXED)
_ISSUED = int(Stall.ISSUED)
_NO_WARP = int(Stall.NO_WARP)
_ACTIVE_CYCLES = int(Counter.ACTIVE_CYCLES)
_WARP_CYCLES = int(Counter.WARP_CYCLES)
_WARPS = int(Counter.WARPS)
_REPLIES = int(Counter.REPLIES_RECEIVED)
CODE_BASE = 1 << 44  # device address of the kernel's code, apart from any data
_NO_COUNTER = 7
_COPY_GROUPS = int(Fault.COPY_GROUPS)


@stage
def run_sm(sm, cfg, run, from_cycle, to_cycle):
    """Advance one SM over [from_cycle, to_cycle). Requests to the L2 are appended to `run.outbox`."""
    now = from_cycle
    while now < to_cycle:
        if sm.next_event_at <= now:
            run_events(sm, cfg, run, now)
        if sm.next_start_at <= now:
            start_warps(sm, cfg, run, now)
        if sm.unit_wake_at <= now or sm.every_cycle:
            serve_memory_unit(sm, cfg, run, now)
        for s in range(SUBCORES):
            if sm.sub[s].wake_at <= now or sm.every_cycle:
                tick(sm, s, cfg, run, now)
        upcoming = min(sm.next_event_at, min(sm.next_start_at, sm.unit_wake_at))
        for s in range(SUBCORES):
            upcoming = min(upcoming, sm.sub[s].wake_at)
        now = now + 1 if sm.every_cycle else max(now + 1, upcoming)


@routine
def serve_memory_unit(sm, cfg, run, now):
    """The SM-shared memory unit: accept from the sub-cores, then the L1 tag stage."""
    wake = accept(sm, cfg, run, now)
    if sm.tag_first >= 0:
        tag_stage(sm, cfg, run, now)
        if sm.tag_first >= 0:
            wake = now + 1
    sm.unit_wake_at = wake


@routine
def tick(sm, s, cfg, run, now):
    """One cycle of a sub-core, from the operand read back to fetch."""
    sub = sm.sub[s]
    before = sub.reason_op
    wake = NEVER
    if sub.allocate.valid and not allocate(sm, s, sub, cfg, run, now):  # operand read: ports, register-file cache
        wake = now + 1
    if sub.control.valid:  # dependence counters, hand over to a unit
        wake = min(wake, max(now + 1, control(sm, s, sub, cfg, run, now)))
    reason = issue(sm, s, sub, cfg, run, now)  # warp scheduler
    wake = min(wake, max(now + 1, sub.issue_wake_at))
    if sub.raise_warp >= 0:  # what control raised is visible from the next cycle on
        counts = sub.warp[sub.raise_warp].stall_until <= now or run.op[sub.raise_op].commits_copies
        raise_pending(sm, sub, cfg, run, now)
        if counts and not sub.control.valid:  # else nobody has looked at the counters of the warp
            wake = now + 1
    wake = min(wake, fetch(sm, s, sub, cfg, run, now))  # instruction buffer, L0, stream buffer
    if reason == _ISSUED or sub.allocate.valid:
        wake = now + 1
    if sub.finishing > 0 and retire(sm, s, sub, cfg, run, now):
        wake = now + 1  # what the others wait for is now the reason
        if sub.resident == 0:
            reason = _NO_WARP
            sub.reason_op = run.length
    if reason != sub.reason or sub.reason_op != before:
        charge(sub, before, run, now)
        sub.reason = reason
    if len(run.log) > 0:
        log_states(sm, s, sub, cfg, run, now)
    sub.wake_at = wake


@routine
def raise_pending(sm, sub, cfg, run, now):
    op = run.op[sub.raise_op]
    warp = sub.warp[sub.raise_warp]
    sub.raise_warp = NONE
    if op.commits_copies:
        # LDGDEPBAR: its counter falls when every earlier LDGSTS of the warp has landed
        counter = op.write_counter
        raise_counter(sm, warp, counter, 1)
        if warp.copies_done >= warp.copies_issued and warp.group_count == 0:
            lower_counter(sm, sub, warp, counter, now + 1)
            return
        size = len(warp.group_target)
        if warp.group_count >= size:
            sm.fault = _COPY_GROUPS
            return
        last = (warp.group_first + warp.group_count) % size
        warp.group_target[last] = warp.copies_issued
        warp.group_counter[last] = counter
        warp.group_count += 1
    else:
        raise_counters(sm, warp, op)


@routine
def run_events(sm, cfg, run, now):
    """Everything that falls due: first the SM's own events, then replies from the L2."""
    while True:
        node = pop_event(sm, INTERNAL, now)
        if node < 0:
            break
        kind = sm.event_kind[node]
        a = sm.event_a[node]
        b = sm.event_b[node]
        if kind == _MEMORY_DONE:
            memory_done(sm, cfg, run, a, now)
        elif kind == _COUNTER:
            sub = sm.sub[a >> 4]
            lower_counter(sm, sub, sub.warp[a & 15], b, now)
        elif kind == _UNIT_DONE:
            unit_done(sm, run, a, b, now)
        elif kind == _L1I_ACCESS:
            miss = access_l1i(sm, cfg, a, now)
            if miss >= 0:
                address = sm.l1i_miss_line[miss] * cfg.fetch.l1_line_bytes
                is_constant = address >= CONSTANT_LINES * cfg.fetch.line_bytes
                request = _CONSTANT_READ if is_constant else _INSTRUCTION_READ
                for part in range(sm.l1i_miss_left[miss]):
                    line = CODE_BASE + address + part * cfg.fetch.line_bytes
                    send_request(sm, run, now, request, line, 15, 0, 0, _INSTRUCTION << 24 | miss)
        elif kind == _L1I_FILL:
            fill_l1i(sm, cfg, a, now)
        elif kind == _L0_FILL:
            receive_fetch(sm, cfg, run, a, now)
        elif kind == _SCOREBOARD_READ:
            sub = sm.sub[a >> 4]
            scoreboard_read_done(run, run.boards[sm.id, a], sub.warp[a & 15], run.op[b])
            sub.wake_at = min(sub.wake_at, now)
        elif kind == _BARRIER_RELEASE:
            release_barrier(sm, a, b, now)
        elif kind == _COPY_STEP:
            step_copies(sm, cfg, run, now)
        elif kind == _COPY_DONE:
            copy_done(sm, run, a, now)
    while True:
        node = pop_event(sm, REPLIES, now)
        if node < 0:
            break
        receive_reply(sm, cfg, run, sm.event_a[node], sm.event_b[node], now)
    if run.engine[sm.id].message_first >= 0:
        receive_messages(sm, cfg, run, now)
    find_next_event(sm, now)


@routine
def unit_done(sm, run, warp_id, op_index, now):
    """A result of a variable-latency unit, or a fixed-latency one with a counter, is written."""
    sub = sm.sub[warp_id >> 4]
    warp = sub.warp[warp_id & 15]
    op = run.op[op_index]
    if op.write_counter != _NO_COUNTER:
        lower_counter(sm, sub, warp, op.write_counter, now)
    if op.path != _FIXED:
        if op.tracked:
            scoreboard_write_done(run, run.boards[sm.id, warp_id], op)
        warp.loads -= 1
        check_memory_barrier(warp, now)
        if op.tracked or warp.active != 1 or warp.membar_until > now:
            sub.wake_at = min(sub.wake_at, now)


@routine
def receive_fetch(sm, cfg, run, index, now):
    """A line comes back over the link of the instruction and constant caches."""
    entry = sm.fetch[index]
    kind = entry.kind
    line = entry.line
    if kind >= _FIXED_CONSTANT:
        entry.used = 0
        entry.pending = sm.fetch_free
        sm.fetch_free = index
        if kind == _FIXED_CONSTANT:
            fill_fixed_constant(sm.sub[entry.subcore], cfg, line, now)
            return
        fill_variable_constant(sm, cfg, line, now)
        for i in range(PENDING_REQUESTS):
            pending = sm.pending[i]
            if pending.used and pending.constant_line == line:
                pending.constant_line = NONE
                push_event(sm, INTERNAL, now, now + pending.tail_cycles, _MEMORY_DONE, i, 0)
        return
    fill_l0_request(sm, cfg, run, index, now)


@routine
def receive_reply(sm, cfg, run, tag, sectors, now):
    """An answer of the L2 arrives at the SM."""
    sm.counter[_REPLIES] += 1
    value = tag & 0xFFFFFF
    kind = tag >> 24
    sm.sectors_received += 0 if kind == _STORE else popcount(sectors)
    if kind == _LINE:
        fill_sectors(sm, value, sectors, now)
        sm.unit_wake_at = min(sm.unit_wake_at, now)
    elif kind == _PENDING:
        count = 0
        for sector in range(4):
            count += sectors >> sector & 1
        receive_sectors(sm, value, count, now)
    elif kind == _STORE:
        sub = sm.sub[value >> 4 & 3]
        warp = sub.warp[value & 15]
        sm.l1_writes -= 1
        sm.last_store_at = now
        sm.unit_wake_at = min(sm.unit_wake_at, now)
        if warp.launched & STORE_WARPS == value >> 6:  # else the warp has ended and another one has its slot
            warp.stores -= 1
            check_memory_barrier(warp, now)
            sub.wake_at = min(sub.wake_at, now)
    elif kind == _INSTRUCTION:
        receive_l1i(sm, cfg, value, now)
    elif kind == _COPY:
        receive_copy(sm, cfg, run, value, sectors, now)


@routine
def start_warps(sm, cfg, run, now):
    """Start the warps of launched blocks, each at its time."""
    upcoming = NEVER
    for slot in range(len(sm.block)):
        block = sm.block[slot]
        if not block.active or block.started == block.warps:
            continue
        while block.started < block.warps and block.start_at <= now:
            start_warp(sm, run, slot, now)
            block.start_at = block.first_start_at + int(block.started * cfg.launch.warp_interval_cycles)
        if block.started < block.warps:
            upcoming = min(upcoming, block.start_at)
    sm.next_start_at = upcoming


@routine
def start_warp(sm, run, slot, now):
    """A warp takes a slot of the sub-core with the fewest warps (lowest first) and becomes its youngest."""
    block = sm.block[slot]
    s = 0
    for other in range(1, SUBCORES):
        if sm.sub[other].resident < sm.sub[s].resident:
            s = other
    sub = sm.sub[s]
    w = 0
    while sub.warp[w].active:
        w += 1
    count_residency(sm, now)
    if sm.resident_warps == 0:
        sm.active_from = now
    sm.resident_warps += 1
    sm.counter[_WARPS] += 1
    warp = sub.warp[w]
    index = block.started
    block.started += 1
    block.warp_slot[index] = s << 4 | w
    warp.active = 1
    warp.block = slot
    warp.launched = sm.launched
    sm.launched += 1
    warp.stream_at = block.stream_start[index]
    warp.stream_end = block.stream_start[index + 1]
    warp.head = run.instruction[warp.stream_at] if warp.stream_at < warp.stream_end else 0
    warp.fetch_at = warp.head
    warp.buffer_count = 0
    warp.buffer_first = 0
    warp.redirect_until = 0
    warp.stall_until = now
    for counter in range(len(warp.counter)):
        warp.counter[counter] = 0
    warp.waiting = 0
    warp.long_latency = 0
    warp.depbar_active = 0
    warp.barrier_wait = 0
    warp.membar_until = 0
    warp.membar_cycles = 0
    warp.loads = 0
    warp.stores = 0
    warp.copies_issued = 0
    warp.copies_done = 0
    warp.group_first = 0
    warp.group_count = 0
    warp.constant_line = NONE
    warp.chain_until = 0
    warp.ready_known = 0
    warp.blocked = 0
    warp.tokens = 0
    engine = run.engine[sm.id]
    engine.waits[s << 4 | w] = 0
    engine.warp_registers[s << 4 | w] = engine.registers
    warp.logged = NONE
    if run.tracked:
        board = run.boards[sm.id, s << 4 | w]
        for entry in range(SCOREBOARD_ENTRIES):
            board.written_at[entry] = NONE
    for rank in range(sub.resident, 0, -1):
        sub.order[rank] = sub.order[rank - 1]
    sub.order[0] = w
    sub.resident += 1
    sub.wake_at = min(sub.wake_at, now)
    if warp.stream_at == warp.stream_end:
        warp.active = 2
        sub.finishing += 1


@routine
def retire(sm, s, sub, cfg, run, now):
    """Free the warps that have left the pipeline and whose loads are complete. True if there are any.

    Acknowledgements of stores are not awaited: blocks that only write live 200 cycles less than the round trip to the
    L2 would take (gpu-benches gpu-stream, init with 16 threads per SM on V100, A100, A40). The kernel waits for them.
    """
    rank = 0
    before = sub.resident
    while rank < sub.resident:
        w = sub.order[rank]
        warp = sub.warp[w]
        outstanding = warp.loads != 0 or warp.waiting != 0 or warp.tokens != 0
        if warp.active == 2 and not outstanding and not in_pipeline(sub, w):
            retire_warp(sm, s, sub, w, rank, cfg, run, now)
        else:
            rank += 1
    return sub.resident != before


@stage
def retire_warp(sm, s, sub, w, position, cfg, run, now):
    """Give up the slot; the block ends with its last warp."""
    warp = sub.warp[w]
    log_end(sm, run, now, s << 4 | w)
    warp.active = 0
    sub.finishing -= 1
    for rank in range(position, sub.resident - 1):
        sub.order[rank] = sub.order[rank + 1]
    sub.resident -= 1
    if sub.greedy == w:
        sub.greedy = NONE
    count_residency(sm, now)
    sm.resident_warps -= 1
    if sm.resident_warps == 0:
        sm.counter[_ACTIVE_CYCLES] += now - sm.active_from
    block = sm.block[warp.block]
    for i in range(block.warps):
        if block.warp_slot[i] == (s << 4 | w):
            block.warp_slot[i] = NONE
    block.live_warps -= 1
    if block.live_warps == 0:
        if run.engine[sm.id].cluster[warp.block].size > 1:
            leave_cluster(sm, run, warp.block, now)
        forget_block(run.engine[sm.id], warp.block)
        hold = cfg.launch.block_slot_cycles + int(block.warps * cfg.launch.warp_slot_cycles)
        block.end_at = max(now, block.first_start_at + hold)
        block.active = 2  # the dispatcher collects it
        block.done_at = now
        sm.last_done_at = now
        sm.finished_blocks += 1
        return
    if run.engine[sm.id].cluster[warp.block].arrived:
        check_cluster_arrival(sm, run, warp.block, now)
    for barrier in range(BARRIERS):
        if block.arrived[barrier]:
            check_barrier(sm, cfg, warp.block, barrier, now)


@stage
def in_pipeline(sub, w):
    """True while an instruction of the warp is between issue and the end of operand allocation."""
    return (sub.control.valid and sub.control.warp == w) or (sub.allocate.valid and sub.allocate.warp == w)


@stage
def count_residency(sm, now):
    sm.counter[_WARP_CYCLES] += sm.resident_warps * (now - sm.residency_at)
    sm.residency_at = now


@stage
def charge(sub, op, run, now):
    """Charge the cycles before `now` to the reason that has lasted since the last charge, and to its instruction."""
    cycles = now - sub.charged_to
    sub.stall[sub.reason] += cycles
    run.profile[op, sub.reason] += cycles
    sub.charged_to = now


@stage
def settle(sm, run, now):
    """Charge every sub-core up to cycle `now`: the account must balance at any time it is read."""
    for s in range(SUBCORES):
        sub = sm.sub[s]
        if sub.charged_to < now:
            charge(sub, sub.reason_op, run, now)
    count_residency(sm, now)
    if sm.resident_warps > 0:
        sm.counter[_ACTIVE_CYCLES] += now - sm.active_from
        sm.active_from = now
