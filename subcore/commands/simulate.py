"""`subcore simulate`: one trace or kernel on one GPU."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isa.errors import SubcoreError
from subcore import options

if TYPE_CHECKING:
    from configs.schema import Config
    from sim.result import RunResult
    from traces.stream import Trace

_INPUTS = ("source", "gpu", "overlays", "settings", "parameters", "arch", "any_arch", "max_cycles", "launch_file",
           "kernel_name", "grid", "block", "arguments", "shared_bytes", "stack_bytes", "cluster",
           "cooperative")  # fmt: skip


@click.command()
@click.argument("source", metavar="TRACE|KERNEL|FILE")
@options.config_options
@options.parameters
@click.option("-a", "--arch", metavar="sm_NN", help="Compile a named kernel for another architecture than the GPU's.")
@click.option("--any-arch", is_flag=True, help="Simulate code of an architecture that the GPU cannot run.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write a run directory.")
@options.launch_options
@options.force
@options.as_json
@click.option("--sample", is_flag=True, help="Simulate some waves of blocks, infer the others; for long kernels.")
@options.threads
@click.option("--max-cycles", type=click.IntRange(1), metavar="N", help="Stop with an error after so many cycles.")
def command(
    source: str,
    gpu: str,
    overlays: tuple[str, ...],
    settings: tuple[str, ...],
    parameters: tuple[str, ...],
    arch: str | None,
    any_arch: bool,
    output: Path | None,
    choice: options.LaunchChoice,
    force: bool,
    as_json: bool,
    sample: bool,
    threads: int,
    max_cycles: int | None,
) -> None:
    """Simulate a kernel and show its cycles, counters and where the cycles went.

    Give a trace (.sct, .traceg, .traceg.xz, a kernelslist or a folder of them), a launch file, or the name of a
    kernel of our library (`subcore trace kernels`), which is compiled for the GPU's architecture and emulated; or
    a .cu or .cubin file with --grid, --block and --arg.

    Example: subcore simulate matmul_tiled -c rtx_a6000 -p n=256 --set l1d.mshrs=64 -o runs/matmul
    """
    from subcore import api, rundir
    from traces.store import HashingTrace

    if output is not None:
        if sample:
            raise SubcoreError("--output: a run directory holds whole kernels; leave --sample or --output out")
        rundir.check_target(output, force)
    config = options.load(gpu, overlays, settings)
    architecture = options.read_architecture(arch) or config.gpu.architecture
    traces, remarks = options.find_traces(source, architecture, options.read_parameters(parameters), choice)
    runs, values_of_samples = [], []
    for number, trace in enumerate(traces):
        options.compile_emulator(trace)
        if sample:
            values_of_samples.append(
                _sample(trace, config, any_arch, max_cycles, remarks, (number, len(traces)), as_json)
            )
            continue
        if output is not None:
            trace = HashingTrace(trace)
        with Status(number, len(traces)) as status:
            result = api.simulate(
                trace,
                config,
                max_cycles=max_cycles,
                threads=threads,
                any_architecture=any_arch,
                progress=status.progress,
                on_compile=status.compiling,
            )
            status.compiled(result.compile_seconds)
        result = replace(result, warnings=(*remarks, *result.warnings))
        if not as_json:
            click.echo(("\n" if number else "") + _text(result))
        runs.append((trace, result))
    if as_json:
        values = values_of_samples or [_values(result) for _, result in runs]
        options.echo_json(values[0] if len(values) == 1 else values)
    if output is not None:
        given = click.get_current_context().params
        rundir.write_run(output, runs, {name: given[name] for name in _INPUTS}, force)
        if not as_json:
            click.echo(f"\n{output}")


def _sample(
    trace: Trace,
    config: Config,
    any_arch: bool,
    max_cycles: int | None,
    remarks: list[str],
    place: tuple[int, int],
    as_json: bool,
) -> dict[str, Any]:
    """Sample one kernel, print it unless the values are wanted as JSON, and return them."""
    from subcore import api
    from subcore.text import shown

    if max_cycles is not None:
        raise SubcoreError("--max-cycles: of a sample the length is not known before its end; leave --sample out")
    with Status(*place) as status:
        found = api.sample(
            trace, config, any_architecture=any_arch, progress=status.progress, on_compile=status.compiling
        )
        status.compiled(found.simulated.compile_seconds)
    part = replace(found.simulated, warnings=(*remarks, *found.remarks(), *found.simulated.warnings))
    if not as_json:
        click.echo("\n" if place[0] else "", nl=False)
        click.echo(
            f"whole kernel: {shown(found.cycles)} cycles +-{100 * found.error:.1f} %, {found.seconds * 1e6:,.2f} us, "
            f"{shown(found.warp_instructions)} warp instructions; below, the part that was simulated\n\n{_text(part)}"
        )
    return {
        **_values(part),
        "cycles": found.cycles,
        "sample": {
            "stated_error": found.error,
            "simulated_cycles": part.cycles,
            "simulated_blocks": found.simulated_blocks,
            "inferred_blocks": found.inferred_blocks,
            "simulated_share": found.simulated_share,
            "rates": list(found.rates),
            "steady": found.steady,
            "length_ratio": found.length_ratio,
        },
    }


class Status:
    """What happens, on standard error: compilation always, progress while it is a terminal."""

    def __init__(self, number: int, kernels: int) -> None:
        self.terminal = sys.stderr.isatty()
        self.prefix = f"kernel {number + 1} of {kernels}: " if kernels > 1 else ""

    def __enter__(self) -> Status:
        return self

    def __exit__(self, *_: object) -> None:
        self._line("")

    def progress(self, done: int, blocks: int, cycle: int) -> None:
        self._line(f"{self.prefix}{done:,} of {blocks:,} blocks, cycle {cycle:,}")

    def compiling(self) -> None:
        click.echo("compiling the simulator, once per version ...", err=True)

    def compiled(self, seconds: float) -> None:
        if seconds:
            self._line("")
            click.echo(f"compiled in {seconds:.1f} s", err=True)

    def _line(self, text: str) -> None:
        if self.terminal:
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)


def _text(result: RunResult) -> str:
    from subcore.report import report

    return (
        f"{report(result)}\n\nsimulated {result.warp_instructions:,} warp instructions in "
        f"{result.kernel_seconds:.2f} s: {result.instructions_per_second / 1e6:.2f} M/s"
    )


def _values(result: RunResult) -> dict[str, Any]:
    from subcore.bounds import bound_rows
    from subcore.report import warnings
    from subcore.rundir import statistics

    return {
        "kernel": result.kernel,
        "gpu": result.config.gpu.name,
        "cycles": result.cycles,
        "statistics": statistics(result),
        "bounds": bound_rows(result),
        "stalls": result.stall_rows(),
        "warnings": warnings(result),
    }
