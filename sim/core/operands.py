"""Operand read and result write of fixed-latency instructions: register-file ports, register-file cache.

A bank has one 1024-bit read port and one write port (MICRO 2025, section 5.3). An instruction in the allocate stage
goes on when all its reads fit into the next cycles of the port rings; nothing behind it can pass.
"""

import numpy as np

from sim.core.dependence import counts_as_consumer
from sim.core.events import INTERNAL, push_event
from sim.core.log import log_event
from sim.jit import routine, stage
from sim.state import BANKS, PORT_LAP_BITS, PORT_WINDOW, Event, LogKind
from sim.stats import Counter

_ALLOCATE = int(LogKind.ALLOCATE)
_RING = PORT_WINDOW - 1
_ALL_BANKS = (1 << 8 * BANKS) - 1
_SCOREBOARD_READ = int(Event.SCOREBOARD_READ)
_COUNTER = int(Event.COUNTER)
_UNIT_DONE = int(Event.UNIT_DONE)
_READS = int(Counter.REGISTER_READS)
_HITS = int(Counter.REUSE_HITS)
_PORT_STALLS = int(Counter.PORT_STALL_CYCLES)
_CONFLICTS = int(Counter.WRITE_CONFLICTS)
_NO_REGISTER = 255
_NO_COUNTER = 7
WRITE_DELAY = 4  # an FFMA issued at t allocates at t + 2 and writes at t + 10 (artifact of MICRO 2025)


@stage
def taken_word(ring, cycle):
    """Ports that are given away in `cycle`, a byte for each bank. A slot of an earlier lap of the ring is empty."""
    slot = ring[cycle & _RING]
    return slot & _ALL_BANKS if slot >> 32 == cycle >> PORT_LAP_BITS else 0


@stage
def taken(ring, bank, cycle):
    """Ports of a bank that are given away in `cycle`."""
    return taken_word(ring, cycle) >> 8 * bank & 255


@stage
def take(ring, cycle, ports):
    """Give ports away, a byte for each bank."""
    ring[cycle & _RING] = (cycle >> PORT_LAP_BITS << 32) + taken_word(ring, cycle) + ports


@stage
def has_read_slots(sub, cfg, need, first, window):
    """True if each bank has as many free read slots in the cycles first .. first + window - 1 as its byte of `need`."""
    given = 0
    for cycle in range(first, first + window):
        given |= taken_word(sub.reads, cycle)
    if given == 0:
        return True  # no instruction needs more than its window has
    for bank in range(BANKS):
        reads = need >> 8 * bank & 255
        if reads > 0 and given >> 8 * bank & 255:
            for cycle in range(first, first + window):
                reads += taken(sub.reads, bank, cycle)
            if reads > cfg.registers.read_ports * window:
                return False
    return True


@stage
def take_read_slots(sub, cfg, need, first):
    """Take the earliest free slots from cycle `first` on."""
    cycle = first
    while need != 0:
        word = taken_word(sub.reads, cycle)
        ports = 0
        for bank in range(BANKS):
            free = cfg.registers.read_ports - (word >> 8 * bank & 255)
            ports += min(need >> 8 * bank & 255, max(0, free)) << 8 * bank
        if ports != 0:
            take(sub.reads, cycle, ports)
            need -= ports
        cycle += 1


@stage
def hits_reuse_cache(sub, cfg, op, warp_index, slot, register):
    """A register is kept per bank and operand position, for the warp that read it last (section 5.3.1)."""
    bank = register & (cfg.registers.banks - 1)
    return cfg.registers.reuse_cache and op.uses_reuse and sub.reuse[bank, slot] == (warp_index << 8 | register)


@stage
def is_repeated(sub, cfg, op, warp_index, slot, register):
    """True if an earlier operand position reads the same register from the file: one read serves both."""
    for earlier in range(slot):
        first = op.source[earlier]
        if (
            first != _NO_REGISTER
            and first <= register < first + op.source_registers[earlier]
            and not hits_reuse_cache(sub, cfg, op, warp_index, earlier, register)
        ):
            return True
    return False


@stage
def reads_needed(sub, cfg, op, warp_index):
    """Register-file reads of the instruction, a byte for each bank, cache hits excluded."""
    if not (cfg.registers.reuse_cache and op.uses_reuse):
        return op.packed_reads
    need = np.int64(0)
    for slot in range(op.operands):
        first = op.source[slot]
        if first == _NO_REGISTER:
            continue
        for register in range(first, first + op.source_registers[slot]):
            if not hits_reuse_cache(sub, cfg, op, warp_index, slot, register) and not is_repeated(
                sub, cfg, op, warp_index, slot, register
            ):
                need += 1 << 8 * (register & (cfg.registers.banks - 1))
    return need


