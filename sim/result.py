"""What a simulated kernel leaves: cycles, counters, the stall account. Views are pandas objects, made on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.memory.state import COUNTERS as MEMORY_COUNTERS
from sim.stats import COUNTERS, STALL_TEXT, Counter, Stall

if TYPE_CHECKING:
    import pandas

    from configs.schema import Config
    from sim.chains import Chains
    from traces.stream import Launch


@dataclass(frozen=True)
class Busy:
    """Cycles for which each instance of a resource was taken; i8 arrays, SMs first."""

    subcore_units: np.ndarray  # shape (sms, sub-cores, len(Unit)); MEMORY: address calculation
    register_reads: np.ndarray  # reads, not cycles; shape (sms, sub-cores, banks)
    memory_accept: np.ndarray  # shape (sms,), as below: SM-shared memory unit takes instructions
    l1_tags: np.ndarray
    l1_data: np.ndarray  # data path of L1 and shared memory
    sectors_received: np.ndarray  # sectors, not cycles: data from the interconnect


@dataclass(frozen=True)
class RunResult:
    """One kernel on one GPU."""

    kernel: str
    launch: Launch
    config: Config
    cycles: int  # the whole kernel: kernel_cycles and the drain behind it
    kernel_cycles: int  # start of the launch to the end of the last block
    sm_counters: np.ndarray  # i8, shape (sms, len(Counter))
    sm_stalls: np.ndarray  # i8, shape (sms, sub-cores, len(Stall)): sub-core cycles per reason
    profile: np.ndarray  # i8, shape (instructions + 1, PROFILE_COLUMNS): last row without an instruction
    memory_counters: dict[str, int]
    blocks_per_sm: int  # occupancy limit
    limited_by: str
    scoreboard: bool  # True: dependences from latency tables, because the trace has no control bits
    shared_carveout_bytes: int
    busy: Busy = field(compare=False)
    chains: Chains
    series: np.ndarray  # i8, shape (samples, sim.series.COLUMNS); last row: end of the kernel
    warnings: tuple[str, ...] = ()
    kernel_seconds: float = field(default=0.0, compare=False)  # wall time inside the timing kernels
    compile_seconds: float = field(default=0.0, compare=False)

    def counter(self, member: Counter) -> int:
        """Sum of one counter over all SMs."""
        return int(self.sm_counters[:, member].sum())

    @property
    def warp_instructions(self) -> int:
        return self.counter(Counter.WARP_INSTRUCTIONS)

    @property
    def ipc(self) -> float:
        """Warp instructions per cycle of the whole chip, launch cost included."""
        return self.warp_instructions / self.cycles if self.cycles else 0.0

    @property
    def ipc_active(self) -> float:
        """Warp instructions per cycle of an SM, while it has a resident warp."""
        active = self.counter(Counter.ACTIVE_CYCLES)
        return self.warp_instructions / active if active else 0.0

    @property
    def theoretical_occupancy(self) -> float:
        return min(1.0, self.blocks_per_sm * self.launch.warps_per_block / self.config.sm.max_warps)

    @property
    def achieved_occupancy(self) -> float:
        """Mean resident warps of an active SM, as a share of the most it can hold."""
        active = self.counter(Counter.ACTIVE_CYCLES)
        return self.counter(Counter.WARP_CYCLES) / active / self.config.sm.max_warps if active else 0.0

    @property
    def seconds(self) -> float:
        """Simulated time at the core clock."""
        return self.cycles / (self.config.gpu.core_clock_mhz * 1e6)

    @property
    def instructions_per_second(self) -> float:
        """Simulated warp instructions per second of wall time inside the timing kernels."""
        return self.warp_instructions / self.kernel_seconds if self.kernel_seconds else 0.0

    def values(self) -> dict[str, tuple[float | int, str, str]]:
        """Every statistic: name -> (value, unit, description)."""
        rows: dict[str, tuple[float | int, str, str]] = {
            "gpu__cycles_elapsed": (self.cycles, "cycle", "whole kernel, launch cost included"),
            "sm__cycles_elapsed": (self.kernel_cycles, "cycle", "start of the launch to the end of the last block"),
            "gpu__time_duration": (round(self.seconds * 1e9, 3), "ns", "whole kernel at the core clock"),
            "sm__inst_executed.avg.per_cycle_active": (round(self.ipc_active, 6), "inst/cycle", "IPC of an active SM"),
            "sm__warps_active.avg.pct": (round(100 * self.achieved_occupancy, 4), "%", "achieved occupancy"),
            "sm__maximum_warps.pct": (round(100 * self.theoretical_occupancy, 4), "%", "theoretical occupancy"),
        }
        for member, info in COUNTERS.items():
            rows[info.name] = (self.counter(member), info.unit, info.text)
        for name, unit, text in MEMORY_COUNTERS:
            rows[name] = (self.memory_counters[name], unit, text)
        return rows

    @property
    def counters(self) -> pandas.DataFrame:
        """Statistics as a DataFrame indexed by name: value, unit, description."""
        import pandas

        frame = pandas.DataFrame.from_dict(self.values(), orient="index", columns=["value", "unit", "description"])
        frame.index.name = "name"
        return frame

    def stall_rows(self) -> list[dict[str, Any]]:
        """Sub-core cycles per reason over active sub-cores, largest first; `share` is of all sub-core cycles."""
        totals = self.sm_stalls.sum(axis=(0, 1))
        whole = int(totals.sum()) or 1
        rows = [
            {
                "reason": reason.name.lower(),
                "cycles": int(totals[reason]),
                "share": int(totals[reason]) / whole,
                "description": STALL_TEXT[reason],
            }
            for reason in Stall
        ]
        return sorted(rows, key=lambda row: (-row["cycles"], row["reason"]))

    @property
    def stalls(self) -> pandas.DataFrame:
        """The stall account as a DataFrame: reason, sub-core cycles, share, description."""
        import pandas

        return pandas.DataFrame(self.stall_rows())

    def check(self) -> None:
        """Every sub-core cycle is charged to exactly one reason; raises AssertionError otherwise."""
        per_subcore = self.sm_stalls.sum(axis=2)
        if not (per_subcore == self.kernel_cycles).all():
            bad = np.argwhere(per_subcore != self.kernel_cycles)[0]
            raise AssertionError(
                f"stall account of SM {bad[0]} sub-core {bad[1]} holds {per_subcore[tuple(bad)]} cycles,"
                f" the run has {self.kernel_cycles}"
            )
        by_instruction = self.profile[:, : len(Stall)].sum(axis=0)
        by_subcore = self.sm_stalls.sum(axis=(0, 1))
        if (by_instruction != by_subcore).any():
            reason = Stall(int(np.argmax(by_instruction != by_subcore)))
            raise AssertionError(
                f"{reason.name}: the instructions are charged {by_instruction[reason]} cycles, the sub-cores"
                f" {by_subcore[reason]}"
            )
        issued = int(self.sm_stalls[:, :, Stall.ISSUED].sum())
        if issued != self.warp_instructions:
            raise AssertionError(f"{issued} issue cycles for {self.warp_instructions} instructions")
