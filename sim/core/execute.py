"""Control stage and execution units.

Control sees an instruction the cycle after issue: it raises the dependence counters (visible to issue one cycle
later) and hands the instruction to the allocate stage (fixed latency), to the latch of a variable-latency unit, or to
the memory queue of the sub-core. Where that is full the instruction stays, and nothing behind it can issue (MICRO 2025,
section 5.1).
"""

from isa.program import Unit
from sim.core.dependence import release_read_counter
from sim.core.events import INTERNAL, push_event
from sim.core.log import log_event, log_unit
from sim.core.memory_unit import enqueue, queue_has_room
from sim.jit import routine, stage
from sim.state import NEVER, Event, LogKind, Path

_UNIT_DONE = int(Event.UNIT_DONE)
_FIXED = int(Path.FIXED)
_CONTROL = int(LogKind.CONTROL)
_MEMORY = int(Path.MEMORY)
_FP64 = int(Unit.FP64)
_UNIT_LATCH_CYCLES = 2  # issue -> dispatch latch of a unit
_UNIT_READ_CYCLES = 3  # start -> operands read


@routine
def control(sm, s, sub, cfg, run, now):
    """Move the instruction in the control latch on. Returns the next cycle to try, or 0 if the latch is free now."""
    latch = sub.control
    if latch.fresh:
        latch.fresh = 0
        log_event(sm, run, now, _CONTROL, s << 4 | latch.warp, latch.stream, latch.op)
        sub.raise_warp = latch.warp
        sub.raise_op = latch.op
    op = run.op[latch.op]
    if op.path == _FIXED:
        if sub.allocate.valid:
            return now + 1
        move_to_allocate(sub)
        return 0
    if op.path == _MEMORY:
        if not queue_has_room(sub, cfg):
            return NEVER  # the shared unit wakes the sub-core when it takes an instruction
        enqueue(sm, s, sub, run, now)
        latch.valid = 0
        return 0
    free_at = sub.latch_free_at[op.unit]
    if free_at > now:
        return free_at
    dispatch(sm, s, sub, cfg, run, now)
    latch.valid = 0
    return 0


@stage
def move_to_allocate(sub):
    sub.allocate.valid = 1
    sub.allocate.warp = sub.control.warp
    sub.allocate.op = sub.control.op
    sub.allocate.stream = sub.control.stream
    sub.allocate.issued_at = sub.control.issued_at
    sub.control.valid = 0


@routine
def dispatch(sm, s, sub, cfg, run, now):
    """A variable-latency instruction waits in the latch of its unit until the unit is free, then runs."""
    latch = sub.control
    op = run.op[latch.op]
    start_at = max(now + 1, latch.issued_at + _UNIT_LATCH_CYCLES)
    if op.unit == _FP64 and cfg.execute.fp64_shared:
        start_at = max(start_at, sm.fp64_free_at)
        sm.fp64_free_at = start_at + op.interval_cycles
    else:
        start_at = max(start_at, sub.unit_free_at[op.unit])
        sub.unit_free_at[op.unit] = start_at + op.interval_cycles
    sub.busy_cycles[op.unit] += op.interval_cycles
    if not op.is_queued:
        sub.latch_free_at[op.unit] = start_at
    warp_id = s << 4 | latch.warp
    release_read_counter(sm, run, warp_id, latch.op, now, start_at + _UNIT_READ_CYCLES)
    done_at = start_at + max(1, op.latency_cycles - _UNIT_LATCH_CYCLES)
    log_unit(sm, run, start_at, done_at, warp_id, latch.stream, latch.op)
    push_event(sm, INTERNAL, now, done_at, _UNIT_DONE, warp_id, latch.op)
