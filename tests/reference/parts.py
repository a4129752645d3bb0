"""What moves through the reference model: warps, thread blocks, instructions in flight, units, scoreboards."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

from configs.schema import Config
from isa.latency import ProducerClass, overwrite_latency
from sim.stats import Stall
from tests.reference.decode import Instruction
from traces.stream import Trace

SUBCORES = 4
COUNTERS = 6
MAX_COUNT = 63  # section 7.5: six bits each


@dataclass(eq=False)
class Block:
    """A thread block: its warps that have not retired, and those that reached the barrier."""

    warps: int
    waiting: list[Warp] = field(default_factory=list)


@dataclass(eq=False)
class Warp:
    """A warp and what it still has to execute: static instruction numbers, lane addresses of the accesses."""

    block: int
    number: int  # in its block
    stream: list[int]
    lanes: list[dict[int, int]]  # per dynamic instruction: active lane -> byte address
    start_at: int
    group: Block
    slot: int = -1
    position: int = 0  # dynamic instructions issued
    exited: bool = False
    fetch_at: int = 0
    refill_at: int = 0  # a taken branch: no fetch before
    buffer: deque[list[int]] = field(default_factory=deque)  # [static instruction, cycles until it may issue]
    stall: int = 0
    yielded_at: int = -2  # cycle of the last instruction with the yield bit
    counters: list[int] = field(default_factory=lambda: [0] * COUNTERS)
    long: list[bool] = field(default_factory=lambda: [False] * COUNTERS)
    depbar: tuple[int, int, list[int]] | None = None
    outstanding: int = 0  # variable-latency instructions without their result
    reading: int = 0  # instructions whose reads the scoreboard counts
    barrier_wait: bool = False
    membar: int | None = None  # cycles still to wait once nothing is outstanding
    membar_until: int = 0
    accumulator: int | None = None  # of the last matrix instruction that keeps a distance from its successor,
    accumulator_until: int = 0  # which must not add to it before
    board: Scoreboard = field(default_factory=lambda: Scoreboard())

    def lower(self, counter: int) -> None:
        if self.counters[counter] == 0:
            raise AssertionError(f"SB{counter} of warp {self.number} falls below zero")
        self.counters[counter] -= 1

    def start_membar(self, now: int) -> None:
        """MEMBAR: once every access of the warp is complete, the round trip of the scope."""
        if self.membar is not None and not self.outstanding:
            self.membar_until, self.membar = now + self.membar, None


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


@dataclass
class Register:
    """Scoreboard entry of a register or predicate."""

    writes: int = 0  # variable-latency writers under way
    is_long: bool = False  # of the last of them
    reads: int = 0  # variable-latency readers that have not read yet
    readers: int = 0  # all that are counted
    written: tuple[int, ProducerClass] | None = None  # last writer, if it has a fixed latency


class Scoreboard:
    """Dependences of a warp without control bits (section 7.5)."""

    def __init__(self) -> None:
        self.register: dict[tuple[str, int], Register] = defaultdict(Register)

    def blocks(self, op: Instruction, limit: int, now: int) -> Stall | None:
        """What keeps an instruction back: a pending result or reader, the readers' limit, a fixed distance."""
        blocked = is_long = False
        ready_at = 0
        for name, read_class in op.reads:
            register = self.register[name]
            if register.writes:
                blocked, is_long = True, is_long or register.is_long
            if limit and register.readers >= limit:
                blocked = True
            if register.written:
                issued_at, producer = register.written
                ready_at = max(ready_at, issued_at + op.distances[name[0]][producer, read_class])
        for name, _ in op.writes:
            register = self.register[name]
            if register.writes or register.reads:
                blocked, is_long = True, is_long or bool(register.writes) and register.is_long
            if register.written:
                issued_at, producer = register.written
                ready_at = max(ready_at, issued_at + overwrite_latency(producer, op.produces))
        if blocked:
            return Stall.LONG_SCOREBOARD if is_long else Stall.SHORT_SCOREBOARD
        return Stall.WAIT if ready_at > now else None

    def issue(self, op: Instruction, now: int) -> None:
        for name, _ in op.reads if op.counts_reads else ():
            self.register[name].readers += 1
            self.register[name].reads += op.is_variable
        for name, producer in op.writes:
            register = self.register[name]
            if op.is_variable:
                register.writes += 1
                register.is_long, register.written = op.waits_long, None
            else:
                register.written = now, producer

    def read_done(self, op: Instruction) -> None:
        for name, _ in op.reads:
            self.register[name].readers -= 1
            self.register[name].reads -= op.is_variable

    def write_done(self, op: Instruction) -> None:
        for name, _ in op.writes:
            self.register[name].writes -= 1


def load_warps(trace: Trace, config: Config) -> list[Warp]:
    """The warps of a grid that fits one SM, with the cycles at which they start."""
    launch = config.launch
    warps = []
    for chunk in trace.blocks():
        groups: dict[int, Block] = defaultdict(lambda: Block(trace.launch.warps_per_block))
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
                    groups[block],
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
