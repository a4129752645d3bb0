"""Lists of lane addresses, kept once however often their pattern occurs.

The warps of a kernel touch the same pattern of addresses again and again, at other places: a tiled matrix product of
half a million shared-memory accesses per chunk has eight. Kept relative to a line of 128 bytes, patterns that occur
often stay in the host's caches, and the streams take a fraction of the memory.
"""

from __future__ import annotations

import numpy as np

from sim.jit import entry
from sim.threads import Threads

_LINE = ~127
_WORD = (1 << 32) - 1
_SAMPLES = 8  # addresses of a list that its hash takes in
_REMEMBERED = 1 << 14  # patterns: as many pairs of integers as the host's second-level cache holds easily
_ACCESSES_OF_A_PART = 1 << 14  # a thread takes about half a millisecond for them


Part = tuple[int, int, np.ndarray]  # accesses first to stop, and the patterns, i8, that their lists count through


def shared_lists(accesses: np.ndarray, lane_address: np.ndarray, placed: np.ndarray, threads: Threads) -> list[Part]:
    """Copy the accesses of a chunk (ACCESS) to `placed`, there with lists at `origin` + pattern.

    Each list ends where that of the next record begins, as MEMORY_ACCESS says. Lists in another order stay as they are.
    """

    def part(first: int, stop: int) -> Part | None:
        patterns = np.empty(len(lane_address), np.int64)  # memory only where something is written
        used = share(accesses, lane_address, first, stop, placed, patterns, np.zeros((_REMEMBERED, 2), np.int32))
        return (first, stop, patterns[:used].copy()) if used >= 0 else None

    found = threads.each_part(len(accesses), _ACCESSES_OF_A_PART, part)
    parts = [part for part in found if part is not None]
    if len(parts) == len(found):
        return parts
    placed[:] = accesses
    placed["origin"][accesses["list_at"] >= 0] = 0
    return [(0, len(accesses), lane_address)]


def lay_patterns(parts: list[Part], placed: np.ndarray, column: np.ndarray, start: int, threads: Threads) -> None:
    """Copy the patterns into a column, one part behind the other from `start` on, and point the accesses there."""
    starts = []
    for _, _, patterns in parts:
        column[start : start + len(patterns)] = patterns
        starts.append(start)
        start += len(patterns)
    threads.map(lambda part, by: shift_lists(placed, part[0], part[1], by), parts, starts)


@entry
def shift_lists(accesses, first, stop, by):
    for a in range(first, stop):
        if accesses[a].list_at >= 0:
            accesses[a].list_at += by


@entry
def share(accesses, lane_address, first, stop, placed, patterns, remembered):
    """Fill `placed` from `first` to `stop`, and `patterns` from 0. Returns the length of the patterns, -1 if the lists
    are not one behind the other. remembered: zeros, i4, shape (power of two, 2): where the pattern is, its length."""
    used = 0
    last = len(remembered) - 1
    a = first
    while a < stop:
        record = placed[a]
        record.origin = accesses[a].origin
        record.stride = accesses[a].stride
        record.list_at = accesses[a].list_at
        record.more = accesses[a].more
        begin = accesses[a].list_at
        a += 1
        if begin < 0:
            continue
        following = a
        while following < len(accesses) and accesses[following].list_at < 0:
            following += 1
        end = accesses[following].list_at if following < len(accesses) else len(lane_address)
        count = end - begin
        if count <= 0:
            if following < len(accesses) or count < 0:
                return -1
            continue  # no lane is active
        origin = lane_address[begin] & _LINE
        mixed = count
        for sample in range(_SAMPLES):
            mixed = mixed * 31 + (lane_address[begin + count * sample // _SAMPLES] - origin & _WORD) & _WORD
        slot = (mixed * 40503 >> 16) & last
        chosen = slot
        for _ in range(2):
            if remembered[chosen, 1] == count:
                at = remembered[chosen, 0]
                different = 0
                for k in range(count):  # all of them: without a way out it is done eight at a time
                    different |= patterns[at + k] ^ lane_address[begin + k] - origin
                if different == 0:
                    break
            chosen = chosen ^ 1
        else:
            remembered[slot ^ 1, 0] = remembered[slot, 0]
            remembered[slot ^ 1, 1] = remembered[slot, 1]
            remembered[slot, 0] = used
            remembered[slot, 1] = count
            for k in range(count):
                patterns[used + k] = lane_address[begin + k] - origin
            used += count
            chosen = slot
        record.origin = origin
        record.list_at = remembered[chosen, 0]
    return used
