"""mbarrier objects in shared memory: SYNCS (sm_90 and later) and ARRIVES.LDGSTSBAR.

Word of sm_90 and later, from the code that initialises and tests it: bit 63 the phase, bits 43 to 62 the arrivals that
are missing (negative, modulo 2^20), bits 21 to 42 the bytes that are missing, bits 1 to 20 the arrivals of the next
phase (negative). Word of sm_80: see `Atomic.ARRIVE`. Copies complete when issued, so ARRIVES arrives at once.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from isa.jit import routine, stage
from traces.emulator.atomics import Atomic, Number, updated
from traces.emulator.memory import lane_addresses, resolve
from traces.emulator.records import LANES, Space, Status


class Barrier(IntEnum):
    """`variant` of PHASE_BARRIER."""

    EXCHANGE = 0
    ARRIVE = 1
    TEST = 2
    ARRIVE_80 = 3


# `extra` of ARRIVE: arrivals in bits 0 and 1, transactions in bits 2 and 3, then flags
NONE_ADDED, ONE, FROM_REGISTER, REMOVED = range(4)
DROPS = 16  # OPTOUT: one arrival fewer in the next phases, too
COUNT = (1 << 20) - 1
BYTES = (1 << 22) - 1


@stage
def amount(code, register):
    if code == FROM_REGISTER:
        return np.int64(register)
    return -np.int64(register) if code == REMOVED else np.int64(code)


@stage
def arrived(word, arrivals, transactions, drops):
    """The word after arrivals and changes of the missing bytes; the phase flips when nothing is missing."""
    old = np.int64(word)
    phase, missing = (old >> 63) & 1, (old >> 43) & COUNT
    size, again = (old >> 21) & BYTES, (old >> 1) & COUNT
    missing = (missing + arrivals) & COUNT
    size = (size + transactions) & BYTES
    if drops:
        again = (again + 1) & COUNT
    if missing == 0 and size == 0:
        phase, missing = 1 - phase, again
    return np.uint64((phase << 63) | (missing << 43) | (size << 21) | (again << 1) | (old & 1))


@routine
def phase_barrier(op, warp, machine, allocation, words, active):
    """Run one operation on an mbarrier. `machine.pauses` is set when a test fails. Returns a Status."""
    lane_addresses(op, warp)
    status = resolve(op, warp, machine, allocation, active, np.int64(Space.SHARED))
    if status != Status.RUNNING:
        return status
    holds = np.uint32(0)
    once = np.uint32(active)
    if op.variant == Barrier.EXCHANGE:
        once = np.uint32(once & (~once + np.uint32(1)))
    for lane in range(LANES):
        if not (once >> np.uint32(lane)) & np.uint32(1):
            continue
        at = np.int64(warp.wide_d[lane]) >> 2
        old = np.uint64(words[at]) | (np.uint64(words[at + 1]) << np.uint64(32))
        new = old
        if op.variant == Barrier.EXCHANGE:
            new = np.uint64(warp.wide_a[lane])
        elif op.variant == Barrier.ARRIVE:
            arrivals = amount(op.extra & 3, warp.a[lane])
            new = arrived(old, arrivals, amount((op.extra >> 2) & 3, warp.a[lane]), op.extra & DROPS)
        elif op.variant == Barrier.ARRIVE_80:
            new = updated(np.int64(Atomic.ARRIVE), np.int64(Number.UNSIGNED), old, old, old, True)
        else:
            holds |= np.uint32(old >> np.uint64(63) != np.uint64(warp.a[lane] >> np.uint32(31))) << np.uint32(lane)
        words[at], words[at + 1] = np.uint32(new), np.uint32(new >> np.uint64(32))
        warp.result[0, lane], warp.result[1, lane] = np.uint32(old), np.uint32(old >> np.uint64(32))
    warp.mask_result[0] = holds
    if op.variant == Barrier.TEST and holds & active == 0 and warp.groups == 1:
        machine.pauses = 1  # it waits for others: let them run
    return status