@stage
def update_reuse_cache(sm, sub, cfg, op, warp_index):
    """A read empties its position; the reuse bit fills it again."""
    for slot in range(op.operands):
        first = op.source[slot]
        if first == _NO_REGISTER:
            continue
        for register in range(first, first + op.source_registers[slot]):
            bank = register & (cfg.registers.banks - 1)
            key = warp_index << 8 | register
            if sub.reuse[bank, slot] == key:
                sm.counter[_HITS] += 1
            sub.reuse[bank, slot] = key if op.reuse >> slot & 1 else -1


@routine
def allocate(sm, s, sub, cfg, run, now):
    """Allocate stage. Returns 1 when the instruction in the latch went on to read its operands."""
    latch = sub.allocate
    op = run.op[latch.op]
    window = op.read_window
    if op.result_banks and not cfg.registers.ideal and not result_queue_has_room(sub, cfg, op, now):
        sm.counter[_PORT_STALLS] += 1
        return 0
    if op.operands > 0 and not cfg.registers.ideal:
        need = reads_needed(sub, cfg, op, latch.warp)
        if need != 0:
            if not has_read_slots(sub, cfg, need, now + 1, window):
                sm.counter[_PORT_STALLS] += 1
                return 0
            take_read_slots(sub, cfg, need, now + 1)
            for bank in range(BANKS):
                reads = need >> 8 * bank & 255
                sm.counter[_READS] += reads
                sub.bank_reads[bank] += reads
        if op.uses_reuse:
            update_reuse_cache(sm, sub, cfg, op, latch.warp)
    latch.valid = 0
    warp_id = s << 4 | latch.warp
    log_event(sm, run, now, _ALLOCATE, warp_id, latch.stream, latch.op)
    read_done_at = now + window + 1
    if op.read_counter != _NO_COUNTER:
        push_event(sm, INTERNAL, now, read_done_at, _COUNTER, warp_id, op.read_counter)
    if op.tracked and counts_as_consumer(cfg, op):
        push_event(sm, INTERNAL, now, read_done_at, _SCOREBOARD_READ, warp_id, latch.op)
    if op.write_counter != _NO_COUNTER and not op.commits_copies:
        push_event(sm, INTERNAL, now, max(now + 1, latch.issued_at + op.latency_cycles), _UNIT_DONE, warp_id, latch.op)
    elif op.result_banks and not cfg.registers.ideal:
        reserve_write(sm, sub, cfg, op, now + op.latency_cycles + WRITE_DELAY)
    return 1


@stage
def result_queue_has_room(sub, cfg, op, now):
    """Results wait in the queue for their write port, one leaves per cycle: a full queue holds the instruction back."""
    at = now + op.latency_cycles + WRITE_DELAY
    if taken_word(sub.writes, at) == 0:
        return cfg.registers.result_queue_entries > 0
    for bank in range(cfg.registers.banks):
        if op.result_banks >> bank & 1:
            cycle = at
            while write_port_taken(sub, cfg, bank, cycle):
                cycle += 1
            if cycle - at >= cfg.registers.result_queue_entries:
                return False
    return True


@stage
def reserve_write(sm, sub, cfg, op, at):
    """Write port of each bank: the earliest free cycles from `at`; the result queue holds the values until then."""
    if not op.many_writes and taken_word(sub.writes, at) == 0:
        take(sub.writes, at, op.packed_writes)
        return
    for bank in range(cfg.registers.banks):
        cycle = at
        for i in range(op.bank_writes[bank]):
            while write_port_taken(sub, cfg, bank, cycle):
                cycle += 1
            take_write_port(sub, bank, cycle)
            sm.counter[_CONFLICTS] += i == 0 and cycle != at


@stage
def write_port_taken(sub, cfg, bank, cycle):
    return taken(sub.writes, bank, cycle) >= cfg.registers.write_ports


@stage
def take_write_port(sub, bank, cycle):
    take(sub.writes, cycle, 1 << 8 * bank)


@stage
def load_write_conflicts(sub, cfg, op, cycle):
    """A load result that meets a fixed-latency result at a write port is the one that waits (section 5.3)."""
    if cfg.registers.ideal:
        return False
    if taken_word(sub.writes, cycle) == 0:
        return False
    for bank in range(cfg.registers.banks):
        if op.result_banks >> bank & 1 and write_port_taken(sub, cfg, bank, cycle):
            return True
    return False
