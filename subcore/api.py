"""What Python users call: find a trace, find a configuration, simulate."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isa.errors import SubcoreError

if TYPE_CHECKING:
    from configs.schema import Config
    from sim.result import RunResult
    from sim.sampling import SampledResult
    from traces.emulator.trace import EmulatedTrace
    from traces.stream import Trace

LIBRARY = Path(__file__).resolve().parent.parent / "traces" / "library"


def load_config(name_or_path: str | Path, overlays: Sequence[str | Path] = (), settings: Sequence[str] = ()) -> Config:
    """Configuration of a shipped GPU (see `subcore config list`) or of a TOML file; see `configs.load.load_config`."""
    from configs import load

    return load.load_config(name_or_path, overlays, settings)


def load_trace(path: str | Path) -> Trace:
    """The one trace in a file: `.sct`, Accel-Sim `.traceg[.xz]`, older text layouts. SubcoreError if there are more."""
    traces = load_traces(path)
    if len(traces) != 1:
        raise SubcoreError(f"{path}: holds {len(traces)} kernels; use subcore.load_traces and take one")
    return traces[0]


def load_traces(path: str | Path) -> list[Trace]:
    """All traces of a file, a folder or an Accel-Sim kernelslist, in launch order."""
    from traces.load import open_any

    found = open_any(path)
    return list(found) if isinstance(found, list | tuple) else [found]


def emulate(
    kernel: str | Path,
    architecture: int | None = None,
    parameters: Mapping[str, int] | None = None,
    launch: str | Path | None = None,
    **options: Any,
) -> EmulatedTrace:
    """Trace of a kernel that is compiled and emulated on demand.

    `kernel` is a name of `traces/kernels`, a launch file (.toml), or a .cu or .cubin file with its launch file
    `launch` (default: the file of the same name beside it); `subcore.launch` needs none. `parameters` change the
    named sizes of the launch file; `architecture` (86 = sm_86) is what to compile for. `options` are those of
    `traces.emulator.trace.EmulatedTrace`. Needs the NVIDIA compiler wheels (extra `sass`).
    """
    from isa.load import load_kernel
    from traces.emulator.trace import case_trace
    from traces.emulator.trace import emulate as run
    from traces.kernels.catalogue import load_launch

    path = Path(kernel)
    if path.suffix not in (".cu", ".cubin"):
        return run(load_launch(launch or kernel, parameters), architecture=architecture, **options)
    beside = Path(launch) if launch is not None else path.with_suffix(".toml")
    if not path.is_file():
        raise SubcoreError(f"{path}: no such file")
    if not beside.is_file():
        raise SubcoreError(
            f"{beside}: no launch file for {path.name}; write one, or say how to launch it with --grid, --block and "
            "--arg (in Python: subcore.launch)"
        )
    case = load_launch(beside, parameters)
    if path.suffix == ".cu":
        return run(replace(case, source=path), architecture=architecture, **options)
    loaded = load_kernel(path, case.kernel)
    if architecture is not None and architecture != loaded.program.architecture:
        raise SubcoreError(f"{path}: holds code for sm_{loaded.program.architecture}, not sm_{architecture}")
    return case_trace(loaded, case, **options)


def find_traces(
    source: str | Path,
    architecture: int | None,
    parameters: Mapping[str, int] | None = None,
    launch: str | Path | None = None,
    **options: Any,
) -> tuple[list[Trace], list[str]]:
    """Traces that `source` names, and remarks about how they were found.

    `source` is a trace file or folder, a launch file, or a kernel's name. A named kernel is emulated for
    `architecture`; without the NVIDIA compiler its trace in `traces/library` is taken instead. `launch` and `options`
    as in `emulate`.
    """
    from traces.kernels.catalogue import list_kernels

    path = Path(source)
    if path.exists() and path.suffix not in (".toml", ".cu", ".cubin"):
        if parameters:
            raise SubcoreError(f"{source} is a recorded trace: its sizes {sorted(parameters)} cannot be changed")
        return load_traces(path), []
    if not path.exists() and str(source) not in list_kernels():
        near = difflib.get_close_matches(str(source), list_kernels(), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"kernels: {', '.join(list_kernels())}"
        raise SubcoreError(f"{source}: neither a file nor a kernel; {hint}")
    if compiler_missing() and not path.exists():
        stored = LIBRARY / f"{source}.sm_{architecture}.sct"
        if stored.is_file() and not parameters:
            return load_traces(stored), ["the CUDA compiler is not installed: replaying the trace in traces/library"]
    wanted = None if path.suffix == ".cubin" else architecture
    return [emulate(source, wanted, parameters, launch, **options)], []


def compiler_missing() -> bool:
    """True if the NVIDIA compiler or disassembler is not installed."""
    from isa.toolchain import find_nvdisasm, find_nvrtc

    try:
        find_nvrtc(), find_nvdisasm()
    except SubcoreError:
        return True
    return False


def check_architecture(trace: Trace, config: Config) -> None:
    """SubcoreError if the GPU could not run the trace's code: another major architecture, or a later minor one.

    sm_60 and sm_61 count as 70: their traces carry no timing of their own and run on the Volta model.
    """
    recorded, own = trace.launch.architecture, config.gpu.architecture
    effective = 70 if recorded in (60, 61, 62) else recorded
    if effective // 10 != own // 10 or effective > own:
        raise SubcoreError(
            f"{trace.launch.kernel}: code for sm_{recorded} does not run on {config.gpu.name} (sm_{own}); choose "
            f"a GPU of that architecture, or allow the mismatch (--any-arch, any_architecture=True) for a what-if"
        )


def simulate(
    source: str | Path | Trace,
    config: str | Path | Config,
    *,
    parameters: Mapping[str, int] | None = None,
    overlays: Sequence[str | Path] = (),
    settings: Sequence[str] = (),
    max_cycles: int | None = None,
    any_architecture: bool = False,
    **options: Any,
) -> RunResult:
    """Simulate one kernel and return its cycles, counters and stall table.

    `source`: a trace, the path of one, or a kernel's name (then `parameters` such as {"n": 256} change its sizes).
    `config`: a `Config`, a GPU's name or a TOML file, with `overlays` and `settings` ("l1d.mshrs=8") on top.
    `options` go to `sim.gpu.simulate_trace`: `threads`, `progress`, `on_compile`. Raises SubcoreError for anything
    wrong with the input.
    """
    from sim.gpu import simulate_trace

    trace, chosen, remarks = _prepare(source, config, parameters, overlays, settings, any_architecture)
    result = simulate_trace(trace, chosen, max_cycles=max_cycles, **options)
    return replace(result, warnings=(*remarks, *result.warnings))


def sample(
    source: str | Path | Trace,
    config: str | Path | Config,
    *,
    parameters: Mapping[str, int] | None = None,
    overlays: Sequence[str | Path] = (),
    settings: Sequence[str] = (),
    any_architecture: bool = False,
    **options: Any,
) -> SampledResult:
    """Simulate some waves of a long kernel's blocks and infer its cycles, with a stated error.

    Arguments as `simulate`; `options` go to `sim.sampling.simulate_sampled`: `most_instructions`, `progress`,
    `on_compile`. The result's `remarks()` say what was simulated and what was inferred.
    """
    from sim.sampling import simulate_sampled

    trace, chosen, _ = _prepare(source, config, parameters, overlays, settings, any_architecture)
    return simulate_sampled(trace, chosen, **options)


def _prepare(
    source: str | Path | Trace,
    config: str | Path | Config,
    parameters: Mapping[str, int] | None,
    overlays: Sequence[str | Path],
    settings: Sequence[str],
    any_architecture: bool,
) -> tuple[Trace, Config, list[str]]:
    """The one trace that `source` names, its configuration, and remarks about how it was found."""
    if isinstance(config, str | Path):
        config = load_config(config, overlays, settings)
    elif overlays or settings:
        raise SubcoreError("overlays and settings apply to a configuration that is given by name or file")
    remarks: list[str] = []
    if isinstance(source, str | Path):
        traces, remarks = find_traces(source, config.gpu.architecture, parameters)
        if len(traces) != 1:
            raise SubcoreError(f"{source}: holds {len(traces)} kernels; simulate each trace of subcore.load_traces")
        source = traces[0]
    elif parameters:
        raise SubcoreError(f"the sizes {sorted(parameters)} of a trace that exists already cannot be changed")
    if not any_architecture:
        check_architecture(source, config)
    return source, config, remarks
