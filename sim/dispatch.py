"""Thread-block dispatch and the quantum loop over all SMs: the outermost compiled code.

SMs run alone for a quantum no longer than the memory system's lookahead and the dispatch latency, so what one SM does
can reach another only behind the quantum: results do not depend on its length.
"""

from __future__ import annotations

from enum import IntEnum

from sim.core.events import REPLIES, push_event
from sim.core.sm import run_sm, settle
from sim.jit import entry, stage
from sim.memory.system import advance, next_event_at
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
        ("issued", "i8"),  # warp instructions at the last progress check
        ("progress_at", "i8"),
        ("deadlock_cycles", "i8"),
        ("last_done_at", "i8"),
        ("retired_chunks", "i4"),
    ]
)

# A thread block whose streams are in the arena, indexed by block id modulo the table's length.
ARENA_BLOCK = record_dtype([("block", "i8"), ("chunk", "i4"), ("first_warp", "i8")])


@stage
def collect_finished(sms, grid, chunk_left):
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
            if chunk_left[block.chunk] == 0:
                grid.retired_chunks += 1
            grid.finished_blocks += 1
            grid.last_done_at = max(grid.last_done_at, block.done_at)
            sm.vacancy_at[sm.vacancies] = block.done_at
            sm.vacancy_rank[sm.vacancies] = MAX_BLOCKS
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
        launch(sms[chosen], cfg, grid, arena, warp_start)
        wake_at[chosen] = min(wake_at[chosen], sms[chosen].next_start_at)
    return False


@stage
def launch(sm, cfg, grid, arena, warp_start):
    """Start the next block on an SM: its warps follow at the SM's rate."""
    earliest = sm.vacancy_at[0] + cfg.launch.dispatch_latency_cycles
    interval = cfg.launch.block_interval_cycles
    if sm.vacancy_rank[0] < cfg.launch.first_blocks_per_sm:
        interval = cfg.launch.first_block_interval_cycles
    sm.vacancies -= 1
    for i in range(sm.vacancies):
        sm.vacancy_at[i] = sm.vacancy_at[i + 1]
        sm.vacancy_rank[i] = sm.vacancy_rank[i + 1]
    at = max(float(earliest), grid.dispatch_free_at)
    grid.dispatch_free_at = at + interval
    slot = 0
    while sm.block[slot].active:
        slot += 1
    block = sm.block[slot]
    entry_ = arena[grid.next_block % len(arena)]
    block.active = 1
    block.block = grid.next_block
    block.chunk = entry_.chunk
    block.first_start_at = int(at) + cfg.launch.block_start_cycles
    block.start_at = block.first_start_at
    block.started = 0
    block.warps = grid.warps_per_block
    block.live_warps = block.warps
    for barrier in range(len(block.arrived)):
        block.arrived[barrier] = 0
    for w in range(block.warps + 1):
        block.stream_start[w] = warp_start[(entry_.first_warp + w) % len(warp_start)]
    for w in range(block.warps):
        block.warp_slot[w] = NONE
    sm.next_start_at = min(sm.next_start_at, block.start_at)
    sm.resident_blocks += 1
    sm.counter[_BLOCKS] += 1
    grid.next_block += 1


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


@entry
def run_gpu(sms, cfg, run, memory, requests, replies, grid_array, arena, warp_start, chunk_left, wake_at, quanta):
    """Run up to `quanta` quanta, or stretches in which no SM has anything to do. Returns a Status member.

    wake_at: i8, shape (sms,): earliest cycle at which each SM has something to do.
    """
    grid = grid_array[0]
    finished = True
    for _ in range(quanta):
        if finished:
            collect_finished(sms, grid, chunk_left)
        upcoming = earliest(wake_at)
        # Prefetches and stores may outlive the last warp, and counters must not depend on the quantum.
        at_rest = grid.finished_blocks == grid.blocks and upcoming >= NEVER and memory.system[0].packets == 0
        if at_rest and unacknowledged(sms) == 0:
            return 2
        if dispatch(sms, cfg, grid, arena, warp_start, wake_at):
            return 1
        from_cycle = grid.now
        to_cycle = from_cycle + grid.quantum_cycles
        upcoming = earliest(wake_at)
        if upcoming > to_cycle:
            upcoming = min(upcoming, next_event_at(memory, cfg))
            if upcoming < NEVER:
                to_cycle = max(to_cycle, upcoming)
        count = 0
        issued = grid.issued
        finished = False
        for i in range(len(sms)):
            if wake_at[i] >= to_cycle:
                continue
            sm = sms[i]
            sm.outbox_count = 0
            before = sm.counter[0]
            run_sm(sm, cfg, run, from_cycle, to_cycle)
            if sm.fault:
                return 3
            for k in range(sm.outbox_count):
                requests[count] = run.outbox[i, k]
                count += 1
            grid.issued += sm.counter[0] - before
            wake_at[i] = next_action_at(sms, i)
            finished |= sm.finished_blocks > 0
        reply_count = advance(memory, cfg, requests, count, replies, from_cycle, to_cycle)
        for k in range(reply_count):
            reply = replies[k]
            sm = sms[reply.sm]
            push_event(sm, REPLIES, to_cycle - 1, reply.at, _REPLY, reply.tag, reply.sector_mask)
            wake_at[reply.sm] = min(wake_at[reply.sm], sm.next_event_at)
        grid.now = to_cycle
        if grid.issued != issued or reply_count > 0 or count > 0:
            grid.progress_at = to_cycle
        elif to_cycle - grid.progress_at > grid.deadlock_cycles:
            return 4
    return 0


@entry
def settle_all(sms, run, now):
    """Bring the accounts of every SM up to cycle `now`."""
    for i in range(len(sms)):
        settle(sms[i], run, now)
