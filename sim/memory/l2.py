"""L2 slices: sectored, write-back, LRU; one look-up per cycle; atomics are executed here.

A line has its home in the slice of its address. With several partitions an SM asks the home's counterpart in its own
partition, which keeps copies of lines of the others: hits cost the same as at home, misses go to the home and cost
far_partition_cycles more; writes, atomics and reductions are done at the home and drop the copies of third parties.
Evidence: pointer chases on A100 and H100 see half of the L2 at the near latency, then the mean of (home miss, far hit)
up to the whole capacity (gpu-benches `gpu-latency`; near and far latencies: Luo et al., arXiv 2501.12084, table 4).

Where reads are coalesced, one that comes soon enough after a reply with its sectors goes out with it, past the port:
the L2 request coalescer of Hopper (gpu-benches gpu-cache: ncu counts 2.8 TB/s of reads where the SMs receive 8.5).

A miss that finds no outstanding sector left, no evictable way or no room in the DRAM queue waits at the head of its
input queue. Requests from the other partition have their own queue and own sectors, and never more than half of the
ways of a set wait for the other partition: each wait ends at the DRAM, so nothing deadlocks.
"""

from __future__ import annotations

import numpy as np

from sim.jit import stage
from sim.memory.dram import READS, WRITES, channel_of, enqueue, unblock
from sim.memory.events import free_packet, pop_due, popcount, schedule, take_packet
from sim.memory.interconnect import (
    ARRIVAL,
    ARRIVE,
    ATOMIC,
    REDUCTION,
    REPLY_WHEEL,
    WRITE,
    distance_cycles,
    partition_of_sm,
    pass_port,
    reply_data_bytes,
    request_bytes,
)
from sim.memory.state import NEVER, NONE, REPLIES, RequestKind, Step, Wheel

SLICE = int(Wheel.SLICE)
FABRIC = int(Step.FABRIC)
SERVE = int(Step.SERVE)
OUTPUT = int(Step.OUTPUT)
FILL = int(Step.FILL)
READ = int(RequestKind.READ)
SHARED_READS = (READ, int(RequestKind.INSTRUCTION), int(RequestKind.CONSTANT))
FROM_FABRIC, FROM_SM = 0, 1  # input queues
FROM_DRAM, FROM_HOME = 0, 1  # outstanding sectors


@stage
def find(memory, cfg, s, line, set_):
    """Entry of a line in slice s, NONE = not there."""
    base = set_ * cfg.l2.ways
    for e in range(base, base + cfg.l2.ways):
        if memory.tag[s, e] == line:
            return e
    return NONE


@stage
def find_victim(memory, cfg, s, set_, for_copy):
    """Least recently used entry that no fetch has reserved; NONE = all reserved, or half of the set by copies."""
    base = set_ * cfg.l2.ways
    victim = NONE
    oldest = NEVER
    copies = 0
    for e in range(base, base + cfg.l2.ways):
        entry = memory.line[s, e]
        if entry.pending:
            copies += entry.is_copy
        elif entry.used < oldest:
            oldest = entry.used
            victim = e
    if for_copy and 2 * copies >= cfg.l2.ways:
        return NONE
    return victim


@stage
def touch(memory, s, e):
    slice_ = memory.slice[s]
    slice_.uses += 1
    memory.line[s, e].used = slice_.uses


@stage
def replace(memory, cfg, s, e, line, now):
    """Give entry e to another line; dirty sectors go to the DRAM queue."""
    counter = memory.counter[0]
    entry = memory.line[s, e]
    if entry.valid | entry.dirty:
        counter.l2_lines_evicted += 1
    if entry.dirty:
        counter.l2_sectors_written_back += popcount(entry.dirty)
        p = take_packet(memory)
        packet = memory.packet[p]
        packet.line = memory.tag[s, e]
        packet.home = s
        packet.sector_mask = entry.dirty
        enqueue(memory, cfg, p, WRITES, now + cfg.l2.access_cycles)
    memory.tag[s, e] = line
    entry.valid = 0
    entry.dirty = 0
    entry.partial = 0
    entry.copied = cfg.l2.partitions > 1  # a copy may outlive the line at its home


