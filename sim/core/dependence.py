"""Dependences between the instructions of a warp: the six counters of the control bits, or scoreboards without them."""

from isa.program import NO_COUNTER
from sim.core.events import INTERNAL, push_event
from sim.jit import routine, stage
from sim.state import PREDICATE_ENTRY, UNIFORM_ENTRY, UNIFORM_PREDICATE_ENTRY, Event, Fault
from sim.stats import Stall

_COUNTER = int(Event.COUNTER)
_SCOREBOARD_READ = int(Event.SCOREBOARD_READ)
_OVERFLOW = int(Fault.COUNTER_OVERFLOW)
_UNDERFLOW = int(Fault.COUNTER_UNDERFLOW)
_NO_COUNTER = int(NO_COUNTER)
_ISSUED = int(Stall.ISSUED)
_WAIT = int(Stall.WAIT)
_SHORT = int(Stall.SHORT_SCOREBOARD)
_LONG = int(Stall.LONG_SCOREBOARD)
ALL_COUNTERS = 127  # bit mask of the six counters and GROUP_COUNTER
MAX_COUNT = 63  # dependence counters are six bits wide (MICRO 2025, section 7.5)
MAX_FIXED_CONSUMERS = 15


@stage
def raise_counter(sm, warp, counter, long_latency):
    """Control stage, the cycle after issue: visible to issue one cycle later (MICRO 2025, section 4)."""
    if warp.counter[counter] >= MAX_COUNT:
        sm.fault = _OVERFLOW
    warp.counter[counter] += 1
    warp.waiting |= 1 << counter
    warp.blocked = 0
    if long_latency:
        warp.long_latency |= 1 << counter
    else:
        warp.long_latency &= ~(1 << counter) & ALL_COUNTERS


@stage
def raise_counters(sm, warp, op):
    if op.write_counter != _NO_COUNTER:
        raise_counter(sm, warp, op.write_counter, op.long_latency)
    if op.read_counter != _NO_COUNTER:
        raise_counter(sm, warp, op.read_counter, 0)


@stage
def lower_counter(sm, sub, warp, counter, now):
    """Write-back or operand read: visible to issue in this cycle."""
    if warp.counter[counter] <= 0:
        sm.fault = _UNDERFLOW
    warp.counter[counter] -= 1
    if warp.counter[counter] == 0:
        warp.waiting &= ~(1 << counter) & ALL_COUNTERS
    elif not warp.depbar_active:
        return
    if warp.blocked or warp.active != 1:
        sub.wake_at = min(sub.wake_at, now)
        warp.blocked = 0


@routine
def complete_copy_groups(sm, sub, warp, now):
    """Commit groups of LDGSTS and of bulk stores end in order; each lowers the counter that its commit raised."""
    while warp.group_count > 0 and warp.copies_done >= warp.group_target[warp.group_first]:
        lower_counter(sm, sub, warp, warp.group_counter[warp.group_first], now)
        warp.group_first = (warp.group_first + 1) % len(warp.group_target)
        warp.group_count -= 1


@stage
def scoreboard_read_done(run, board, warp, op):
    warp.tokens -= 1
    for i in range(op.reads_first, op.reads_first + op.reads):
        board.consumers[run.read_entry[i]] -= 1
        board.pending_reads[run.read_entry[i]] -= op.variable_latency


@routine
def release_read_counter(sm, run, warp_id, op_index, now, at):
    """The sources of a variable-latency instruction are read: dependents may overwrite them from cycle `at` >= now."""
    op = run.op[op_index]
    sub = sm.sub[warp_id >> 4]
    warp = sub.warp[warp_id & 15]
    if op.read_counter != _NO_COUNTER:
        if at <= now:
            lower_counter(sm, sub, warp, op.read_counter, now)
        else:
            push_event(sm, INTERNAL, now, at, _COUNTER, warp_id, op.read_counter)
    if op.tracked:
        if at <= now:
            scoreboard_read_done(run, run.boards[sm.id, warp_id], warp, op)
        else:
            push_event(sm, INTERNAL, now, at, _SCOREBOARD_READ, warp_id, op_index)


