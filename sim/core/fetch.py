"""Front end of a sub-core: fetch policy, L0 instruction cache, stream buffer, and the L1 instruction cache of the SM.

MICRO 2025, section 5.2: one fetch per cycle per sub-core, greedy then youngest; three decoded instructions per warp; a
stream buffer of which only the head is searched. Lines are numbered from the start of the kernel's code; constant lines
of the shared L1.5 follow from CONSTANT_LINES on.
"""

from sim.core.events import INTERNAL, push_event
from sim.core.tags import fill_tag, find_tag
from sim.jit import routine, stage
from sim.state import (
    FETCHES,
    INSTRUCTION_BUFFER,
    L0_MISSES,
    L1I_MISSES,
    NEVER,
    NONE,
    STREAM_LINES,
    Event,
    Fault,
    FetchKind,
)
from sim.stats import Counter

_L1I_ACCESS = int(Event.L1I_ACCESS)
_L0_FILL = int(Event.L0_FILL)
_L1I_FILL = int(Event.L1I_FILL)
_FETCH_TABLE = int(Fault.FETCH_TABLE)
_DEMAND = int(FetchKind.DEMAND)
_PREFETCH = int(FetchKind.PREFETCH)
_L0_REQUESTS = int(Counter.L0_REQUESTS)
_L0_MISSES = int(Counter.L0_MISSES)
_PREFETCHES = int(Counter.PREFETCHES)
_L1I_REQUESTS = int(Counter.L1I_REQUESTS)
_L1I_MISSES = int(Counter.L1I_MISSES)
CONSTANT_LINES = 1 << 24  # first line number of constant data in the L1 instruction / L1.5 constant cache
_BUFFER = INSTRUCTION_BUFFER - 1


@stage
def has_fetch_space(cfg, run, warp, now):
    return (
        warp.active == 1
        and warp.buffer_count < cfg.fetch.instruction_buffer_entries
        and warp.fetch_at < run.length
        and warp.redirect_until <= now
    )


@routine
def fetch(sm, s, sub, cfg, run, now):
    """One fetch for the greedy warp, else the youngest with buffer space. Returns the next cycle the front end acts."""
    wake = NEVER
    if sub.stream_active:
        wake = now + 1
        prefetch(sm, s, sub, cfg, run, now)
    chosen = sub.greedy
    if chosen < 0 or not has_fetch_space(cfg, run, sub.warp[chosen], now):
        chosen = -1
        for rank in range(sub.resident):
            candidate = sub.order[rank]
            warp = sub.warp[candidate]
            if has_fetch_space(cfg, run, warp, now):
                chosen = candidate
                break
            if warp.active == 1 and warp.redirect_until > now:
                wake = min(wake, warp.redirect_until)
    if chosen < 0:
        return wake
    warp = sub.warp[chosen]
    slot = (warp.buffer_first + warp.buffer_count) & _BUFFER
    line = run.op[warp.fetch_at].line
    ready_at = access_l0(sm, s, sub, cfg, run, line, now)
    if ready_at < 0:  # no miss entry is free: try again
        return now + 1
    if ready_at < NEVER:
        ready_at += cfg.fetch.decode_cycles + 1
    warp.buffer_ready_at[slot] = ready_at
    warp.buffer_count += 1
    warp.fetch_at += 1
    return now + 1


@routine
def access_l0(sm, s, sub, cfg, run, line, now):
    """Cycle at which the L0 answers: now on a hit, NEVER while the line is on its way, -1 if the request is refused."""
    sm.counter[_L0_REQUESTS] += 1
    if cfg.fetch.perfect:
        return now
    if sub.l0_last >= 0 and sub.l0_line[sub.l0_last] == line:
        sub.l0_used_at[sub.l0_last] = now
        return now
    slot = find_tag(sub.l0_line, sub.l0_used_at, l0_sets(cfg), cfg.fetch.l0_ways, line, now)
    if slot >= 0:
        sub.l0_last = slot
        return now
    for i in range(sub.miss_count):
        if sub.miss_line[i] == line:
            return NEVER
    if sub.stream_count > 0 and sub.stream_line == line:
        sub.stream_wanted = 1
        if sub.stream_arrived[sub.stream_first]:
            pop_stream_head(sub, cfg, run, now)
            return now
        return NEVER
    if sub.miss_count >= min(cfg.fetch.l0_mshrs, L0_MISSES):
        return -1
    sm.counter[_L0_MISSES] += 1
    sub.miss_line[sub.miss_count] = line
    sub.miss_count += 1
    send_fetch(sm, s, cfg, _DEMAND, line, line, now)
    head_is_next = sub.stream_count > 0 and sub.stream_line == line + 1
    if cfg.fetch.stream_buffer_lines > 0 and not head_is_next and not sub.stream_wanted:
        sub.stream_line = line + 1
        sub.stream_count = 0
        sub.stream_first = 0
        sub.stream_wanted = 0
        sub.stream_active = 1
    return NEVER


