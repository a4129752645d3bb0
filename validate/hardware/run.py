"""Run the points of hardware suites through emulator and simulator, and keep what each gave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from configs.load import config_hash, load_config
from configs.schema import Config
from isa.errors import SubcoreError
from isa.files import replace_file
from isa.jit import cache_directory
from isa.load import Kernel, load_kernel
from sim.gpu import simulate_trace
from sim.result import RunResult
from sim.sampling import SampledResult, least_waves, simulate_sampled, waves
from traces.emulator.trace import EmulatedTrace, case_trace
from traces.kernels.catalogue import KernelCase, load_launch
from validate.hardware.bound import bound_of, shares
from validate.hardware.suite import Benchmark, Measurement

CODE = Path(__file__).parent / "code"
LIMIT = 40_000_000  # warp instructions of a point; of larger ones some waves of blocks are simulated
SAMPLE_LIMIT = 150_000_000  # warp instructions of the simulated waves; points that need more are left out and said so
FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class LaunchResult:
    """One simulated launch of a point."""

    kernel: str
    grid: list[int]
    block: list[int]
    cycles: int
    kernel_cycles: int
    warp_instructions: int
    stalls: dict[str, int]  # sub-core cycles by reason
    shares: dict[str, float]  # see validate.hardware.bound
    counters: dict[str, float]
    sampled: dict[str, float] = field(default_factory=dict)  # of a sampled launch; see `_sampled`


@dataclass(frozen=True, kw_only=True)
class PointResult:
    """A measured value beside the simulated one. `unit` is ns or cycles; `skipped` says why there is no result."""

    suite: str
    benchmark: str
    point: str
    role: str
    unit: str
    work: int
    measured: float
    simulated: float | None = None
    skipped: str = ""
    bound: str = ""
    key: str = ""
    launches: list[LaunchResult] = field(default_factory=list)

    @property
    def sampled(self) -> bool:
        """Whether part of a launch was inferred."""
        return any(launch.sampled for launch in self.launches)

    @property
    def error(self) -> float:
        """Signed, as a fraction. SubcoreError if the point was skipped."""
        if self.simulated is None:
            raise SubcoreError(f"{self.suite}.{self.benchmark} {self.point}: skipped, {self.skipped}")
        return (self.simulated - self.measured) / self.measured

    @property
    def file_name(self) -> str:
        return f"{self.suite}.{self.benchmark}.{self.point.replace(' ', '.')}.json"


def code_name(source: Path, architecture: int) -> str:
    """File name of the compiled code of a kernel source."""
    return f"{source.stem}.sm_{architecture}.cubin"


def code_path(source: Path, architecture: int, folder: Path | None = None) -> Path:
    """Compiled code of a kernel source: in `folder`, else as the suites keep it (see `validate.hardware.compile`).

    SubcoreError if it is not there.
    """
    path = (folder or CODE) / code_name(source, architecture)
    if not path.is_file():
        how = "run `python -m validate.hardware.compile`" if folder is None else f"{folder} must hold what was measured"
        raise SubcoreError(f"{path.name}: no compiled code for {source.name}; {how}")
    return path


@cache
def _kernel(path: Path, name: str) -> Kernel:
    return load_kernel(path, name)


def trace_of(case: KernelCase, architecture: int, folder: Path | None = None) -> EmulatedTrace:
    """Emulated launch of a kernel case with the code that was measured; `folder` as `code_path`.

    SubcoreError if its sizes change constants that the code was compiled with.
    """
    if case.defines != load_launch(case.name).defines:
        raise SubcoreError(f"{case.name}: the code was compiled with other constants than {dict(case.defines)}")
    return case_trace(_kernel(code_path(case.source, architecture, folder), case.kernel), case)


def estimate_instructions(trace: EmulatedTrace) -> int:
    """Warp instructions of the launch, from its first chunk of blocks."""
    chunk = next(iter(trace.blocks()))
    blocks = (len(chunk.warp_start) - 1) // trace.launch.warps_per_block
    return len(chunk.instruction) * trace.launch.blocks // blocks


@cache
def code_version() -> str:
    """Hash of the sources that results depend on: emulator and simulator."""
    folders = [cache_directory(name) for name in ("sim", "traces")]
    return hashlib.sha256(repr([f.name if f else "" for f in folders]).encode()).hexdigest()[:16]


def point_key(benchmark: Benchmark, point: Measurement, config: Config, limit: int) -> str:
    """What a result depends on: configuration, code of kernels and simulator, launch, limit, measured value."""
    digest = hashlib.sha256(repr((FORMAT, code_version(), config_hash(config), limit)).encode())
    digest.update(repr((asdict(point), benchmark.compare, benchmark.work, benchmark.role)).encode())
    for launch in benchmark.launches:
        case = load_launch(launch.kernel, {})
        digest.update(repr((launch.kernel, launch.sizes(point))).encode())
        digest.update(code_path(case.source, config.gpu.architecture, benchmark.code).read_bytes())
    return digest.hexdigest()[:32]


def run_point(benchmark: Benchmark, point: Measurement, config: Config, limit: int = LIMIT) -> PointResult:
    """Simulate the launches of a point one after the other; above `limit` warp instructions they are sampled."""
    common: dict[str, Any] = {
        "suite": benchmark.suite,
        "benchmark": benchmark.name,
        "point": point.label,
        "role": benchmark.role,
        "unit": "ns" if benchmark.compare == "duration" else "cycles",
        "work": benchmark.work_of(point),
        "measured": benchmark.measured(point),
        "key": point_key(benchmark, point, config, limit),
    }
    # launches that are the same take the same time: each is simulated once
    wanted = [(launch.kernel, tuple(sorted(launch.sizes(point).items()))) for launch in benchmark.launches]
    cases = {key: load_launch(key[0], dict(key[1])) for key in wanted}
    traces = {key: trace_of(case, config.gpu.architecture, benchmark.code) for key, case in cases.items()}
    total = sum(estimate_instructions(trace) for trace in traces.values())
    if total > limit:
        needed = sum(
            estimate_instructions(t) * min(1.0, least_waves(t, config) / waves(t, config)) for t in traces.values()
        )
        if needed > SAMPLE_LIMIT:
            return PointResult(
                **common,
                skipped=f"about {total / 1e6:.0f} M warp instructions, {needed / 1e6:.0f} M in the waves of a sample",
            )
        samples = {key: simulate_sampled(t, config, most_instructions=limit) for key, t in traces.items()}
        once = {key: _launch_result(s.simulated, s.cycles, _sampled(s)) for key, s in samples.items()}
    else:
        results = {key: simulate_trace(trace, config) for key, trace in traces.items()}
        once = {key: _launch_result(result, result.cycles, {}) for key, result in results.items()}
    launches = [once[key] for key in wanted]
    cycles = sum(launch.cycles for launch in launches)
    simulated = cycles * 1e3 / config.gpu.core_clock_mhz if benchmark.compare == "duration" else float(cycles)
    longest = max(launches, key=lambda launch: launch.cycles)
    return PointResult(**common, simulated=simulated, bound=bound_of(longest.shares), launches=launches)


def _sampled(sample: SampledResult) -> dict[str, float]:
    """What a sampled launch says about itself; empty if nothing was left out."""
    if not sample.inferred_blocks:
        return {}
    return {
        "blocks": sample.blocks,
        "simulated_blocks": sample.simulated_blocks,
        "simulated_share": round(sample.simulated_share, 4),
        "stated_error": round(sample.error, 4),
        "steady": float(sample.steady),
    }


def _launch_result(result: RunResult, cycles: int, sampled: dict[str, float]) -> LaunchResult:
    return LaunchResult(
        kernel=result.kernel,
        grid=list(result.launch.grid),
        block=list(result.launch.block),
        cycles=cycles,
        kernel_cycles=result.kernel_cycles,
        warp_instructions=result.warp_instructions,
        stalls={row["reason"]: row["cycles"] for row in result.stall_rows() if row["cycles"]},
        shares={name: round(value, 4) for name, value in shares(result).items()},
        counters={name: value for name, (value, _, _) in result.values().items() if value},
        sampled=sampled,
    )


def run_benchmarks(
    benchmarks: Sequence[Benchmark],
    extent: str = "default",
    *,
    overlays: Sequence[str] = (),
    settings: Sequence[str] = (),
    limit: int = LIMIT,
    store: Path | None = None,
    progress: Callable[[int, int, Benchmark, Measurement], None] | None = None,
) -> Iterator[PointResult]:
    """Results in suite order. With `store` (a folder), points whose key is there are read, others kept when done."""
    todo = [(benchmark, point) for benchmark in benchmarks for point in benchmark.select(extent)]
    for at, (benchmark, point) in enumerate(todo):
        if progress is not None:
            progress(at, len(todo), benchmark, point)
        config = load_config(benchmark.gpu, (*benchmark.overlays, *overlays), (*benchmark.settings, *settings))
        known = store and read_point(store / _file_name(benchmark, point))
        if known and known.key == point_key(benchmark, point, config, limit):
            yield known
            continue
        result = run_point(benchmark, point, config, limit)
        if store is not None:
            write_point(store, result)
        yield result


def _file_name(benchmark: Benchmark, point: Measurement) -> str:
    return f"{benchmark.suite}.{benchmark.name}.{point.label.replace(' ', '.')}.json"


def write_point(folder: Path, result: PointResult) -> None:
    with replace_file(folder / result.file_name, force=True) as file:
        file.write((json.dumps(asdict(result), indent=1, sort_keys=True) + "\n").encode())


def read_point(path: Path) -> PointResult | None:
    """A stored result; None if there is none. SubcoreError for a file that is no result."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return PointResult(**{**values, "launches": [LaunchResult(**launch) for launch in values["launches"]]})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SubcoreError(f"{path}: not a validation result ({error}); delete it to run the point again") from None
