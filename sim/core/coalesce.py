"""What the lanes of one memory instruction touch: lines and sectors for the L1, data passes for the banks."""

from isa.program import MemorySpace
from sim.jit import routine, stage
from sim.state import TAG_LINES

SECTOR_BYTES = 32
LINE_BYTES = 128
BANKS = 32
ALL_LANES = 0xFFFFFFFF
LOCAL_BASE = 1 << 46  # device address of local memory, apart from any other data
_LOCAL = int(MemorySpace.LOCAL)
_WHOLE_SECTOR = (1 << SECTOR_BYTES) - 1


@stage
def lane_address_at(run, access, lane, rank):
    """Byte address of one lane; `rank` is its position among the active lanes."""
    record = run.accesses[access]
    if record.list_at >= 0:
        return run.lane_address[record.list_at + rank]
    return record.origin + record.stride * lane


@stage
def local_line_address(sm, pending, address, lane):
    """Where a word of local memory lies: words of the 32 lanes are interleaved, every warp slot has its own region."""
    region = LOCAL_BASE + ((sm.id << 6 | pending.subcore << 4 | pending.warp) << 24)
    return region + ((address & 0xFFFFFF) >> 2 << 7) + lane * 4 + (address & 3)


@routine
def coalesce(sm, run, pending, access, mask, op):
    """Group what the active lanes touch into 128 B lines, in the order of the first lane that touches each.

    Fills sm.tag_line, tag_sectors (touched), tag_full (every byte touched) and tag_lanes (lane accesses of the line).
    Returns the number of lines.
    """
    is_local = op.space == _LOCAL
    parts = max(1, op.bytes // 4) if is_local else 1
    part_bytes = op.bytes // parts
    count = 0
    rank = 0
    for lane in range(32):
        if not mask >> lane & 1:
            continue
        address = lane_address_at(run, access, lane, rank)
        rank += 1
        for part in range(parts):
            first = address + part * part_bytes
            if is_local:
                first = local_line_address(sm, pending, first, lane)
            end = first + part_bytes
            while first < end:  # one turn, unless the access crosses a sector
                stop = min(end, (first | SECTOR_BYTES - 1) + 1)
                count = touch_sector(sm, count, first, stop)
                first = stop
    for index in range(count):
        full = 0
        for sector in range(4):
            full |= (sm.tag_cover[index, sector] == _WHOLE_SECTOR) << sector
        sm.tag_full[index] = full
    return count


@stage
def touch_sector(sm, count, first, stop):
    """Enter the bytes [first, stop) of one sector. Returns the number of lines."""
    line = first & ~(LINE_BYTES - 1)
    index = count - 1
    while index >= 0 and sm.tag_line[index] != line:
        index -= 1
    if index < 0:
        index = count
        if count < TAG_LINES:
            count += 1
        else:
            index = TAG_LINES - 1
        sm.tag_line[index] = line
        sm.tag_sectors[index] = 0
        sm.tag_lanes[index] = 0
        for sector in range(4):
            sm.tag_cover[index, sector] = 0
    sector = (first - line) >> 5
    sm.tag_sectors[index] |= 1 << sector
    sm.tag_cover[index, sector] |= ((1 << (stop - first)) - 1) << (first & SECTOR_BYTES - 1)
    sm.tag_lanes[index] += 1
    return count


@routine
def bank_passes(sm, run, access, mask, width_bytes, merges_phases):
    """Data passes of an access over 32 banks of 4 B: the most distinct words in one bank, summed over its phases.

    64-bit accesses go in two phases of 16 lanes, 128-bit in four of 8; lanes on the same word share a pass. Two
    neighbouring phases of a load (`merges_phases`) go as one if lanes i and i ^ 1, or i and i ^ 2, share their address
    (`smem_bank_rules.csv`: sharing by pairs, quads and octs halves the passes of LDS.64 and LDS.128; by 4, 8 or 16
    lanes apart it does not).
    """
    words = max(1, width_bytes // 4)
    record = run.accesses[access]
    if record.list_at < 0 and record.stride == 4 * words and mask == ALL_LANES:
        return words
    lanes = 32 // words
    total = 0
    first = 0
    while first < 32:
        count = lanes
        if merges_phases and words > 1 and first % (2 * lanes) == 0:
            two_phases = ((1 << 2 * lanes) - 1) << first
            if lanes_share(run, access, mask, two_phases, 1) or lanes_share(run, access, mask, two_phases, 2):
                count = 2 * lanes
        total += phase_passes(sm, run, access, mask, ((1 << count) - 1) << first, words)
        first += count
    return max(1, total)


@routine
def phase_passes(sm, run, access, mask, phase, words):
    """Passes of the lanes of one phase; 0 if none is active."""
    if mask & phase == 0:
        return 0
    for bank in range(BANKS):
        sm.bank_words[bank] = 0
    worst = 1
    rank = 0
    for lane in range(32):
        if mask >> lane & 1:
            if phase >> lane & 1:
                word = lane_address_at(run, access, lane, rank) >> 2
                for part in range(words):
                    worst = max(worst, add_word(sm, word + part))
            rank += 1
    return worst


@routine
def lanes_share(run, access, mask, phase, distance):
    """True if each active lane of the phase has the address of lane ^ distance (1 or 2), unless that is not active."""
    record = run.accesses[access]
    if record.list_at < 0:
        lower = 0x55555555 if distance == 1 else 0x33333333
        return record.stride == 0 or mask & mask >> distance & phase & lower == 0
    rank = 0
    for lane in range(32):
        if not mask >> lane & 1:
            continue
        if phase >> lane & 1 and lane & distance and mask >> (lane - distance) & 1:
            between = mask >> (lane - distance) & ((1 << distance) - 1)
            apart = (between & 1) + (between >> 1 & 1)
            if run.lane_address[record.list_at + rank] != run.lane_address[record.list_at + rank - apart]:
                return False
        rank += 1
    return True


@stage
def add_word(sm, word):
    """Enter a word into its bank's list unless it is there; returns the number of words in the bank."""
    bank = word & (BANKS - 1)
    count = sm.bank_words[bank]
    for i in range(count):
        if sm.bank_word[bank, i] == word:
            return count
    sm.bank_word[bank, count] = word
    sm.bank_words[bank] = count + 1
    return count + 1
