"""Lists of lane addresses, kept once however often their pattern occurs.

The warps of a kernel touch the same pattern of addresses again and again, at other places: a tiled matrix product of
half a million shared-memory accesses per chunk has eight. Kept relative to a line of 128 bytes, patterns that occur
often stay in the host's caches, and the streams take a fraction of the memory.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sim.jit import entry

_LINE = ~127
_WORD = (1 << 32) - 1
_LISTS_OF_A_THREAD = 1 << 14  # a thread takes about a millisecond for them


def shared_lists(accesses: np.ndarray, lane_address: np.ndarray, threads: int = 1) -> np.ndarray:
    """Patterns of the lists of a chunk, i8; `accesses` (ACCESS, changed in place) then lie at `origin` + pattern.

    Each list ends where that of the next record begins, as MEMORY_ACCESS says. Lists in another order stay as they are.
    Each thread shares the lists of its part of a long chunk.
    """
    rows = np.flatnonzero(accesses["list_at"] >= 0)
    starts = accesses["list_at"][rows]
    if not len(starts):
        return lane_address[:0]
    if (np.diff(starts) <= 0).any():
        accesses["origin"][rows] = 0
        return lane_address
    parts = min(threads, max(1, len(starts) // _LISTS_OF_A_THREAD))
    cuts = [len(starts) * part // parts for part in range(parts)]
    first, at = [*rows[cuts], len(accesses)], [*starts[cuts], len(lane_address)]
    with ThreadPoolExecutor(parts) as pool:  # a thread starts when it has work
        own = [accesses[first[i] : first[i + 1]] for i in range(parts)]
        found = list(pool.map(_shared_part, own, [lane_address[:end] for end in at[1:]], at))
    before = len(found[0])
    for part, patterns in zip(own[1:], found[1:], strict=True):
        part["list_at"][part["list_at"] >= 0] += before
        before += len(patterns)
    return np.concatenate(found)


def _shared_part(accesses: np.ndarray, lane_address: np.ndarray, first: int) -> np.ndarray:
    patterns = np.empty(len(lane_address) - first, np.int64)
    table = np.zeros((1 << int(2 * len(accesses)).bit_length(), 2), np.int32)
    return patterns[: share(accesses, lane_address, patterns, table)].copy()


@entry
def share(accesses, lane_address, patterns, table):
    """Fill `patterns` and point the lists of `accesses` to them. table: zeros, i4, shape (power of two, 2)."""
    used = 0
    last = len(table) - 1
    a = 0
    while a < len(accesses) and accesses[a].list_at < 0:
        a += 1
    while a < len(accesses):
        following = a + 1
        while following < len(accesses) and accesses[following].list_at < 0:
            following += 1
        record = accesses[a]
        first = record.list_at
        end = accesses[following].list_at if following < len(accesses) else len(lane_address)
        a = following
        count = end - first
        record.list_at = used
        record.origin = 0
        if count == 0:
            continue
        origin = lane_address[first] & _LINE
        record.origin = origin
        mixed = count
        for k in range(count):
            mixed += (lane_address[first + k] - origin & _WORD) * (40503 * k + 1)
        slot = (mixed ^ mixed >> 17 ^ mixed >> 31) & last
        while table[slot, 1] != 0:
            if table[slot, 1] == count:
                at = table[slot, 0]
                different = 0
                for k in range(count):  # all of them: without a way out it is done eight at a time
                    different |= patterns[at + k] ^ lane_address[first + k] - origin
                if different == 0:
                    break
            slot = slot + 1 & last
        if table[slot, 1] == 0:
            table[slot, 0] = used
            table[slot, 1] = count
            for k in range(count):
                patterns[used + k] = lane_address[first + k] - origin
            used += count
        record.list_at = table[slot, 0]
    return used
