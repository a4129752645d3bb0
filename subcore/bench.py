"""Speed of the simulator on a fixed set of kernels: measure, keep, compare.

Every point runs in a process of its own, so that its peak memory and its start are its own. Times are wall and CPU
time of whole runs with everything compiled, block streams loaded from memory; the best of the repetitions counts,
because anything else on the machine only ever adds.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from isa.errors import SubcoreError
from isa.files import replace_file

FORMAT = "subcore-bench-1"
ALL = 0  # SMs: as many as the GPU has
SM_COUNTS = (1, 16, ALL)


@dataclass(frozen=True)
class Case:
    """A kernel of our library at a size, or a captured trace (`path`, below the folder of shared data)."""

    name: str
    gpu: str
    bound: str
    parameters: dict[str, int] = field(default_factory=dict)
    path: str = ""


CASES = (
    Case("matmul_tiled", "rtx_a6000", "shared memory", {"n": 256}),
    Case("sgemm_register_tiled", "rtx_a6000", "FMA", {"m": 512, "n": 512, "k": 128}),
    Case("gemm_mma", "rtx_a6000", "tensor cores", {"m": 1024, "n": 1024, "k": 512}),
    Case("flash_attention", "rtx_a6000", "tensor cores", {"heads": 8, "sequence": 512}),
    Case("vectoradd", "rtx_a6000", "DRAM, streaming", {"n": 1 << 20}),
    Case("bfs_step", "rtx_a6000", "divergence", {"vertices": 262144, "frontier": 32768}),
    Case("pointer_chase", "rtx_a6000", "latency", {"elements": 65536, "steps": 16384}),
    Case("matmul_tiled", "h100_pcie", "shared memory", {"n": 256}),
    Case("vectoradd", "h100_pcie", "DRAM, streaming", {"n": 1 << 20}),
    Case("rodinia-bfs", "v100", "divergence", path="bfs-rodinia-3.1-sm70/kernel-9.traceg.xz"),
    Case(
        "flashinfer-prefill",
        "a100",
        "tensor cores",
        path="flashinfer-sm80/flashinfer-prefill/traces/kernel-1.traceg.xz",
    ),
    Case(
        "flashinfer-decode",
        "a100",
        "memory",
        path="flashinfer-sm80/flashinfer-singledecode/traces/kernel-1.traceg.xz",
    ),
)

# Lengths of one kernel: what an instruction costs must not grow with them. Blocks do the same however many there are:
# one, two and three full waves of four blocks on each SM, and streams beyond the L2.
GROWTH = (
    *(Case("sgemm_register_tiled", "rtx_a6000", "length", {"m": 2688 * n, "n": 1024, "k": 128}) for n in (1, 2, 3)),
    *(Case("vectoradd", "rtx_a6000", "length", {"n": n << 20}) for n in (4, 8, 16)),
)
GOALS = {  # million warp instructions per second of one thread, all SMs
    "shared memory": 2.0,
    "FMA": 2.0,
    "tensor cores": 2.0,
    "DRAM, streaming": 1.0,
    "divergence": 1.0,
}
TWO_THREADS_GOAL = 1.7  # times one thread, of the kernels with a goal
GROWTH_GOAL = 0.10


@dataclass(frozen=True)
class Goal:
    """What the project promises of a kernel, beside what was measured: speeds in million warp instructions per second,
    or, for a length, nanoseconds per instruction and their growth over the shortest one."""

    case: str
    gpu: str
    warp_instructions: int
    measured: tuple[float, ...]  # one thread, two threads, ratio; or nanoseconds, growth
    met: bool | None  # None: promises nothing


@dataclass(frozen=True)
class Row:
    """One point. Times in seconds, of the fastest repetition; memory in bytes."""

    case: str
    gpu: str
    bound: str
    sms: int
    threads: int
    warp_instructions: int
    sm_cycles: int  # cycles of all SMs with a resident warp
    cycles: int
    wall_seconds: float
    cpu_seconds: float
    slowest_seconds: float  # wall time of the slowest repetition: how noisy the machine was
    start_seconds: float  # new process to the first simulated cycle, kernels in the cache
    peak_bytes: int

    @property
    def key(self) -> tuple[str, str, int, int]:
        return self.case, self.gpu, self.sms, self.threads

    @property
    def instructions_per_second(self) -> float:
        """Simulated warp instructions per second of wall time."""
        return self.warp_instructions / self.wall_seconds

    @property
    def sm_cycles_per_second(self) -> float:
        return self.sm_cycles / self.wall_seconds


@dataclass(frozen=True)
class Results:
    machine: dict[str, Any]
    commit: str
    rows: tuple[Row, ...]


def machine() -> dict[str, Any]:
    """What the times depend on."""
    from importlib.metadata import version

    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), model)
    except OSError:
        pass  # not Linux
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numba", "llvmlite", "numpy")},
    }


def commit() -> str:
    """Commit of the checkout, `+` behind it when files are changed; the version of an installed package."""
    from importlib.metadata import version

    root = Path(__file__).resolve().parent.parent
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return version("subcore")
    return done.stdout.strip()


def measure(path: str, case: Case, sms: int, threads: int, repetitions: int, began: float) -> Row:
    """Simulate one point in this process. `began`: `time.time()` when the process was asked for."""
    from configs.load import load_config
    from sim.gpu import Machine, run_gpu
    from sim.stats import Counter
    from traces.load import open_any

    found = open_any(path)
    trace = found[0] if isinstance(found, list | tuple) else found
    settings = (f"gpu.sms={sms}", "gpu.sms_per_tpc=1") if sms == 1 else (f"gpu.sms={sms}",) if sms else ()
    config = load_config(case.gpu, settings=settings)
    run_gpu(*Machine(trace, config, threads=threads)._arguments(0))
    start = time.time() - began
    kept = Kept(trace)
    wall, cpu = [], []
    for _ in range(repetitions):
        machine = Machine(kept, config, threads=threads)
        wall_began, cpu_began = time.perf_counter(), time.process_time()
        machine.run()
        wall.append(time.perf_counter() - wall_began)
        cpu.append(time.process_time() - cpu_began)
        result = machine.result()
        del machine
    result.check()
    return Row(
        case=case.name,
        gpu=case.gpu,
        bound=case.bound,
        sms=config.gpu.sms,
        threads=threads,
        warp_instructions=result.warp_instructions,
        sm_cycles=result.counter(Counter.ACTIVE_CYCLES),
        cycles=result.cycles,
        wall_seconds=min(wall),
        cpu_seconds=min(cpu),
        slowest_seconds=max(wall),
        start_seconds=start,
        peak_bytes=peak_bytes(),
    )


class Kept:
    """A trace whose chunks stay in memory, so that reading them is not measured."""

    def __init__(self, trace: Any) -> None:
        self.launch, self.program, self._chunks = trace.launch, trace.program, list(trace.blocks())

    def blocks(self) -> Iterator[Any]:
        return iter(self._chunks)


def peak_bytes() -> int:
    """Most memory that this process has had. Linux counts in `ru_maxrss` what its parent had when it started it."""
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass  # not Linux
    try:
        import resource
    except ImportError:
        return 0  # Windows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def find_cases(names: Sequence[str], shared: Path | None) -> list[Case]:
    """The cases of these names, or all; those whose trace `shared` does not hold are left out unless named."""
    known = {case.name for case in CASES}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SubcoreError(f"no benchmark {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    chosen = []
    for case in CASES:
        if names and case.name not in names:
            continue
        if case.path and (shared is None or not (shared / case.path).is_file()):
            if names:
                raise SubcoreError(f"{case.name}: {case.path} is not below {shared or 'a folder given by --shared'}")
            continue
        chosen.append(case)
    return chosen


def run(
    cases: Sequence[Case],
    sm_counts: Sequence[int] = SM_COUNTS,
    threads: Sequence[int] = (1,),
    repetitions: int = 3,
    shared: Path | None = None,
    report: Callable[[Row], None] = lambda row: None,
) -> Results:
    """Measure every case at every number of SMs and threads; `report` gets each row as soon as it is there.

    Kernels are compiled and emulated once, which needs the NVIDIA wheels. SubcoreError for an impossible point.
    """
    spawn = multiprocessing.get_context("spawn")
    rows = []
    with tempfile.TemporaryDirectory(prefix="subcore-bench-") as folder:
        for case in cases:
            path = str((shared or Path()) / case.path) if case.path else _emulated(case, Path(folder))
            _compile(path, case)
            for sms in sm_counts:
                for count in threads:
                    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                        asked = pool.submit(measure, path, case, sms, count, repetitions, time.time())
                        rows.append(asked.result())
                    report(rows[-1])
    return Results(machine(), commit(), tuple(rows))


def goals(repetitions: int = 3, report: Callable[[Row], None] = lambda row: None) -> list[Goal]:
    """Measure what the project promises on a machine with two cores: speed, gain of a second thread, growth."""
    found = []
    rows = run(find_cases((), None), (ALL,), (1, 2), repetitions, None, report).rows
    for one, two in zip(rows[::2], rows[1::2], strict=True):
        speeds = one.instructions_per_second / 1e6, two.instructions_per_second / 1e6
        ratio = speeds[1] / speeds[0]
        met = speeds[0] >= GOALS[one.bound] and ratio >= TWO_THREADS_GOAL if one.bound in GOALS else None
        found.append(Goal(one.case, one.gpu, one.warp_instructions, (*speeds, ratio), met))
    first: dict[str, float] = {}
    for row in run(GROWTH, (ALL,), (1,), repetitions, None, report).rows:
        cost = 1e9 * row.cpu_seconds / row.warp_instructions
        growth = cost / first.setdefault(row.case, cost) - 1
        found.append(Goal(row.case, row.gpu, row.warp_instructions, (cost, growth), growth <= GROWTH_GOAL))
    return found


def _emulated(case: Case, folder: Path) -> str:
    from configs.load import load_config
    from subcore.api import emulate
    from traces.store import write_trace

    size = "-".join(map(str, case.parameters.values()))
    path = folder / f"{case.name}.{case.gpu}.{size}.sct"
    write_trace(path, emulate(case.name, load_config(case.gpu).gpu.architecture, case.parameters))
    return str(path)


def _compile(path: str, case: Case) -> None:
    """Compile here if it must be: compiling is not what the children measure."""
    from configs.load import load_config
    from sim.gpu import Machine, is_cold, run_gpu
    from traces.load import open_any

    if is_cold(run_gpu):
        found = open_any(path)
        trace = found[0] if isinstance(found, list | tuple) else found
        run_gpu(*Machine(trace, load_config(case.gpu))._arguments(0))


def write(path: Path, results: Results, force: bool) -> None:
    rows = [asdict(row) for row in results.rows]
    value = {"format": FORMAT, "machine": results.machine, "commit": results.commit, "rows": rows}
    with replace_file(path, force) as file:
        file.write((json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def read(path: Path) -> Results:
    """Results from a file of `write`; SubcoreError names the file and what is wrong with it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] != FORMAT:
            raise SubcoreError(f"{path}: format {value['format']!r}; {FORMAT} expected")
        rows = tuple(Row(**row) for row in value["rows"])
        return Results(dict(value["machine"]), str(value["commit"]), rows)
    except OSError as error:
        raise SubcoreError(f"{path}: cannot read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, SubcoreError):
            raise
        raise SubcoreError(f"{path}: no results of `subcore bench`: {error}") from None


def compare(before: Results, after: Results) -> list[tuple[Row, Row, float, float]]:
    """(row before, row after, speed after / before, noise) of the points in both, in the order of `after`.

    noise: how far apart the repetitions of either point lie, as a share; a change below it means nothing.
    """
    known = {row.key: row for row in before.rows}
    found = []
    for row in after.rows:
        if old := known.get(row.key):
            noise = max(r.slowest_seconds / r.wall_seconds - 1 for r in (old, row))
            found.append((old, row, row.instructions_per_second / old.instructions_per_second, noise))
    return found
