"""Thread-block dispatch and the quantum loop over all SMs: the outermost compiled code.

SMs run alone for a quantum no longer than the memory system's lookahead and the dispatch latency, so what one SM does
can reach another only behind the quantum: results do not depend on its length.

Threads draw the SMs of a quantum one by one. With several threads the memory system serves the requests of the quantum
before while the SMs run; as its replies then come one quantum later, two quanta must fit into its lookahead. Thread 0
does everything else alone. No result depends on which thread does what.
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
from sim.stats import Counter

_REPLY = int(Event.REPLY)
_BLOCKS = int(Counter.BLOCKS)


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
TICKETS = 0  # generation << 32 | SMs of the quantum that nobody has drawn yet
SERVED = 16  # SMs of the quantum that are done
STOP = 32  # threads other than 0 leave the compiled code
BEGIN, END = 48, 49  # the quantum
FINISHED, PROGRESS, FAULTED = 64, 65, 66  # set by any thread: a block ended, an instruction issued, an SM failed
CONTROL_WORDS = 80
_LEFT = (1 << 32) - 1
SPINS = 200  # turns of an empty wait before the core is offered to somebody else


class Exchange(NamedTuple):
    """What threads share beside the SMs and the memory system."""

    control: np.ndarray  # i8, shape (CONTROL_WORDS,)
    wake_at: np.ndarray  # i8, shape (SMs,): earliest cycle at which each SM has something to do
    turn: np.ndarray  # i4, shape (SMs,): the SMs of a quantum
    requests: np.ndarray  # REQUEST: what the SMs sent in a quantum
    replies: np.ndarray  # REPLY, shape (2, most of a quantum)
    reply_next: np.ndarray  # i4, same shape: next reply to the same SM
    reply_first: np.ndarray  # i4, shape (2, SMs): NONE = no reply
    reply_last: np.ndarray  # i4, same shape


def new_exchange(sms: int, requests_per_sm: int, quantum_cycles: int) -> Exchange:
    """Empty, for quanta of at most `quantum_cycles` in which an SM sends at most `requests_per_sm`."""
    replies = max(1 << 16, 8 * sms * (quantum_cycles + 64))
    return Exchange(
        control=np.zeros(CONTROL_WORDS, np.int64),
        wake_at=np.full(sms, NEVER),
        turn=np.zeros(sms, np.int32),
        requests=np.zeros(sms * requests_per_sm, REQUEST),
        replies=np.zeros((2, replies), REPLY),
        reply_next=np.zeros((2, replies), np.int32),
        reply_first=np.full((2, sms), NONE, np.int32),
        reply_last=np.full((2, sms), NONE, np.int32),
    )


@stage
def collect_finished(sms, cfg, grid, chunk_left):
    """Turn finished blocks into vacancies; the first of an SM are those of blocks that were queued there."""
    sooner = cfg.launch.dispatch_latency_cycles - cfg.launch.queued_block_latency_cycles
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
            grid.last_done_at = max(grid.last_done_at, block.done_at)
            sm.vacancy_at[sm.vacancies] = block.done_at
            if sm.counter[_BLOCKS] - sm.resident_blocks <= cfg.launch.queued_blocks_per_sm:
                sm.vacancy_at[sm.vacancies] -= sooner
            sm.vacancy_rank[sm.vacancies] = MAX_BLOCKS
            sm.vacancy_slot[sm.vacancies] = first
            sm.vacancies += 1


@stage
def dispatch(sms, cfg, grid, arena, warp_start, wake_at):
    """Give blocks to vacancies, the earliest first. Returns True when the arena must be filled before going on."""
    while grid.next_block < grid.blocks:
        chosen = NONE
        for i in range(len(sms)):
            sm = sms[i]
            if sm.vacancies == 0:
                continue
            if chosen == NONE:
                chosen = i
                continue
            best = sms[chosen]
            if sm.vacancy_at[0] < best.vacancy_at[0] or (
                sm.vacancy_at[0] == best.vacancy_at[0] and sm.vacancy_rank[0] < best.vacancy_rank[0]
            ):
                chosen = i
        if chosen == NONE:
            return False
        if grid.next_block >= grid.loaded_blocks:
            return True
        launch(sms[chosen], cfg, grid, arena, warp_start, grid.next_block)
        wake_at[chosen] = min(wake_at[chosen], sms[chosen].next_start_at)
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


@routine
def run_sms(sms, cfg, run, exchange, grid):
    """Draw SMs of the present quantum and run them, until none is left. Returns how many."""
    control = exchange.control
    drawn = 0
    while True:
        tickets = atomic_load(control, TICKETS)
        left = tickets & _LEFT
        if left == 0:
            return drawn
        if not atomic_replace(control, TICKETS, tickets, tickets - 1):
            continue
        # the quantum lasts at least until this SM is served: thread 0 changes nothing of it before
        i = exchange.turn[left - 1]
        sm = sms[i]
        to_cycle = control[END]
        receive(sm, exchange, grid.side, control[BEGIN] - 1)
        sm.outbox_count = 0
        if exchange.wake_at[i] < to_cycle:
            before = sm.counter[0]
            run_sm(sm, cfg, run, control[BEGIN], to_cycle)
            exchange.wake_at[i] = next_action_at(sms, i)
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
    count = 0
    for i in range(len(exchange.turn)):
        if exchange.wake_at[i] < to_cycle or exchange.reply_first[grid.side, i] != NONE:
            exchange.turn[count] = i
            count += 1
    control[BEGIN] = from_cycle
    control[END] = to_cycle
    control[SERVED] = 0
    grid.generation += 1
    atomic_store(control, TICKETS, (grid.generation & (_LEFT >> 1)) << 32 | count)
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
def run_quanta(sms, cfg, run, memory, exchange, grid, arena, warp_start, chunk_left, quanta):
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
        to_cycle = min(from_cycle + grid.quantum_cycles, grid.sample_at)  # samples do not depend on the quantum
        upcoming = earliest(exchange.wake_at)
        if upcoming >= to_cycle or from_cycle == grid.sample_at:
            for i in range(len(sms)):
                receive(sms[i], exchange, grid.side, from_cycle - 1)
            if grid.memory_until < from_cycle:
                to_cycle = from_cycle  # the memory system catches up; then it is known how far time may jump
            else:
                upcoming = min(upcoming, next_event_at(memory, cfg))
                if upcoming < NEVER:
                    to_cycle = min(max(to_cycle, upcoming), grid.sample_at)
            advance_memory(cfg, memory, exchange, grid, to_cycle)
        else:
            count = start_quantum(exchange, grid, from_cycle, to_cycle)
            if grid.overlaps and grid.memory_until < from_cycle:
                advance_memory(cfg, memory, exchange, grid, from_cycle)
            run_sms(sms, cfg, run, exchange, grid)
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
        return run_quanta(sms, cfg, run, memory, exchange, grid, arena, warp_start, chunk_left, quanta)
    spins = 0
    while atomic_load(exchange.control, STOP) == 0:
        spins += 1
        if run_sms(sms, cfg, run, exchange, grid) > 0:
            spins = 0
        elif spins > SPINS:
            yield_thread()
    return 0


@entry
def settle_all(sms, run, now):
    """Bring the accounts of every SM up to cycle `now`."""
    for i in range(len(sms)):
        settle(sms[i], run, now)
