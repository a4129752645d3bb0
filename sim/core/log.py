"""Optional event log: when an instruction passes a stage. Costs one test when it is off."""

from sim.jit import routine


@routine
def log_event(sm, run, now, kind, warp_id, stream, op_index):
    if len(run.log) == 0:
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
