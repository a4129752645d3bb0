"""The memory system as one component: requests of a quantum in, replies out.

Requests reach a slice no earlier than `request_cycles` after they were sent, and replies reach an SM no earlier than
`reply_cycles` after they left a slice. So with all requests before `to_cycle` known, slices may run until
to_cycle + request_cycles and replies are final until to_cycle + request_cycles + reply_cycles: the lookahead. What is
simulated never depends on how a stretch of time is cut into quanta.

Latency of one sector on an idle machine, from the SM's port back to it:
  hit            request_cycles + l2.access_cycles + reply_cycles
  hit at home,   the same + far_partition_cycles
  far from SM
  miss           the hit + dram.access_cycles + (tRCD, or tRP + tRCD, or 0) + tCL + burst, rounded up to command clocks
"""

from __future__ import annotations

import numpy as np

from sim.jit import entry, stage
from sim.memory.dram import advance_dram
from sim.memory.events import popcount
from sim.memory.interconnect import accept_requests, advance_replies, advance_requests, locate
from sim.memory.l2 import advance_slices, find, find_victim, touch
from sim.memory.state import LINE_SHIFT, NEVER, NONE, WHEEL, Wheel

GPC = int(Wheel.GPC)
ARRIVAL = int(Wheel.ARRIVAL)
SLICE = int(Wheel.SLICE)
REPLY_WHEEL = int(Wheel.REPLY)


@stage
def lookahead_cycles(cfg):
    """Largest quantum: no reply is earlier than this after its request."""
    return cfg.interconnect.request_cycles + cfg.interconnect.reply_cycles


@stage
def memory_idle(memory):
    """True if nothing is under way: no request, reply, fetch or write-back."""
    return memory.system[0].packets == 0


@stage
def _earliest(memory, wheel):
    """Cycle of the first event of a wheel."""
    system = memory.system[0]
    if system.events[wheel] == 0:
        return NEVER
    start = system.done_until[wheel]
    best = NEVER
    for offset in range(WHEEL):
        p = memory.wheel_first[wheel, (start + offset) & (WHEEL - 1)]
        while p != NONE:
            best = min(best, memory.packet[p].at)
            p = memory.packet[p].next
        if best <= start + offset:
            return best
    return best


@stage
def next_event_at(memory, cfg):
    """No reply reaches an SM before this cycle unless the SMs send something new; NEVER if nothing is under way."""
    system = memory.system[0]
    to_slice, to_sm = cfg.interconnect.request_cycles, cfg.interconnect.reply_cycles
    at = min(_earliest(memory, REPLY_WHEEL), _earliest(memory, GPC) + to_slice + to_sm)
    inside = min(_earliest(memory, ARRIVAL), _earliest(memory, SLICE))
    return min(at, min(inside, system.dram_wake_at) + to_sm)


@stage
def _check_call(memory, cfg, requests, count, from_cycle, to_cycle):
    """Errors of the caller, all before anything is changed."""
    system = memory.system[0]
    if from_cycle < system.done_until[GPC] or to_cycle <= from_cycle:
        raise ValueError("memory_advance: quanta must not overlap or be empty")
    lookahead = lookahead_cycles(cfg)
    too_long = count > 0 and to_cycle - from_cycle > lookahead
    if too_long or (to_cycle - system.done_until[GPC] > lookahead and next_event_at(memory, cfg) < to_cycle):
        raise ValueError("memory_advance: quantum longer than lookahead_cycles")
    sectors = system.sectors
    for i in range(count):
        request = requests[i]
        if request.at < from_cycle or request.at >= to_cycle:
            raise ValueError("memory_advance: request outside the quantum")
        if request.sm < 0 or request.sm >= cfg.gpu.sms:
            raise ValueError("memory_advance: request of an SM that does not exist")
        if request.sector_mask == 0 or request.sector_mask > 15:
            raise ValueError("memory_advance: request without sectors, or with more than four")
        sectors += popcount(request.sector_mask)
    if sectors > system.max_sectors:
        raise RuntimeError("memory_advance: more sectors outstanding than new_memory was told (sectors_per_sm)")


@stage
def advance(memory, cfg, requests, request_count, replies, from_cycle, to_cycle):
    """As `memory_advance`, for compiled callers."""
    system = memory.system[0]
    _check_call(memory, cfg, requests, request_count, from_cycle, to_cycle)
    accept_requests(memory, cfg, requests, request_count, from_cycle)

    now = system.done_until[GPC]
    while now < to_cycle and system.events[GPC]:
        advance_requests(memory, cfg, now)
        now += 1
    system.done_until[GPC] = to_cycle

    until = to_cycle + cfg.interconnect.request_cycles
    step = system.dram_step_cycles
    now = system.done_until[SLICE]
    while now < until:
        if system.events[ARRIVAL] + system.events[SLICE] == 0:
            if system.dram_wake_at // step * step >= until:  # steps begin at their multiples, wherever a quantum ends
                break
            now = max(now, system.dram_wake_at // step * step)
        if now % step == 0 and system.dram_wake_at < now + step:
            advance_dram(memory, cfg, now)
        advance_slices(memory, cfg, now)
        now += 1
    system.done_until[ARRIVAL] = until
    system.done_until[SLICE] = until

    until += cfg.interconnect.reply_cycles
    now = system.done_until[REPLY_WHEEL]
    reply_count = 0
    while now < until and system.events[REPLY_WHEEL]:
        reply_count = advance_replies(memory, cfg, replies, reply_count, now)
        now += 1
    system.done_until[REPLY_WHEEL] = until
    return reply_count


@entry
def memory_advance(memory, cfg, requests, request_count, replies, from_cycle, to_cycle):
    """Run everything beyond the SMs for the quantum [from_cycle, to_cycle).

    requests: REQUEST, the first `request_count` hold what the SMs sent in the quantum, those of an SM in order of `at`.
    replies: REPLY, filled from the start. They are final, in order of `at` for each SM, and at `to_cycle` or later.
    A quantum is at most `lookahead_cycles`; without requests it may reach to `next_event_at`, and cycles between calls
    may be left out up to there. Returns the number of replies. Raises ValueError on a quantum that is too long or
    requests outside it, RuntimeError if a buffer is too small.
    """
    return advance(memory, cfg, requests, request_count, replies, from_cycle, to_cycle)


@entry
def warm_l2(memory, cfg, lines, count, dirty):
    """Leave lines (byte addresses) in the L2 as if the host had just copied them there, the last one most recent."""
    packet = memory.packet[0]  # scratch: fields that SERVE events do not use
    for i in range(count):
        packet.line = lines[i] >> LINE_SHIFT
        packet.sm = NONE
        s = np.int64(packet.slice)
        locate(memory, cfg, packet)
        home = np.int64(packet.home)
        packet.slice = s
        e = find(memory, cfg, home, packet.line, packet.set)
        if e == NONE:
            e = find_victim(memory, cfg, home, packet.set, False)
            if e == NONE:
                continue
            memory.tag[home, e] = packet.line
            memory.line[home, e].partial = 0
            memory.line[home, e].dirty = 0
            memory.line[home, e].copied = cfg.l2.partitions > 1
            memory.line[home, e].is_copy = 0
        memory.line[home, e].valid = 15
        if dirty:
            memory.line[home, e].dirty = 15
        touch(memory, home, e)
