"""Data passes of an access, remembered: the warps of a kernel repeat a few patterns of lane addresses for ever.

How many passes the banks take depends on the pattern of the lanes, on the lanes that are active and on where in its
word the access begins, not on its line: words that all move by the same distance meet in other banks as before.
"""

import numpy as np

from isa.bits import popcount
from sim.core.coalesce import BANKS, add_word, bank_passes, lane_address_at, merged_passes
from sim.jit import routine, stage
from sim.state import KNOWN_PASSES

PLAIN, MERGED, MATRICES = 0, 1, 2  # what is asked: any access, a shared load, rows of matrices


@routine
def data_passes(sm, run, access, mask, width, kind):
    """Passes of an access: `width` is bytes per lane, of MATRICES their number."""
    record = run.accesses[access]
    place = np.int64(record.stride) & 0xFFFFFFFF
    if record.list_at >= 0:
        place = 1 << 32 | np.int64(record.list_at)
    pattern = place | (record.origin & 3) << 33 | kind << 35 | np.int64(width) << 37
    slot = (place ^ place >> 5 ^ mask ^ mask >> 7 ^ mask >> 16 ^ width) & (KNOWN_PASSES - 1)
    if sm.known_pattern[slot, 0] == pattern and sm.known_pattern[slot, 1] == mask:
        return sm.known_passes[slot]
    passes = count_passes(sm, run, access, mask, width, kind)
    sm.known_pattern[slot, 0] = pattern
    sm.known_pattern[slot, 1] = mask
    sm.known_passes[slot] = passes
    return passes


@stage
def count_passes(sm, run, access, mask, width, kind):
    if kind == MATRICES:
        return matrix_passes(sm, run, access, mask, width)
    if kind == MERGED and width >= 8:
        passes = merged_passes(sm, run, access, mask, width // 4)
        if passes > 0:
            return passes
    return bank_passes(sm, run, access, mask, width)


@routine
def matrix_passes(sm, run, access, mask, matrices):
    """Passes of LDSM / STSM: lanes 8m .. 8m + 7 hold the row addresses of matrix m."""
    total = 0
    for matrix in range(max(1, matrices)):
        for bank in range(BANKS):
            sm.bank_words[bank] = 0
        worst = 1
        rank = popcount(mask & ((1 << matrix * 8) - 1))
        for lane in range(matrix * 8, matrix * 8 + 8):
            if mask >> lane & 1:
                word = lane_address_at(run, access, lane, rank) >> 2
                rank += 1
                for part in range(4):
                    worst = max(worst, add_word(sm, word + part))
        total += worst
    return total
