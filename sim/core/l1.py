"""L1 data cache: sectored lines, least recently used per set, misses merged per line, stores written through.

Behaviour: one memory instruction at a time goes through the tag stage; each of the `tags_per_cycle` tag banks looks up
one of its lines per cycle. Loads allocate a line on a miss and wait for their sectors; stores and atomics go to the L2.
Timing: a hit completes after the latency of its kind (MICRO 2025, Table 2); a miss passes the same hit pipe when its
data arrive.
"""

import numpy as np

from isa.bits import popcount
from isa.program import Access, CacheHint
from sim.core.coalesce import atomic_steps, coalesce, copy_passes, order_by_bank
from sim.core.events import INTERNAL, push_event
from sim.core.passes import PLAIN, data_passes
from sim.jit import routine, stage
from sim.memory.state import RequestKind
from sim.state import L1_BUCKETS, NEVER, NONE, STORE_WARPS, Event, Fault, Reply
from sim.stats import CONFLICTS, LINES, PASSES, SECTOR_HITS, SECTORS, Counter

_STORE = int(Access.STORE)
_COPY = int(Access.ASYNC_COPY)
_ATOMIC = int(Access.ATOMIC)
_REDUCTION = int(Access.REDUCTION)
_STRONG_GPU = int(CacheHint.STRONG_GPU)
_BYPASS = int(CacheHint.BYPASS_L1)
_MEMORY_DONE = int(Event.MEMORY_DONE)
_WAITER_POOL = int(Fault.WAITER_POOL)
_OUTBOX = int(Fault.OUTBOX)
_TAG_LINE = int(Reply.LINE) << 24
_TAG_PENDING = int(Reply.PENDING) << 24
_TAG_STORE = int(Reply.STORE) << 24
_SECTORS = int(Counter.L1_SECTORS)
_HITS = int(Counter.L1_SECTOR_HITS)
_TAGS = int(Counter.L1_TAGS)
_STALLS = int(Counter.L1_STALL_CYCLES)
_STORE_SECTORS = int(Counter.L1_STORE_SECTORS)
_ATOMIC_SECTORS = int(Counter.L1_ATOMIC_SECTORS)
_SENT = int(Counter.REQUESTS_SENT)
READ = int(RequestKind.READ)
WRITE = int(RequestKind.WRITE)
ATOMIC = int(RequestKind.ATOMIC)
REDUCTION = int(RequestKind.REDUCTION)


@routine
def send_request(sm, run, now, kind, line, sectors, full, operations, tag):
    """Append to the requests of this quantum."""
    index = sm.outbox_count
    if index >= run.outbox.shape[1]:
        sm.fault = _OUTBOX
        return
    request = run.outbox[sm.id, index]
    request.at = now
    request.sm = sm.id
    request.kind = kind
    request.line = line
    request.sector_mask = sectors
    request.full_mask = full
    request.operations = operations
    request.tag = tag
    sm.outbox_count = index + 1
    sm.counter[_SENT] += 1


@routine
def tag_stage(sm, cfg, run, now):
    """Look up the lines of the oldest waiting instruction."""
    index = sm.tag_first
    pending = sm.pending[index]
    op = run.op[pending.op]
    mask = np.int64(run.active_mask[pending.stream])
    access = run.access[pending.stream]
    if not sm.tag_started:
        sm.tag_started = 1
        sm.tag_next = 0
        sm.tag_lines = coalesce(sm, run, pending, access, mask, op)
        order_by_bank(sm, sm.tag_lines, cfg.l1d.tags_per_cycle)
    turn = sm.tag_turn[sm.tag_order[sm.tag_next]]
    while sm.tag_next < sm.tag_lines:
        position = sm.tag_order[sm.tag_next]
        if sm.tag_turn[position] != turn:
            break
        if not access_line(sm, cfg, op, pending, index, position, run, now):
            sm.counter[_STALLS] += 1
            return
        sm.counter[_TAGS] += 1
        run.profile[pending.op, LINES] += 1
        sm.tag_next += 1
    sm.tag_busy_cycles += 1
    if sm.tag_next < sm.tag_lines:
        return
    sm.tag_first = pending.next
    if sm.tag_first < 0:
        sm.tag_last = NONE
    sm.tag_started = 0
    finish_tags(sm, cfg, run, pending, index, op, mask, access, now)