@stage
def drop_copies(memory, cfg, s, entry, packet):
    """A line is changed at its home: drop the copies of partitions that neither own it nor sent the change."""
    system = memory.system[0]
    per_partition = system.slices_per_partition
    own = s // per_partition
    writer = partition_of_sm(memory, cfg, packet.sm)
    entry.copied = writer != own
    for other in range(cfg.l2.partitions):
        if other != own and other != writer:
            s2 = other * per_partition + s % per_partition
            e = find(memory, cfg, s2, packet.line, packet.set)
            if e != NONE:
                copy = memory.line[s2, e]
                memory.counter[0].l2_copies_invalidated += 1
                copy.valid = 0
                if copy.pending:
                    entry.copied = 1
                else:
                    copy.used = 0
                    memory.tag[s2, e] = NONE


@stage
def execute_atomic(memory, cfg, s, entry, p, now, access_cycles):
    """Operations of one request on sectors that are here, one after the other in the slice's atomic unit."""
    packet = memory.packet[p]
    slice_ = memory.slice[s]
    operations = max(1, packet.operations)
    memory.counter[0].l2_atomic_operations += operations
    slice_.atomic_free_at = max(now, slice_.atomic_free_at) + int(operations * cfg.l2.atomic_cycles + 0.5)
    entry.dirty |= packet.sector_mask
    if entry.copied:
        drop_copies(memory, cfg, s, entry, packet)
    packet.step = OUTPUT
    schedule(memory, SLICE, p, slice_.atomic_free_at + access_cycles)


@stage
def split(memory, p, mask):
    """Part `mask` of request p as a packet of its own; p keeps the rest."""
    q = take_packet(memory)
    packet, part = memory.packet[p], memory.packet[q]
    part.line = packet.line
    part.sm = packet.sm
    part.tag = packet.tag
    part.set = packet.set
    part.entry = packet.entry
    part.slice = packet.slice
    part.home = packet.home
    part.kind = packet.kind
    part.sector_mask = mask
    packet.sector_mask &= 15 ^ mask
    return q


@stage
def add_waiter(memory, entry, p):
    memory.packet[p].next = NONE
    if entry.waiter_first == NONE:
        entry.waiter_first = p
    else:
        memory.packet[entry.waiter_last].next = p
    entry.waiter_last = p


@stage
def count_lookup(memory, packet, hit, miss, merged):
    counter = memory.counter[0]
    hits, misses = popcount(hit), popcount(miss)
    if packet.sm == NONE:
        counter.lts__t_sectors_srcunit_ltcfabric += hits + misses
        counter.lts__t_sectors_srcunit_ltcfabric_lookup_hit += hits
        return
    counter.lts__t_requests += 1
    counter.lts__t_sectors += hits + misses
    counter.lts__t_sectors_lookup_hit += hits
    counter.lts__t_sectors_lookup_miss += misses
    counter.l2_sectors_merged += popcount(merged)
    if packet.kind == WRITE:
        counter.lts__t_sectors_op_write += hits
    elif packet.kind == ATOMIC:
        counter.lts__t_sectors_op_atom += hits + misses
    elif packet.kind == REDUCTION:
        counter.lts__t_sectors_op_red += hits + misses
    else:
        counter.lts__t_sectors_op_read += hits + misses


