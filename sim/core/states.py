"""What every warp of a sub-core waits for, for timelines. The stall account holds one reason per sub-core; this is the
same question asked of each warp, without side effects, and only in the window of the event log."""

from sim.core.dependence import scoreboard_block
from sim.core.issue import unit_of
from sim.core.log import log_event
from sim.jit import routine, stage
from sim.state import Detail, Path
from sim.stats import Stall

_STATE = int(Detail.STATE)
_FIXED = int(Path.FIXED)
_ISSUED = int(Stall.ISSUED)
_DISPATCH = int(Stall.DISPATCH_STALL)
_MIO = int(Stall.MIO_THROTTLE)
_PIPE = int(Stall.MATH_PIPE_THROTTLE)
_CONSTANT_MISS = int(Stall.IMC_MISS)
_WAIT = int(Stall.WAIT)
_SHORT = int(Stall.SHORT_SCOREBOARD)
_LONG = int(Stall.LONG_SCOREBOARD)
_BARRIER = int(Stall.BARRIER)
_MEMBAR = int(Stall.MEMBAR)
_NO_INSTRUCTION = int(Stall.NO_INSTRUCTION)
_DRAIN = int(Stall.DRAIN)


@routine
def log_states(sm, s, sub, cfg, run, now):
    """Log the state of each warp from the next cycle on, where it differs from what the log said last."""
    window = run.log_window
    if not window[3] or now < window[0] or now >= window[1] or (window[2] >= 0 and window[2] != sm.id):
        return
    for rank in range(sub.resident):
        w = sub.order[rank]
        warp = sub.warp[w]
        state = state_of(sm, s, sub, cfg, run, w, warp, now + 1)
        if state != warp.logged:
            warp.logged = state
            log_event(sm, run, now, _STATE, s << 4 | w, state, warp.head)


@stage
def state_of(sm, s, sub, cfg, run, w, warp, now):
    """As `check_ready`, but nothing is fetched and nothing held. ISSUED: the warp may issue."""
    if sub.control.valid and sub.control.warp == w and not sub.control.fresh:
        return _DISPATCH if run.op[sub.control.op].path == _FIXED else _MIO
    if warp.active != 1:
        return _DRAIN
    if warp.barrier_wait:
        return _BARRIER
    if warp.membar_until > now:
        return _MEMBAR
    if warp.buffer_count == 0 or warp.buffer_ready_at[warp.buffer_first] > now:
        return _NO_INSTRUCTION
    if warp.stall_until > now:
        return _WAIT
    op = run.op[warp.head]
    blocked = warp.waiting & op.wait_mask
    if warp.depbar_active:
        if warp.counter[warp.depbar_counter] > warp.depbar_threshold:
            blocked |= 1 << warp.depbar_counter
        blocked |= warp.waiting & warp.depbar_mask
    if blocked:
        return _LONG if blocked & warp.long_latency else _SHORT
    if op.tracked:
        reason = scoreboard_block(run, cfg, run.boards[sm.id, s << 4 | w], warp, op, now)
        if reason != _ISSUED:
            return reason
    if op.path == _FIXED:
        if sub.unit_free_at[unit_of(sub, cfg, op, now)] > now:
            return _PIPE
        if op.constant_line >= 0 and warp.constant_line == op.constant_line:
            return _CONSTANT_MISS
    if sub.control.valid and not sub.control.fresh:  # no warp of the sub-core can issue
        return _DISPATCH if run.op[sub.control.op].path == _FIXED else _MIO
    return _PIPE if sub.port_busy_until > now else _ISSUED
