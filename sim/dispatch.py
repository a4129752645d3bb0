"""Thread-block dispatch and the quantum loop over all SMs: the outermost compiled code.

SMs run alone for a quantum no longer than the memory system's lookahead and the dispatch latency, so what one SM does
can reach another only behind the quantum: results do not depend on its length.

Threads draw the SMs of a quantum one by one: each has a queue of its own, always with the same SMs, whose state then
stays in the caches of its core, and helps the others when that is empty. With several threads the memory system serves
the requests of the quantum before while the SMs run; as its replies then come one quantum later, two quanta must fit
into its lookahead. Thread 0 does everything else alone. No result depends on which thread does what.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from sim.atomics import atomic_add, atomic_load, atomic_replace, atomic_store, yield_thread
from sim.core.cluster import deliver_messages
from sim.core.events import REPLIES, push_event
from sim.core.sm import run_sm, settle
from sim.dispatch_block import dispatch_clusters, launch
from sim.jit import entry, routine, stage
from sim.memory.state import REPLY, REQUEST
from sim.memory.system import advance, next_event_at
from sim.series import take_sample
from sim.state import MAX_BLOCKS, NEVER, NONE, Event, record_dtype

_REPLY = int(Event.REPLY)


class Status(IntEnum):
    """Why `run_gpu` came back."""

    RUNNING = 0  # its time is up
    NEEDS_BLOCKS = 1  # an SM has room, but the next block is not in the arena
    DONE = 2
    FAULT = 3  # an SM record says which
    DEADLOCK = 4
    STOPPED = 5  # another thread failed


# Progress of the grid.
GRID = record_dtype(
    [
        ("now", "i8"),
        ("quantum_cycles", "i8"),
        ("blocks", "i8"),
        ("next_block", "i8"),
        ("loaded_blocks", "i8"),  # blocks before this one are in the arena
        ("finished_blocks", "i8"),
        ("warps_per_block", "i4"),
        ("dispatch_free_at", "f8"),  # chip-wide: one block per launch.block_interval_cycles
        ("queued_blocks", "i8"),  # may yet start without the dispatcher
        ("waits", "i4"),  # a vacancy will be given back
        ("progress_at", "i8"),
        ("deadlock_cycles", "i8"),
        ("last_done_at", "i8"),
        ("cluster_blocks", "i8"),  # 1: no clusters
        ("cluster", "i8", (3,)),
        ("blocks_along", "i8", (3,)),
        ("overlaps", "i4"),  # the memory system runs beside the SMs, one quantum behind them
        ("memory_until", "i8"),  # it has been advanced to here, and
        ("requests", "i8"),  # so many requests since then wait for it
        ("side", "i8"),  # which half of the replies the SMs take next; the memory system fills the other one
        ("generation", "i8"),  # of the tickets
        ("samples", "i4"),  # rows of the series in use
        ("sample_at", "i8"),
        ("sample_interval", "i8"),
    ]
)

# A thread block whose streams are in the arena, indexed by block id modulo the table's length.
ARENA_BLOCK = record_dtype([("block", "i8"), ("chunk", "i4"), ("first_warp", "i8")])

# Words of `Exchange.control`, apart from each other so that threads do not fight for a cache line.
SERVED = 16  # SMs of the quantum that are done
STOP = 32  # threads other than 0 leave the compiled code
BEGIN, END = 48, 49  # the quantum
FINISHED, PROGRESS, FAULTED = 64, 65, 66  # set by any thread: a block ended, an instruction issued, an SM failed
QUEUES = 80  # of each thread, QUEUE_WORDS apart: generation << 32 | end << 16 | begin of what is left of it in `turn`
QUEUE_WORDS = 16
MIN_WORK = 32  # instructions and SMs of a quantum that are worth the way to another core (guess)
_PLACE = (1 << 16) - 1
_GENERATIONS = (1 << 31) - 1
SPINS = 200  # turns of an empty wait before the core is offered to somebody else


class Exchange(NamedTuple):
    """What threads share beside the SMs and the memory system."""

    control: np.ndarray  # i8; the last queue is for thread 0 alone
    wake_at: np.ndarray  # i8, shape (SMs,): earliest cycle at which each SM has something to do
    turn: np.ndarray  # i4, shape (SMs,): the SMs of a quantum
    work: np.ndarray  # i4, shape (SMs,): instructions that each SM issued in its last quantum
    requests: np.ndarray  # REQUEST: what the SMs sent in a quantum
    replies: np.ndarray  # REPLY, shape (2, most of a quantum)
    reply_next: np.ndarray  # i4, same shape: next reply to the same SM
    reply_first: np.ndarray  # i4, shape (2, SMs): NONE = no reply
    reply_last: np.ndarray  # i4, same shape


def new_exchange(sms: int, requests_per_sm: int, quantum_cycles: int, threads: int) -> Exchange:
    """Empty, for quanta of at most `quantum_cycles` in which an SM sends at most `requests_per_sm`."""
    assert sms <= _PLACE
    replies = max(1 << 16, 8 * sms * (quantum_cycles + 64))
    return Exchange(
        control=np.zeros(QUEUES + QUEUE_WORDS * (threads + 1), np.int64),
        wake_at=np.full(sms, NEVER),
        turn=np.zeros(sms, np.int32),
        work=np.zeros(sms, np.int32),
        requests=np.zeros(sms * requests_per_sm, REQUEST),
        replies=np.zeros((2, replies), REPLY),
        reply_next=np.zeros((2, replies), np.int32),
        reply_first=np.full((2, sms), NONE, np.int32),
        reply_last=np.full((2, sms), NONE, np.int32),
    )


@stage
def collect_finished(sms, cfg, grid, chunk_left):
    """Turn finished blocks into vacancies."""
    for i in range(len(sms)):
        sm = sms[i]
        if sm.finished_blocks == 0:
            continue
        sm.finished_blocks = 0
        while True:
            first = -1
            for slot in range(MAX_BLOCKS):
                if sm.block[slot].active == 2 and (first < 0 or sm.block[slot].done_at < sm.block[first].done_at):
                    first = slot
            if first < 0:
                break
            block = sm.block[first]
            block.active = 0
            sm.resident_blocks -= 1
            chunk_left[block.chunk] -= 1
            grid.finished_blocks += 1
            grid.last_done_at = max(grid.last_done_at, block.end_at)
            sm.vacancy_at[sm.vacancies] = block.end_at
            sm.vacancy_done_at[sm.vacancies] = block.done_at
            sm.vacancy_rank[sm.vacancies] = MAX_BLOCKS
            sm.vacancy_slot[sm.vacancies] = first
            sm.vacancies += 1


@stage
def dispatch(sms, cfg, grid, arena, warp_start, wake_at):
    """Give blocks to vacancies, the earliest first. Returns True when the arena must be filled before going on.

    Blocks that wait at the SMs take the places of the first that are done, on one SM no sooner than the one
    before has started; the dispatcher fills vacancies when they are given back. Neither before its time: another
    vacancy could still come first.
    """
    sooner = cfg.launch.dispatch_latency_cycles - cfg.launch.queued_block_latency_cycles
    grid.waits = 0
    while grid.next_block < grid.blocks:
        chosen = NONE
        vacancy = 0
        earliest_at = NEVER
        for i in range(len(sms)):
            sm = sms[i]
            for k in range(sm.vacancies):
                at = sm.vacancy_at[k]
                if grid.queued_blocks > 0 and sm.vacancy_rank[k] == MAX_BLOCKS:
                    at = max(sm.vacancy_done_at[k], sm.queue_free_at)
                if at < earliest_at or (at == earliest_at and sm.vacancy_rank[k] < sms[chosen].vacancy_rank[vacancy]):
                    chosen = i
                    vacancy = k
                    earliest_at = at
                if sm.vacancy_rank[k] < MAX_BLOCKS:
                    break  # of the empty machine: the others come later
        if chosen == NONE:
            return False
        sm = sms[chosen]
        replaces = sm.vacancy_rank[vacancy] == MAX_BLOCKS
        if replaces and earliest_at >= grid.now:
            grid.waits = 1
            return False
        if grid.next_block >= grid.loaded_blocks:
            return True
        if replaces and grid.queued_blocks > 0:
            grid.queued_blocks -= 1
            sm.vacancy_at[vacancy] = earliest_at - sooner
            sm.queue_free_at = earliest_at + cfg.launch.queued_block_latency_cycles
        launch(sm, vacancy, cfg, grid, arena, warp_start, grid.next_block)
        wake_at[chosen] = min(wake_at[chosen], sm.next_start_at)
    return False


@stage
def next_action_at(sms, i):
    """Earliest cycle at which an SM has something to do."""
    sm = sms[i]
    at = min(sm.next_event_at, min(sm.next_start_at, sm.unit_wake_at))
    for s in range(len(sm.sub)):
        at = min(at, sm.sub[s].wake_at)
    return at


@stage
def earliest(wake_at):
    at = NEVER
    for i in range(len(wake_at)):
        at = min(at, wake_at[i])
    return at


@stage
def unacknowledged(sms):
    count = 0
    for i in range(len(sms)):
        count += sms[i].l1_writes
    return count


@stage
def receive(sm, exchange, side, now):
    """Enter the replies to an SM into its event wheel. `now`: the cycle before those that it runs next."""
    k = exchange.reply_first[side, sm.id]
    exchange.reply_first[side, sm.id] = NONE
    while k != NONE:
        reply = exchange.replies[side, k]
        push_event(sm, REPLIES, now, reply.at, _REPLY, reply.tag, reply.sector_mask)
        k = exchange.reply_next[side, k]


@stage
def threads_of(exchange):
    return (len(exchange.control) - QUEUES) // QUEUE_WORDS - 1


@stage
def draw(control, queue, is_own):
    """Place in `turn` of the next SM of a queue, -1 if it is empty. Helpers take from the end."""
    word = QUEUES + QUEUE_WORDS * queue
    while True:
        value = atomic_load(control, word)
        begin, end = value & _PLACE, value >> 16 & _PLACE
        if begin == end:
            return -1
        if atomic_replace(control, word, value, value + 1 if is_own else value - (1 << 16)):
            return begin if is_own else end - 1


@routine
def run_sms(thread, sms, cfg, run, exchange, grid):
    """Draw SMs of the present quantum and run them, until none is left. Returns how many."""
    control = exchange.control
    threads = threads_of(exchange)
    drawn = 0
    queue = threads if thread == 0 else thread
    helped = 0
    while True:
        place = draw(control, queue, queue == thread)
        if place < 0:
            if queue == threads:
                queue = 0
                continue
            helped += 1
            if helped == threads:
                return drawn
            queue = (queue + 1) % threads
            continue
        # the quantum lasts at least until this SM is served: thread 0 changes nothing of it before
        i = exchange.turn[place]
        sm = sms[i]
        to_cycle = control[END]
        receive(sm, exchange, grid.side, control[BEGIN] - 1)
        sm.outbox_count = 0
        exchange.work[i] = 0
        if exchange.wake_at[i] < to_cycle:
            before = sm.counter[0]
            run_sm(sm, cfg, run, control[BEGIN], to_cycle)
            exchange.wake_at[i] = next_action_at(sms, i)
            exchange.work[i] = sm.counter[0] - before
            if sm.fault:
                control[FAULTED] = 1
            if sm.finished_blocks > 0:
                control[FINISHED] = 1
            if sm.counter[0] != before and control[PROGRESS] == 0:
                control[PROGRESS] = 1
        drawn += 1
        atomic_add(control, SERVED, 1)


@stage
def start_quantum(exchange, grid, from_cycle, to_cycle):
    """Offer every SM with a reply or with something to do before `to_cycle` to the threads. Returns their number."""
    control = exchange.control
    threads = threads_of(exchange)
    control[BEGIN] = from_cycle
    control[END] = to_cycle
    control[SERVED] = 0
    grid.generation += 1
    count = 0
    work = 0
    for i in range(len(exchange.turn)):
        if exchange.wake_at[i] < to_cycle or exchange.reply_first[grid.side, i] != NONE:
            exchange.turn[count] = i
            count += 1
            work += 1 + exchange.work[i]
    begin = 0
    for queue in range(threads + 1):
        end = begin
        if queue == threads:
            end = count
        elif work >= MIN_WORK or threads == 1:
            while end < count and exchange.turn[end] * threads < (queue + 1) * len(exchange.turn):
                end += 1
        tickets = (grid.generation & _GENERATIONS) << 32 | end << 16 | begin
        atomic_store(control, QUEUES + QUEUE_WORDS * queue, tickets)
        begin = end
    return count


@stage
def end_quantum(sms, exchange, grid, run, count):
    """Wait for the last SM and gather what they sent. False if another thread failed."""
    control = exchange.control
    spins = 0
    while atomic_load(control, SERVED) < count:
        spins += 1
        if spins > SPINS:
            yield_thread()
        if atomic_load(control, STOP) != 0:
            return False
    requests = 0
    for turn in range(count):
        i = exchange.turn[turn]
        for k in range(sms[i].outbox_count):
            exchange.requests[requests] = run.outbox[i, k]
            requests += 1
    grid.requests = requests
    return True


@routine
def advance_memory(cfg, memory, exchange, grid, to_cycle):
    """Let the memory system serve all requests before `to_cycle`. Its replies go to the side that no SM looks at."""
    side = 1 - grid.side
    count = advance(memory, cfg, exchange.requests, grid.requests, exchange.replies[side], grid.memory_until, to_cycle)
    grid.memory_until = to_cycle
    if grid.requests > 0 or count > 0:
        grid.progress_at = to_cycle
    grid.requests = 0
    for k in range(count):
        sm = exchange.replies[side, k].sm
        exchange.reply_next[side, k] = NONE
        if exchange.reply_first[side, sm] == NONE:
            exchange.reply_first[side, sm] = k
        else:
            exchange.reply_next[side, exchange.reply_last[side, sm]] = k
        exchange.reply_last[side, sm] = k


@stage
def turn_side(exchange, grid):
    """The replies of the memory system are for the SMs now: the first one to each may wake it."""
    grid.side = 1 - grid.side
    for i in range(len(exchange.wake_at)):
        k = exchange.reply_first[grid.side, i]
        if k != NONE:
            exchange.wake_at[i] = min(exchange.wake_at[i], exchange.replies[grid.side, k].at)


@routine
def run_quanta(thread, sms, cfg, run, memory, exchange, grid, arena, warp_start, chunk_left, quanta):
    """Thread 0: up to `quanta` quanta, or stretches in which no SM has anything to do. Returns a Status member."""
    control = exchange.control
    for _ in range(quanta):
        if control[FINISHED]:
            control[FINISHED] = 0
            collect_finished(sms, cfg, grid, chunk_left)
        # Prefetches and stores may outlive the last warp, and counters must not depend on the quantum.
        at_rest = grid.finished_blocks == grid.blocks and grid.requests == 0 and earliest(exchange.wake_at) >= NEVER
        if at_rest and memory.system[0].packets == 0 and unacknowledged(sms) == 0:
            return 2
        if grid.now == grid.sample_at and grid.memory_until == grid.now:
            take_sample(sms, memory, grid, run.series, grid.now)
        if grid.cluster_blocks > 1:
            if dispatch_clusters(sms, run, cfg, grid, arena, warp_start, exchange.wake_at):
                return 1
        elif dispatch(sms, cfg, grid, arena, warp_start, exchange.wake_at):
            return 1
        from_cycle = grid.now
        quantum = grid.quantum_cycles
        if grid.queued_blocks > 0 and grid.next_block < grid.blocks:
            quantum = min(quantum, cfg.launch.queued_block_latency_cycles)
        to_cycle = min(from_cycle + quantum, grid.sample_at)  # samples do not depend on the quantum
        upcoming = earliest(exchange.wake_at)
        if upcoming >= to_cycle or from_cycle == grid.sample_at:
            for i in range(len(sms)):
                receive(sms[i], exchange, grid.side, from_cycle - 1)
            if grid.memory_until < from_cycle:
                to_cycle = from_cycle  # the memory system catches up; then it is known how far time may jump
            else:
                upcoming = min(upcoming, next_event_at(memory, cfg))
                if upcoming < NEVER and not grid.waits:
                    to_cycle = min(max(to_cycle, upcoming), grid.sample_at)
            advance_memory(cfg, memory, exchange, grid, to_cycle)
        else:
            count = start_quantum(exchange, grid, from_cycle, to_cycle)
            if grid.overlaps and grid.memory_until < from_cycle:
                advance_memory(cfg, memory, exchange, grid, from_cycle)
            run_sms(thread, sms, cfg, run, exchange, grid)
            if not end_quantum(sms, exchange, grid, run, count):
                return 5
            if control[FAULTED]:
                return 3
            if grid.cluster_blocks > 1:
                deliver_messages(sms, run, exchange.wake_at, to_cycle)
            if not grid.overlaps:
                advance_memory(cfg, memory, exchange, grid, to_cycle)
        turn_side(exchange, grid)
        grid.now = to_cycle
        if control[PROGRESS]:
            control[PROGRESS] = 0
            grid.progress_at = to_cycle
        elif to_cycle - grid.progress_at > grid.deadlock_cycles:
            return 4
    return 0


@entry
def run_gpu(thread, sms, cfg, run, memory, exchange, grid_array, arena, warp_start, chunk_left, quanta):
    """Thread 0 runs up to `quanta` quanta and returns a Status member; others help it until `control[STOP]` is set.

    `run` is the thread's own: each one adds to a profile of its own.
    """
    grid = grid_array[0]
    if thread == 0:
        return run_quanta(thread, sms, cfg, run, memory, exchange, grid, arena, warp_start, chunk_left, quanta)
    spins = 0
    while atomic_load(exchange.control, STOP) == 0:
        spins += 1
        if run_sms(thread, sms, cfg, run, exchange, grid) > 0:
            spins = 0
        elif spins > SPINS:
            yield_thread()
    return 0


@entry
def settle_all(sms, run, now):
    """Bring the accounts of every SM up to cycle `now`."""
    for i in range(len(sms)):
        settle(sms[i], run, now)