@stage
def l0_sets(cfg):
    return max(1, cfg.fetch.l0_bytes // cfg.fetch.line_bytes // cfg.fetch.l0_ways)


@routine
def fill_l0(sub, cfg, line, now):
    sub.l0_last = fill_tag(sub.l0_line, sub.l0_used_at, l0_sets(cfg), cfg.fetch.l0_ways, line, now)


@stage
def in_l0(sub, cfg, line):
    ways = cfg.fetch.l0_ways
    first = line % l0_sets(cfg) * ways
    found = False
    for slot in range(first, first + ways):
        found |= sub.l0_line[slot] == line
    return found


@routine
def prefetch(sm, s, sub, cfg, run, now):
    """Stream buffer: request the next lines in order until it is full, the code ends, or the L0 has the line."""
    last_line = run.op[run.length - 1].line
    for _ in range(cfg.fetch.prefetches_per_cycle):
        line = sub.stream_line + sub.stream_count
        if sub.stream_count >= cfg.fetch.stream_buffer_lines:
            sub.stream_active = 0
            return
        if line > last_line or in_l0(sub, cfg, line):
            sub.stream_active = 0
            return
        sub.stream_arrived[(sub.stream_first + sub.stream_count) & (STREAM_LINES - 1)] = 0
        sub.stream_count += 1
        sm.counter[_PREFETCHES] += 1
        send_fetch(sm, s, cfg, _PREFETCH, line, line, now)


@routine
def pop_stream_head(sub, cfg, run, now):
    """The head line moves into the L0; the buffer goes on to prefetch."""
    fill_l0(sub, cfg, sub.stream_line, now)
    sub.stream_arrived[sub.stream_first] = 0
    sub.stream_line += 1
    sub.stream_first = (sub.stream_first + 1) & (STREAM_LINES - 1)
    sub.stream_count -= 1
    sub.stream_wanted = 0
    sub.stream_active = 1


@routine
def answer_waiting(sub, cfg, run, line, now):
    """Decode what waited for `line`, one instruction per cycle, youngest warp first."""
    answer_at = max(now, sub.response_free_at)
    for rank in range(sub.resident):
        warp = sub.warp[sub.order[rank]]
        if warp.active != 1:
            continue
        first_op = warp.fetch_at - warp.buffer_count
        for i in range(warp.buffer_count):
            slot = (warp.buffer_first + i) & _BUFFER
            if warp.buffer_ready_at[slot] == NEVER and run.op[first_op + i].line == line:
                warp.buffer_ready_at[slot] = answer_at + cfg.fetch.decode_cycles
                answer_at += 1
    sub.response_free_at = answer_at
    sub.wake_at = min(sub.wake_at, now)


@routine
def send_fetch(sm, s, cfg, kind, line, key, now):
    """Put a request for line `key` of the L1 instruction cache on the link: one per cycle for the whole SM."""
    index = sm.fetch_free
    if index < 0:
        sm.fault = _FETCH_TABLE
        return
    entry = sm.fetch[index]
    sm.fetch_free = entry.pending
    entry.used = 1
    entry.kind = kind
    entry.subcore = s
    entry.line = line
    entry.key = key
    entry.waits = 0
    sent_at = max(now, sm.link_request_free_at)
    sm.link_request_free_at = sent_at + 1
    arrives_at = sent_at + cfg.fetch.l0_to_l1_cycles
    push_event(sm, INTERNAL, now, max(arrives_at, now + 1), _L1I_ACCESS, index, 0)


@stage
def l1i_sets(cfg):
    return max(1, cfg.fetch.l1_bytes // cfg.fetch.l1_line_bytes // cfg.fetch.l1_ways)


@stage
def l1i_line_of(cfg, key):
    """Line of the L1 that holds an L0 line: the L1 has longer lines."""
    return key * cfg.fetch.line_bytes // cfg.fetch.l1_line_bytes


@routine
def access_l1i(sm, cfg, index, now):
    """A request reaches the L1. Returns the miss entry to send to the L2, or -1."""
    entry = sm.fetch[index]
    line = l1i_line_of(cfg, entry.key)
    sm.counter[_L1I_REQUESTS] += 1
    if find_tag(sm.l1i_line, sm.l1i_used_at, l1i_sets(cfg), cfg.fetch.l1_ways, line, now) >= 0:
        reply_fetch(sm, cfg, index, now)
        return NONE
    entry.waits = 1
    free = NONE
    for i in range(L1I_MISSES):
        if sm.l1i_miss_line[i] == line:
            return NONE
        if free < 0 and sm.l1i_miss_line[i] < 0:
            free = i
    if free < 0 or sm.l1i_misses >= cfg.fetch.l1_mshrs:
        entry.waits = 0
        push_event(sm, INTERNAL, now, now + 1, _L1I_ACCESS, index, 0)
        return NONE
    sm.counter[_L1I_MISSES] += 1
    sm.l1i_miss_line[free] = line
    sm.l1i_miss_left[free] = cfg.fetch.l1_line_bytes // cfg.fetch.line_bytes
    sm.l1i_misses += 1
    return free


@routine
def reply_fetch(sm, cfg, index, now):
    """Send a line back over the link: one per cycle for the whole SM."""
    sent_at = max(now, sm.link_reply_free_at)
    sm.link_reply_free_at = sent_at + 1
    arrives_at = sent_at + cfg.fetch.l1_access_cycles + cfg.fetch.l1_to_l0_cycles
    push_event(sm, INTERNAL, now, max(arrives_at, now + 1), _L0_FILL, index, 0)


@routine
def receive_l1i(sm, cfg, miss, now):
    """A part of a missed line arrives from the L2; complete lines are taken in one after the other."""
    sm.l1i_miss_left[miss] -= 1
    if sm.l1i_miss_left[miss] == 0:
        at = max(now, sm.l1i_fill_free_at)
        sm.l1i_fill_free_at = at + cfg.fetch.l1_fill_cycles
        push_event(sm, INTERNAL, now, at + 1, _L1I_FILL, miss, 0)


@routine
def fill_l1i(sm, cfg, miss, now):
    """A missed line of the L1 instruction cache is complete: store it and answer every request that waits for it."""
    line = sm.l1i_miss_line[miss]
    sm.l1i_miss_line[miss] = NONE
    sm.l1i_misses -= 1
    fill_tag(sm.l1i_line, sm.l1i_used_at, l1i_sets(cfg), cfg.fetch.l1_ways, line, now)
    for index in range(FETCHES):
        entry = sm.fetch[index]
        if entry.used and entry.waits and l1i_line_of(cfg, entry.key) == line:
            entry.waits = 0
            reply_fetch(sm, cfg, index, now)


@routine
def fill_l0_request(sm, cfg, run, index, now):
    """A line arrives at the sub-core that asked for it: demand misses fill the L0, prefetches the stream buffer."""
    entry = sm.fetch[index]
    sub = sm.sub[entry.subcore]
    line = entry.line
    entry.used = 0
    entry.pending = sm.fetch_free
    sm.fetch_free = index
    if entry.kind == _DEMAND:
        for i in range(sub.miss_count):
            if sub.miss_line[i] == line:
                sub.miss_count -= 1
                sub.miss_line[i] = sub.miss_line[sub.miss_count]
                break
        fill_l0(sub, cfg, line, now)
        answer_waiting(sub, cfg, run, line, now)
        return
    offset = line - sub.stream_line
    if 0 <= offset < sub.stream_count:  # else the stream was restarted meanwhile: the line is dropped
        sub.stream_arrived[(sub.stream_first + offset) & (STREAM_LINES - 1)] = 1
        if offset == 0 and sub.stream_wanted:
            pop_stream_head(sub, cfg, run, now)
            answer_waiting(sub, cfg, run, line, now)
