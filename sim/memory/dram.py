"""DRAM channels: FR-FCFS over banks, command by command.

Per command clock and channel at most one command. Order of preference: the column command of the oldest request that
hits an open row, then the activate or precharge that the oldest other request needs. Open-page policy; reads first,
writes drained in batches; refresh of one bank, some or all. A request is one line: its bursts go to one row at tCCD_L,
and bursts of other bank groups fit in between at tCCD_S. Times are command clocks, counted from cycle 0, until the data
leave.

Channels run ahead in steps of `system.dram_step_cycles`, no longer than the way of a miss from the slice to the queue,
so that nothing can arrive inside a step; room in the queue is seen by the slices at the end of the step.
"""

from __future__ import annotations

from sim.jit import stage
from sim.memory.address import remainder
from sim.memory.events import free_packet, popcount, schedule
from sim.memory.state import NEVER, NONE, Step, Wheel

READS, WRITES = 0, 1
STARVATION_BURSTS = 64  # bursts that may overtake a bank's oldest request (guess)
SLICE = int(Wheel.SLICE)
SERVE = int(Step.SERVE)
FILL = int(Step.FILL)


@stage
def clock_after(system, now):
    """First command clock edge at or after core cycle `now`."""
    return (now * system.dram_khz + system.core_khz - 1) // system.core_khz


@stage
def cycle_after(system, clock):
    """First core cycle at or after a command clock edge."""
    return (clock * system.core_khz + system.dram_khz - 1) // system.dram_khz


@stage
def channel_of(cfg, home):
    """Channel behind slice `home`."""
    return home // (cfg.l2.slices // cfg.dram.channels)


@stage
def map_address(memory, cfg, packet):
    """Bank and row. Consecutive lines of a channel alternate between bank groups; rows are hashed over the banks."""
    system = memory.system[0]
    per_channel = cfg.l2.slices // cfg.dram.channels
    local = packet.line // cfg.l2.slices * per_channel + packet.home % per_channel
    groups = cfg.dram.bank_groups
    page = local // groups // system.lines_per_row
    row = page // system.banks_per_group
    group = (local % groups) ^ remainder(memory.group_table, row)
    packet.bank = group * system.banks_per_group + remainder(memory.bank_table, page)
    packet.row = row


@stage
def set_first(memory, bank, direction, p):
    bank.first[direction] = p
    if p != NONE:
        bank.first_clock[direction] = memory.packet[p].at
        bank.first_sequence[direction] = memory.packet[p].sequence


@stage
def set_hit(memory, bank, direction, p):
    bank.hit[direction] = p
    if p != NONE:
        bank.hit_clock[direction] = memory.packet[p].at
        bank.hit_sequence[direction] = memory.packet[p].sequence


@stage
def enqueue(memory, cfg, p, direction, now):
    """Packet p reaches the queue of its channel at core cycle `now` (which may be ahead); the caller saw to room."""
    system = memory.system[0]
    packet = memory.packet[p]
    ch = channel_of(cfg, packet.home)
    map_address(memory, cfg, packet)
    packet.at = clock_after(system, now)
    packet.bursts = popcount(packet.sector_mask) * system.bursts_per_sector
    packet.sequence = system.sequence
    system.sequence += 1
    channel = memory.channel[ch]
    bank = memory.bank[ch, packet.bank]
    packet.next = NONE
    packet.previous = bank.last[direction]
    if bank.last[direction] == NONE:
        set_first(memory, bank, direction, p)
        memory.active_bank[ch, direction, channel.active_banks[direction]] = packet.bank
        channel.active_banks[direction] += 1
    else:
        memory.packet[bank.last[direction]].next = p
    bank.last[direction] = p
    if bank.row == packet.row and bank.hit[direction] == NONE:
        set_hit(memory, bank, direction, p)
    channel.queued[direction] += 1
    at = max(packet.at, channel.floor_clock)
    if channel.wake_at == NEVER or at < channel.next_clock:
        channel.next_clock = at
        channel.wake_at = cycle_after(system, at)
        system.dram_wake_at = min(system.dram_wake_at, channel.wake_at)


@stage
def remove(memory, ch, p, direction):
    """Take a finished request out of its bank's queue and find the next one for the open row."""
    channel = memory.channel[ch]
    packet = memory.packet[p]
    bank = memory.bank[ch, packet.bank]
    if packet.previous == NONE:
        set_first(memory, bank, direction, packet.next)
        bank.hits = 0
    else:
        memory.packet[packet.previous].next = packet.next
    if packet.next == NONE:
        bank.last[direction] = packet.previous
    else:
        memory.packet[packet.next].previous = packet.previous
    channel.queued[direction] -= 1
    find_hit(memory, bank, direction, packet.next)
    if bank.first[direction] == NONE:
        count = channel.active_banks[direction] - 1
        channel.active_banks[direction] = count
        i = 0
        while memory.active_bank[ch, direction, i] != packet.bank:
            i += 1
        memory.active_bank[ch, direction, i] = memory.active_bank[ch, direction, count]


