"""Network between SMs and L2 slices: bandwidth of ports plus a fixed latency each way.

SM port -> translation -> GPC port -> request_cycles -> slice port; back: slice port -> reply_cycles -> GPC port -> SM
port; `distance_cycles` spreads both ways over the places of GPC and slice. Ports are FIFO and reserve byte times.
Packets cut through: a port delays a packet only while it is busy or narrower than the one before, so an idle path costs
exactly its latency and the tail of a long packet counts. Queues are unbounded: the SMs bound what is outstanding.
"""

from __future__ import annotations

from sim.jit import stage
from sim.memory.address import spread
from sim.memory.events import free_packet, pop_due, popcount, schedule, take_packet
from sim.memory.state import LINE_SHIFT, NONE, SECTOR_BYTES, RequestKind, Step, Wheel
from sim.memory.tlb import translate

WRITE = int(RequestKind.WRITE)
ATOMIC = int(RequestKind.ATOMIC)
REDUCTION = int(RequestKind.REDUCTION)
ARRIVE = int(Step.ARRIVE)
GPC = int(Wheel.GPC)
ARRIVAL = int(Wheel.ARRIVAL)
REPLY_WHEEL = int(Wheel.REPLY)


@stage
def pass_port(free, bytes_per_cycle, now, span, size):
    """Send `size` bytes whose tail is here at `now`, the head `span` cycles earlier, through a FIFO port.

    Returns (byte time at which the port is free again, cycle of the tail at its far side, new span).
    """
    start = max(free, (now - span) * bytes_per_cycle)
    end = start + size
    tail = max((end + bytes_per_cycle - 1) // bytes_per_cycle - 1, now)
    return end, tail, min(tail - start // bytes_per_cycle, 255)


@stage
def request_bytes(cfg, packet):
    """Header, and for writes and atomics their sectors."""
    size = cfg.interconnect.request_header_bytes
    if packet.kind == WRITE or packet.kind == ATOMIC or packet.kind == REDUCTION:
        size += popcount(packet.sector_mask) * SECTOR_BYTES
    return size


@stage
def reply_data_bytes(packet):
    """Data of a reply; acknowledgements have none."""
    if packet.kind == WRITE or packet.kind == REDUCTION:
        return 0
    return popcount(packet.sector_mask) * SECTOR_BYTES


@stage
def partition_of_sm(memory, cfg, sm):
    """L2 partition next to the SM: GPCs are dealt to the partitions in equal runs."""
    system = memory.system[0]
    return sm // system.sms_per_gpc * cfg.l2.partitions // system.gpcs


@stage
def distance_cycles(memory, cfg, sm, slice_):
    """One-way cycles between a GPC and a slice beyond the shortest: both lie in index order along their partition."""
    if cfg.interconnect.distance_cycles == 0:
        return 0
    system = memory.system[0]
    gpcs = max(1, system.gpcs // cfg.l2.partitions)
    last_gpc, last_slice = max(1, gpcs - 1), max(1, system.slices_per_partition - 1)
    gpc = sm // system.sms_per_gpc % gpcs
    apart = abs(gpc * last_slice - slice_ % system.slices_per_partition * last_gpc)
    return apart * cfg.interconnect.distance_cycles // (2 * last_gpc * last_slice)


@stage
def locate(memory, cfg, packet):
    """Home slice, set, and the slice that the SM asks first: the home's counterpart in its own partition."""
    system = memory.system[0]
    line = packet.line
    if system.ipoly:
        home = spread(memory.slice_table, memory.rotation_table, system.slice_bits, system.slice_odd, line)
        local = line // cfg.l2.slices
        packet.set = spread(memory.set_table, memory.rotation_table, system.set_bits, system.set_odd, local)
    else:
        home = line % cfg.l2.slices
        packet.set = line // cfg.l2.slices % system.sets
    packet.home = home
    per_partition = system.slices_per_partition
    if packet.sm == NONE or cfg.l2.partitions == 1:
        packet.slice = home
    else:
        packet.slice = partition_of_sm(memory, cfg, packet.sm) * per_partition + home % per_partition


@stage
def merge_order(memory, requests, count, from_cycle):
    """Order of the requests by (at, SM, position): two stable counting sorts. Returns the row of memory.order."""
    bucket = memory.bucket
    for digit in range(2):
        for i in range(bucket.shape[0]):
            bucket[i] = 0
        for i in range(count):
            key = requests[i].sm if digit == 0 else requests[i].at - from_cycle
            bucket[key + 1] += 1
        for i in range(1, bucket.shape[0]):
            bucket[i] += bucket[i - 1]
        for i in range(count):
            r = i if digit == 0 else memory.order[0, i]
            key = requests[r].sm if digit == 0 else requests[r].at - from_cycle
            memory.order[digit, bucket[key]] = r
            bucket[key] += 1


@stage
def accept_requests(memory, cfg, requests, count, from_cycle):
    """Send the requests of a quantum through their SM's port, towards the port of their GPC."""
    counter = memory.counter[0]
    system = memory.system[0]
    merge_order(memory, requests, count, from_cycle)
    for i in range(count):
        request = requests[memory.order[1, i]]
        p = take_packet(memory)
        packet = memory.packet[p]
        packet.line = request.line >> LINE_SHIFT
        packet.sm = request.sm
        packet.tag = request.tag
        packet.kind = request.kind
        packet.sector_mask = request.sector_mask
        packet.full_mask = request.full_mask
        packet.operations = request.operations
        locate(memory, cfg, packet)
        sectors = popcount(request.sector_mask)
        system.sectors += sectors
        counter.requests_in += 1
        counter.sectors_in += sectors
        port = memory.sm_port[request.sm]
        free, tail, span = pass_port(
            port.request_free, cfg.interconnect.sm_request_bytes_per_cycle, request.at, 0, request_bytes(cfg, packet)
        )
        port.request_free = free
        packet.span = span
        schedule(memory, GPC, p, translate(memory, cfg, request.sm, packet.line, tail))


@stage
def advance_requests(memory, cfg, now):
    """Requests at the port of their GPC in cycle `now`: on to their slice."""
    while True:
        p = pop_due(memory, GPC, now)
        if p == NONE:
            return
        packet = memory.packet[p]
        port = memory.gpc_port[packet.sm // memory.system[0].sms_per_gpc]
        free, tail, span = pass_port(
            port.request_free, cfg.interconnect.gpc_bytes_per_cycle, now, packet.span, request_bytes(cfg, packet)
        )
        port.request_free = free
        packet.span = span
        packet.step = ARRIVE
        way = cfg.interconnect.request_cycles + distance_cycles(memory, cfg, packet.sm, packet.slice)
        schedule(memory, ARRIVAL, p, tail + way)


@stage
def advance_replies(memory, cfg, replies, reply_count, now):
    """Replies at the port of their GPC in cycle `now`: through it and their SM's port, into `replies`."""
    system = memory.system[0]
    counter = memory.counter[0]
    while True:
        p = pop_due(memory, REPLY_WHEEL, now)
        if p == NONE:
            return reply_count
        packet = memory.packet[p]
        size = cfg.interconnect.reply_header_bytes + reply_data_bytes(packet)
        gpc = memory.gpc_port[packet.sm // system.sms_per_gpc]
        free, tail, span = pass_port(gpc.reply_free, cfg.interconnect.gpc_bytes_per_cycle, now, packet.span, size)
        gpc.reply_free = free
        # Only this GPC feeds the SM's port, in the order of its own port: no event needed between the two.
        sm = memory.sm_port[packet.sm]
        free, tail, span = pass_port(sm.reply_free, cfg.interconnect.sm_reply_bytes_per_cycle, tail, span, size)
        sm.reply_free = free
        if reply_count >= replies.shape[0]:
            raise RuntimeError("memory_advance: the reply buffer is full")
        reply = replies[reply_count]
        reply.at = tail
        reply.sm = packet.sm
        reply.tag = packet.tag
        reply.sector_mask = packet.sector_mask
        reply.kind = packet.kind
        reply_count += 1
        sectors = popcount(packet.sector_mask)
        system.sectors -= sectors
        counter.replies_out += 1
        counter.sectors_out += sectors
        free_packet(memory, p)
