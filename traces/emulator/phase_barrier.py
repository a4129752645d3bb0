"""mbarrier objects in shared memory: SYNCS (sm_90 and later) and ARRIVES.LDGSTSBAR.

Word of sm_90 and later, from the code that initialises and tests it: bit 63 the phase, bits 43 to 62 the arrivals that
are missing (negative, modulo 2^20), bits 21 to 42 the bytes that are missing, bits 1 to 20 the arrivals of the next
phase (negative). Word of sm_80: see `Atomic.ARRIVE`. Copies complete when issued, so ARRIVES arrives at once.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from isa.bits import trailing_zeros
from isa.jit import routine, stage
from traces.emulator.atomics import Atomic, Number, updated
from traces.emulator.memory import lane_addresses, log_addresses, resolve
from traces.emulator.records import ALL, LANES, Space, Status


class Barrier(IntEnum):
    """`variant` of PHASE_BARRIER."""

    EXCHANGE = 0
    ARRIVE = 1
    TEST = 2
    ARRIVE_80 = 3
    TRY = 4  # a test that waits for a while


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
    """Run one operation on an mbarrier; its operand goes to `wide_c` for the log (see `traces.stream`).

    A failed TEST sets `machine.pauses`; a TRY that no lane passes is BLOCKED, unless the warp `expires`. Returns a
    Status.
    """
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
            warp.wide_c[lane] = np.uint64(-(np.int64(new) >> 1) & COUNT)
        elif op.variant == Barrier.ARRIVE:
            arrivals = amount(op.extra & 3, warp.a[lane])
            transactions = amount((op.extra >> 2) & 3, warp.a[lane])
            new = arrived(old, arrivals, transactions, op.extra & DROPS)
            warp.wide_c[lane] = np.uint64((arrivals << 32) | (transactions & ALL))
        elif op.variant == Barrier.ARRIVE_80:
            new = updated(np.int64(Atomic.ARRIVE), np.int64(Number.UNSIGNED), old, old, old, True)
            warp.wide_c[lane] = np.uint64(1) << np.uint64(32)
        else:
            parity = np.uint64(warp.a[lane] >> np.uint32(31))
            passed = old >> np.uint64(63) != parity
            holds |= np.uint32(passed) << np.uint32(lane)
            warp.wide_c[lane] = parity | (np.uint64(passed) << np.uint64(1))
            continue
        machine.expired = 0
        words[at], words[at + 1] = np.uint32(new), np.uint32(new >> np.uint64(32))
        warp.result[0, lane], warp.result[1, lane] = np.uint32(old), np.uint32(old >> np.uint64(32))
    if op.variant == Barrier.EXCHANGE:
        first = np.int64(trailing_zeros(np.uint64(active)))
        for lane in range(LANES):
            warp.wide_c[lane] = warp.wide_c[first]
    if op.variant == Barrier.TRY and holds == 0 and not warp.expires:
        warp.blocked_address = warp.address[np.int64(trailing_zeros(np.uint64(active)))]
        return np.int64(Status.BLOCKED)
    if op.variant == Barrier.TRY:
        warp.expires = 0
    warp.mask_result[0] = holds
    if op.variant == Barrier.TEST and holds & active == 0 and warp.groups == 1:
        machine.pauses = 1  # it waits for others: let them run
    return status


@routine
def log_operands(warp, machine, accesses, lane_address, active):
    """Append the addresses of a barrier operation (still in `warp.address`) and its operands. Returns an index."""
    at = log_addresses(warp, machine, accesses, lane_address, active)
    accesses[at].more = 1
    for lane in range(LANES):
        warp.address[lane] = np.int64(warp.wide_c[lane])
    log_addresses(warp, machine, accesses, lane_address, active)
    return at