@routine
def finish_tags(sm, cfg, run, pending, index, op, mask, access, now):
    """Reserve the data path; complete at once what does not wait for the L2."""
    if op.access == _COPY:
        passes = copy_passes(sm, run, access, mask, op.bytes)
    else:
        passes = data_passes(sm, run, access, mask, op.bytes, PLAIN)
    fewest = max(1, op.bytes // 4)
    scale = max(1, 128 // cfg.l1d.bytes_per_cycle)
    start_at = max(now, sm.data_free_at)
    sm.data_free_at = start_at + passes * scale
    sm.data_busy_cycles += passes * scale
    run.profile[pending.op, PASSES] += passes
    run.profile[pending.op, CONFLICTS] += max(0, passes - fewest)
    extra = max(0, passes - fewest) * scale
    pending.ready_at = start_at + pending.tail_cycles + extra
    # stores and reductions wait for no sector: complete once handed over, acknowledgements are counted apart
    if pending.waiting_sectors == 0:
        push_event(sm, INTERNAL, now, max(now + 1, pending.ready_at), _MEMORY_DONE, index, 0)


@routine
def access_line(sm, cfg, op, pending, index, position, run, now):
    """One line of the instruction in the tag stage. Returns False when a resource is missing: the stage waits."""
    line = sm.tag_line[position]
    sectors = sm.tag_sectors[position]
    acknowledged = op.access == _STORE or op.access == _REDUCTION
    bypasses = _STRONG_GPU <= op.hint <= _BYPASS
    if not (acknowledged or bypasses or op.access == _ATOMIC):
        return read_line(sm, cfg, pending, index, line, sectors, run, now)
    if acknowledged and sm.l1_writes >= cfg.l1d.outstanding_writes:
        return False
    count = popcount(sectors)
    run.profile[pending.op, SECTORS] += count
    if acknowledged:
        tag = store_tag(sm, pending)
    else:
        tag = _TAG_PENDING | index
        pending.waiting_sectors += count
    if op.access == _STORE:
        full = sm.tag_full[position]
        sm.counter[_STORE_SECTORS] += count
        write_line(sm, cfg, line, full)
        send_request(sm, run, now, WRITE, line, sectors, full, 0, tag)
    elif op.access == _ATOMIC or op.access == _REDUCTION:
        sm.counter[_ATOMIC_SECTORS] += count
        drop_sectors(sm, cfg, line, sectors)
        steps = atomic_steps(sm, run, run.access[pending.stream], np.int64(run.active_mask[pending.stream]), line)
        kind = REDUCTION if acknowledged else ATOMIC
        send_request(sm, run, now, kind, line, sectors, 0, steps, tag)
    else:
        sm.counter[_SECTORS] += count
        send_request(sm, run, now, READ, line, sectors, 0, 0, tag)
    return True


@routine
def store_tag(sm, pending):
    """Count a write under way, for the SM and for its warp. Returns the tag by which its acknowledgement finds both."""
    sm.l1_writes += 1
    warp = sm.sub[pending.subcore].warp[pending.warp]
    warp.stores += 1
    return _TAG_STORE | (warp.launched & STORE_WARPS) << 6 | pending.subcore << 4 | pending.warp


@stage
def set_of(sm, line):
    """Consecutive lines lie in consecutive sets; after each cacheful they begin one set later, so that no stride stays
    in one set for ever (guess)."""
    number = line >> 7
    return (number + number // (sm.l1_sets * sm.l1_capacity)) % sm.l1_sets


@stage
def bucket_of(line):
    number = line >> 7
    return (number ^ number >> 12 ^ number >> 24) & (L1_BUCKETS - 1)


@stage
def find_line(sm, line):
    """Slot of a line in the L1, or -1."""
    slot = sm.l1_bucket[bucket_of(line)]
    while slot >= 0 and sm.l1_line[slot].line != line:
        slot = sm.l1_line[slot].chain
    return slot


@stage
def unlink(sm, index, slot):
    """Take a line out of the recency list of its set."""
    entry = sm.l1_line[slot]
    if entry.newer >= 0:
        sm.l1_line[entry.newer].older = entry.older
    else:
        sm.l1_newest[index] = entry.older
    if entry.older >= 0:
        sm.l1_line[entry.older].newer = entry.newer
    else:
        sm.l1_oldest[index] = entry.newer


@stage
def make_newest(sm, index, slot):
    entry = sm.l1_line[slot]
    entry.newer = NONE
    entry.older = sm.l1_newest[index]
    if entry.older >= 0:
        sm.l1_line[entry.older].newer = slot
    else:
        sm.l1_oldest[index] = slot
    sm.l1_newest[index] = slot


@routine
def claim_line(sm, line):
    """A slot for a new line: an empty one, else the least recently used that awaits nothing; -1 if every line does."""
    index = set_of(sm, line)
    if sm.l1_filled[index] < sm.l1_capacity:
        slot = index * sm.l1_capacity + sm.l1_filled[index]
        sm.l1_filled[index] += 1
    else:
        slot = sm.l1_oldest[index]
        while slot >= 0 and sm.l1_line[slot].pending:
            slot = sm.l1_line[slot].newer
        if slot < 0:
            return slot
        unlink(sm, index, slot)
        leave_bucket(sm, slot)
    entry = sm.l1_line[slot]
    bucket = bucket_of(line)
    entry.line = line
    entry.valid = 0
    entry.pending = 0
    entry.waiter = NONE
    entry.waiters = 0
    entry.chain = sm.l1_bucket[bucket]
    sm.l1_bucket[bucket] = slot
    make_newest(sm, index, slot)
    return slot


@stage
def leave_bucket(sm, slot):
    bucket = bucket_of(sm.l1_line[slot].line)
    if sm.l1_bucket[bucket] == slot:
        sm.l1_bucket[bucket] = sm.l1_line[slot].chain
        return
    before = sm.l1_bucket[bucket]
    while sm.l1_line[before].chain != slot:
        before = sm.l1_line[before].chain
    sm.l1_line[before].chain = sm.l1_line[slot].chain


@stage
def append_waiter(sm, entry, node):
    """Waiters of a line are answered in the order in which they came."""
    last = entry.waiter
    if last < 0:
        entry.waiter = node
        return
    while sm.waiter_next[last] >= 0:
        last = sm.waiter_next[last]
    sm.waiter_next[last] = node


@routine
def read_line(sm, cfg, pending, index, line, sectors, run, now):
    slot = find_line(sm, line)
    missing = sectors
    if slot >= 0:
        entry = sm.l1_line[slot]
        missing = sectors & ~(entry.valid | entry.pending)
        if sectors & ~entry.valid and entry.waiters >= cfg.l1d.mshr_merges:
            return False
    misses = popcount(missing)
    if misses and sm.l1_missing + misses > cfg.l1d.mshrs:
        return False
    if slot < 0:
        slot = claim_line(sm, line)
        if slot < 0:
            return False
    else:
        set_index = slot // sm.l1_capacity
        if sm.l1_newest[set_index] != slot:
            unlink(sm, set_index, slot)
            make_newest(sm, set_index, slot)
    entry = sm.l1_line[slot]
    sm.counter[_SECTORS] += popcount(sectors)
    sm.counter[_HITS] += popcount(sectors & entry.valid)
    run.profile[pending.op, SECTORS] += popcount(sectors)
    run.profile[pending.op, SECTOR_HITS] += popcount(sectors & entry.valid)
    awaited = sectors & ~entry.valid
    if awaited:
        entry.waiters += 1
        node = sm.waiter_free
        if node < 0:
            sm.fault = _WAITER_POOL
            return False
        sm.waiter_free = sm.waiter_next[node]
        sm.waiter_pending[node] = index
        sm.waiter_sectors[node] = awaited
        sm.waiter_next[node] = NONE
        append_waiter(sm, entry, node)
        pending.waiting_sectors += popcount(awaited)
    if missing:
        entry.pending |= missing
        sm.l1_missing += misses
        send_request(sm, run, now, READ, line, missing, 0, 0, _TAG_LINE | slot)
    return True


@routine
def write_line(sm, cfg, line, full):
    """Write-through. A present line keeps the sectors it holds; a fully written sector becomes valid."""
    slot = find_line(sm, line)
    if slot < 0:
        if not cfg.l1d.write_allocate or full == 0:
            return
        slot = claim_line(sm, line)
        if slot < 0:
            return
    entry = sm.l1_line[slot]
    entry.valid |= full & ~entry.pending


@routine
def drop_sectors(sm, cfg, line, sectors):
    """Atomics are done in the L2: the copies here become stale."""
    slot = find_line(sm, line)
    if slot >= 0:
        sm.l1_line[slot].valid &= ~sectors & 15


@routine
def fill_sectors(sm, slot, sectors, now):
    """Data of a line arrive: answer everything that waits for these sectors."""
    entry = sm.l1_line[slot]
    arrived = sectors & entry.pending
    entry.pending &= ~arrived & 15
    entry.valid |= arrived
    sm.l1_missing -= popcount(arrived)
    before = NONE
    node = entry.waiter
    while node >= 0:
        following = sm.waiter_next[node]
        answered = sm.waiter_sectors[node] & arrived
        if answered:
            sm.waiter_sectors[node] &= ~answered & 15
            receive_sectors(sm, sm.waiter_pending[node], popcount(answered), now)
        if sm.waiter_sectors[node] == 0:
            entry.waiters -= 1
            if before < 0:
                entry.waiter = following
            else:
                sm.waiter_next[before] = following
            sm.waiter_next[node] = sm.waiter_free
            sm.waiter_free = node
        else:
            before = node
        node = following


@routine
def receive_sectors(sm, index, count, now):
    """Sectors for one instruction; with the last one it completes through the hit pipe."""
    pending = sm.pending[index]
    pending.waiting_sectors -= count
    if pending.waiting_sectors == 0 and pending.ready_at < NEVER:
        done_at = max(now + pending.tail_cycles, pending.ready_at)
        push_event(sm, INTERNAL, now, done_at, _MEMORY_DONE, index, 0)
