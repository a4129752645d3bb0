"""Bulk copies (UBLKCP, UTMALDG, UTMASTG, UTMAREDG ...): the copy engine of an SM.

A copy is worked off row by row, in the order of its instruction. A request to the L2 is for one line or the part of it
that the row covers, and takes a cycle per `sectors_per_cycle`: so many rows that are short cost more than one that is
long. Loads complete their bytes at an mbarrier when the last sector has come; stores count in the group that
UTMACMDFLUSH closes once their data have been read from shared memory.
"""

from isa.bits import popcount
from sim.async_state import BOX_DIMENSIONS, RANK_SHIFT, Async, Message
from sim.core.cluster import send_message
from sim.core.dependence import complete_copy_groups
from sim.core.events import INTERNAL, push_event
from sim.core.l1 import READ, REDUCTION, WRITE, send_request
from sim.core.mbarrier import arrive_at_mbarrier
from sim.jit import routine, stage
from sim.state import NONE, Event, Reply
from sim.stats import Counter

_STEP = int(Event.COPY_STEP)
_DONE = int(Event.COPY_DONE)
_TAG_COPY = int(Reply.COPY) << 24
_ARRIVE = int(Message.ARRIVE)
_LOAD = int(Async.LOAD)
_STORE = int(Async.STORE)
_REDUCE = int(Async.REDUCE)
_PREFETCH = int(Async.PREFETCH)
_TO_CLUSTER = int(Async.TO_CLUSTER)
_LINE = 128
_SECTOR = 32
_SECTORS = int(Counter.COPY_SECTORS)
_COPIES = int(Counter.BULK_COPIES)


@routine
def start_copy(sm, run, index, now):
    """A bulk instruction reaches the engine; the caller has seen that an entry is free."""
    pending = sm.pending[index]
    op = run.op[pending.op]
    access = run.access[pending.stream]
    box = run.engine[sm.id]
    warp = sm.sub[pending.subcore].warp[pending.warp]
    sm.counter[_COPIES] += 1
    entry = box.copy_free
    copy = box.copy[entry]
    box.copy_free = copy.next
    copy.next = NONE
    copy.kind = op.request
    copy.warp = pending.subcore << 4 | pending.warp
    copy.launched = warp.launched
    copy.op = pending.op
    copy.block = warp.block
    copy.target = run.accesses[access].origin
    copy.bytes = run.accesses[access].stride
    copy.mbarrier = run.accesses[access + 1].origin
    copy.multicast = run.accesses[access + 1].stride
    copy.address = run.accesses[access + 2].origin
    copy.row_bytes = run.accesses[access + 2].stride
    copy.rows = 1 if copy.row_bytes > 0 else 0
    more = run.accesses[access + 2].more
    for k in range(BOX_DIMENSIONS):
        copy.step[k] = 0
        copy.steps[k] = 1
        copy.pitch[k] = 0
        if more:
            copy.steps[k] = run.accesses[access + 3 + k].stride
            copy.pitch[k] = run.accesses[access + 3 + k].origin
            more = run.accesses[access + 3 + k].more
        copy.rows *= copy.steps[k]
    copy.column = 0
    copy.waiting = 0
    copy.done = 0
    copy.ready_at = now + op.latency_cycles
    if box.copy_last >= 0:
        box.copy[box.copy_last].next = entry
    else:
        box.copy_first = entry
    box.copy_last = entry
    if not box.stepping and not box.stalled:
        box.stepping = 1
        push_event(sm, INTERNAL, now, max(now + 1, copy.ready_at), _STEP, 0, 0)


@routine
def step_copies(sm, cfg, run, now):
    """Ask for the next line of the oldest copy that has not asked for everything."""
    box = run.engine[sm.id]
    box.stepping = 0
    entry = box.copy_first
    if entry < 0:
        return
    copy = box.copy[entry]
    next_at = max(copy.ready_at, now)
    if copy.ready_at <= now:
        if copy.rows > 0:
            if box.in_flight >= cfg.bulk_copy.sectors_in_flight:
                box.stalled = 1
                return
            sectors = ask(sm, run, box, copy, entry, now)
            next_at = now + (sectors + cfg.bulk_copy.sectors_per_cycle - 1) // cfg.bulk_copy.sectors_per_cycle
        if copy.rows == 0:
            copy.done = 1
            box.copy_first = copy.next
            if box.copy_first < 0:
                box.copy_last = NONE
            asked_all(sm, cfg, box, copy, entry, now)
            if box.copy_first < 0:
                return
            next_at = max(next_at, box.copy[box.copy_first].ready_at)
    box.stepping = 1
    push_event(sm, INTERNAL, now, max(now + 1, next_at), _STEP, 0, 0)


