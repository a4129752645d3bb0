"""Thread-block clusters: the network between the SMs of a GPC, distributed shared memory and the cluster barrier.

A message takes the distance of its sender to the hub of the GPC plus that of its receiver: latencies between the SMs
of an H800 add up like this (NVIDIA-Hopper-Benchmark, DSM latency of all pairs). Accesses without an answer are
limited; the limit and the latency give the measured throughput. Messages cross at the end of a quantum, which is never
longer than the shortest way.
"""

from isa.program import Access
from sim.async_state import RANK_SHIFT, SENT, Async, Message
from sim.core.barrier import end_wait, waiter
from sim.core.coalesce import bank_passes, lane_address_at
from sim.core.events import INTERNAL, REPLIES, push_event
from sim.jit import routine, stage
from sim.state import NONE, STORE_WARPS, Event, Fault, Reply
from sim.stats import Counter

_MEMORY_DONE = int(Event.MEMORY_DONE)
_REPLY_EVENT = int(Event.REPLY)
_MESSAGE_TAG = int(Reply.MESSAGE) << 24
_MESSAGES = int(Fault.MESSAGES)
_REMOTE_STORE = int(Async.REMOTE_STORE)
_STORE = int(Access.STORE)
_REDUCTION = int(Access.REDUCTION)
LOAD_MESSAGE = int(Message.LOAD)
STORE_MESSAGE = int(Message.STORE)
_ARRIVE = int(Message.ARRIVE)
_REPLY = int(Message.REPLY)
_ACKNOWLEDGE = int(Message.ACKNOWLEDGE)
_CLUSTER_ARRIVE = int(Message.CLUSTER_ARRIVE)
_LEFT = int(Message.LEFT)
_WAVEFRONTS = int(Counter.SHARED_WAVEFRONTS)
_PASS_BYTES = 128
CLUSTER_BARRIER = 100  # `barrier_wait` of a warp at UCGABAR_WAIT
REGISTER_WAIT = 101  # of a warp that asks for more registers


@routine
def post(sm, way_cycles, box, target, kind, block, address, value, size, passes, tag, now):
    if box.sent_count == SENT:
        sm.fault = _MESSAGES
        return
    message = box.sent[box.sent_count]
    box.sent_count += 1
    message.at = now + way_cycles
    message.source = sm.id
    message.number = box.sent_number
    box.sent_number += 1
    message.target = target
    message.kind = kind
    message.block = block
    message.address = address
    message.value = value
    message.bytes = size
    message.passes = passes
    message.tag = tag


@routine
def send_message(sm, run, box, slot, rank, kind, address, value, size, passes, tag, now):
    """To the block of a rank in the cluster of the block in `slot`."""
    group = box.cluster[slot]
    if rank < 0 or rank >= group.size:
        sm.fault = _MESSAGES
        return
    target = group.peer_sm[rank]
    way = run.way[sm.id] + run.way[target]
    post(sm, way, box, target, kind, group.peer_slot[rank], address, value, size, passes, tag, now)


@routine
def deliver_messages(sms, run, wake_at, to_cycle):
    """Carry what was sent in a quantum to its receivers. Each wakes when the first of its messages arrives."""
    for i in range(len(sms)):
        source = run.engine[i]
        for k in range(source.sent_count):
            sent = source.sent[k]
            sm = sms[sent.target]
            box = run.engine[sent.target]
            free = box.message_free
            if free < 0:
                sm.fault = _MESSAGES
                break
            message = box.message[free]
            box.message_free = message.next
            message.at = sent.at
            message.source = sent.source
            message.number = sent.number
            message.kind = sent.kind
            message.block = sent.block
            message.address = sent.address
            message.value = sent.value
            message.bytes = sent.bytes
            message.passes = sent.passes
            message.tag = sent.tag
            insert_message(box, free)
            push_event(sm, REPLIES, to_cycle - 1, sent.at, _REPLY_EVENT, _MESSAGE_TAG, 0)
            wake_at[sent.target] = min(wake_at[sent.target], sm.next_event_at)
        source.sent_count = 0


@routine
def insert_message(box, index):
    """In order of arrival, then of sender: the order must not depend on the length of a quantum."""
    message = box.message[index]
    before = NONE
    after = box.message_first
    while after >= 0:
        other = box.message[after]
        if other.at > message.at or (
            other.at == message.at
            and (other.source > message.source or (other.source == message.source and other.number > message.number))
        ):
            break
        before = after
        after = other.next
    message.next = after
    if before < 0:
        box.message_first = index
    else:
        box.message[before].next = index


