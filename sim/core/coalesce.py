"""What the lanes of one memory instruction touch: lines and sectors for the L1, data passes for the banks."""

from isa.bits import popcount
from isa.program import MemorySpace
from sim.jit import routine, stage
from sim.state import NONE, TAG_LINES

SECTOR_BYTES = 32
LINE_BYTES = 128
BANKS = 32
TAG_HASH_BITS = 24  # of the line number; probes reach 12, more than 16 change nothing in gpu-strides
LOCAL_BASE = 1 << 46  # device address of local memory, apart from any other data
_LOCAL = int(MemorySpace.LOCAL)
_ALL_LANES = (1 << 32) - 1
_WHOLE_SECTOR = (1 << SECTOR_BYTES) - 1


@stage
def lane_address_at(run, access, lane, rank):
    """Byte address of one lane; `rank` is its position among the active lanes."""
    record = run.accesses[access]
    if record.list_at >= 0:
        return record.origin + run.lane_address[record.list_at + rank]
    return record.origin + record.stride * lane


@stage
def local_line_address(sm, pending, address, lane):
    """Where a word of local memory lies: words of the 32 lanes are interleaved, every warp slot has its own region."""
    region = LOCAL_BASE + ((sm.id << 6 | pending.subcore << 4 | pending.warp) << 24)
    return region + ((address & 0xFFFFFF) >> 2 << 7) + lane * 4 + (address & 3)


@routine
def coalesce(sm, run, pending, access, mask, op):
    """Group what the active lanes touch into 128 B lines, in the order of the first lane that touches each.

    Fills sm.tag_line, tag_sectors (touched) and tag_full (every byte touched). Returns the number of lines.
    """
    is_local = op.space == _LOCAL
    record = run.accesses[access]
    if mask == _ALL_LANES and record.list_at < 0 and record.stride == op.bytes and not is_local:
        return coalesce_dense(sm, record.origin, record.origin + 32 * op.bytes)
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
def coalesce_dense(sm, first, end):
    """As `coalesce` where the lanes together touch every byte of [first, end)."""
    count = 0
    line = first & ~(LINE_BYTES - 1)
    while line < end:
        touched = 0
        full = 0
        for sector in range(4):
            start = line + sector * SECTOR_BYTES
            touched |= (start < end and start + SECTOR_BYTES > first) << sector
            full |= (start >= first and start + SECTOR_BYTES <= end) << sector
        sm.tag_line[count] = line
        sm.tag_sectors[count] = touched
        sm.tag_full[count] = full
        count += 1
        line += LINE_BYTES
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
        for sector in range(4):
            sm.tag_cover[index, sector] = 0
    sector = (first - line) >> 5
    sm.tag_sectors[index] |= 1 << sector
    sm.tag_cover[index, sector] |= ((1 << (stop - first)) - 1) << (first & SECTOR_BYTES - 1)
    return count


@stage
def tag_bank(line, banks):
    """Tag bank of a line: its number folded to log2(banks) bits by exclusive or. Measured bit by bit on RTX 5090
    (nvidia-sass-document, cp.async probes); the same hash gives the cycles of gpu-strides on A100, A40 and H200."""
    bits = 0
    while 1 << bits < banks:
        bits += 1
    bank = 0
    for shift in range(7, 7 + TAG_HASH_BITS, max(1, bits)):
        bank ^= line >> shift
    return bank & (banks - 1)


@routine
def order_by_bank(sm, count, banks):
    """Spread the lines over cycles (tag_turn): each tag bank looks up one per cycle. tag_order: lines by turn."""
    sm.tag_order[0] = 0
    sm.tag_turn[0] = 0
    if count == 1:
        return
    for bank in range(BANKS):
        sm.bank_words[bank] = 0
    turns = 0
    for index in range(count):
        bank = tag_bank(sm.tag_line[index], banks)
        sm.tag_turn[index] = sm.bank_words[bank]
        sm.bank_words[bank] += 1
        turns = max(turns, sm.bank_words[bank])
    position = 0
    for turn in range(turns):
        for index in range(count):
            if sm.tag_turn[index] == turn:
                sm.tag_order[position] = index
                position += 1


