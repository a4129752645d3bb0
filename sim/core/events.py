"""Event wheels of an SM: what will happen at a known cycle, in a slot per cycle, oldest entry first."""

from isa.bits import trailing_zeros
from sim.jit import routine, stage
from sim.state import NEVER, WHEEL, Fault

_SLOTS = WHEEL - 1
_WORDS = WHEEL // 32
_EVENT_POOL = int(Fault.EVENT_POOL)
INTERNAL = 0
REPLIES = 1


@routine
def push_event(sm, wheel, now, at, kind, a, b):
    """Let `kind` happen at cycle `at` >= `now`. Entries beyond the wheel are carried on when their slot comes."""
    node = sm.event_free
    if node < 0:
        sm.fault = _EVENT_POOL
        return
    sm.event_free = sm.event_next[node]
    sm.event_at[node] = at
    sm.event_from[node] = now
    sm.event_kind[node] = kind
    sm.event_a[node] = a
    sm.event_b[node] = b
    _insert(sm, wheel, now, at, node)


@stage
def _insert(sm, wheel, now, at, node):
    """Behind all that entered the wheel before it; what is carried on may be older than what its slot holds."""
    slot_at = min(at, now + _SLOTS)
    slot = slot_at & _SLOTS
    before = sm.wheel_tail[wheel, slot]
    following = -1
    if before < 0:
        sm.wheel_busy[wheel, slot >> 5] |= 1 << (slot & 31)
    elif sm.event_from[before] > sm.event_from[node]:
        before = -1
        following = sm.wheel[wheel, slot]
        while sm.event_from[following] <= sm.event_from[node]:
            before = following
            following = sm.event_next[following]
    sm.event_next[node] = following
    if before < 0:
        sm.wheel[wheel, slot] = node
    else:
        sm.event_next[before] = node
    if following < 0:
        sm.wheel_tail[wheel, slot] = node
    if slot_at < sm.next_event_at:
        sm.next_event_at = slot_at


@stage
def pop_event(sm, wheel, now):
    """Next entry due at `now`, or -1. The entry stays readable until the next push."""
    slot = now & _SLOTS
    while True:
        node = sm.wheel[wheel, slot]
        if node < 0:
            return node
        following = sm.event_next[node]
        sm.wheel[wheel, slot] = following
        if following < 0:
            sm.wheel_tail[wheel, slot] = -1
            sm.wheel_busy[wheel, slot >> 5] &= ~(1 << (slot & 31))
        if sm.event_at[node] <= now:
            sm.event_next[node] = sm.event_free
            sm.event_free = node
            return node
        _insert(sm, wheel, now, sm.event_at[node], node)


@routine
def find_next_event(sm, now):
    """Set `next_event_at` to the first busy slot after `now`."""
    best = NEVER
    first = (now + 1) & _SLOTS
    for wheel in range(2):
        word = first >> 5
        bits = sm.wheel_busy[wheel, word] >> (first & 31) << (first & 31)
        for _ in range(_WORDS + 1):
            if bits != 0:
                slot = (word << 5) + trailing_zeros(bits)
                at = now + 1 + ((slot - first) & _SLOTS)
                if at < best:
                    best = at
                break
            word = (word + 1) & (_WORDS - 1)
            bits = sm.wheel_busy[wheel, word]
    sm.next_event_at = best
