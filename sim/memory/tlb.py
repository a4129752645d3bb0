"""Address translation between the SMs and the L2: a small TLB per TPC, a large one per GPC, page walks.

The L1 works on virtual addresses, so hits there need no translation (Jia et al., arXiv 1804.06826, section 3.7). A
request waits until its page is in the TLB of its TPC; waiting does not block others. Pages under way are entries with
a time in the future, so requests to the same page share the look-up or the walk.
"""

from __future__ import annotations

from sim.jit import stage
from sim.memory.state import NONE

LOCAL_REGION = 64  # address >> 40 of local memory (sim.core.coalesce.LOCAL_BASE): contiguous and small in hardware
CODE_REGION = 16  # address >> 40 of code and constants (sim.core.sm.CODE_BASE): translated on their own path


@stage
def _oldest(used, first, ways):
    """Index of the least recently used of `ways` entries; a use time of NONE marks an empty one."""
    victim = first
    for e in range(first, first + ways):
        if used[e] < used[victim]:
            victim = e
    return victim


@stage
def _walk(memory, cfg, gpc, page, at):
    """Cycle at which the GPC's TLB, asked at cycle `at`, can tell the page."""
    tags, used, ready = memory.gpc_page[gpc], memory.gpc_page_used[gpc], memory.gpc_page_at[gpc]
    ways = cfg.tlb.gpc_ways
    sets = len(tags) // ways
    first = (page ^ page // sets) % sets * ways
    memory.counter[0].tlb_gpc_requests += 1
    for e in range(first, first + ways):
        if tags[e] == page:
            used[e] = at
            return max(at, ready[e])
    e = _oldest(used, first, ways)
    known = cfg.tlb.warm and tags[e] == NONE  # earlier kernels and copies used the page; nothing replaced it yet
    tags[e] = page
    used[e] = at
    ready[e] = at if known else at + cfg.tlb.walk_cycles
    if not known:
        memory.counter[0].tlb_walks += 1
    return ready[e]


@stage
def translate(memory, cfg, sm, line, at):
    """Cycle at which a request of an SM for a line, sent at cycle `at`, may go on to the L2."""
    region = line >> 33
    if region in (LOCAL_REGION, CODE_REGION):
        return at
    page = line >> memory.system[0].page_shift
    tpc = sm // cfg.gpu.sms_per_tpc
    tags, used, ready = memory.tpc_page[tpc], memory.tpc_page_used[tpc], memory.tpc_page_at[tpc]
    e = memory.tpc_last[tpc]
    if tags[e] != page:
        e = 0
        while e < len(tags) and tags[e] != page:
            e += 1
    if e == len(tags):
        memory.counter[0].tlb_misses += 1
        e = _oldest(used, 0, len(tags))
        tags[e] = page
        ready[e] = _walk(memory, cfg, sm // memory.system[0].sms_per_gpc, page, at) + cfg.tlb.miss_cycles
    memory.tpc_last[tpc] = e
    used[e] = at
    return max(at, ready[e])
