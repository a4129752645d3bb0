"""One sub-core of the reference model: fetch, warp scheduler, control, operand read, units, end of a warp."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING

from isa.program import Unit
from sim.stats import Stall
from tests.reference.decode import FIXED, UNIT, Instruction
from tests.reference.parts import MAX_COUNT, InFlight, VariableUnit, Warp

if TYPE_CHECKING:
    from tests.reference.model import Core

SLOTS = 16  # warp slots of a sub-core
FETCH_TO_ISSUE = 1  # a decoded instruction may issue one cycle later
WRITE_AFTER_READ = 4  # an FFMA issued at t allocates at t + 2 and writes at t + 10


class Subcore:
    """Warp scheduler, operand read and units of one processing block."""

    def __init__(self, core: Core, number: int) -> None:
        self.core, self.config, self.number = core, core.config, number
        self.warps: list[Warp] = []  # oldest first
        self.last: Warp | None = None  # issued last
        self.last_slot = -1
        self.port_busy = 0
        self.pipe_turn = 0  # instructions issued that had a choice of two pipes
        self.control_latch: InFlight | None = None
        self.allocate_latch: InFlight | None = None
        self.raising: InFlight | None = None
        self.units: dict[Unit, VariableUnit] = defaultdict(VariableUnit)
        if self.config.execute.fp64_shared:
            self.units[Unit.FP64] = core.shared_fp64
        self.reads: Counter[tuple[int, int]] = Counter()  # (bank, cycle) -> reads
        self.writes: Counter[tuple[int, int]] = Counter()
        self.reuse: dict[tuple[int, int], tuple[int, int]] = {}  # (bank, operand position) -> (warp slot, register)
        self.queue: deque[InFlight] = deque()  # memory instructions
        self.address_free_at = 0
        self.path_free_at = 0  # results from the shared part
        self.stalls: Counter[Stall] = Counter()

    def cycle(self) -> None:
        self.age()
        if not self.warps:
            self.stalls[Stall.NO_WARP] += 1
            return
        if self.allocate_latch:
            self.allocate(self.allocate_latch)
        if self.control_latch:
            self.control(self.control_latch)
        reason = self.issue()
        self.raise_counters()
        self.fetch()
        if self.retire() and not self.warps:
            reason = Stall.NO_WARP
        self.stalls[reason] += 1

    def age(self) -> None:
        """Everything that counts cycles, and the units that this sub-core does not share."""
        if self.port_busy:
            self.port_busy -= 1
        for unit in self.units.values():
            if unit is not self.core.shared_fp64:
                self.core.start_unit(unit)
        for warp in self.warps:
            if warp.stall:
                warp.stall -= 1
            for entry in warp.buffer:
                if entry[1]:
                    entry[1] -= 1

    # Operand read of fixed-latency instructions

    def bank(self, register: int) -> int:
        return register % self.config.registers.banks

    def allocate(self, item: InFlight) -> None:
        """The instruction goes on when its reads fit into its window and its result into the result queue."""
        now, op, registers = self.core.now, item.op, self.config.registers
        write_at = now + op.latency + WRITE_AFTER_READ
        written = {self.bank(r) for r in op.results}
        if not registers.ideal:
            delays = [self.free_write(bank, write_at) - write_at for bank in written]
            if any(delay >= registers.result_queue_entries for delay in delays):
                return
            window = range(now + 1, now + 1 + op.window)
            needed = self.needed_reads(item)
            for bank in range(registers.banks):
                free = sum(registers.read_ports - self.reads[bank, cycle] for cycle in window)
                if sum(self.bank(r) == bank for r in needed) > free:
                    return
            for register in needed:
                bank = self.bank(register)
                self.reads[bank, next(c for c in window if self.reads[bank, c] < registers.read_ports)] += 1
            if op.caches_operands:
                self.update_reuse(item)
            for register in op.results:
                bank = self.bank(register)
                self.writes[bank, self.free_write(bank, write_at)] += 1
        self.allocate_latch = None
        self.core.note("ALLOCATE", item)
        self.core.release_read(item, now + op.window + 1)

    def needed_reads(self, item: InFlight) -> set[int]:
        """Distinct registers to read: an operand that hits in the reuse cache needs none (section 5.3.1)."""
        caches = self.config.registers.reuse_cache and item.op.caches_operands
        return {
            register
            for slot, registers, _ in item.op.sources
            for register in registers
            if not (caches and self.reuse.get((self.bank(register), slot)) == (item.warp.slot, register))
        }

    def update_reuse(self, item: InFlight) -> None:
        """A read empties its position, hit or miss; the reuse bit fills it again."""
        for slot, registers, keeps in item.op.sources:
            for register in registers:
                self.reuse.pop((self.bank(register), slot), None)
                if keeps:
                    self.reuse[self.bank(register), slot] = (item.warp.slot, register)

    def free_write(self, bank: int, cycle: int) -> int:
        while self.writes[bank, cycle] >= self.config.registers.write_ports:
            cycle += 1
        return cycle

    # Control

    def control(self, item: InFlight) -> None:
        now = self.core.now
        if not item.seen_by_control:
            item.seen_by_control = True
            self.core.note("CONTROL", item)
            self.raising = item
        if item.op.path == FIXED:
            if self.allocate_latch:
                return
            self.allocate_latch = item
        elif item.op.path == UNIT:
            unit = self.units[item.op.unit]
            if unit.holds(self.number):
                return
            unit.arrived.append((self.number, item))
        else:
            # the one in control is the last of the entries that the sub-core holds
            if len(self.queue) >= max(1, self.config.memory_unit.subcore_entries - 1):
                return
            self.queue.append(item)
            self.core.note("ENQUEUE", item)
        item.entered_at = now
        self.control_latch = None

    def raise_counters(self) -> None:
        """What control raised is visible to issue from the next cycle on."""
        if not self.raising:
            return
        warp, op = self.raising.warp, self.raising.op
        for counter, is_long in ((op.write_counter, op.waits_long), (op.read_counter, False)):
            if counter is not None:
                warp.counters[counter] += 1
                warp.long[counter] = is_long
                if warp.counters[counter] > MAX_COUNT:
                    raise AssertionError(f"SB{counter} of warp {warp.number} overflows")
        self.raising = None

    # Issue

    def issue(self) -> Stall:
        if self.control_latch:
            return Stall.DISPATCH_STALL if self.control_latch.op.path == FIXED else Stall.MIO_THROTTLE
        if not self.warps:
            return Stall.NO_WARP
        if self.port_busy:
            return Stall.MATH_PIPE_THROTTLE
        nearest = Stall.NO_WARP
        for warp in self.order():
            reason = self.readiness(warp)
            if reason == Stall.ISSUED:
                self.send(warp)
                return reason
            nearest = min(nearest, reason)
        return nearest

    def order(self) -> list[Warp]:
        """Warps in the order in which the policy looks at them."""
        policy = self.config.issue.policy
        if policy == "OLDEST":
            return list(self.warps)
        if policy == "LRR":
            return sorted(self.warps, key=lambda warp: (warp.slot - self.last_slot - 1) % SLOTS)
        others = self.warps if policy == "GTO" else self.warps[::-1]
        first = [self.last] if self.last else []
        return first + [warp for warp in others if warp is not self.last]

    def readiness(self, warp: Warp) -> Stall:
        now = self.core.now
        if warp.exited:
            return Stall.DRAIN
        if warp.barrier_wait:
            return Stall.BARRIER
        if warp.membar is not None or warp.membar_until > now:
            return Stall.MEMBAR
        if not warp.buffer or warp.buffer[0][1] > 0:
            return Stall.NO_INSTRUCTION
        if warp.stall > 0 or warp.yielded_at == now - 1:
            return Stall.WAIT
        op = self.core.code[warp.buffer[0][0]]
        blocking = [c for c in op.wait if warp.counters[c] > 0]
        if warp.depbar:
            counter, threshold, others = warp.depbar
            blocking_depbar = [c for c in others if warp.counters[c] > 0]
            if warp.counters[counter] > threshold:
                blocking_depbar.append(counter)
            if not blocking_depbar and not blocking:
                warp.depbar = None
            blocking += blocking_depbar
        if blocking:
            return Stall.LONG_SCOREBOARD if any(warp.long[c] for c in blocking) else Stall.SHORT_SCOREBOARD
        stall = warp.board.blocks(op, self.config.issue.scoreboard_consumers, now)
        if stall is not None:
            return stall
        if op.path == FIXED and self.free_unit(op) is None:
            return Stall.MATH_PIPE_THROTTLE
        if op.chain and now < warp.accumulator_until and op.accumulator == warp.accumulator:
            return Stall.WAIT
        return Stall.ISSUED

    def free_unit(self, op: Instruction) -> VariableUnit | None:
        pipes = [op.unit] if op.also_on is None else [op.unit, op.also_on]
        if self.config.execute.pipes_alternate:
            pipes = [sorted(pipes)[self.pipe_turn % len(pipes)]]
        return next((self.units[pipe] for pipe in pipes if self.units[pipe].is_free()), None)

    def send(self, warp: Warp) -> None:
        static, _ = warp.buffer.popleft()
        if static != warp.stream[warp.position]:
            raise AssertionError(f"instruction {static} was fetched, {warp.stream[warp.position]} is next")
        item = InFlight(warp, warp.position, self.core.code[static], self.core.now)
        op = item.op
        self.core.note("ISSUE", item)
        self.control_latch = item
        self.last, self.last_slot = warp, warp.slot
        self.port_busy = 1 + op.port_busy if op.port_busy else 0
        warp.stall = op.distance
        if op.yields:
            warp.yielded_at = self.core.now
        if op.path == FIXED:
            unit = self.free_unit(op)
            assert unit is not None
            unit.busy = op.interval
            if op.chain:
                warp.accumulator, warp.accumulator_until = op.results[0], self.core.now + op.chain
            self.pipe_turn += op.also_on is not None
        else:
            warp.outstanding += 1
        if op.depbar:
            warp.depbar = op.depbar
        warp.board.issue(op, self.core.now)
        warp.reading += op.counts_reads
        if op.is_barrier:
            self.core.arrive(warp)
        elif op.membar is not None:
            warp.membar = op.membar
            warp.start_membar(self.core.now)
        warp.position += 1
        warp.exited = warp.position == len(warp.stream)
        if warp.exited:
            warp.buffer.clear()
        elif warp.stream[warp.position] != static + 1:  # a taken branch: refill from its target
            warp.buffer.clear()
            warp.fetch_at = warp.stream[warp.position]
            knobs = self.config.fetch
            backwards = knobs.backward_branch_redirect_cycles if warp.fetch_at <= static else 0
            warp.refill_at = self.core.now + knobs.branch_redirect_cycles + backwards

    # Fetch

    def fetch(self) -> None:
        """One request per cycle: the warp that issued last, else the youngest with room in its buffer."""
        order = ([self.last] if self.last else []) + self.warps[::-1]
        entries = self.config.fetch.instruction_buffer_entries
        for warp in order:
            has_room = not warp.exited and len(warp.buffer) < entries
            if has_room and warp.fetch_at < len(self.core.code) and warp.refill_at <= self.core.now:
                warp.buffer.append([warp.fetch_at, self.config.fetch.decode_cycles + FETCH_TO_ISSUE])
                warp.fetch_at += 1
                return

    # End of a warp

    def retire(self) -> bool:
        """Warps leave when all is issued, nothing is in the pipeline and every counter is zero."""
        latched = [latch.warp for latch in (self.control_latch, self.allocate_latch) if latch]
        idle = [w for w in self.warps if w.exited and not w.outstanding and not any(w.counters) and not w.reading]
        done = [warp for warp in idle if warp not in latched]
        for warp in done:
            self.warps.remove(warp)
            if warp is self.last:
                self.last = None
            self.core.end = self.core.now
            warp.group.warps -= 1
            self.core.check_barrier(warp.group, self.core.now)
        return bool(done)
