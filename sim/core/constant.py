"""Constant caches: the L0 for c[][] operands of fixed-latency instructions (per sub-core) and the L0 for LDC (per SM).

Both miss to the L1.5 over the link of the instruction caches: 39 + 1 + 39 = 79 cycles (MICRO 2025, section 5.4).
"""

from sim.core.fetch import CONSTANT_LINES, send_fetch
from sim.core.tags import fill_tag, find_tag
from sim.jit import routine, stage
from sim.state import NONE, FetchKind
from sim.stats import Counter

_FIXED = int(FetchKind.FIXED_CONSTANT)
_VARIABLE = int(FetchKind.VARIABLE_CONSTANT)
_REQUESTS = int(Counter.CONSTANT_REQUESTS)
_MISSES = int(Counter.CONSTANT_MISSES)


@stage
def l15_line(cfg, line):
    """Line of the L1.5 that holds a constant line."""
    return CONSTANT_LINES + line * cfg.constant.line_bytes // cfg.fetch.line_bytes


@stage
def fixed_sets(cfg):
    return max(1, cfg.constant.fixed_latency_bytes // cfg.constant.line_bytes // cfg.constant.fixed_latency_ways)


@stage
def variable_sets(cfg):
    return max(1, cfg.constant.variable_bytes // cfg.constant.line_bytes // cfg.constant.variable_ways)


@routine
def fixed_constant_hit(sm, s, sub, cfg, warp, line, now):
    """Look up the operand of a fixed-latency instruction at issue. A miss is requested once and noted in the warp."""
    if sub.constant_line[sub.constant_last] == line:
        sub.constant_used_at[sub.constant_last] = now
        return True
    ways = cfg.constant.fixed_latency_ways
    slot = find_tag(sub.constant_line, sub.constant_used_at, fixed_sets(cfg), ways, line, now)
    if slot >= 0:
        sub.constant_last = slot
        return True
    if warp.constant_line == line:
        return False  # on its way
    sm.counter[_REQUESTS] += 1
    sm.counter[_MISSES] += 1
    asked = False
    for rank in range(sub.resident):
        asked |= sub.warp[sub.order[rank]].constant_line == line
    warp.constant_line = line
    if not asked:
        send_fetch(sm, s, cfg, _FIXED, line, l15_line(cfg, line), now)
    return False


@stage
def fill_fixed_constant(sub, cfg, line, now):
    fill_tag(sub.constant_line, sub.constant_used_at, fixed_sets(cfg), cfg.constant.fixed_latency_ways, line, now)
    for rank in range(sub.resident):
        warp = sub.warp[sub.order[rank]]
        if warp.constant_line == line:
            warp.constant_line = NONE
    sub.wake_at = min(sub.wake_at, now)


@routine
def variable_constant_hit(sm, s, cfg, line, now):
    """Look up the line of an LDC; a miss is requested."""
    sm.counter[_REQUESTS] += 1
    ways = cfg.constant.variable_ways
    if find_tag(sm.variable_line, sm.variable_used_at, variable_sets(cfg), ways, line, now) >= 0:
        return True
    sm.counter[_MISSES] += 1
    send_fetch(sm, s, cfg, _VARIABLE, line, l15_line(cfg, line), now)
    return False


@stage
def fill_variable_constant(sm, cfg, line, now):
    fill_tag(sm.variable_line, sm.variable_used_at, variable_sets(cfg), cfg.constant.variable_ways, line, now)