@stage
def send_home(memory, cfg, p, now):
    """Over the link into the partition of the line's home."""
    system = memory.system[0]
    packet = memory.packet[p]
    link = memory.link[packet.home // system.slices_per_partition]
    size = request_bytes(cfg, packet)
    free, tail, span = pass_port(link.request_free, cfg.l2.partition_link_bytes_per_cycle, now, 0, size)
    link.request_free = free
    packet.step = FABRIC
    schedule(memory, SLICE, p, tail + system.far_request_cycles)


@stage
def look_up(memory, cfg, s, p, now):
    """Serve request p in slice s. Returns False, with nothing changed, if a miss finds no resource."""
    packet = memory.packet[p]
    slice_ = memory.slice[s]
    at_home = packet.home == s
    kind = packet.kind
    mask = np.int64(packet.sector_mask)
    e = find(memory, cfg, s, packet.line, packet.set)
    if not at_home and kind in (WRITE, ATOMIC, REDUCTION):
        if e != NONE and kind != WRITE:
            memory.line[s, e].valid &= 15 ^ mask
        packet.slice = packet.home
        send_home(memory, cfg, p, now)
        return True

    valid = np.int64(0)
    pending = np.int64(0)
    if e != NONE:
        valid |= memory.line[s, e].valid
        pending |= memory.line[s, e].pending
    miss = np.int64(0) if kind == WRITE else mask & ~valid
    fetch = miss & ~pending
    if fetch:
        if at_home:
            channel = memory.channel[channel_of(cfg, s)]
            if channel.queued[READS] >= cfg.dram.queue_entries:
                return False
        missing = slice_.missing[FROM_DRAM if at_home else FROM_HOME]
        if missing and missing + popcount(fetch) > cfg.l2.mshrs:
            return False
    if e == NONE:
        e = find_victim(memory, cfg, s, packet.set, not at_home)
        if e == NONE:
            return False
        if memory.line[s, e].dirty:
            channel = memory.channel[channel_of(cfg, s)]
            if channel.queued[WRITES] >= cfg.dram.queue_entries:
                return False
        replace(memory, cfg, s, e, packet.line, now)
        memory.line[s, e].is_copy = not at_home
    entry = memory.line[s, e]
    touch(memory, s, e)
    count_lookup(memory, packet, mask & ~miss, miss, miss & pending)

    if fetch:
        f = take_packet(memory)
        request = memory.packet[f]
        request.line = packet.line
        request.set = packet.set
        request.entry = e
        request.home = packet.home
        request.slice = packet.home
        request.sm = NONE
        request.tag = s
        request.kind = READ
        request.sector_mask = fetch
        entry.pending |= fetch
        if at_home:
            slice_.missing[FROM_DRAM] += popcount(fetch)
            memory.channel[channel_of(cfg, s)].last_slice = s
            enqueue(memory, cfg, f, READS, now + cfg.l2.access_cycles)
        else:
            slice_.missing[FROM_HOME] += popcount(fetch)
            send_home(memory, cfg, f, now)

    if packet.sm == NONE:
        entry.copied = 1
    if kind == WRITE:
        full = mask & packet.full_mask
        entry.valid |= full
        entry.dirty |= mask
        entry.partial = (entry.partial | mask) & ~entry.valid
        if entry.copied:
            drop_copies(memory, cfg, s, entry, packet)
    elif kind in (ATOMIC, REDUCTION):
        if miss == 0:
            execute_atomic(memory, cfg, s, entry, p, now, cfg.l2.access_cycles)
        else:
            add_waiter(memory, entry, p)
        return True
    ready = p
    if miss:
        ready = NONE
        if miss != mask:
            ready = split(memory, p, mask & ~miss)
        add_waiter(memory, entry, p)
    if ready != NONE:
        memory.packet[ready].step = OUTPUT
        schedule(memory, SLICE, ready, now + cfg.l2.access_cycles)
    return True


@stage
def fill(memory, cfg, p, now):
    """Sectors of a fetch are here: answer who waits for them."""
    packet = memory.packet[p]
    s = packet.tag
    slice_ = memory.slice[s]
    entry = memory.line[s, packet.entry]
    slice_.missing[FROM_DRAM if packet.home == s else FROM_HOME] -= popcount(packet.sector_mask)
    entry.pending &= 15 ^ packet.sector_mask
    entry.valid |= packet.sector_mask
    entry.partial &= 15 ^ packet.sector_mask
    free_packet(memory, p)
    w = entry.waiter_first
    entry.waiter_first = NONE
    while w != NONE:
        waiter = memory.packet[w]
        after = waiter.next
        ready = waiter.sector_mask & entry.valid
        if ready == waiter.sector_mask and (waiter.kind == ATOMIC or waiter.kind == REDUCTION):
            execute_atomic(memory, cfg, s, entry, w, now, 0)
        elif ready == 0 or waiter.kind == ATOMIC or waiter.kind == REDUCTION:
            add_waiter(memory, entry, w)
        else:
            part = w
            if ready != waiter.sector_mask:
                part = split(memory, w, ready)
                add_waiter(memory, entry, w)
            memory.packet[part].step = OUTPUT
            schedule(memory, SLICE, part, now)
        w = after
    return s


@stage
def output(memory, cfg, p, now):
    """Data or acknowledgement through the slice's port, to the SM or to the slice of the other partition."""
    system = memory.system[0]
    packet = memory.packet[p]
    slice_ = memory.slice[packet.slice]
    size = reply_data_bytes(packet)
    if size == 0:
        size = cfg.interconnect.reply_header_bytes
    shares = cfg.l2.coalescing_cycles > 0 and packet.kind in SHARED_READS and packet.sm != NONE
    entry = packet.line // cfg.l2.slices & REPLIES - 1
    mask = np.int64(packet.sector_mask)
    if (
        shares
        and slice_.reply_line[entry] == packet.line
        and slice_.reply_tail[entry] + cfg.l2.coalescing_cycles > now
        and mask & ~np.int64(slice_.reply_sectors[entry]) == 0
    ):
        tail = max(now, slice_.reply_tail[entry])
        span = np.int64(slice_.reply_span[entry]) if tail > now else 0
        memory.counter[0].l2_sectors_coalesced += popcount(mask)
    else:
        free, tail, span = pass_port(slice_.reply_free, cfg.interconnect.slice_reply_bytes_per_cycle, now, 0, size)
        slice_.reply_free = free
        if shares:
            slice_.reply_line[entry] = packet.line
            slice_.reply_tail[entry] = tail
            slice_.reply_span[entry] = span
            slice_.reply_sectors[entry] = mask
    packet.span = span
    if packet.sm == NONE:
        packet.step = FILL
        link = memory.link[packet.tag // system.slices_per_partition]
        free, tail, span = pass_port(link.reply_free, cfg.l2.partition_link_bytes_per_cycle, tail, span, size)
        link.reply_free = free
        schedule(memory, SLICE, p, tail + system.far_reply_cycles)
        return
    at = tail + cfg.interconnect.reply_cycles + distance_cycles(memory, cfg, packet.sm, packet.slice)
    if packet.slice // system.slices_per_partition != partition_of_sm(memory, cfg, packet.sm):
        at += system.far_reply_cycles
    schedule(memory, REPLY_WHEEL, p, at)


@stage
def append(memory, s, queue, p):
    """Put p, due at packet.at, at the end of an input queue. A new head may pass a blocked one of the other queue."""
    slice_ = memory.slice[s]
    memory.packet[p].next = NONE
    if slice_.first[queue] == NONE:
        slice_.first[queue] = p
        slice_.blocked = 0
    else:
        memory.packet[slice_.last[queue]].next = p
    slice_.last[queue] = p


@stage
def serve(memory, cfg, s, now):
    """One look-up of slice s, if a request is due and the tags are free; then the next one is planned."""
    slice_ = memory.slice[s]
    if slice_.scheduled or slice_.blocked:
        return
    due = NEVER
    if slice_.tag_free_at <= now:
        refused = False
        for queue in range(2):
            p = slice_.first[queue]
            if p == NONE:
                continue
            if memory.packet[p].at > now:
                due = min(due, memory.packet[p].at)
                continue
            after = memory.packet[p].next
            if look_up(memory, cfg, s, p, now):
                slice_.first[queue] = after
                if after == NONE:
                    slice_.last[queue] = NONE
                slice_.tag_free_at = now + 1
                refused = False
                due = now + 1
                break
            refused = True
            memory.counter[0].l2_blocked += 1
        if refused and due == NEVER:
            slice_.blocked = 1
    else:
        due = slice_.tag_free_at
    if due != NEVER and (slice_.first[FROM_FABRIC] != NONE or slice_.first[FROM_SM] != NONE):
        slice_.scheduled = 1
        memory.packet[s].step = SERVE
        schedule(memory, SLICE, s, due)


@stage
def advance_slices(memory, cfg, now):
    """Everything that falls due in the L2 in cycle `now`: its own events first, then arrivals from the SMs."""
    while True:
        p = pop_due(memory, SLICE, now)
        if p == NONE:
            p = pop_due(memory, ARRIVAL, now)
            if p == NONE:
                return
        packet = memory.packet[p]
        step = packet.step
        s = np.int64(packet.slice)
        if step == OUTPUT:
            output(memory, cfg, p, now)
            continue
        if step == FILL:
            s = np.int64(fill(memory, cfg, p, now))
            unblock(memory, s, now)
            continue
        if step == ARRIVE:
            slice_ = memory.slice[s]
            free, tail, span = pass_port(
                slice_.request_free,
                cfg.interconnect.slice_request_bytes_per_cycle,
                now,
                packet.span,
                request_bytes(cfg, packet),
            )
            slice_.request_free = free
            packet.at = tail
            append(memory, s, FROM_SM, p)
        elif step == FABRIC:
            append(memory, s, FROM_FABRIC, p)
        else:
            memory.slice[s].scheduled = 0
        serve(memory, cfg, s, now)
