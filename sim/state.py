"""The whole machine state of an SM as one structured record: plain data, integers only.

Sizes are architectural maxima; the live sizes are in the configuration. Absolute cycles end in `_at`; NEVER means that
only an event can make it happen. Nested records are views (`warp = sm.sub[s].warp[w]`), in numba and in plain Python.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from sim.stats import Counter, Stall

NEVER = 1 << 60
SUBCORES = 4
WARPS_PER_SUBCORE = 16
MAX_BLOCKS = 32
MAX_WARPS_PER_BLOCK = 32
BARRIERS = 16
INSTRUCTION_BUFFER = 16
BANKS = 4
GROUP_COUNTER = 6  # outstanding groups of wgmma, behind the dependence counters
OPERAND_SLOTS = 4
PORT_LAP_BITS = 7
PORT_WINDOW = 1 << PORT_LAP_BITS  # cycles of register-port reservations kept: above any read window or result delay
L0_LINES = 512
L0_MISSES = 64
L1I_LINES = 4096
L1I_MISSES = 128
STREAM_LINES = 64
FIXED_CONSTANT_LINES = 64
VARIABLE_CONSTANT_LINES = 256
FETCHES = 256  # requests between the L0 caches and the L1 instruction cache in flight
MEMORY_QUEUE = 32
COPY_GROUPS = 32
PENDING_REQUESTS = 512
L1_LINES = 2048
L1_BUCKETS = 4096
L1_SETS = 1024
KNOWN_PASSES = 64
TAG_LINES = 128  # lines of one instruction: 32 lanes of four interleaved words
L1_WAITERS = 8192
WHEEL = 1024
EVENTS = 8192
UNITS = 12
STORE_WARPS = (1 << 18) - 1
NONE = -1


class Event(IntEnum):
    """What happens when an entry of the event wheel falls due."""

    COUNTER = 0  # a = warp id, b = dependence counter to decrement
    L1I_ACCESS = 1  # a = fetch
    L0_FILL = 2  # a = fetch
    MEMORY_DONE = 3  # a = pending request
    UNIT_DONE = 4  # a = warp id, b = instruction: a variable-latency result of the sub-core is written
    BARRIER_RELEASE = 5  # a = block slot, b = barrier
    SCOREBOARD_READ = 6  # a = warp id, b = instruction: its sources have been read
    REPLY = 7  # a = tag, b = sector mask
    L1I_FILL = 8  # a = miss entry
    COPY_STEP = 9  # the bulk copy engine asks for the next line
    COPY_DONE = 10  # a = bulk copy whose data are all there


class Reply(IntEnum):
    """What the tag of a request to the interconnect names; tag = member << 24 | value."""

    LINE = 0  # L1 line: fill it and answer its waiters
    PENDING = 1  # pending request that bypassed the L1
    STORE = 2  # warp id, and above it the warp's launch number modulo 2**18: one store acknowledged
    INSTRUCTION = 3  # miss entry of the L1 instruction cache
    COPY = 4  # bulk copy; above it the sectors of a write
    MESSAGE = 5  # something has come from another SM of the cluster


class Path(IntEnum):
    """Where control sends an instruction."""

    FIXED = 0  # allocate stage, fixed latency
    MEMORY = 1  # memory queue of the sub-core
    UNIT = 2  # latch of a variable-latency unit: SFU, FP64 ...


class LogKind(IntEnum):
    """Stages in the event log."""

    ISSUE = 0
    CONTROL = 1
    ALLOCATE = 2  # operand reads reserved; they happen in the read window that follows
    ENQUEUE = 3  # enters the memory queue of the sub-core
    LEAVE = 4  # taken by the SM-shared memory unit
    DONE = 5  # variable-latency result visible to issue


class Detail(IntEnum):
    """Further kinds of log entries, for timelines; written only when asked for."""

    START = 16  # a variable-latency unit other than memory begins; DONE follows, its cycle may lie ahead
    STATE = 17  # what a warp waits for from now on: `stream` is a Stall (ISSUED: ready, another warp issued)
    END = 18  # the warp gives up its slot


class FetchKind(IntEnum):
    DEMAND = 0
    PREFETCH = 1
    FIXED_CONSTANT = 2
    VARIABLE_CONSTANT = 3


class Fault(IntEnum):
    """Why a kernel stopped early; 0 = it did not."""

    NONE = 0
    EVENT_POOL = 1
    WAITER_POOL = 2
    FETCH_TABLE = 3
    COUNTER_OVERFLOW = 4
    COUNTER_UNDERFLOW = 5
    OUTBOX = 6
    COPY_GROUPS = 7
    MBARRIER = 8  # never initialised, or too many
    MESSAGES = 9  # between SMs of a cluster


def record_dtype(fields: list[tuple]) -> np.dtype:
    """Aligned record of nested fields, as np.record so that kernels also run as plain Python."""
    names: list[str] = []
    formats: list[np.dtype] = []
    offsets: list[int] = []
    at = 0
    for name, kind, *shape in fields:
        base = np.dtype(kind)
        step = 8 if base.names else base.alignment
        at = -(-at // step) * step
        names.append(name)
        formats.append(np.dtype((base, shape[0])) if shape else base)
        offsets.append(at)
        at += formats[-1].itemsize
    size = -(-at // 8) * 8
    layout = {"names": names, "formats": formats, "offsets": offsets, "itemsize": size, "aligned": True}
    packed: Any = np.dtype(layout)  # type: ignore[call-overload]
    return np.dtype((np.record, packed))


WARP = record_dtype(
    [
        # what the scheduler looks at in every warp comes first: two cache lines instead of five
        ("stall_until", "i8"),
        ("membar_until", "i8"),
        ("stream_at", "i8"),  # next dynamic instruction to issue
        ("head", "i4"),  # static instruction at stream_at
        ("waiting", "i2"),  # bit i: counter i is not zero
        ("long_latency", "i2"),  # bit i: counter i was last raised by a global, local or texture access
        ("depbar_threshold", "i2"),
        ("depbar_mask", "i2"),
        ("active", "i1"),  # 0 free, 1 running, 2 every instruction issued, waits for its memory accesses
        ("barrier_wait", "i1"),
        ("buffer_count", "i1"),  # instruction buffer: slots reserved, oldest first
        ("buffer_first", "i1"),
        ("depbar_active", "i1"),
        ("depbar_counter", "i1"),
        ("ready_known", "i1"),  # scoreboard mode: ready_at holds for the head instruction
        ("blocked", "i1"),  # Stall of the counters that the head instruction waits for, 0 = not known to wait
        ("fetch_at", "i4"),  # next static instruction to fetch
        ("redirect_until", "i8"),  # no fetch before this cycle (taken branch)
        ("buffer_ready_at", "i8", (INSTRUCTION_BUFFER,)),
        ("block", "i2"),
        ("launched", "i8"),  # launch sequence number: higher is younger
        ("stream_end", "i8"),
        ("counter", "i2", (8,)),  # SB0-SB5 as visible to issue, GROUP_COUNTER
        ("membar_cycles", "i4"),  # > 0: a memory barrier waits for the accesses before it
        ("loads", "i4"),  # memory instructions between control and completion
        ("stores", "i4"),  # write requests not yet acknowledged
        ("copies_issued", "i4"),  # LDGSTS
        ("copies_done", "i4"),
        ("group_first", "i2"),
        ("group_count", "i2"),
        ("group_target", "i4", (COPY_GROUPS,)),  # copies_done at which a commit group is complete
        ("group_counter", "i1", (COPY_GROUPS,)),
        ("tokens", "i4"),  # scoreboard reads still to be released
        ("constant_line", "i4"),  # line of a c[][] operand that missed and is on its way
        ("chain_register", "i2"),  # accumulator of the last matrix instruction that has a chain time
        ("chain_until", "i8"),  # no matrix instruction may accumulate onto it before
        ("ready_at", "i8"),
        ("logged", "i1"),  # what the event log last said it waits for
    ]
)

# One entry of the Issue-to-Control or Control-to-Allocate latch.
LATCH = record_dtype(
    [("valid", "i1"), ("warp", "i8"), ("fresh", "i1"), ("op", "i4"), ("stream", "i8"), ("issued_at", "i8")]
)

QUEUED = record_dtype([("warp", "i8"), ("op", "i4"), ("stream", "i8"), ("issued_at", "i8"), ("ready_at", "i8")])

SUBCORE = record_dtype(
    [
        ("warp", WARP, (WARPS_PER_SUBCORE,)),
        ("order", "i1", (WARPS_PER_SUBCORE,)),  # resident warps, youngest first
        ("resident", "i4"),
        ("greedy", "i4"),  # warp issued last, NONE = none
        ("last_slot", "i4"),  # its slot; kept when the warp has ended (LRR goes on behind it)
        ("finishing", "i4"),  # warps with active = 2
        ("hold_until", "i8"),  # constant miss of the greedy warp: nothing issues
        ("next_pipe", "i4"),  # which of its two units the next instruction takes that may go to either
        ("held_for", "i8"),  # dynamic instruction that the scheduler has held for already
        ("issue_wake_at", "i8"),  # earliest cycle at which a blocked warp can be ready by time alone
        ("port_busy_until", "i8"),
        ("control", LATCH),
        ("allocate", LATCH),
        ("raise_warp", "i1"),  # counters to raise at the end of this cycle, NONE = nothing
        ("raise_op", "i4"),
        ("latch_free_at", "i8", (UNITS,)),  # dispatch latches of variable-latency units
        ("unit_free_at", "i8", (UNITS,)),
        # rings of port reservations, a word per cycle: lap of the ring << 32 | ports taken, a byte for each bank
        ("reads", "i8", (PORT_WINDOW,)),
        ("writes", "i8", (PORT_WINDOW,)),
        ("reuse", "i4", (BANKS, OPERAND_SLOTS)),  # warp << 8 | register, NONE = empty
        ("queue", QUEUED, (MEMORY_QUEUE,)),
        ("queue_first", "i4"),
        ("queue_count", "i4"),
        ("left_at", "i8"),  # when the last memory instruction left, plus its address calculation
        ("writeback_free_at", "i8"),
        ("wake_at", "i8"),
        ("reason_op", "i4"),  # instruction that the reason belongs to, the program's length = none
        ("charged_to", "i8"),  # cycles before this are in `stall`; those since then are for `reason`
        ("reason", "i4"),  # why it did not issue, or ISSUED, in its last cycle and since
        ("stall", "i8", (len(Stall),)),
        ("busy_cycles", "i8", (UNITS,)),  # of each unit; of MEMORY its address calculation
        ("bank_reads", "i8", (BANKS,)),  # register-file reads
        # front end
        ("l0_line", "i4", (L0_LINES,)),
        ("l0_used_at", "i8", (L0_LINES,)),
        ("l0_last", "i4"),  # slot of the last hit
        ("miss_line", "i4", (L0_MISSES,)),
        ("miss_count", "i4"),
        ("stream_line", "i4"),  # line at the head of the stream buffer
        ("stream_count", "i4"),
        ("stream_active", "i1"),
        ("stream_wanted", "i1"),
        ("stream_arrived", "i1", (STREAM_LINES,)),
        ("stream_first", "i4"),
        ("response_free_at", "i8"),
        ("constant_line", "i4", (FIXED_CONSTANT_LINES,)),
        ("constant_used_at", "i8", (FIXED_CONSTANT_LINES,)),
        ("constant_last", "i4"),  # slot of the last hit
    ]
)

BLOCK = record_dtype(
    [
        ("active", "i1"),
        ("block", "i8"),  # linear block id
        ("first_start_at", "i8"),
        ("start_at", "i8"),  # next warp start
        ("done_at", "i8"),  # its last warp has ended
        ("end_at", "i8"),  # its slot is given back to the dispatcher
        ("started", "i4"),
        ("live_warps", "i4"),
        ("warps", "i4"),
        ("arrived", "i4", (BARRIERS,)),
        ("expected", "i4", (BARRIERS,)),
        ("warp_slot", "i2", (MAX_WARPS_PER_BLOCK,)),  # warp id in the SM
        ("chunk", "i4"),
        ("stream_start", "i8", (MAX_WARPS_PER_BLOCK + 1,)),
    ]
)

FETCH = record_dtype(
    [
        ("used", "i1"),
        ("kind", "i1"),
        ("subcore", "i1"),
        ("waits", "i1"),
        ("line", "i4"),  # as the asking cache numbers it
        ("key", "i4"),  # as the L1 numbers it
        ("pending", "i4"),
    ]
)

PENDING = record_dtype(
    [
        ("used", "i1"),
        ("subcore", "i8"),
        ("warp", "i8"),
        ("op", "i4"),
        ("stream", "i8"),
        ("waiting_sectors", "i4"),
        ("constant_line", "i4"),  # LDC: line it waits for
        ("tail_cycles", "i4"),  # data at the SM -> dependent may issue
        ("ready_at", "i8"),  # completion if all sectors hit
        ("next", "i4"),
    ]
)

L1_LINE = record_dtype(
    [
        ("line", "i8"),
        ("valid", "i2"),
        ("pending", "i2"),
        ("chain", "i4"),  # next line in the hash bucket
        ("newer", "i4"),
        ("older", "i4"),
        ("waiter", "i4"),
        ("waiters", "i4"),
    ]
)

SM = record_dtype(
    [
        ("id", "i4"),
        ("fault", "i4"),
        ("resident_warps", "i4"),
        ("resident_blocks", "i4"),
        ("launched", "i8"),
        ("active_from", "i8"),
        ("next_start_at", "i8"),
        ("finished_blocks", "i4"),  # since the dispatcher last looked
        ("every_cycle", "i1"),  # no idle skipping (exactness tests)
        ("vacancy_at", "i8", (MAX_BLOCKS,)),  # when block slots were given back
        ("vacancy_done_at", "i8", (MAX_BLOCKS,)),  # when their blocks were done, oldest first
        ("vacancy_rank", "i4", (MAX_BLOCKS,)),
        ("vacancy_slot", "i4", (MAX_BLOCKS,)),  # the very slot: how many are free at once depends on the quantum
        ("vacancies", "i4"),
        ("queue_free_at", "i8"),  # the next queued block may start
        ("residency_at", "i8"),  # warp-cycles are counted up to here
        ("last_done_at", "i8"),
        ("last_store_at", "i8"),  # last acknowledgement
        ("sub", SUBCORE, (SUBCORES,)),
        ("block", BLOCK, (MAX_BLOCKS,)),
        ("counter", "i8", (len(Counter),)),
        # SM-shared memory unit
        ("accept_busy_cycles", "i8"),
        ("tag_busy_cycles", "i8"),
        ("data_busy_cycles", "i8"),
        ("sectors_received", "i8"),  # from the interconnect
        ("unit_wake_at", "i8"),
        ("accept_free_at", "i8"),
        ("next_grant", "i4"),
        ("data_free_at", "i8"),
        ("fp64_free_at", "i8"),
        ("barrier_free_at", "i8"),
        ("pending", PENDING, (PENDING_REQUESTS,)),
        ("pending_free", "i4"),
        ("pending_count", "i4"),
        ("tag_first", "i4"),  # requests waiting for the L1 tag stage, oldest first
        ("tag_last", "i4"),
        ("tag_started", "i1"),
        ("tag_next", "i4"),
        ("tag_lines", "i4"),
        ("tag_line", "i8", (TAG_LINES,)),
        ("tag_sectors", "i2", (TAG_LINES,)),
        ("tag_full", "i2", (TAG_LINES,)),
        ("tag_order", "i2", (TAG_LINES,)),  # lines by turn
        ("tag_turn", "i2", (TAG_LINES,)),  # of a line: cycle of the tag stage in which its bank looks it up
        ("tag_cover", "i8", (TAG_LINES, 4)),  # bytes touched in each sector
        ("bank_words", "i4", (32,)),  # scratch: distinct words per bank of the access under way
        ("bank_word", "i8", (32, 32)),
        ("lane_word", "i8", (32,)),  # scratch: word address of each active lane, NONE = off
        ("known_pattern", "i8", (KNOWN_PASSES, 2)),  # accesses whose data passes are known (sim.core.passes)
        ("known_passes", "i4", (KNOWN_PASSES,)),
        # L1 data cache
        ("l1_sets", "i4"),
        ("l1_capacity", "i4"),  # lines of a set
        ("l1_line", L1_LINE, (L1_LINES,)),
        ("l1_bucket", "i4", (L1_BUCKETS,)),
        ("l1_newest", "i4", (L1_SETS,)),
        ("l1_oldest", "i4", (L1_SETS,)),
        ("l1_filled", "i4", (L1_SETS,)),
        ("l1_missing", "i4"),  # outstanding sectors
        ("l1_writes", "i4"),  # unacknowledged write requests
        ("waiter_pending", "i2", (L1_WAITERS,)),
        ("waiter_sectors", "i2", (L1_WAITERS,)),
        ("waiter_next", "i4", (L1_WAITERS,)),
        ("waiter_free", "i4"),
        # L1 instruction cache and the link to the L0 caches
        ("link_request_free_at", "i8"),
        ("link_reply_free_at", "i8"),
        ("fetch", FETCH, (FETCHES,)),
        ("fetch_free", "i4"),
        ("l1i_line", "i4", (L1I_LINES,)),
        ("l1i_used_at", "i8", (L1I_LINES,)),
        ("l1i_miss_line", "i4", (L1I_MISSES,)),
        ("l1i_miss_left", "i4", (L1I_MISSES,)),  # 128 B parts of the line still to come
        ("l1i_fill_free_at", "i8"),
        ("l1i_misses", "i4"),
        ("variable_line", "i4", (VARIABLE_CONSTANT_LINES,)),
        ("variable_used_at", "i8", (VARIABLE_CONSTANT_LINES,)),
        # event wheels: 0 = events of the SM, 1 = replies (a wheel of their own, so that the order within a cycle does
        # not depend on when the memory system ran)
        ("wheel", "i4", (2, WHEEL)),
        ("wheel_tail", "i4", (2, WHEEL)),
        ("wheel_busy", "i8", (2, WHEEL // 32)),  # 32 slots per word
        ("next_event_at", "i8"),
        ("event_at", "i8", (EVENTS,)),
        ("event_from", "i8", (EVENTS,)),  # cycle of its entry
        ("event_kind", "i1", (EVENTS,)),
        ("event_a", "i4", (EVENTS,)),
        ("event_b", "i4", (EVENTS,)),
        ("event_next", "i4", (EVENTS,)),
        ("event_free", "i4"),
        ("outbox_count", "i4"),
    ]
)

# Scoreboard entries of a warp: regular registers, uniform registers, predicates, uniform predicates.
UNIFORM_ENTRY = 256
PREDICATE_ENTRY = 512
UNIFORM_PREDICATE_ENTRY = 520
SCOREBOARD_ENTRIES = 528

SCOREBOARD = record_dtype(
    [
        ("written_at", "i8", (SCOREBOARD_ENTRIES,)),  # issue cycle of the last fixed-latency writer
        ("producer", "i2", (SCOREBOARD_ENTRIES,)),
        ("pending_writes", "i2", (SCOREBOARD_ENTRIES,)),  # variable-latency writers under way
        ("long_latency", "i2", (SCOREBOARD_ENTRIES,)),
        ("pending_reads", "u2", (SCOREBOARD_ENTRIES,)),  # variable-latency readers that have not read yet
        ("consumers", "u2", (SCOREBOARD_ENTRIES,)),  # all readers that have not read yet
    ]
)


def new_sms(count: int, l1_sets: int, l1_ways: int) -> np.ndarray:
    """SM records at reset: SM dtype, shape (count,). `l1_sets` is what the carve-out leaves."""
    sms = np.zeros(count, SM)
    sms["id"] = np.arange(count)
    sms["l1_sets"] = l1_sets
    sms["l1_capacity"] = l1_ways
    sms["unit_wake_at"] = NEVER
    sms["next_event_at"] = NEVER
    sms["next_start_at"] = NEVER
    for name in (
        "wheel",
        "wheel_tail",
        "l1_bucket",
        "l1_newest",
        "l1_oldest",
        "l1i_line",
        "l1i_miss_line",
        "variable_line",
        "tag_first",
        "tag_last",
        "known_pattern",
    ):
        sms[name] = NONE
    sms["l1_line"]["line"] = NONE
    sms["l1_line"]["waiter"] = NONE
    for name, size in (("event", EVENTS), ("waiter", L1_WAITERS)):
        sms[f"{name}_next"] = np.append(np.arange(1, size), NONE)
        sms[f"{name}_free"] = 0
    sms["pending"]["next"] = np.append(np.arange(1, PENDING_REQUESTS), NONE)
    sms["fetch"]["pending"] = np.append(np.arange(1, FETCHES), NONE)
    sub = sms["sub"]
    for name in (
        "greedy",
        "last_slot",
        "raise_warp",
        "held_for",
        "reuse",
        "l0_line",
        "l0_last",
        "miss_line",
        "stream_line",
        "constant_line",
    ):
        sub[name] = NONE
    sub["wake_at"] = NEVER
    sub["reason"] = Stall.NO_WARP
    return sms
