"""Packet pool and event wheels."""

from __future__ import annotations

import numpy as np

from sim.jit import stage
from sim.memory.state import NONE, WHEEL


@stage
def popcount(mask):
    """Bits set in a mask of four sectors."""
    return (np.int64(0x4332322132212110) >> (np.int64(mask) << 2)) & 7


@stage
def take_packet(memory):
    """A packet from the pool; `memory_advance` has checked that there are enough."""
    system = memory.system[0]
    p = system.free_packet
    if p != NONE:
        system.free_packet = memory.packet[p].next
    else:
        p = system.fresh_packet
        system.fresh_packet += 1
    system.packets += 1
    return p


@stage
def free_packet(memory, p):
    system = memory.system[0]
    memory.packet[p].next = system.free_packet
    system.free_packet = p
    system.packets -= 1


@stage
def schedule(memory, wheel, p, at):
    """Put packet p at the end of its cycle's bucket."""
    packet = memory.packet[p]
    packet.at = at
    packet.next = NONE
    slot = at & (WHEEL - 1)
    last = memory.wheel_last[wheel, slot]
    if last == NONE:
        memory.wheel_first[wheel, slot] = p
    else:
        memory.packet[last].next = p
    memory.wheel_last[wheel, slot] = p
    memory.system[0].events[wheel] += 1


@stage
def pop_due(memory, wheel, now):
    """Oldest packet due at `now`, or NONE. Packets of a later lap stay where they are."""
    slot = now & (WHEEL - 1)
    previous = NONE
    p = memory.wheel_first[wheel, slot]
    while p != NONE and memory.packet[p].at != now:
        previous = p
        p = memory.packet[p].next
    if p != NONE:
        after = memory.packet[p].next
        if previous == NONE:
            memory.wheel_first[wheel, slot] = after
        else:
            memory.packet[previous].next = after
        if after == NONE:
            memory.wheel_last[wheel, slot] = previous
        memory.system[0].events[wheel] -= 1
    return p