@stage
def rank_of(run, box, stream):
    """Rank of the block whose shared memory a generic access means, or NONE: it is global or local memory."""
    access = run.access[stream]
    mask = run.active_mask[stream]
    if access < 0 or mask == 0:
        return NONE
    lane = 0
    while not mask >> lane & 1:
        lane += 1
    offset = lane_address_at(run, access, lane, 0) - box.shared_base
    return offset >> RANK_SHIFT if 0 <= offset < 1 << (RANK_SHIFT + 4) else NONE


@routine
def serve_distributed(sm, cfg, run, index, rank, now):
    """A load, store or atomic on the shared memory of a block of the cluster."""
    pending = sm.pending[index]
    op = run.op[pending.op]
    box = run.engine[sm.id]
    group = box.cluster[sm.sub[pending.subcore].warp[pending.warp].block]
    if group.size == 1 or rank == group.rank:
        passes = bank_passes(sm, run, run.access[pending.stream], run.active_mask[pending.stream], op.bytes)
        start_at = max(now, sm.data_free_at)
        sm.data_free_at = start_at + passes
        sm.counter[_WAVEFRONTS] += passes
        push_event(sm, INTERNAL, now, start_at + pending.tail_cycles + passes - 1, _MEMORY_DONE, index, 0)
        return
    pending.next = NONE
    if box.remote_count >= cfg.cluster.accesses_in_flight or box.remote_first >= 0:
        if box.remote_last >= 0:
            sm.pending[box.remote_last].next = index
        else:
            box.remote_first = index
        box.remote_last = index
        return
    send_access(sm, cfg, run, box, index, rank, now)


@routine
def send_access(sm, cfg, run, box, index, rank, now):
    pending = sm.pending[index]
    op = run.op[pending.op]
    warp_id = pending.subcore << 4 | pending.warp
    warp = sm.sub[pending.subcore].warp[pending.warp]
    mask = run.active_mask[pending.stream]
    passes = bank_passes(sm, run, run.access[pending.stream], mask, op.bytes)
    box.remote_count += 1
    start_at = now
    if op.access == _STORE or op.access == _REDUCTION:
        start_at = take_port(sm, cfg, box, box.cluster[warp.block].peer_sm[rank], passes, now)
        tag = (warp.launched & STORE_WARPS) << 6 | warp_id
        warp.stores += 1
        send_message(sm, run, box, warp.block, rank, STORE_MESSAGE, 0, 0, 0, passes, tag, start_at)
        if op.request == _REMOTE_STORE:
            send_bytes(sm, run, box, warp.block, pending.stream, op.bytes, start_at)
        push_event(sm, INTERNAL, now, start_at + pending.tail_cycles, _MEMORY_DONE, index, 0)
    else:
        send_message(sm, run, box, warp.block, rank, LOAD_MESSAGE, 0, 0, 0, passes, index, start_at)


@stage
def take_port(sm, cfg, box, target, passes, now):
    """Cycle at which data for another SM leave; within a TPC no limit was measured."""
    if sm.id // cfg.gpu.sms_per_tpc == target // cfg.gpu.sms_per_tpc:
        return now
    start_at = max(now, box.port_free_at)
    box.port_free_at = start_at + passes * _PASS_BYTES // cfg.cluster.bytes_per_cycle
    return start_at


@routine
def send_bytes(sm, run, box, slot, stream, width, now):
    """st.async: the bytes of each lane complete at the mbarrier of its second address."""
    access = run.access[stream] + 1
    mask = run.active_mask[stream]
    rank = 0
    for lane in range(32):
        if mask >> lane & 1:
            address = lane_address_at(run, access, lane, rank)
            rank += 1
            send_message(sm, run, box, slot, address >> RANK_SHIFT, _ARRIVE, address, 0, -width, 0, 0, now)


@routine
def next_access(sm, cfg, run, box, now):
    """An answer makes room for an access that waits."""
    box.remote_count -= 1
    index = box.remote_first
    if index < 0:
        return
    pending = sm.pending[index]
    box.remote_first = pending.next
    if box.remote_first < 0:
        box.remote_last = NONE
    pending.next = NONE
    send_access(sm, cfg, run, box, index, access_rank(run, box, pending.stream), now)


