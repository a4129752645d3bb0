"""State of everything beyond the SMs: interconnect ports, L2 slices, DRAM channels. Plain data, integers only.

One packet is one request, one part of its reply, one line fetch or one write-back; it lives in exactly one list:
the free list, an event wheel, a slice's input queue, the waiters of an L2 line, or a bank's queue.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from configs.schema import SliceHash
from isa.errors import SubcoreError
from sim.memory.address import remainder_table, rotation_table, split_count

NEVER = 1 << 62
NONE = -1
WHEEL = 1024  # buckets of an event wheel; later events stay in their bucket for another lap
LINE_SHIFT = 7  # lines of 128 bytes, four sectors of 32 bytes
SECTORS = 4
SECTOR_BYTES = 32
DRAM_STEP_CYCLES = 32
REPLIES = 16  # that a slice remembers for others to join (guess)
PACKETS_PER_SECTOR = 3  # part of the reply, fetch from the other partition, fetch from DRAM


class RequestKind(IntEnum):
    """What an SM asks for. All but WRITE and REDUCTION return data, sector group by sector group."""

    READ = 0
    WRITE = 1
    ATOMIC = 2  # one reply with the old values
    REDUCTION = 3  # acknowledged only
    INSTRUCTION = 4  # read by the instruction cache
    CONSTANT = 5  # read by the constant cache


class Step(IntEnum):
    """What happens when a packet falls due."""

    ARRIVE = 0  # request of an SM arrives at a slice
    FABRIC = 1  # request from the other partition arrives at a slice
    SERVE = 2  # a slice looks at its input queues
    OUTPUT = 3  # data or acknowledgement ready at a slice
    FILL = 4  # sectors arrive at a slice, from DRAM or the other partition


class Wheel(IntEnum):
    """Event wheels. Each has one writer in time order, so the order inside a bucket never depends on the quantum."""

    GPC = 0  # requests at the port of their GPC
    ARRIVAL = 1  # requests at their slice
    SLICE = 2  # everything inside L2 and DRAM
    REPLY = 3  # replies at the port of their GPC


def _record(fields: list[tuple]) -> np.dtype:
    # np.record scalars have attributes, so that kernels also run as plain Python.
    return np.dtype((np.record, np.dtype(fields, align=True)))


# `at` is the cycle in which the SM puts the request on its port; `line` the byte address of a 128-byte line.
REQUEST = _record(
    [
        ("at", "i8"),
        ("line", "i8"),
        ("sm", "i4"),
        ("tag", "i4"),  # opaque, returned in every reply
        ("kind", "u1"),  # RequestKind
        ("sector_mask", "u1"),
        ("full_mask", "u1"),  # sectors of a WRITE whose 32 bytes are all written
        ("operations", "u1"),  # ATOMIC, REDUCTION: steps of the atomic unit
    ]
)

# `at` is the cycle in which the last of these sectors, or the acknowledgement, is at the SM.
REPLY = _record([("at", "i8"), ("sm", "i4"), ("tag", "i4"), ("sector_mask", "u1"), ("kind", "u1")])

PACKET = _record(
    [
        ("at", "i8"),  # cycle of the next step; in a bank's queue: command clock of arrival
        ("line", "i8"),  # line number (address >> 7)
        ("sequence", "i8"),  # age in the DRAM queues
        ("next", "i4"),
        ("previous", "i4"),  # in a bank's queue
        ("sm", "i4"),  # NONE: fetch of another slice
        ("tag", "i4"),  # of the SM's request; of a fetch: the slice that wants the sectors
        ("set", "i4"),
        ("entry", "i4"),  # of a fetch: L2 entry to fill
        ("row", "i4"),
        ("slice", "i2"),  # where it is served next
        ("home", "i2"),  # slice whose partition owns the line
        ("kind", "u1"),
        ("sector_mask", "u1"),
        ("full_mask", "u1"),
        ("operations", "u1"),
        ("step", "u1"),
        ("bank", "u1"),
        ("bursts", "u1"),  # column commands still to come
        ("span", "u1"),  # cycles between its head and its tail on the link
    ]
)

PORT = _record([("request_free", "i8"), ("reply_free", "i8")])  # byte times: cycle * bytes per cycle

SLICE = _record(
    [
        ("request_free", "i8"),  # byte times of the two ports
        ("reply_free", "i8"),
        ("tag_free_at", "i8"),
        ("atomic_free_at", "i8"),
        ("uses", "i8"),  # look-ups so far: the clock of LRU
        ("first", "i4", (2,)),  # input queues: 0 from the other partition, 1 from the SMs
        ("last", "i4", (2,)),
        ("missing", "i4", (2,)),  # outstanding sectors: 0 from DRAM, 1 from the other partition
        # the latest replies, by line: what a later read of the same sectors may join
        ("reply_line", "i8", (REPLIES,)),
        ("reply_tail", "i8", (REPLIES,)),
        ("reply_span", "u1", (REPLIES,)),
        ("reply_sectors", "u1", (REPLIES,)),
        ("scheduled", "u1"),
        ("blocked", "u1"),  # the heads of the queues wait for a fill or for room in the DRAM queue
    ]
)

LINE = _record(
    [
        ("used", "i8"),
        ("waiter_first", "i4"),
        ("waiter_last", "i4"),
        ("valid", "u1"),  # sector masks
        ("dirty", "u1"),
        ("partial", "u1"),  # some bytes written, the rest not fetched
        ("pending", "u1"),
        ("copied", "u1"),  # another partition holds, or held, a copy
        ("is_copy", "u1"),  # this is such a copy
    ]
)

CHANNEL = _record(
    [
        ("wake_at", "i8"),  # core cycle of next_clock, NEVER if there is nothing to do
        ("next_clock", "i8"),  # command clock of the next decision
        ("floor_clock", "i8"),  # no decision before this one
        ("refresh_clock", "i8"),
        ("column_clock", "i8"),  # earliest next column command in another bank group
        ("read_clock", "i8"),  # earliest next read after the last write
        ("write_clock", "i8"),  # earliest next write after the last read
        ("activate_clock", "i8"),  # earliest next activate of any bank
        ("queued", "i4", (2,)),  # reads, writes
        ("active_banks", "i4", (2,)),
        ("writing", "u1"),
        ("written", "i4"),  # requests since writes began to go first
        ("last_slice", "i4"),  # that got room in the read queue last: the others are served first
    ]
)

BANK = _record(
    [
        ("row", "i4"),  # open row, NONE = precharged
        ("hits", "i4"),  # bursts since the row was opened that overtook an older request
        ("column_clock", "i8"),
        ("precharge_clock", "i8"),
        ("activate_clock", "i8"),
        ("first", "i4", (2,)),  # queue, oldest first: reads, writes
        ("last", "i4", (2,)),
        ("hit", "i4", (2,)),  # oldest request for the open row
        ("first_clock", "i8", (2,)),  # arrival and age of the two, kept here because every command compares them
        ("first_sequence", "i8", (2,)),
        ("hit_clock", "i8", (2,)),
        ("hit_sequence", "i8", (2,)),
        ("group", "i4"),
    ]
)

# Names follow Nsight Compute where the quantity is the same. Sectors are 32 bytes.
COUNTERS = (
    ("lts__t_requests", "request", "requests of the SMs looked up in the L2"),
    ("lts__t_sectors", "sector", "sectors of these requests"),
    ("lts__t_sectors_op_read", "sector", "of them: reads"),
    ("lts__t_sectors_op_write", "sector", "of them: writes"),
    ("lts__t_sectors_op_atom", "sector", "of them: atomics that return a value"),
    ("lts__t_sectors_op_red", "sector", "of them: reductions"),
    ("lts__t_sectors_lookup_hit", "sector", "found in the slice asked first; writes count as hits"),
    ("lts__t_sectors_lookup_miss", "sector", "not found there"),
    ("l2_sectors_merged", "sector", "misses that joined a fetch under way"),
    ("lts__t_sectors_srcunit_ltcfabric", "sector", "asked for by the other partition"),
    ("lts__t_sectors_srcunit_ltcfabric_lookup_hit", "sector", "of them: found"),
    ("l2_copies_invalidated", "line", "copies in another partition dropped because of a write"),
    ("l2_lines_evicted", "line", "valid lines replaced"),
    ("l2_sectors_written_back", "sector", "dirty sectors of replaced lines"),
    ("l2_atomic_operations", "operation", "steps of the atomic units: lanes on one word go one after the other"),
    ("l2_sectors_coalesced", "sector", "read by an SM in the reply to another SM"),
    ("l2_blocked", "event", "times a slice's queues found no resource for a miss"),
    ("dram__sectors_read", "sector", "sectors read"),
    ("dram__sectors_write", "sector", "sectors written, whole or masked"),
    ("dram_bursts", "burst", "column commands"),
    ("dram_activates", "command", "rows opened"),
    ("dram_precharges", "command", "rows closed for another row"),
    ("dram_refreshes", "command", "refreshes of dram.refresh_banks banks"),
    ("dram_turnarounds", "event", "changes between reading and writing"),
    ("requests_in", "request", "requests accepted from the SMs"),
    ("sectors_in", "sector", "sectors of these requests"),
    ("sectors_out", "sector", "sectors answered or acknowledged"),
    ("replies_out", "reply", "replies to the SMs"),
    ("tlb_misses", "request", "requests whose page was not in the TLB of their TPC"),
    ("tlb_gpc_requests", "request", "look-ups in the TLB of a GPC"),
    ("tlb_walks", "walk", "page walks"),
)
COUNTER = _record([(name, "i8") for name, _, _ in COUNTERS])

SYSTEM = _record(
    [
        ("free_packet", "i4"),
        ("fresh_packet", "i4"),  # packets from here on were never used
        ("packets", "i4"),  # in use
        ("sectors", "i8"),  # of SM requests not yet answered
        ("max_sectors", "i8"),
        ("sequence", "i8"),
        ("events", "i8", (len(Wheel),)),
        ("done_until", "i8", (len(Wheel),)),  # cycles before this are done
        ("dram_wake_at", "i8"),
        # from the configuration
        ("sms_per_gpc", "i8"),
        ("gpcs", "i8"),
        ("slices_per_partition", "i8"),
        ("sets", "i8"),
        ("slice_bits", "i8"),
        ("slice_odd", "i8"),
        ("set_bits", "i8"),
        ("set_odd", "i8"),
        ("ipoly", "i8"),
        ("far_request_cycles", "i8"),
        ("far_reply_cycles", "i8"),
        ("core_khz", "i8"),
        ("dram_khz", "i8"),
        ("burst_clocks", "i8"),
        ("bursts_per_sector", "i8"),
        ("dram_step_cycles", "i8"),
        ("page_shift", "i8"),  # line number -> page number
        ("lines_per_row", "i8"),
        ("banks_per_group", "i8"),
        ("refresh_clocks", "i8"),  # of a channel, from one refresh to the next
    ]
)


class MemoryState(NamedTuple):
    """Everything beyond the SMs, as arrays; numba kernels change them in place."""

    system: np.ndarray  # SYSTEM, shape (1,)
    counter: np.ndarray  # COUNTER, shape (1,)
    packet: np.ndarray  # PACKET; the first ones, one per slice, are the slices' SERVE events
    wheel_first: np.ndarray  # i4, shape (wheels, WHEEL)
    wheel_last: np.ndarray
    sm_port: np.ndarray  # PORT, shape (sms,)
    gpc_port: np.ndarray  # PORT, shape (gpcs,)
    link: np.ndarray  # PORT, shape (partitions,): into each L2 partition, from the others
    tpc_page: np.ndarray  # i8, shape (tpcs, entries): pages in the TLB of a TPC, NONE = empty
    tpc_page_used: np.ndarray  # i8: cycle of the last use, NONE = never
    tpc_page_at: np.ndarray  # i8: cycle at which the translation is there
    tpc_last: np.ndarray  # i4, shape (tpcs,): entry used last
    gpc_page: np.ndarray  # i8, shape (gpcs, entries): the same for the TLB of a GPC, set by set
    gpc_page_used: np.ndarray
    gpc_page_at: np.ndarray
    slice: np.ndarray  # SLICE, shape (slices,)
    tag: np.ndarray  # i8, shape (slices, sets * ways): line numbers, NONE = empty
    line: np.ndarray  # LINE, same shape
    channel: np.ndarray  # CHANNEL, shape (channels,)
    bank: np.ndarray  # BANK, shape (channels, banks)
    group_clock: np.ndarray  # i8, shape (channels, bank groups): earliest next column command in the group
    active_bank: np.ndarray  # i4, shape (channels, 2, banks): banks with queued reads, writes; unordered
    slice_table: np.ndarray  # i4, shape (6, 256): remainder tables of the address hash
    set_table: np.ndarray
    bank_table: np.ndarray
    group_table: np.ndarray
    rotation_table: np.ndarray
    order: np.ndarray  # i4, shape (2, requests): scratch of the merge
    bucket: np.ndarray  # i4: scratch of the merge


def _check(cfg: np.record) -> None:
    problems = []
    if cfg.l2.line_bytes != 128 or cfg.l2.sector_bytes != 32:
        problems.append(f"l2.line_bytes = {cfg.l2.line_bytes}, l2.sector_bytes = {cfg.l2.sector_bytes}: 128 and 32")
    if cfg.l2.slices % cfg.l2.partitions:
        problems.append(f"l2.partitions = {cfg.l2.partitions}: must divide l2.slices = {cfg.l2.slices}")
    if cfg.l2.partitions > 1 and cfg.l2.far_partition_cycles < 2:
        problems.append(f"l2.far_partition_cycles = {cfg.l2.far_partition_cycles}: at least 2 with several partitions")
    if cfg.l2.slices % cfg.dram.channels:
        problems.append(f"dram.channels = {cfg.dram.channels}: must divide l2.slices = {cfg.l2.slices}")
    way_bytes = int(cfg.l2.slices * cfg.l2.ways * cfg.l2.line_bytes)
    if cfg.l2.bytes % way_bytes or cfg.l2.bytes < way_bytes:
        problems.append(f"l2.bytes = {cfg.l2.bytes}: a multiple of slices * ways * line_bytes = {way_bytes}")
    if cfg.dram.banks % cfg.dram.bank_groups:
        problems.append(f"dram.bank_groups = {cfg.dram.bank_groups}: must divide dram.banks = {cfg.dram.banks}")
    if cfg.dram.tREFI <= cfg.dram.tRFC + cfg.dram.tRC + cfg.dram.tRP:
        problems.append(f"dram.tREFI = {cfg.dram.tREFI}: more than tRFC + tRC + tRP, or refreshing never ends")
    if cfg.dram.row_bytes < 128:
        problems.append(f"dram.row_bytes = {cfg.dram.row_bytes}: at least one line of 128 bytes")
    if SECTOR_BYTES % (cfg.dram.bus_bytes * cfg.dram.burst_length):
        burst_bytes = cfg.dram.bus_bytes * cfg.dram.burst_length
        problems.append(f"dram.bus_bytes * dram.burst_length = {burst_bytes}: must divide a sector of 32 bytes")
    if problems:
        raise SubcoreError("memory system cannot be built:\n  " + "\n  ".join(problems))


def new_memory(cfg: np.record, sectors_per_sm: int = 0) -> MemoryState:
    """Empty memory system for a configuration record (`configs.record.record`), at cycle 0.

    `sectors_per_sm` bounds the sectors that one SM may have unanswered; 0 takes what the configuration's queues can
    hold. Raises SubcoreError if knobs contradict each other.
    """
    _check(cfg)
    if not sectors_per_sm:
        bypass = 32 * cfg.memory_unit.pending_requests
        sectors_per_sm = int(cfg.l1d.mshrs + SECTORS * cfg.l1d.outstanding_writes + bypass + 1024)
    sms, slices, channels, banks = (int(n) for n in (cfg.gpu.sms, cfg.l2.slices, cfg.dram.channels, cfg.dram.banks))
    sms_per_gpc = int(cfg.gpu.sms_per_tpc * cfg.gpu.tpcs_per_gpc)
    gpcs = -(-sms // sms_per_gpc)
    sets = int(cfg.l2.bytes // (slices * cfg.l2.ways * cfg.l2.line_bytes))
    max_sectors = sms * sectors_per_sm
    packets = slices + PACKETS_PER_SECTOR * max_sectors + 2 * channels * int(cfg.dram.queue_entries)
    burst_bytes = int(cfg.dram.bus_bytes * cfg.dram.burst_length)
    groups = int(cfg.dram.bank_groups)
    (slice_bits, slice_odd), (set_bits, set_odd) = split_count(slices), split_count(sets)
    lookahead = int(cfg.interconnect.request_cycles + cfg.interconnect.reply_cycles)

    system = np.zeros(1, SYSTEM)
    system["free_packet"] = NONE
    system["fresh_packet"] = slices
    system["max_sectors"] = max_sectors
    system["dram_wake_at"] = NEVER
    system["sms_per_gpc"] = sms_per_gpc
    system["gpcs"] = gpcs
    system["slices_per_partition"] = slices // cfg.l2.partitions
    system["sets"] = sets
    system["slice_bits"], system["slice_odd"] = slice_bits, slice_odd
    system["set_bits"], system["set_odd"] = set_bits, set_odd
    system["ipoly"] = cfg.l2.hash == SliceHash.ipoly
    system["far_request_cycles"] = cfg.l2.far_partition_cycles // 2
    system["far_reply_cycles"] = cfg.l2.far_partition_cycles - cfg.l2.far_partition_cycles // 2
    system["core_khz"] = round(cfg.gpu.core_clock_mhz * 1000)
    system["dram_khz"] = round(cfg.dram.clock_mhz * 1000)
    system["burst_clocks"] = max(1, -(-cfg.dram.burst_length // cfg.dram.transfers_per_clock))
    system["bursts_per_sector"] = SECTOR_BYTES // burst_bytes
    system["dram_step_cycles"] = min(DRAM_STEP_CYCLES, int(cfg.l2.access_cycles))
    system["page_shift"] = int(cfg.tlb.page_bytes).bit_length() - 1 - LINE_SHIFT
    system["lines_per_row"] = cfg.dram.row_bytes >> LINE_SHIFT
    system["banks_per_group"] = banks // groups
    refresh_clocks = int(cfg.dram.tREFI * cfg.dram.refresh_banks // banks)
    system["refresh_clocks"] = refresh_clocks

    packet = np.zeros(packets, PACKET)
    packet["slice"][:slices] = np.arange(slices)
    slice_ = np.zeros(slices, SLICE)
    slice_["first"] = slice_["last"] = NONE
    line = np.zeros((slices, sets * int(cfg.l2.ways)), LINE)
    line["waiter_first"] = line["waiter_last"] = NONE
    channel = np.zeros(channels, CHANNEL)
    channel["wake_at"] = NEVER
    # Refreshes of the channels are spread over the interval, as controllers do to even out the current.
    channel["refresh_clock"] = refresh_clocks * (np.arange(channels) + 1) // channels
    bank = np.zeros((channels, banks), BANK)
    for name in ("row", "first", "last", "hit"):
        bank[name] = NONE
    bank["group"] = np.arange(banks) // (banks // groups)

    tpcs = -(-sms // int(cfg.gpu.sms_per_tpc))
    tpc_entries, gpc_entries = int(cfg.tlb.tpc_entries), int(cfg.tlb.gpc_entries)

    return MemoryState(
        system=system,
        counter=np.zeros(1, COUNTER),
        packet=packet,
        wheel_first=np.full((len(Wheel), WHEEL), NONE, np.int32),
        wheel_last=np.full((len(Wheel), WHEEL), NONE, np.int32),
        sm_port=np.zeros(sms, PORT),
        gpc_port=np.zeros(gpcs, PORT),
        link=np.zeros(int(cfg.l2.partitions), PORT),
        tpc_page=np.full((tpcs, tpc_entries), NONE, np.int64),
        tpc_page_used=np.full((tpcs, tpc_entries), NONE, np.int64),
        tpc_page_at=np.zeros((tpcs, tpc_entries), np.int64),
        tpc_last=np.zeros(tpcs, np.int32),
        gpc_page=np.full((gpcs, gpc_entries), NONE, np.int64),
        gpc_page_used=np.full((gpcs, gpc_entries), NONE, np.int64),
        gpc_page_at=np.zeros((gpcs, gpc_entries), np.int64),
        slice=slice_,
        tag=np.full(line.shape, NONE, np.int64),
        line=line,
        channel=channel,
        bank=bank,
        group_clock=np.zeros((channels, groups), np.int64),
        active_bank=np.zeros((channels, 2, banks), np.int32),
        slice_table=remainder_table(slice_bits),
        set_table=remainder_table(set_bits),
        bank_table=remainder_table(split_count(banks // groups)[0]),
        group_table=remainder_table(split_count(groups)[0]),
        rotation_table=rotation_table(),
        order=np.zeros((2, max_sectors), np.int32),
        bucket=np.zeros(max(sms, lookahead) + 2, np.int32),
    )


def counters(memory: MemoryState) -> dict[str, int]:
    """Counter values by name, in the order of COUNTERS."""
    return {name: int(memory.counter[name][0]) for name, _, _ in COUNTERS}
