"""Reference model of one SM's core: plain Python objects, every cycle stepped, no code shared with `sim`.

It covers what happens on chip with a perfect instruction cache: instruction buffer, fetch and branch refill, the four
issue policies, stall counter, yield, six dependence counters and DEPBAR, the scoreboard of traces without control bits,
control, operand read ports and reuse cache, fixed-latency and variable-latency units, the memory front, shared memory
with LDSM and atomics, BAR.SYNC over the block, MEMBAR.
It leaves out: instruction and constant caches, the L1 and all behind it (global accesses must have every lane off),
LDGSTS, named barriers and BAR.ARV, textures, block dispatch beyond the blocks that fit at once.
Rules: MICRO 2025, sections 4, 5 and 7.5; the order of stages in a cycle is that of the artifact, from the write-back to
the fetch, so that nothing passes two stages in one cycle.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable

from configs.schema import Config
from isa.program import Program
from tests.reference.decode import decode
from tests.reference.memory import MemoryUnit
from tests.reference.parts import SUBCORES, Block, InFlight, VariableUnit, Warp, load_warps
from tests.reference.sub_core import SLOTS, Subcore
from traces.stream import Trace

READ_AFTER_START = 3  # a variable-latency unit has read its operands
LATCH_AFTER_ISSUE = 2  # issue -> earliest start of a variable-latency unit


class Core:
    """One SM. `run` steps it to the end; then `passed`, `stalls` and `end` tell what happened."""

    def __init__(self, trace: Trace, config: Config) -> None:
        if not config.fetch.perfect:
            raise ValueError("the reference model needs fetch.perfect")
        self.config = config
        self.program: Program = trace.program
        self.code = [decode(trace.program, i, config) for i in range(len(trace.program))]
        self.now = 0
        self.end = 0
        self.calendar: dict[int, list[Callable[[], None]]] = defaultdict(list)
        self.to_start = deque(sorted(load_warps(trace, config), key=lambda w: (w.start_at, w.block, w.number)))
        self.barrier_free_at = 0
        self.shared_fp64 = VariableUnit()
        self.subcores = [Subcore(self, s) for s in range(SUBCORES)]
        self.memory = MemoryUnit(self)
        # stage name -> (block, warp of the block) -> cycle per dynamic instruction that passed, in program order
        self.passed: dict[str, dict[tuple[int, int], dict[int, int]]] = defaultdict(lambda: defaultdict(dict))

    def run(self, max_cycles: int) -> None:
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
        if unit.busy:
            unit.busy -= 1
        if unit.busy or not unit.arrived:
            return
        _, item = unit.arrived.popleft()
        unit.busy = item.op.interval
        self.release_read(item, self.now + READ_AFTER_START)
        self.at(self.now + max(1, item.op.latency - LATCH_AFTER_ISSUE), lambda: self.finish(item))

    def release_read(self, item: InFlight, cycle: int) -> None:
        """The sources have been read: whoever waits for that may issue from `cycle` on."""
        if cycle <= self.now:
            self.read_done(item)
        else:
            self.at(cycle, lambda: self.read_done(item))

    def read_done(self, item: InFlight) -> None:
        if item.op.read_counter is not None:
            item.warp.lower(item.op.read_counter)
        if item.op.counts_reads:
            item.warp.board.read_done(item.op)
            item.warp.reading -= 1

    def finish(self, item: InFlight) -> None:
        """A variable-latency instruction is complete."""
        if item.op.write_counter is not None:
            item.warp.lower(item.op.write_counter)
        item.warp.board.write_done(item.op)
        item.warp.outstanding -= 1
        item.warp.start_membar(self.now)

    def arrive(self, warp: Warp) -> None:
        """BAR.SYNC: the SM takes one per `sync_issue_cycles`."""
        at = max(self.now, self.barrier_free_at)
        self.barrier_free_at = at + self.config.barrier.sync_issue_cycles
        warp.barrier_wait = True
        warp.group.waiting.append(warp)
        self.check_barrier(warp.group, at)

    def check_barrier(self, block: Block, now: int) -> None:
        """The last warp of the block to arrive, or to retire without, lets the others go."""
        if not block.waiting or len(block.waiting) < block.warps:
            return
        released, block.waiting = block.waiting, []

        def release() -> None:
            for warp in released:
                warp.barrier_wait = False

        self.at(now + max(1, self.config.barrier.sync_release_cycles), release)