@stage
def access_rank(run, box, stream):
    """Rank in the address of the first active lane, generic or shared."""
    access = run.access[stream]
    mask = run.active_mask[stream]
    lane = 0
    while not mask >> lane & 1:
        lane += 1
    address = lane_address_at(run, access, lane, 0)
    if address >= box.shared_base:
        address -= box.shared_base
    return address >> RANK_SHIFT


@routine
def serve_remote(sm, cfg, run, box, message, now):
    """A request of another SM uses the data array here and is answered."""
    start_at = max(now, sm.data_free_at)
    sm.data_free_at = start_at + message.passes
    sm.counter[_WAVEFRONTS] += message.passes
    ready_at = start_at + message.passes - 1
    kind = _ACKNOWLEDGE
    if message.kind == LOAD_MESSAGE:
        kind = _REPLY
        ready_at = take_port(sm, cfg, box, message.source, message.passes, ready_at)
    way = run.way[sm.id] + run.way[message.source]
    post(sm, way, box, message.source, kind, NONE, 0, 0, 0, 0, message.tag, ready_at)


@routine
def arrive_at_cluster(sm, run, slot, now):
    """UCGABAR_ARV: with the last warp of the block, the block arrives everywhere."""
    box = run.engine[sm.id]
    box.cluster[slot].arrived += 1
    check_cluster_arrival(sm, run, slot, now)


@routine
def check_cluster_arrival(sm, run, slot, now):
    box = run.engine[sm.id]
    group = box.cluster[slot]
    if group.arrived == 0 or group.arrived < sm.block[slot].live_warps:
        return
    group.arrived = 0
    phase = group.sent
    group.sent += 1
    for rank in range(group.size):
        if rank != group.rank:
            send_message(sm, run, box, slot, rank, _CLUSTER_ARRIVE, 0, phase, 0, 0, 0, now)
    count_arrival(sm, box, slot, phase, now)


@routine
def count_arrival(sm, box, slot, phase, now):
    group = box.cluster[slot]
    group.blocks[phase & 1] += 1
    check_cluster_release(sm, box, slot, now)


@routine
def check_cluster_release(sm, box, slot, now):
    group = box.cluster[slot]
    parity = group.released & 1
    if group.blocks[parity] == 0 or group.blocks[parity] + group.left < group.size:
        return
    group.blocks[parity] = 0
    group.released += 1
    block = sm.block[slot]
    for i in range(block.warps):
        warp_id = waiter(sm, block, i, CLUSTER_BARRIER)
        if warp_id >= 0 and box.waits[warp_id] <= group.released:
            end_wait(sm, warp_id, now)


@routine
def wait_at_cluster(sm, run, warp_id, warp):
    """UCGABAR_WAIT."""
    box = run.engine[sm.id]
    box.waits[warp_id] += 1
    if box.waits[warp_id] > box.cluster[warp.block].released:
        warp.barrier_wait = CLUSTER_BARRIER


@routine
def leave_cluster(sm, run, slot, now):
    """The block has ended: nobody waits for it any more."""
    box = run.engine[sm.id]
    group = box.cluster[slot]
    for rank in range(group.size):
        if rank != group.rank:
            send_message(sm, run, box, slot, rank, _LEFT, 0, 0, 0, 0, 0, now)


@routine
def set_registers(sm, run, warp_id, warp, wanted, now):
    """USETMAXREG: give registers back to the block, or take them and wait until there are enough."""
    box = run.engine[sm.id]
    group = box.cluster[warp.block]
    more = wanted - box.warp_registers[warp_id]
    box.warp_registers[warp_id] = wanted
    if more <= group.pool:
        group.pool -= more
    else:
        warp.barrier_wait = REGISTER_WAIT
        box.waiting_registers[warp_id] = more
    if more < 0:
        grant_registers(sm, box, warp.block, now)


@routine
def grant_registers(sm, box, slot, now):
    """Registers were given back: warps that wait for some, in the order of the block."""
    group = box.cluster[slot]
    block = sm.block[slot]
    for i in range(block.warps):
        warp_id = waiter(sm, block, i, REGISTER_WAIT)
        if warp_id >= 0 and box.waiting_registers[warp_id] <= group.pool:
            group.pool -= box.waiting_registers[warp_id]
            end_wait(sm, warp_id, now)
