"""mbarriers (SYNCS): arrivals and transaction bytes in the order of simulated time, and warps that wait for a phase.

Behaviour: PTX ISA, mbarrier. A phase ends when no arrival and no byte is missing; both amounts commute, so that bytes
may come before they are expected. Which test succeeded is told by the trace; when is decided here.
"""

from sim.async_state import DEFERRED, MBARRIERS, RANK_SHIFT, Async, Message
from sim.core.barrier import check_memory_barrier
from sim.core.cluster import (
    check_cluster_release,
    count_arrival,
    next_access,
    send_message,
    serve_remote,
)
from sim.core.coalesce import lane_address_at
from sim.core.events import INTERNAL, push_event
from sim.jit import routine, stage
from sim.state import NONE, STORE_WARPS, Event, Fault

_MEMORY_DONE = int(Event.MEMORY_DONE)
_INIT = int(Async.INIT)
_ARRIVE = int(Async.ARRIVE)
_COPIES = int(Async.ARRIVE_COPIES)
_LOAD = int(Message.LOAD)
_STORE = int(Message.STORE)
_REPLY = int(Message.REPLY)
_ACKNOWLEDGE = int(Message.ACKNOWLEDGE)
_CLUSTER_ARRIVE = int(Message.CLUSTER_ARRIVE)
_ARRIVE_MESSAGE = int(Message.ARRIVE)
_NO_MBARRIER = int(Fault.MBARRIER)
_OFFSET = (1 << RANK_SHIFT) - 1
_HALF = 1 << 31


@routine
def find_mbarrier(box, slot, address):
    """Entry of the word at a shared address of a block, or NONE."""
    offset = address & _OFFSET
    for i in range(box.mbarriers):
        entry = box.mbarrier[i]
        if entry.block == slot and entry.address == offset:
            return i
    return NONE


@routine
def init_mbarrier(sm, box, slot, address, arrivals):
    found = find_mbarrier(box, slot, address)
    if found < 0:
        found = 0
        while found < MBARRIERS and box.mbarrier[found].block != NONE:
            found += 1
        if found == MBARRIERS:
            sm.fault = _NO_MBARRIER
            return
        box.mbarriers = max(box.mbarriers, found + 1)
        box.mbarrier[found].waiter = NONE
    entry = box.mbarrier[found]
    entry.block = slot
    entry.address = address & _OFFSET
    entry.phase = 0
    entry.missing = arrivals
    entry.arrivals = arrivals
    entry.bytes = 0


@routine
def arrive_at_mbarrier(sm, box, slot, address, arrivals, size, now):
    """Take arrivals off what is missing and add `size` expected bytes (negative: complete). The phase may end."""
    found = find_mbarrier(box, slot, address)
    if found < 0:
        if sm.block[slot].active == 1:
            sm.fault = _NO_MBARRIER
        return
    entry = box.mbarrier[found]
    entry.missing -= arrivals
    entry.bytes += size
    if entry.missing != 0 or entry.bytes != 0:
        return
    entry.phase ^= 1
    entry.missing = entry.arrivals
    index = entry.waiter
    entry.waiter = NONE
    while index >= 0:
        pending = sm.pending[index]
        following = pending.next
        pending.next = NONE
        sm.pending_count += 1
        push_event(sm, INTERNAL, now, now + pending.tail_cycles, _MEMORY_DONE, index, 0)
        index = following


@stage
def bytes_of(value):
    """Signed transaction bytes in the low half of an arrival's operand."""
    return ((value + _HALF) & (2 * _HALF - 1)) - _HALF


@routine
def deliver(sm, run, box, slot, address, value, now):
    """One arrival, here or at another block of the cluster."""
    size = bytes_of(value)
    arrivals = value >> 32
    group = box.cluster[slot]
    rank = address >> RANK_SHIFT
    if group.size > 1 and rank != group.rank:
        send_message(sm, run, box, slot, rank, _ARRIVE_MESSAGE, address, arrivals, size, 0, 0, now)
    else:
        arrive_at_mbarrier(sm, box, slot, address, arrivals, size, now)


