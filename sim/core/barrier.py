"""Barriers: BAR among the warps of a thread block, MEMBAR for the accesses of one warp."""

from sim.core.events import INTERNAL, push_event
from sim.jit import routine, stage
from sim.state import NEVER, NONE, Event
from sim.stats import Counter

_BARRIER_RELEASE = int(Event.BARRIER_RELEASE)
_BARRIERS = int(Counter.BARRIERS)


@routine
def arrive(sm, cfg, warp, op, waits, now):
    """A warp reaches BAR; the last arrival releases the others `sync_release_cycles` later."""
    block = sm.block[warp.block]
    barrier = op.barrier & 15
    at = max(now, sm.barrier_free_at)  # one BAR per `sync_issue_cycles` in the SM
    sm.barrier_free_at = at + cfg.barrier.sync_issue_cycles
    block.arrived[barrier] += 1
    block.expected[barrier] = op.barrier_threads // 32
    if waits:
        warp.barrier_wait = barrier + 1
    check_barrier(sm, cfg, warp.block, barrier, at)


@routine
def check_barrier(sm, cfg, block_slot, barrier, now):
    """Release the barrier if every warp it expects has arrived."""
    block = sm.block[block_slot]
    expected = block.expected[barrier]
    if expected <= 0:  # all threads, or a count in a register, which a trace does not tell
        expected = block.live_warps
    if block.arrived[barrier] > 0 and block.arrived[barrier] >= expected:
        block.arrived[barrier] = 0
        sm.counter[_BARRIERS] += 1
        release_at = now + max(1, cfg.barrier.sync_release_cycles)
        push_event(sm, INTERNAL, now, release_at, _BARRIER_RELEASE, block_slot, barrier)


@stage
def waiter(sm, block, i, wait):
    """Warp number i of a block if it waits for `wait`, else NONE."""
    warp_id = block.warp_slot[i]
    if warp_id >= 0 and sm.sub[warp_id >> 4].warp[warp_id & 15].barrier_wait == wait:
        return warp_id
    return NONE


@stage
def end_wait(sm, warp_id, now):
    sub = sm.sub[warp_id >> 4]
    sub.warp[warp_id & 15].barrier_wait = 0
    sub.wake_at = min(sub.wake_at, now)


@routine
def release_barrier(sm, block_slot, barrier, now):
    block = sm.block[block_slot]
    for i in range(block.warps):
        warp_id = waiter(sm, block, i, barrier + 1)
        if warp_id >= 0:
            end_wait(sm, warp_id, now)


@stage
def start_memory_barrier(warp, cycles, now):
    """The warp waits for its own accesses, then for the scope's round trip."""
    warp.membar_cycles = max(1, cycles)
    warp.membar_until = NEVER
    check_memory_barrier(warp, now)


@stage
def check_memory_barrier(warp, now):
    if warp.membar_cycles > 0 and warp.loads == 0 and warp.stores == 0:
        warp.membar_until = now + warp.membar_cycles
        warp.membar_cycles = 0