@stage
def find_hit(memory, bank, direction, p):
    """Oldest request for the open row from p on."""
    while p != NONE and memory.packet[p].row != bank.row:
        p = memory.packet[p].next
    set_hit(memory, bank, direction, p)


@stage
def refresh(memory, cfg, ch, clock):
    """The refreshes due, of a few banks in turn or of all: rows closed, nothing activated there until it ends.

    Of those missed while idle the last of each bank is made up for, at the time it was due.
    """
    channel = memory.channel[ch]
    interval = memory.system[0].refresh_clocks
    count = cfg.dram.refresh_banks
    due = channel.refresh_clock
    due += max(0, (clock - due) // interval + 1 - cfg.dram.banks // count) * interval
    while due <= clock:
        first = due // interval * count % cfg.dram.banks
        start = due
        for b in range(first, first + count):
            bank = memory.bank[ch, b]
            if bank.row != NONE:
                start = max(start, bank.precharge_clock + cfg.dram.tRP)
                bank.row = NONE
            start = max(start, bank.activate_clock)
            bank.hits = 0
            bank.hit[READS] = NONE
            bank.hit[WRITES] = NONE
        for b in range(first, first + count):
            memory.bank[ch, b].activate_clock = start + cfg.dram.tRFC
        memory.counter[0].dram_refreshes += 1
        due += interval
    channel.refresh_clock = due


@stage
def choose_direction(memory, cfg, channel):
    """Reads go first until none is left or writes reach a high mark; these drain to a low one, a batch at least."""
    reads, writes = channel.queued[READS], channel.queued[WRITES]
    entries = cfg.dram.queue_entries
    if channel.writing:
        drained = channel.written >= cfg.dram.write_batch and 100 * writes <= cfg.dram.writes_end_percent * entries
        switch = writes == 0 or (reads > 0 and drained)
    else:
        switch = reads == 0 or 100 * writes >= cfg.dram.writes_begin_percent * entries
    if switch and (reads if channel.writing else writes):
        channel.writing ^= 1
        channel.written = 0
        memory.counter[0].dram_turnarounds += 1


@stage
def finish(memory, cfg, ch, p, direction, data_clock, now):
    """The last burst is under way: data to the slice that fetched them, and room in the queue for others."""
    system = memory.system[0]
    packet = memory.packet[p]
    remove(memory, ch, p, direction)
    if direction == WRITES:
        memory.channel[ch].written += 1
        memory.counter[0].dram__sectors_write += popcount(packet.sector_mask)
        free_packet(memory, p)
    else:
        memory.counter[0].dram__sectors_read += popcount(packet.sector_mask)
        packet.step = FILL
        schedule(memory, SLICE, p, max(now, cycle_after(system, data_clock) + cfg.dram.access_cycles))


@stage
def release(memory, cfg, ch, now):
    """Slices that wait for room in the channel's queue look again, whoever got room last comes last."""
    per_channel = cfg.l2.slices // cfg.dram.channels
    first = ch * per_channel
    for i in range(per_channel):
        s = first + (memory.channel[ch].last_slice + 1 + i) % per_channel
        unblock(memory, s, now)


@stage
def unblock(memory, s, now):
    """Let a slice whose queues found no resource look again in cycle `now`."""
    slice_ = memory.slice[s]
    if slice_.blocked:
        slice_.blocked = 0
        slice_.scheduled = 1
        memory.packet[s].step = SERVE
        schedule(memory, SLICE, s, now)


@stage
def command(memory, cfg, ch, clock, now):
    """Issue the best command possible at `clock`, if any. Returns the next clock at which one may be possible."""
    channel = memory.channel[ch]
    dram = cfg.dram
    if clock >= channel.refresh_clock:
        refresh(memory, cfg, ch, clock)
    choose_direction(memory, cfg, channel)
    direction = WRITES if channel.writing else READS
    column_clock = max(channel.column_clock, channel.write_clock if direction else channel.read_clock)

    best_column, best_row = NONE, NONE  # banks
    column_age, row_age = NEVER, NEVER
    next_column, next_row = NEVER, NEVER
    for i in range(channel.active_banks[direction]):
        b = memory.active_bank[ch, direction, i]
        bank = memory.bank[ch, b]
        hit = bank.hit[direction]
        if hit != NONE and hit != bank.first[direction]:
            if bank.hits >= STARVATION_BURSTS:
                hit = NONE
            elif bank.hit_clock[direction] > clock:
                next_column = min(next_column, bank.hit_clock[direction])
                hit = NONE
        if hit != NONE:
            ready = max(bank.column_clock, memory.group_clock[ch, bank.group], bank.hit_clock[direction])
            next_column = min(next_column, ready)
            if max(ready, column_clock) <= clock and bank.hit_sequence[direction] < column_age:
                best_column, column_age = b, bank.hit_sequence[direction]
        else:
            if bank.row == NONE:
                ready = max(bank.activate_clock, channel.activate_clock, bank.first_clock[direction])
            else:
                ready = max(bank.precharge_clock, bank.first_clock[direction])
            if ready > clock:
                next_row = min(next_row, ready)
            else:
                if row_age != NEVER:
                    next_row = clock + 1
                if bank.first_sequence[direction] < row_age:
                    best_row, row_age = b, bank.first_sequence[direction]

    if best_column != NONE:
        bank = memory.bank[ch, best_column]
        next_column_clock = column(memory, cfg, ch, bank.hit[direction], direction, clock, now)
        if best_row != NONE:
            next_row = clock + 1
        # A finished request may leave its bank to another row.
        next_row = min(next_row, bank.precharge_clock)
        return max(clock + 1, min(max(next_column, next_column_clock), next_row))
    if best_row != NONE:
        bank = memory.bank[ch, best_row]
        if bank.row == NONE:
            bank.row = memory.packet[bank.first[direction]].row
            bank.column_clock = clock + dram.tRCD
            bank.precharge_clock = clock + dram.tRAS
            bank.activate_clock = clock + dram.tRC
            channel.activate_clock = clock + dram.tRRD
            find_hit(memory, bank, READS, bank.first[READS])
            find_hit(memory, bank, WRITES, bank.first[WRITES])
            memory.counter[0].dram_activates += 1
            next_row = min(next_row, bank.column_clock)
        else:
            bank.row = NONE
            bank.hit[READS] = NONE
            bank.hit[WRITES] = NONE
            bank.activate_clock = max(bank.activate_clock, clock + dram.tRP)
            memory.counter[0].dram_precharges += 1
            next_row = min(next_row, bank.activate_clock)
        bank.hits = 0
    return max(clock + 1, min(max(next_column, column_clock), next_row))


@stage
def column(memory, cfg, ch, p, direction, clock, now):
    """Read or write one burst of packet p. Returns the next clock for a column command in another bank group."""
    system = memory.system[0]
    channel = memory.channel[ch]
    packet = memory.packet[p]
    bank = memory.bank[ch, packet.bank]
    dram = cfg.dram
    spacing = max(dram.tCCD_S, system.burst_clocks)
    channel.column_clock = clock + spacing
    memory.group_clock[ch, bank.group] = clock + max(dram.tCCD_L, spacing)
    if direction == READS:
        data_clock = clock + dram.tCL + system.burst_clocks
        bank.precharge_clock = max(bank.precharge_clock, clock + dram.tRTP)
        channel.write_clock = data_clock + dram.tRTW - dram.tWL
    else:
        data_clock = clock + dram.tWL + system.burst_clocks
        bank.precharge_clock = max(bank.precharge_clock, data_clock + dram.tWR)
        channel.read_clock = data_clock + dram.tWTR
    memory.counter[0].dram_bursts += 1
    if p != bank.first[direction]:
        bank.hits += 1
    packet.bursts -= 1
    if packet.bursts == 0:
        finish(memory, cfg, ch, p, direction, data_clock, now)
    return channel.column_clock


@stage
def advance_dram(memory, cfg, now):
    """Channel by channel, all commands of the step of core cycles that begins at `now`."""
    system = memory.system[0]
    end = clock_after(system, now + system.dram_step_cycles)
    wake_at = NEVER
    for ch in range(cfg.dram.channels):
        channel = memory.channel[ch]
        if channel.wake_at < now + system.dram_step_cycles:
            clock = channel.next_clock
            before = channel.queued[READS] + channel.queued[WRITES]
            while clock < end and channel.queued[READS] + channel.queued[WRITES] > 0:
                channel.floor_clock = clock + 1
                clock = command(memory, cfg, ch, clock, now)
            channel.next_clock = clock
            after = channel.queued[READS] + channel.queued[WRITES]
            channel.wake_at = cycle_after(system, clock) if after else NEVER
            if after < before:
                release(memory, cfg, ch, now + system.dram_step_cycles)
        wake_at = min(wake_at, channel.wake_at)
    system.dram_wake_at = wake_at