@routine
def atomic_steps(sm, run, access, mask, line):
    """Steps of an L2 atomic unit for one line: a sector per step, and lanes on one word one after the other."""
    for word in range(LINE_BYTES // 4):
        sm.bank_words[word] = 0
    rank = 0
    for lane in range(32):
        if not mask >> lane & 1:
            continue
        address = lane_address_at(run, access, lane, rank)
        rank += 1
        if address & ~(LINE_BYTES - 1) == line:
            sm.bank_words[(address & LINE_BYTES - 1) >> 2] += 1
    total = 0
    for sector in range(4):
        most = 0
        for word in range(8 * sector, 8 * sector + 8):
            most = max(most, sm.bank_words[word])
        total += most
    return max(1, total)


@routine
def copy_passes(sm, run, access, mask, width_bytes):
    """Data passes of an LDGSTS: it reads the L1 and writes shared memory in lane groups as other wide accesses, but
    lanes on the same word do not merge (measured on RTX 5090, nvidia-sass-document)."""
    words = max(1, width_bytes // 4)
    lanes_per_phase = 32 // words
    total = 0
    for phase in range(words):
        worst = 0
        for side in range(2):
            if side == 1 and not run.accesses[access].more:
                break
            for bank in range(BANKS):
                sm.bank_words[bank] = 0
            rank = 0
            for lane in range(32):
                if not mask >> lane & 1:
                    continue
                if lane // lanes_per_phase == phase:
                    word = lane_address_at(run, access + side, lane, rank) >> 2
                    for part in range(words):
                        bank = (word + part) & (BANKS - 1)
                        sm.bank_words[bank] += 1
                        worst = max(worst, sm.bank_words[bank])
                rank += 1
        total += worst
    return max(1, total)


@routine
def merged_passes(sm, run, access, mask, words):
    """Passes of a wide shared load whose neighbouring lane groups go together, 0 if they do not.

    That takes lanes that agree in pairs (every active lane with lane ^ 1, or every one with lane ^ 2, where that is
    active) and no bank with two words in two groups together; all groups or none (measured on RTX 5090 and H800 with
    ncu, nvidia-sass-document).
    """
    record = run.accesses[access]
    if record.list_at < 0 and record.stride != 0 and mask & mask >> 1 & 0x55555555 and mask & mask >> 2 & 0x33333333:
        return 0
    rank = 0
    for lane in range(32):
        sm.lane_word[lane] = NONE
        if mask >> lane & 1:
            sm.lane_word[lane] = lane_address_at(run, access, lane, rank) >> 2
            rank += 1
    apart = 0
    for distance in range(1, 3):
        for lane in range(32):
            word, other = sm.lane_word[lane], sm.lane_word[lane ^ distance]
            apart |= distance if word >= 0 and other >= 0 and word != other else 0
    if apart == 3:
        return 0
    lanes = 64 // words
    total = 0
    for first in range(0, 32, lanes):
        for bank in range(BANKS):
            sm.bank_words[bank] = 0
        for lane in range(first, first + lanes):
            for part in range(words):
                if sm.lane_word[lane] >= 0 and add_word(sm, sm.lane_word[lane] + part) > 1:
                    return 0
        total += mask >> first & ((1 << lanes) - 1) != 0
    return total


@routine
def bank_passes(sm, run, access, mask, width_bytes):
    """Data passes of an access over 32 banks of 4 B: the most distinct words in one bank, summed over its phases.

    64-bit accesses go in two phases of 16 lanes, 128-bit in four of 8; lanes on the same word share a pass.
    """
    words = max(1, width_bytes // 4)
    lanes_per_phase = 32 // words
    record = run.accesses[access]
    is_dense = record.list_at < 0 and (record.stride == 4 * words or record.stride == 0)
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
        if is_conflict_free(sm, run, access, members, first, rank, words):
            total += 1
            rank += popcount(members)
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
def is_conflict_free(sm, run, access, members, first, rank, words):
    """True if no bank holds two words of a phase: lanes `first` and up, active where `members` has a bit.

    Most phases are, and seeing that takes one word per bank instead of a list.
    """
    seen = 0
    lane = first
    while members:
        if members & 1:
            word = lane_address_at(run, access, lane, rank) >> 2
            rank += 1
            for part in range(words):
                bank = (word + part) & (BANKS - 1)
                if not seen >> bank & 1:
                    seen |= 1 << bank
                    sm.lane_word[bank] = word + part
                elif sm.lane_word[bank] != word + part:
                    return False
        members >>= 1
        lane += 1
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
