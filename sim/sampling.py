"""Kernels too long to simulate whole: some waves of thread blocks are simulated, the others inferred.

A wave is as many blocks as the chip holds. Blocks go to the SMs in the order of the grid until the rate at which warp
instructions are issued has become steady and a whole number of waves is left; then the dispatcher stops, and what runs
drains. The instructions left out add their number over that rate. Some blocks of the rest are emulated to see
how many instructions they execute; where the trace cannot do that, they count as those simulated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from configs.schema import Config
from isa.errors import SubcoreError
from sim.gpu import Machine, Progress, occupancy
from sim.result import RunResult
from sim.stats import Counter
from traces.stream import Trace

MARKS_PER_WAVE = 2  # behind the first wave, the time is noted at each half wave of instructions
MARK_QUANTA = 16  # and after so many quanta at least: time is seen at their ends
RATES = 3  # rates, each over a whole wave and so over all phases of a block, that must agree
STEADY = 0.02  # largest difference of rates that agree; else four times as many may have this standard error
PROBES = 32  # blocks of the rest that are emulated for their length
FLOOR = 0.02  # least relative error stated of what is inferred
FEW = 0.1  # and where one rate had to do: waves of tiled products differ by up to that


@runtime_checkable
class Probing(Protocol):
    """A trace that can tell how long single blocks are, without those before them."""

    def probe(self, blocks: list[int]) -> list[int]: ...


@dataclass(frozen=True, kw_only=True)
class SampledResult:
    """What was simulated, and what is inferred from it. Cycles are SM clock cycles."""

    simulated: RunResult  # the waves that ran, as a kernel of their own
    cycles: int  # of the whole kernel, inferred
    error: float  # stated, relative to `cycles`; 0 if nothing was left out
    blocks: int  # of the grid
    simulated_blocks: int
    wave_blocks: int
    rates: tuple[float, ...]  # warp instructions per cycle, each over a wave, half a wave apart
    steady: bool  # the last of them agree
    length_ratio: float | None  # instructions of a block left out over one simulated; None = not known
    warp_instructions: int  # of the whole kernel, inferred

    @property
    def inferred_blocks(self) -> int:
        return self.blocks - self.simulated_blocks

    @property
    def simulated_share(self) -> float:
        """Part of the warp instructions that were simulated."""
        return self.simulated.warp_instructions / self.warp_instructions if self.warp_instructions else 1.0

    @property
    def seconds(self) -> float:
        """Time of the whole kernel at the core clock."""
        return self.cycles / (self.simulated.config.gpu.core_clock_mhz * 1e6)

    def remarks(self) -> tuple[str, ...]:
        """What a reader must know, one sentence each."""
        if not self.inferred_blocks:
            return ("nothing was left out: the grid ended before its rate was steady",)
        lines = [
            f"simulated: {self.simulated_blocks:,} of {self.blocks:,} blocks ({self.simulated_share:.1%} of the warp "
            f"instructions); inferred: {self.inferred_blocks:,} blocks in {self.inferred_blocks // self.wave_blocks} "
            f"waves at {self.rates[-1]:,.2f} warp instructions per cycle",
            "counters and stalls are of the simulated blocks, outputs are incomplete",
        ]
        if not self.steady:
            lines.append(f"the rate was not steady: {', '.join(f'{rate:,.2f}' for rate in self.rates[-4:])}")
        if self.length_ratio is None:
            lines.append("the lengths of the blocks left out are not known: taken as those simulated")
        elif abs(self.length_ratio - 1) > STEADY:
            lines.append(f"blocks left out execute {self.length_ratio:.2f} times the instructions of those simulated")
        return tuple(lines)


def simulate_sampled(
    trace: Trace,
    config: Config,
    *,
    most_instructions: int | None = None,
    progress: Progress | None = None,
    on_compile: Callable[[], None] | None = None,
) -> SampledResult:
    """Simulate as many waves of a kernel as its steady state needs, and infer the rest.

    `most_instructions`: warp instructions after which one rate over a wave is enough (the error says so).
    `progress` and `on_compile` as `sim.gpu.simulate_trace`. A grid of less than three waves, or one that is
    never steady, is simulated whole. Raises SubcoreError as `simulate_trace`.
    """
    machine = Machine(trace, config)
    if most_instructions is not None and most_instructions < 1:
        raise SubcoreError(f"most_instructions must be at least 1, not {most_instructions}")
    compile_seconds = machine.compile(on_compile)
    watch = _Waves(machine)
    told = time.perf_counter()
    done = False
    cut_at: int | None = None
    while not done:
        began = time.perf_counter()
        done = machine.step()
        now = time.perf_counter()
        machine.kernel_seconds += now - began
        grid = machine.grid[0]
        if cut_at is None and (cut_at := watch.cut(most_instructions)) is not None:
            grid["blocks"] = cut_at
        if progress is not None and now - told > 0.15:
            told = now
            progress(int(grid["finished_blocks"]), int(grid["blocks"]), machine.now)
    part = machine.result(compile_seconds)
    part.check()
    return watch.infer(part, cut_at)


def waves(trace: Trace, config: Config) -> float:
    """Waves of blocks that the grid makes on a GPU."""
    return trace.launch.blocks / (occupancy(trace.launch, config).blocks * config.gpu.sms)


def least_waves(trace: Trace, config: Config) -> float:
    """Waves that a sample simulates at least: the first, one of a rate, the one then on the chip, and the rest."""
    return 3 + waves(trace, config) % 1


class _Waves:
    """How fast instructions were issued, and what follows from it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.blocks = machine.trace.launch.blocks
        self.wave = machine.occupancy.blocks * len(machine.sms)
        cluster = machine.trace.launch.cluster
        self.wave -= self.wave % cluster[0]
        self.whole = self.wave < 1 or cluster[1:] != (1, 1)  # clusters whose blocks do not follow each other stay whole
        self.marks: list[tuple[int, int]] = []  # (cycle, warp instructions issued)
        self.step = 0  # warp instructions between marks

    @property
    def rates(self) -> list[float]:
        pairs = zip(self.marks, self.marks[MARKS_PER_WAVE:], strict=False)
        return [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs]

    @property
    def steady(self) -> bool:
        last, many = self.rates[-RATES:], self.rates[-4 * RATES :]
        if self.agree(last):
            return True
        return len(many) == 4 * RATES and float(np.std(many) / np.sqrt(2 * RATES) / np.mean(many)) <= STEADY

    @staticmethod
    def agree(rates: list[float]) -> bool:
        return len(rates) == RATES and max(rates) - min(rates) <= STEADY * max(rates)

    def cut(self, most_instructions: int | None) -> int | None:
        """Called after each quantum: the blocks at which the dispatcher shall stop, once that is known."""
        grid, now = self.machine.grid[0], self.machine.now
        issued = int(self.machine.sms["counter"][:, Counter.WARP_INSTRUCTIONS].sum())
        finished, dispatched = int(grid["finished_blocks"]), int(grid["next_block"])
        if not self.marks:
            if self.whole or finished < self.wave:
                return None
            # about half of what the blocks on the chip execute has been issued
            self.step = max(1, round(2 * issued / (finished + dispatched) * self.wave / MARKS_PER_WAVE))
            self.marks.append((now, issued))
            return None
        last_at, last_issued = self.marks[-1]
        if issued - last_issued < self.step or now - last_at < MARK_QUANTA * self.machine.quantum:
            return None
        self.marks.append((now, issued))
        spent = most_instructions is not None and issued >= most_instructions
        if not (spent and self.rates) and (len(self.rates) < RATES or not self.steady):
            return None
        stop = dispatched + (self.blocks - dispatched) % self.wave  # whole waves are left
        return stop if stop < self.blocks else None

    def infer(self, part: RunResult, cut_at: int | None) -> SampledResult:
        finished = int(part.sm_counters[:, Counter.BLOCKS].sum())
        left = self.blocks - finished
        if cut_at is None or left == 0:
            return SampledResult(
                simulated=part, cycles=part.cycles, error=0.0, blocks=self.blocks, simulated_blocks=finished,
                wave_blocks=self.wave, rates=tuple(self.rates), steady=self.steady, length_ratio=None,
                warp_instructions=part.warp_instructions,
            )  # fmt: skip
        own = part.warp_instructions / finished
        ratio, spread = self._lengths(cut_at, own)
        remaining = left * own * (ratio or 1.0)
        last = self.rates[-RATES:]
        if not self.agree(last):  # steady in the mean only
            last = self.rates[-4 * RATES :]
        added = remaining / float(np.mean(last))
        cycles = part.cycles + added
        # the rate may go on changing as it did among the last ones
        unsure = max(FLOOR if len(last) >= RATES else FEW, (max(last) - min(last)) / 2 / float(np.mean(last))) + spread
        return SampledResult(
            simulated=part,
            cycles=round(cycles),
            error=unsure * added / cycles,
            blocks=self.blocks,
            simulated_blocks=finished,
            wave_blocks=self.wave,
            rates=tuple(self.rates),
            steady=self.steady,
            length_ratio=ratio,
            warp_instructions=round(part.warp_instructions + remaining),
        )

    def _lengths(self, first: int, own: float) -> tuple[float | None, float]:
        """Mean length of the blocks left out over that of the simulated ones, and its standard error."""
        trace = self.machine.trace
        if not isinstance(trace, Probing):
            return None, 0.0
        chosen = np.unique(np.linspace(first, self.blocks - 1, PROBES).astype(int)).tolist()
        try:
            lengths = np.array(trace.probe(chosen), float)
        except SubcoreError:  # a block that waits for those before it
            return None, 0.0
        return float(lengths.mean() / own), float(lengths.std() / np.sqrt(len(lengths)) / lengths.mean())
