"""Shared memory: 32 banks of 4 bytes, one pass per cycle, in the same data array as the L1.

64-bit accesses take two phases of 16 lanes, 128-bit four of 8 (loads may merge two); a matrix load reads one 8x8
matrix (8 rows of 16 bytes) per phase. Further passes come from bank conflicts, or from lanes that add to the same word
atomically.
"""

import numpy as np

from isa.program import Access
from sim.core.coalesce import lane_address_at
from sim.core.passes import MATRICES, MERGED, PLAIN, data_passes
from sim.jit import routine
from sim.stats import CONFLICTS, PASSES, Counter

_LOAD = int(Access.LOAD)
_ATOMIC = int(Access.ATOMIC)
_REDUCTION = int(Access.REDUCTION)
_MATRIX_LOAD = int(Access.MATRIX_LOAD)
_MATRIX_STORE = int(Access.MATRIX_STORE)
_WAVEFRONTS = int(Counter.SHARED_WAVEFRONTS)
_CONFLICTS = int(Counter.SHARED_CONFLICTS)


@routine
def serve_shared(sm, cfg, run, pending, op, now):
    """Take the data path. Returns the cycle at which dependents may issue."""
    access = run.access[pending.stream]
    mask = np.int64(run.active_mask[pending.stream])
    if op.access == _MATRIX_LOAD or op.access == _MATRIX_STORE:
        fewest = max(1, op.matrices)
        passes = data_passes(sm, run, access, mask, op.matrices, MATRICES)
    else:
        fewest = max(1, op.bytes // 4)
        passes = data_passes(sm, run, access, mask, op.bytes, MERGED if op.access == _LOAD else PLAIN)
    scale = max(1, 128 // cfg.shared_memory.bytes_per_cycle)
    busy = passes * scale
    extra = max(0, passes - fewest) * scale
    if op.access == _ATOMIC or op.access == _REDUCTION:
        collisions = (most_lanes_on_a_word(run, access, mask) - 1) * cfg.shared_memory.atomic_cycles_per_lane
        busy += collisions
        extra += collisions
    sm.counter[_WAVEFRONTS] += passes
    sm.counter[_CONFLICTS] += max(0, passes - fewest)
    run.profile[pending.op, PASSES] += passes
    run.profile[pending.op, CONFLICTS] += max(0, passes - fewest)
    start_at = max(now, sm.data_free_at)
    sm.data_free_at = start_at + busy
    sm.data_busy_cycles += busy
    return start_at + pending.tail_cycles + extra


@routine
def most_lanes_on_a_word(run, access, mask):
    """Largest number of active lanes that address the same word."""
    worst = 1
    rank = 0
    for lane in range(32):
        if not mask >> lane & 1:
            continue
        word = lane_address_at(run, access, lane, rank) >> 2
        rank += 1
        same = 1
        other_rank = 0
        for other in range(lane):
            if mask >> other & 1:
                same += lane_address_at(run, access, other, other_rank) >> 2 == word
                other_rank += 1
        worst = max(worst, same)
    return worst
