"""Reference model of one SM's core: plain Python objects, every cycle stepped, no code shared with `sim`.

It covers what happens on chip with a perfect instruction cache and control bits: instruction buffer and fetch, the four
issue policies, stall counter, yield, six dependence counters and DEPBAR, control, operand read ports and reuse cache,
fixed-latency and variable-latency units, the memory front, shared memory. Global accesses must have every lane off.
Rules: MICRO 2025, sections 4 and 5; the order of stages in a cycle is that of the artifact, from the write-back to the
fetch, so that nothing passes two stages in one cycle.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from configs.schema import Config
from isa.program import Program, Unit
from sim.stats import Stall
from tests.reference.decode import FIXED, UNIT, Instruction, decode
from traces.stream import Trace

SUBCORES = 4
SLOTS = 16  # warp slots of a sub-core
COUNTERS = 6
MAX_COUNT = 63  # section 7.5: six bits each
FETCH_TO_ISSUE = 1  # a decoded instruction may issue one cycle later
READ_AFTER_START = 3  # a variable-latency unit has read its operands
LATCH_AFTER_ISSUE = 2  # issue -> earliest start of a variable-latency unit
WRITE_AFTER_READ = 4  # an FFMA issued at t allocates at t + 2 and writes at t + 10


@dataclass(eq=False)
class Warp:
    """A warp and what it still has to execute: static instruction numbers, lane addresses of the accesses."""

    block: int
    number: int  # in its block
    stream: list[int]
    lanes: list[dict[int, int]]  # per dynamic instruction: active lane -> byte address
    start_at: int
    slot: int = -1
    position: int = 0  # dynamic instructions issued
    fetch_at: int = 0
    buffer: deque[list[int]] = field(default_factory=deque)  # [static instruction, cycles until it may issue]
    stall: int = 0
    yielded_at: int = -2  # cycle of the last instruction with the yield bit
    counters: list[int] = field(default_factory=lambda: [0] * COUNTERS)
    long: list[bool] = field(default_factory=lambda: [False] * COUNTERS)
    depbar: tuple[int, int, list[int]] | None = None
    outstanding: int = 0  # variable-latency instructions without their result

    @property
    def exited(self) -> bool:
        return self.position == len(self.stream)


@dataclass
class InFlight:
    """A dynamic instruction between issue and completion."""

    warp: Warp
    position: int
    op: Instruction
    issued_at: int
    entered_at: int = -1  # the stage or queue it is in
    seen_by_control: bool = False
    has_path: bool = False  # its result is on the way to the register file


class VariableUnit:
    """A unit with one latch per sub-core in front; latched instructions start in the order of their arrival."""

    def __init__(self) -> None:
        self.arrived: deque[tuple[int, InFlight]] = deque()
        self.busy = 0  # cycles

    def holds(self, subcore: int) -> bool:
        return any(s == subcore for s, _ in self.arrived)

    def is_free(self) -> bool:
        return self.busy == 0 and not self.arrived


class Core:
    """One SM. `run` steps it to the end; then `passed`, `stalls` and `end` tell what happened."""

    def __init__(self, trace: Trace, config: Config) -> None:
        if not config.fetch.perfect or not trace.program.has_control_bits:
            raise ValueError("the reference model needs fetch.perfect and control bits")
        self.config = config
        self.program: Program = trace.program
        self.code = [decode(trace.program, i, config) for i in range(len(trace.program))]
        self.now = 0
        self.end = 0
        self.calendar: dict[int, list[Callable[[], None]]] = defaultdict(list)
        self.to_start = deque(sorted(load_warps(trace, config), key=lambda w: (w.start_at, w.block, w.number)))
        self.shared_fp64 = VariableUnit()
        self.subcores = [Subcore(self, s) for s in range(SUBCORES)]
        self.memory = MemoryUnit(self)
        # stage name -> (block, warp of the block) -> cycle per dynamic instruction that passed, in program order
        self.passed: dict[str, dict[tuple[int, int], dict[int, int]]] = defaultdict(lambda: defaultdict(dict))

    def run(self, max_cycles: int = 200_000) -> None:
        while self.to_start or any(sub.warps for sub in self.subcores):
            if self.now >= max_cycles:
                raise RuntimeError(f"the reference model is not done after {max_cycles} cycles")
            self.step()

    def step(self) -> None:
        for action in self.calendar.pop(self.now, ()):
            action()
        while self.to_start and self.to_start[0].start_at <= self.now:
            self.start(self.to_start.popleft())
        self.memory.accept()
        self.start_unit(self.shared_fp64)
        for sub in self.subcores:
            sub.cycle()
        self.now += 1

    def start(self, warp: Warp) -> None:
        """The sub-core with the fewest warps takes it, in its lowest free slot."""
        sub = min(self.subcores, key=lambda sub: len(sub.warps))
        warp.slot = min(set(range(SLOTS)) - {w.slot for w in sub.warps})
        warp.fetch_at = warp.stream[0]
        sub.warps.append(warp)

    def at(self, cycle: int, action: Callable[[], None]) -> None:
        """Do something at the beginning of a cycle; what was entered first comes first."""
        if cycle <= self.now:
            raise AssertionError(f"cycle {cycle} is over at {self.now}")
        self.calendar[cycle].append(action)

    def note(self, stage: str, item: InFlight) -> None:
        self.passed[stage][item.warp.block, item.warp.number][item.position] = self.now

    def start_unit(self, unit: VariableUnit) -> None:
        """The oldest latched instruction starts when the unit is free."""
        unit.busy = max(0, unit.busy - 1)
        if unit.busy or not unit.arrived:
            return
        _, item = unit.arrived.popleft()
        unit.busy = item.op.interval
        self.release_read(item, self.now + READ_AFTER_START)
        self.at(self.now + max(1, item.op.latency - LATCH_AFTER_ISSUE), lambda: self.finish(item))

    def release_read(self, item: InFlight, cycle: int) -> None:
        """The sources have been read: whoever waits for that may issue from `cycle` on."""
        counter = item.op.read_counter
        if counter is None:
            return
        if cycle <= self.now:
            lower(item.warp, counter)
        else:
            self.at(cycle, lambda: lower(item.warp, counter))

    def finish(self, item: InFlight) -> None:
        """A variable-latency instruction is complete."""
        if item.op.write_counter is not None:
            lower(item.warp, item.op.write_counter)
        item.warp.outstanding -= 1


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
        self.port_busy = max(0, self.port_busy - 1)
        for unit in self.units.values():
            if unit is not self.core.shared_fp64:
                self.core.start_unit(unit)
        for warp in self.warps:
            warp.stall = max(0, warp.stall - 1)
            for entry in warp.buffer:
                entry[1] = max(0, entry[1] - 1)

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
            for bank in written:
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
        if warp.exited:
            return Stall.DRAIN
        if not warp.buffer or warp.buffer[0][1] > 0:
            return Stall.NO_INSTRUCTION
        if warp.stall > 0 or warp.yielded_at == self.core.now - 1:
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
        if op.path == FIXED and self.free_unit(op) is None:
            return Stall.MATH_PIPE_THROTTLE
        return Stall.ISSUED

    def free_unit(self, op: Instruction) -> VariableUnit | None:
        pipes = [op.unit] if op.also_on is None else sorted([op.unit, op.also_on])
        unit = self.units[pipes[self.pipe_turn % len(pipes)]]
        return unit if unit.is_free() else None

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
            self.pipe_turn += op.also_on is not None
        else:
            warp.outstanding += 1
        if op.depbar:
            warp.depbar = op.depbar
        warp.position += 1
        if warp.exited:
            warp.buffer.clear()
        elif warp.stream[warp.position] != static + 1:  # a taken branch: refill from its target
            warp.buffer.clear()
            warp.fetch_at = warp.stream[warp.position]

    # Fetch

    def fetch(self) -> None:
        """One request per cycle: the warp that issued last, else the youngest with room in its buffer."""
        order = ([self.last] if self.last else []) + self.warps[::-1]
        entries = self.config.fetch.instruction_buffer_entries
        for warp in order:
            if not warp.exited and len(warp.buffer) < entries and warp.fetch_at < len(self.core.code):
                warp.buffer.append([warp.fetch_at, self.config.fetch.decode_cycles + FETCH_TO_ISSUE])
                warp.fetch_at += 1
                return

    # End of a warp

    def retire(self) -> bool:
        """Warps leave when all is issued, nothing is in the pipeline and every counter is zero."""
        latched = [latch.warp for latch in (self.control_latch, self.allocate_latch) if latch]
        done = [w for w in self.warps if w.exited and not w.outstanding and not any(w.counters) and w not in latched]
        for warp in done:
            self.warps.remove(warp)
            if warp is self.last:
                self.last = None
            self.core.end = self.core.now
        return bool(done)


class MemoryUnit:
    """The part of the memory pipeline that the sub-cores share, with the data array of shared memory."""

    def __init__(self, core: Core) -> None:
        self.core, self.config = core, core.config
        self.accept_at = 0
        self.next_subcore = 0
        self.data_free_at = 0
        self.in_flight = 0

    def accept(self) -> None:
        """Take the head of one queue, round robin."""
        knobs, now = self.config.memory_unit, self.core.now
        if now < self.accept_at or self.in_flight >= knobs.pending_requests:
            return
        for i in range(SUBCORES):
            sub = self.core.subcores[(self.next_subcore + i) % SUBCORES]
            if not sub.queue or now < sub.address_free_at:
                continue
            head = sub.queue[0]
            if now >= max(head.issued_at + head.op.leave, head.entered_at + 1):
                sub.queue.popleft()
                sub.address_free_at = now + head.op.spacing
                self.accept_at = now + head.op.accept
                self.next_subcore = (sub.number + 1) % SUBCORES
                self.in_flight += 1
                self.serve(sub, head)
                return

    def serve(self, sub: Subcore, item: InFlight) -> None:
        now, op = self.core.now, item.op
        self.core.note("LEAVE", item)
        self.core.release_read(item, now + op.war - op.leave)
        lanes = item.warp.lanes[item.position]
        if lanes and not op.is_shared:
            raise ValueError("the reference model has no L1: switch the lanes of global accesses off")
        busy, extra = op.interval, 0
        if lanes:
            cycles_per_pass = max(1, 4 * self.config.shared_memory.banks // self.config.shared_memory.bytes_per_cycle)
            passes = bank_passes(lanes, op.width, self.config.shared_memory.banks, op.is_load)
            busy = passes * cycles_per_pass
            extra = max(0, passes - op.width // 4) * cycles_per_pass  # Table 2 has the passes without a conflict
        start_at = max(now, self.data_free_at)
        self.data_free_at = start_at + busy
        self.core.at(start_at + max(1, op.done - op.leave) + extra, lambda: self.complete(sub, item))

    def complete(self, sub: Subcore, item: InFlight) -> None:
        """The result moves to the registers at 512 bits per cycle; a fixed-latency result at its port goes first."""
        now, registers = self.core.now, self.config.registers
        if item.op.results:
            if not item.has_path:
                if now < sub.path_free_at:
                    self.core.at(sub.path_free_at, lambda: self.complete(sub, item))
                    return
                sub.path_free_at = now + item.op.width * 32 // self.config.memory_unit.writeback_bytes_per_cycle
                item.has_path = True
            banks = {sub.bank(r) for r in item.op.results}
            # written in the cycle before dependents may issue
            if not registers.ideal and any(sub.free_write(bank, now - 1) != now - 1 for bank in banks):
                self.core.at(now + 1, lambda: self.complete(sub, item))
                return
            for bank in banks:
                sub.writes[bank, now - 1] += 1
        self.core.note("DONE", item)
        self.in_flight -= 1
        self.core.finish(item)


def lower(warp: Warp, counter: int) -> None:
    if warp.counters[counter] == 0:
        raise AssertionError(f"SB{counter} of warp {warp.number} falls below zero")
    warp.counters[counter] -= 1


def bank_passes(lanes: dict[int, int], width: int, banks: int, is_load: bool) -> int:
    """Passes over the banks: phases of 32, 16 or 8 lanes, in each the most distinct words of one bank.

    Two phases of a wide load go together if all their lanes share by neighbours or by next but one.
    """
    size = 128 // width
    phases = [set(range(first, first + size)) & set(lanes) for first in range(0, 32, size)]
    if is_load and width > 4:
        pairs = [one | two for one, two in zip(phases[::2], phases[1::2], strict=True)]
        phases = [
            phase
            for pair, halves in zip(pairs, zip(phases[::2], phases[1::2], strict=True), strict=True)
            for phase in ([pair] if any(shared_by(lanes, pair, distance) for distance in (1, 2)) else halves)
        ]
    total = 0
    for phase in filter(None, phases):
        words = {(lanes[lane] + byte) // 4 for lane in phase for byte in range(0, width, 4)}
        total += max(Counter(word % banks for word in words).values())
    return total


def shared_by(lanes: dict[int, int], members: set[int], distance: int) -> bool:
    return all(lanes[lane] == lanes[lane ^ distance] for lane in members if lane ^ distance in members)


def load_warps(trace: Trace, config: Config) -> list[Warp]:
    """The warps of a grid that fits one SM, with the cycles at which they start."""
    launch = config.launch
    warps = []
    for chunk in trace.blocks():
        for index in range(len(chunk.warp_start) - 1):
            block, number = divmod(index, trace.launch.warps_per_block)
            block += chunk.first_block
            rows = range(int(chunk.warp_start[index]), int(chunk.warp_start[index + 1]))
            block_at = int(launch.kernel_cycles + block * launch.block_interval_cycles) + launch.block_start_cycles
            warps.append(
                Warp(
                    block,
                    number,
                    [int(chunk.instruction[row]) for row in rows],
                    [_lanes(chunk, row) for row in rows],
                    block_at + int(number * launch.warp_interval_cycles),
                )
            )
    return warps


def _lanes(chunk, row: int) -> dict[int, int]:
    """Active lane -> byte address of a dynamic instruction's first access; empty if it has none."""
    if chunk.access[row] < 0:
        return {}
    access = chunk.accesses[chunk.access[row]]
    active = [lane for lane in range(32) if int(chunk.active_mask[row]) >> lane & 1]
    if access["list_at"] < 0:
        return {lane: int(access["base"]) + int(access["stride"]) * lane for lane in active}
    return {lane: int(chunk.lane_address[int(access["list_at"]) + rank]) for rank, lane in enumerate(active)}
