"""The ablation study: published effects of the core's mechanisms beside ours, as speed-ups of overlays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import exp, fsum, log
from pathlib import Path

from configs.load import load_config
from configs.schema import Config
from isa.errors import SubcoreError
from isa.files import read_toml
from sim.gpu import simulate_trace
from traces.store import open_trace
from traces.stream import Trace

SUITE = Path(__file__).parent / "suites" / "ablations.toml"
GPU = "rtx_a6000"
# Two SMs keep every SM full of blocks with small grids; the launch cost is the same with and without an overlay.
SETTINGS = ("gpu.sms=2", "launch.kernel_cycles=0")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One kernel of ours, or the shipped traces of an architecture; `theirs` is what the publication measured."""

    name: str
    theirs: str
    kernel: str = ""
    parameters: tuple[tuple[str, int], ...] = ()
    library: str = ""

    def traces(self) -> list[Trace]:
        """SubcoreError if the kernel cannot be compiled here."""
        if not self.library:
            from traces.emulator.trace import emulate
            from traces.kernels.catalogue import load_launch

            case = load_launch(self.kernel, dict(self.parameters))
            return [emulate(case, architecture=load_config(GPU).gpu.architecture)]
        files = sorted((Path(__file__).parent.parent / "traces" / "library").glob(f"*.{self.library}.sct"))
        if not files:
            raise SubcoreError(f"{self.name}: no shipped trace for {self.library}")
        return [open_trace(file) for file in files]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Speed-up of one overlay on one workload: cycles without over cycles with it."""

    workload: Workload
    overlay: str
    published: tuple[float, ...]
    source: str
    accepted: tuple[float, float] | None = None
    speed_up: float = 0.0

    @property
    def agrees(self) -> bool:
        return self.accepted is None or self.accepted[0] <= self.speed_up <= self.accepted[1]


def load_suite(path: Path = SUITE) -> list[Comparison]:
    """Comparisons in file order, not yet measured."""
    document, _ = read_toml(path)
    workloads = {
        entry["name"]: Workload(**{**entry, "parameters": tuple(entry.get("parameters", {}).items())})
        for entry in document["workload"]
    }
    return [
        Comparison(
            workload=workloads[group["workload"]],
            source=group["source"],
            overlay=row["overlay"],
            published=tuple(row["published"]),
            accepted=tuple(row["accepted"]) if "accepted" in row else None,
        )
        for group in document["comparison"]
        for row in group["rows"]
    ]


def measure(comparisons: list[Comparison]) -> Iterator[Comparison]:
    """The comparisons with their speed-ups, each baseline run once."""
    traces: dict[str, list[Trace]] = {}
    baselines: dict[str, list[int]] = {}
    for item in comparisons:
        name = item.workload.name
        if name not in traces:
            traces[name] = item.workload.traces()
            baselines[name] = _cycles(traces[name], load_config(GPU, (), SETTINGS))
        cycles = _cycles(traces[name], load_config(GPU, (item.overlay,), SETTINGS))
        ratios = [before / after for before, after in zip(baselines[name], cycles, strict=True)]
        yield replace(item, speed_up=exp(fsum(map(log, ratios)) / len(ratios)))


def _cycles(traces: list[Trace], config: Config) -> list[int]:
    return [simulate_trace(trace, config).cycles for trace in traces]
