"""What the lanes of one memory instruction touch: lines and sectors for the L1, data passes for the banks."""

from isa.program import MemorySpace
from sim.jit import routine, stage
from sim.state import TAG_LINES

SECTOR_BYTES = 32
LINE_BYTES = 128
BANKS = 32
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
def bank_passes(sm, run, access, mask, width_bytes):
    """Data passes of an access over 32 banks of 4 B: the most distinct words in one bank, summed over its phases.

    64-bit accesses go in two phases of 16 lanes, 128-bit in four of 8; lanes on the same word share a pass.
    """
    words = max(1, width_bytes // 4)
    lanes_per_phase = 32 // words
    record = run.accesses[access]
    is_dense = record.list_at < 0 and record.stride == 4 * words
    rank = 0
    total = 0
    for phase in range(words):
        first = phase * lanes_per_phase
        members = mask >> first & ((1 << lanes_per_phase) - 1)
        if members == 0:
            continue
        if is_dense:
            total += 1
            continue
        for bank in range(BANKS):
            sm.bank_words[bank] = 0
        worst = 1
        for lane in range(first, first + lanes_per_phase):
            if not mask >> lane & 1:
                continue
            word = lane_address_at(run, access, lane, rank) >> 2
            rank += 1
            for part in range(words):
                worst = max(worst, add_word(sm, word + part))
        total += worst
    return max(1, total)


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
