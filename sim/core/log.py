"""Optional event log: when an instruction passes a stage. Costs one test when it is off."""

from sim.jit import routine
from sim.state import NONE, Detail, LogKind

_START = int(Detail.START)
_END = int(Detail.END)
_DONE = int(LogKind.DONE)


@routine
def log_event(sm, run, now, kind, warp_id, stream, op_index):
    """Append to the log if cycle and SM lie in its window (`run.log_window`: from, to, SM or -1, details wanted)."""
    if len(run.log) == 0:
        return
    window = run.log_window
    if now < window[0] or now >= window[1] or (window[2] >= 0 and window[2] != sm.id):
        return
    position = run.log_count[0]
    run.log_count[0] = position + 1
    if position < len(run.log):
        entry = run.log[position]
        entry.cycle = now
        entry.stream = stream
        entry.op = op_index
        entry.sm = sm.id
        entry.warp = warp_id
        entry.kind = kind
        entry.block = sm.block[sm.sub[warp_id >> 4].warp[warp_id & 15].block].block


@routine
def log_unit(sm, run, start_at, done_at, warp_id, stream, op_index):
    """Start and end of an instruction in a variable-latency unit; both are known when it is dispatched."""
    if len(run.log) and run.log_window[3]:
        log_event(sm, run, start_at, _START, warp_id, stream, op_index)
        log_event(sm, run, done_at, _DONE, warp_id, stream, op_index)


@routine
def log_end(sm, run, now, warp_id):
    """The warp gives up its slot."""
    if len(run.log) and run.log_window[3]:
        sm.sub[warp_id >> 4].warp[warp_id & 15].logged = NONE
        log_event(sm, run, now, _END, warp_id, 0, 0)