@routine
def ask(sm, run, box, copy, entry, now):
    """One request: a line of the present row. Returns its sectors."""
    address = copy.address + copy.column
    offset = address & (_LINE - 1)
    size = min(_LINE - offset, copy.row_bytes - copy.column)
    copy.column += size
    if copy.column >= copy.row_bytes:
        next_row(copy)
    if copy.kind == _TO_CLUSTER:
        sm.data_free_at = max(now, sm.data_free_at) + 1
        return (size + _SECTOR - 1) // _SECTOR
    first = offset // _SECTOR
    last = (offset + size - 1) // _SECTOR
    sectors = (2 << last) - (1 << first)
    count = popcount(sectors)
    sm.counter[_SECTORS] += count
    line = address - offset
    if copy.kind == _LOAD or copy.kind == _PREFETCH:
        copy.waiting += count
        box.in_flight += count
        send_request(sm, run, now, READ, line, sectors, 0, 0, _TAG_COPY | entry)
        return count
    sm.data_free_at = max(now, sm.data_free_at) + 1  # read from shared memory
    copy.waiting += 1
    box.in_flight += count
    sm.l1_writes += 1
    full = sectors
    if offset & (_SECTOR - 1):
        full &= ~(1 << first)
    if (offset + size) & (_SECTOR - 1):
        full &= ~(1 << last)
    if copy.kind == _STORE:
        send_request(sm, run, now, WRITE, line, sectors, full, 0, _TAG_COPY | count << 16 | entry)
    else:
        send_request(sm, run, now, REDUCTION, line, sectors, 0, 1, _TAG_COPY | count << 16 | entry)
    return count


@stage
def next_row(copy):
    """Rows of a box follow each other with the first dimension beside their own fastest."""
    copy.rows -= 1
    copy.column = 0
    for k in range(BOX_DIMENSIONS):
        copy.address += copy.pitch[k]
        copy.step[k] += 1
        if copy.step[k] < copy.steps[k]:
            return
        copy.address -= copy.pitch[k] * copy.steps[k]
        copy.step[k] = 0


@routine
def asked_all(sm, cfg, box, copy, entry, now):
    """Every request of a copy is out."""
    if copy.kind == _STORE or copy.kind == _REDUCE:
        sub = sm.sub[copy.warp >> 4]
        warp = sub.warp[copy.warp & 15]
        if warp.active and warp.launched == copy.launched:
            warp.copies_done += 1
            complete_copy_groups(sm, sub, warp, now)
    if copy.waiting == 0:
        push_event(sm, INTERNAL, now, now + cfg.bulk_copy.complete_cycles, _DONE, entry, 0)


@routine
def receive_copy(sm, cfg, run, value, sectors, now):
    """Sectors, or the acknowledgement of a write, come for a copy."""
    box = run.engine[sm.id]
    entry = value & 0xFFFF
    copy = box.copy[entry]
    count = popcount(sectors)
    if copy.kind == _STORE or copy.kind == _REDUCE:
        count = value >> 16
        copy.waiting -= 1
        sm.l1_writes -= 1
        sm.last_store_at = now
    else:
        copy.waiting -= count
        sm.data_free_at = max(now, sm.data_free_at) + 1  # written to shared memory
    box.in_flight -= count
    if box.stalled:
        box.stalled = 0
        box.stepping = 1
        push_event(sm, INTERNAL, now, now + 1, _STEP, 0, 0)
    if copy.done and copy.waiting == 0:
        push_event(sm, INTERNAL, now, now + cfg.bulk_copy.complete_cycles, _DONE, entry, 0)


@routine
def copy_done(sm, run, entry, now):
    """Bytes are complete at the mbarrier: of this block, or of every block of the multicast mask."""
    box = run.engine[sm.id]
    copy = box.copy[entry]
    if copy.mbarrier >= 0:
        group = box.cluster[copy.block]
        mask = copy.multicast
        if mask == 0:
            mask = 1 << (copy.mbarrier >> RANK_SHIFT) if group.size > 1 else 1 << group.rank
        for rank in range(group.size):
            if not mask >> rank & 1:
                continue
            if rank == group.rank:
                arrive_at_mbarrier(sm, box, copy.block, copy.mbarrier, 0, -copy.bytes, now)
            else:
                send_message(sm, run, box, copy.block, rank, _ARRIVE, copy.mbarrier, 0, -copy.bytes, 0, 0, now)
    copy.next = box.copy_free
    box.copy_free = entry
    sm.unit_wake_at = min(sm.unit_wake_at, now)


@stage
def engine_is_full(box):
    return box.copy_free < 0