@routine
def serve_mbarrier(sm, run, index, now):
    """A SYNCS in the shared unit: lane by lane. True if it has to wait for a phase."""
    pending = sm.pending[index]
    op = run.op[pending.op]
    box = run.engine[sm.id]
    warp = sm.sub[pending.subcore].warp[pending.warp]
    access = run.access[pending.stream]
    mask = run.active_mask[pending.stream]
    if access < 0 or mask == 0 or not run.accesses[access].more:
        return False
    rank = 0
    for lane in range(32):
        if not mask >> lane & 1:
            continue
        address = lane_address_at(run, access, lane, rank)
        value = lane_address_at(run, access + 1, lane, rank)
        rank += 1
        if op.request == _INIT:
            init_mbarrier(sm, box, warp.block, address, value)
        elif op.request == _ARRIVE:
            deliver(sm, run, box, warp.block, address, value, now)
        elif op.request == _COPIES:
            defer_arrival(sm, run, box, pending.subcore << 4 | pending.warp, warp, address, value, now)
        elif value & 2:
            found = find_mbarrier(box, warp.block, address)
            if found < 0:
                sm.fault = _NO_MBARRIER
                return False
            entry = box.mbarrier[found]
            if entry.phase == value & 1:
                pending.next = entry.waiter
                entry.waiter = index
                sm.pending_count -= 1  # it holds no resource of the shared unit
                return True
    return False


@routine
def defer_arrival(sm, run, box, warp_id, warp, address, value, now):
    """ARRIVES.LDGSTSBAR arrives when the copies of the warp before it have landed."""
    if warp.copies_done >= warp.copies_issued:
        deliver(sm, run, box, warp.block, address, value, now)
        return
    if box.deferred == DEFERRED:
        sm.fault = _NO_MBARRIER
        return
    box.deferred_warp[box.deferred] = warp_id
    box.deferred_target[box.deferred] = warp.copies_issued
    box.deferred_address[box.deferred] = address
    box.deferred_value[box.deferred] = value
    box.deferred += 1


@routine
def deliver_deferred(sm, run, warp_id, now):
    """A copy of a warp has landed."""
    box = run.engine[sm.id]
    warp = sm.sub[warp_id >> 4].warp[warp_id & 15]
    kept = 0
    for i in range(box.deferred):
        if box.deferred_warp[i] == warp_id and warp.copies_done >= box.deferred_target[i]:
            deliver(sm, run, box, warp.block, box.deferred_address[i], box.deferred_value[i], now)
            continue
        box.deferred_warp[kept] = box.deferred_warp[i]
        box.deferred_target[kept] = box.deferred_target[i]
        box.deferred_address[kept] = box.deferred_address[i]
        box.deferred_value[kept] = box.deferred_value[i]
        kept += 1
    box.deferred = kept


@routine
def receive_messages(sm, cfg, run, now):
    """Take what has arrived from other SMs."""
    box = run.engine[sm.id]
    while box.message_first >= 0 and box.message[box.message_first].at <= now:
        index = box.message_first
        message = box.message[index]
        box.message_first = message.next
        kind = message.kind
        if kind in (_LOAD, _STORE):
            serve_remote(sm, cfg, run, box, message, now)
        elif kind == _REPLY:
            pending = sm.pending[message.tag]
            push_event(sm, INTERNAL, now, now + pending.tail_cycles, _MEMORY_DONE, message.tag, 0)
            next_access(sm, cfg, run, box, now)
        elif kind == _ACKNOWLEDGE:
            acknowledge_store(sm, message.tag, now)
            next_access(sm, cfg, run, box, now)
        elif kind == _ARRIVE_MESSAGE:
            arrive_at_mbarrier(sm, box, message.block, message.address, message.value, message.bytes, now)
        elif kind == _CLUSTER_ARRIVE:
            count_arrival(sm, box, message.block, message.value, now)
        else:
            box.cluster[message.block].left += 1
            check_cluster_release(sm, box, message.block, now)
        message.next = box.message_free
        box.message_free = index


@stage
def acknowledge_store(sm, tag, now):
    """The store of a warp is done; another warp may have the slot by now."""
    sub = sm.sub[tag >> 4 & 3]
    warp = sub.warp[tag & 15]
    if warp.launched & STORE_WARPS == tag >> 6:
        warp.stores -= 1
        check_memory_barrier(warp, now)
        sub.wake_at = min(sub.wake_at, now)


@routine
def forget_block(box, slot):
    """The block has ended: its mbarriers are gone, and its slot starts anew."""
    group = box.cluster[slot]
    group.size = 1
    group.rank = 0
    group.arrived = 0
    group.sent = 0
    group.blocks[0] = 0
    group.blocks[1] = 0
    group.left = 0
    group.released = 0
    group.pool = 0
    for i in range(box.mbarriers):
        if box.mbarrier[i].block == slot:
            box.mbarrier[i].block = NONE
    while box.mbarriers > 0 and box.mbarrier[box.mbarriers - 1].block == NONE:
        box.mbarriers -= 1
