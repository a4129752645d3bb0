"""Where thread blocks start: one block on an SM, the blocks of a cluster on the SMs of one GPC."""

from sim.jit import stage
from sim.state import NONE
from sim.stats import Counter

_BLOCKS = int(Counter.BLOCKS)


@stage
def launch(sm, vacancy, cfg, grid, arena, warp_start, number):
    """Start block `number` of the grid in a vacancy of an SM: its warps follow at the SM's rate. Returns its slot."""
    earliest = sm.vacancy_at[vacancy] + cfg.launch.dispatch_latency_cycles
    interval = cfg.launch.block_interval_cycles
    if sm.vacancy_rank[vacancy] < cfg.launch.first_blocks_per_sm:
        interval = cfg.launch.first_block_interval_cycles
    slot = sm.vacancy_slot[vacancy]
    sm.vacancies -= 1
    for i in range(vacancy, sm.vacancies):
        sm.vacancy_at[i] = sm.vacancy_at[i + 1]
        sm.vacancy_done_at[i] = sm.vacancy_done_at[i + 1]
        sm.vacancy_rank[i] = sm.vacancy_rank[i + 1]
        sm.vacancy_slot[i] = sm.vacancy_slot[i + 1]
    at = max(float(earliest), grid.dispatch_free_at)
    grid.dispatch_free_at = at + interval
    block = sm.block[slot]
    entry_ = arena[number % len(arena)]
    block.active = 1
    block.block = number
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
    return slot


@stage
def block_of_cluster(grid, number, rank):
    """Linear id of the block of a rank in cluster `number`; both count x fastest."""
    along_x = grid.blocks_along[0] // grid.cluster[0]
    along_y = grid.blocks_along[1] // grid.cluster[1]
    x = number % along_x * grid.cluster[0] + rank % grid.cluster[0]
    y = number // along_x % along_y * grid.cluster[1] + rank // grid.cluster[0] % grid.cluster[1]
    z = number // (along_x * along_y) * grid.cluster[2] + rank // (grid.cluster[0] * grid.cluster[1])
    return x + grid.blocks_along[0] * (y + grid.blocks_along[1] * z)


@stage
def roomiest_gpc(sms, per_gpc, size):
    """First SM of the GPC with the most room per SM of those in which a cluster fits, else NONE."""
    best = NONE
    most = -1.0
    for first in range(0, len(sms), per_gpc):
        room = 0
        last = min(first + per_gpc, len(sms))
        for i in range(first, last):
            room += sms[i].vacancies
        if room >= size and room / (last - first) > most:
            best = first
            most = room / (last - first)
    return best


@stage
def dispatch_clusters(sms, run, cfg, grid, arena, warp_start, wake_at):
    """Start clusters where all their blocks have room. Returns True when the arena must be filled before going on.

    Blocks of a cluster go to different SMs as long as there are such, in the order of the SMs; a cluster that fits on
    one TPC takes the last of its GPC first (H800: two blocks on SMs 110 and 111, more on 0, 1, 14, 15 ...).
    """
    per_gpc = cfg.gpu.sms_per_tpc * cfg.gpu.tpcs_per_gpc
    size = grid.cluster_blocks
    while grid.next_block < grid.blocks:
        first = roomiest_gpc(sms, per_gpc, size)
        if first == NONE:
            return False
        number = grid.next_block // size
        if block_of_cluster(grid, number, size - 1) >= grid.loaded_blocks:
            return True
        last = min(first + per_gpc, len(sms))
        from_the_end = size <= cfg.gpu.sms_per_tpc
        for rank in range(size):
            chosen = NONE
            fewest = 0
            for k in range(last - first):
                i = first + k
                if from_the_end:
                    tpc = (last - 1 - first - k) // cfg.gpu.sms_per_tpc
                    i = first + tpc * cfg.gpu.sms_per_tpc + k % cfg.gpu.sms_per_tpc
                if sms[i].vacancies == 0:
                    continue
                mine = 0
                for other in range(rank):
                    mine += run.engine[first].placed_sm[other] == i
                if (
                    chosen == NONE
                    or mine < fewest
                    or (mine == fewest and sms[i].vacancy_rank[0] < sms[chosen].vacancy_rank[0])
                ):
                    chosen = i
                    fewest = mine
            slot = launch(sms[chosen], 0, cfg, grid, arena, warp_start, block_of_cluster(grid, number, rank))
            run.engine[first].placed_sm[rank] = chosen
            run.engine[first].placed_slot[rank] = slot
            wake_at[chosen] = min(wake_at[chosen], sms[chosen].next_start_at)
        for rank in range(size):
            group = run.engine[run.engine[first].placed_sm[rank]].cluster[run.engine[first].placed_slot[rank]]
            group.size = size
            group.rank = rank
            for other in range(size):
                group.peer_sm[other] = run.engine[first].placed_sm[other]
                group.peer_slot[other] = run.engine[first].placed_slot[other]
    return False