@stage
def counters_block(warp, op):
    """Wait mask and DEPBAR: ISSUED if the instruction may issue, else the scoreboard stall."""
    blocked = warp.waiting & op.wait_mask
    if warp.depbar_active:
        if warp.counter[warp.depbar_counter] > warp.depbar_threshold:
            blocked |= 1 << warp.depbar_counter
        blocked |= warp.waiting & warp.depbar_mask
        if blocked == 0:
            warp.depbar_active = 0
    if blocked == 0:
        return _ISSUED
    return _LONG if blocked & warp.long_latency else _SHORT


@stage
def file_of(entry):
    """Row of the latency table of a scoreboard entry: registers, uniform registers, predicates, uniform predicates."""
    if entry >= UNIFORM_PREDICATE_ENTRY:
        return 3
    if entry >= PREDICATE_ENTRY:
        return 2
    return 1 if entry >= UNIFORM_ENTRY else 0


@routine
def scoreboard_block(run, cfg, board, warp, op, now):
    """Scoreboard mode: ISSUED, WAIT (until warp.ready_at) or a scoreboard stall.

    A fixed-latency producer blocks its consumer for the distance of the architecture's table; a variable-latency
    producer until its result is written; a variable-latency reader blocks a writer until the operand is read.
    """
    blocked = 0
    is_long = 0
    ready_at = warp.ready_at if warp.ready_known else 0
    for i in range(op.reads_first, op.reads_first + op.reads):
        entry = run.read_entry[i]
        if board.pending_writes[entry] != 0:
            blocked = 1
            is_long |= board.long_latency[entry]
        elif not warp.ready_known and board.written_at[entry] >= 0:
            distance = run.latency[file_of(entry), board.producer[entry], run.read_class[i]]
            ready_at = max(ready_at, board.written_at[entry] + distance)
        if cfg.issue.scoreboard_consumers > 0 and board.consumers[entry] >= cfg.issue.scoreboard_consumers:
            blocked = 1
    for i in range(op.writes_first, op.writes_first + op.writes):
        entry = run.write_entry[i]
        if board.pending_writes[entry] != 0 or board.pending_reads[entry] != 0:
            blocked = 1
            is_long |= board.long_latency[entry] & (board.pending_writes[entry] != 0)
        elif not warp.ready_known and board.written_at[entry] >= 0:
            # in-order writes to the same register: the table distance of the same pipe keeps them ordered
            ready_at = max(ready_at, board.written_at[entry] + run.overwrite[board.producer[entry], op.produces])
    if not blocked:
        warp.ready_known = 1
        warp.ready_at = ready_at
    if blocked:
        return _LONG if is_long else _SHORT
    return _WAIT if ready_at > now else _ISSUED


@stage
def counts_as_consumer(cfg, op):
    """Fixed-latency readers hold their entry for the few cycles until they read: only a small limit can see them."""
    return op.variable_latency or 0 < cfg.issue.scoreboard_consumers <= MAX_FIXED_CONSUMERS


@routine
def scoreboard_issue(run, cfg, board, warp, op, now):
    """Record an issued instruction: its reads until they are done, its writes until they are visible."""
    warp.ready_known = 0
    if counts_as_consumer(cfg, op):
        warp.tokens += 1
        for i in range(op.reads_first, op.reads_first + op.reads):
            board.consumers[run.read_entry[i]] += 1
            board.pending_reads[run.read_entry[i]] += op.variable_latency
    for i in range(op.writes_first, op.writes_first + op.writes):
        entry = run.write_entry[i]
        if op.variable_latency:
            board.pending_writes[entry] += 1
            board.long_latency[entry] = op.long_latency
            board.written_at[entry] = -1
        else:
            board.written_at[entry] = now
            board.producer[entry] = run.write_class[i]


@stage
def scoreboard_write_done(run, board, op):
    for i in range(op.writes_first, op.writes_first + op.writes):
        board.pending_writes[run.write_entry[i]] -= 1
