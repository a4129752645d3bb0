"""`subcore export`: a window of a run, cycle by cycle, for pipeline and trace viewers or as a figure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isa.errors import SubcoreError
from subcore import options

if TYPE_CHECKING:
    from configs.schema import Config
    from subcore.timeline import Timeline
    from traces.stream import Trace


@dataclass(frozen=True)
class Window:
    """What to simulate, which part of it to keep, and where to write it."""

    source: str
    gpu: str | None
    overlays: tuple[str, ...]
    settings: tuple[str, ...]
    parameters: tuple[str, ...]
    arch: str | None
    any_arch: bool
    choice: options.LaunchChoice
    first: int
    last: int | None
    sm: int | None
    output: Path
    force: bool


_OPTIONS = (
    click.argument("source", metavar="DIR|TRACE|KERNEL|FILE"),
    click.option("-c", "--config", "gpu", metavar="GPU|FILE", help="GPU configuration; not for a run directory."),
    options.overlays,
    options.settings,
    options.parameters,
    click.option("-a", "--arch", metavar="sm_NN", help="Compile a named kernel for another architecture."),
    click.option("--any-arch", is_flag=True, help="Simulate code of an architecture that the GPU cannot run."),
    options.launch_options,
    click.option("--from", "first", type=click.IntRange(0), default=0, metavar="CYCLE", help="First cycle to keep."),
    click.option("--to", "last", type=click.IntRange(1), metavar="CYCLE", help="Cycle behind the last one to keep."),
    click.option("--sm", type=click.IntRange(0), metavar="N", help="Keep one SM only.  [default: all]"),
    click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE"),
    options.force,
)


def _window(command: Callable[[Window], None]) -> Callable[..., Any]:
    @wraps(command)
    def wrapped(**values: Any) -> None:
        command(Window(**values))

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


@click.group()
def command() -> None:
    """Write a window of a run, cycle by cycle: what every warp issued and what it waited for.

    The kernel is simulated again, up to the end of the window; give a run directory (`subcore simulate -o DIR`) to
    repeat that run, or what `subcore simulate` takes.
    """


@command.command("konata")
@_window
def konata(window: Window) -> None:
    """Pipeline diagram for the viewer Konata: a row per instruction, its stages, and the stall reason before issue.

    Example: subcore export konata saxpy -c rtx_a6000 --sm 0 --from 1500 --to 3000 -o saxpy.kanata
    """
    from subcore.konata import konata_lines

    timeline = _record(window)
    _write(window, (f"{line}\n" for line in konata_lines(timeline)))


@command.command("perfetto")
@_window
def perfetto(window: Window) -> None:
    """Trace events (JSON) for ui.perfetto.dev: tracks per warp and per unit, stall reasons, memory in flight.

    Example: subcore export perfetto runs/matmul --sm 0 -o matmul.json
    """
    from subcore.perfetto import perfetto_text

    timeline = _record(window)
    _write(window, perfetto_text(timeline))


@command.command("figure")
@_window
def figure(window: Window) -> None:
    """Figure (PNG, SVG, PDF): a row per warp, coloured by what it waits for. The data go into FILE with ending .csv.

    Example: subcore export figure runs/matmul --sm 0 --from 2000 --to 2600 -o matmul.svg
    """
    from subcore.commands.plot import check_output, save

    check_output(window.output, window.force)
    timeline = _record(window)
    import pandas

    from plots.timeline import timeline_figure

    frame = pandas.DataFrame([{**vars(s), "sass": timeline.text(s.index)} for s in timeline.states])
    save(timeline_figure(frame, f"{timeline.kernel} on {timeline.gpu}"), frame, window.output, window.force)


def _record(window: Window) -> Timeline:
    if window.output.exists() and not window.force:
        raise SubcoreError(f"{window.output}: exists already; choose another name or pass --force")
    if window.last is not None and window.last <= window.first:
        raise SubcoreError(f"--from {window.first} --to {window.last}: the window must not be empty")
    trace, config = _trace(window)
    from isa.jit import is_cold
    from sim.dispatch import run_gpu
    from subcore.commands.simulate import Status
    from subcore.timeline import record

    options.compile_emulator(trace)
    with Status(0, 1) as status:
        if is_cold(run_gpu):
            status.compiling()
        return record(trace, config, window.first, window.last, window.sm, progress=status.progress)


def _trace(window: Window) -> tuple[Trace, Config]:
    """The one kernel to simulate, and on what."""
    from subcore import api
    from subcore.stored_run import MANIFEST

    directory = Path(window.source)
    if (directory / MANIFEST).is_file():
        return _repeated(window, directory)
    if window.gpu is None:
        raise click.UsageError("-c GPU is needed, unless the source is a run directory")
    config = options.load(window.gpu, window.overlays, window.settings)
    architecture = options.read_architecture(window.arch) or config.gpu.architecture
    parameters = options.read_parameters(window.parameters)
    traces, _ = options.find_traces(window.source, architecture, parameters, window.choice)
    if len(traces) != 1:
        raise SubcoreError(f"{window.source}: holds {len(traces)} kernels; name the trace of one")
    if not window.any_arch:
        api.check_architecture(traces[0], config)
    return traces[0], config


def _repeated(window: Window, directory: Path) -> tuple[Trace, Config]:
    """What a run directory was made from. SubcoreError if that is gone or has changed."""
    from dataclasses import asdict

    from subcore.stored_run import read_run

    if window.gpu or window.overlays or window.settings or window.parameters or window.arch or window.choice.direct:
        raise click.UsageError("a run directory says itself what was run on what")
    manifest = read_run(directory).manifest
    given = manifest["inputs"]
    choice = options.LaunchChoice(
        given.get("launch_file"), given.get("kernel_name"), given.get("grid"), given.get("block"),
        tuple(given.get("arguments") or ()), given.get("shared_bytes") or 0, {"stack_bytes": given.get("stack_bytes")},
    )  # fmt: skip
    config = options.load(str(directory / "config.toml"), (), ())
    architecture = options.read_architecture(given.get("arch")) or config.gpu.architecture
    parameters = options.read_parameters(given.get("parameters") or ())
    traces, _ = options.find_traces(str(given["source"]), architecture, parameters, choice)
    if len(traces) > 1:  # one folder per kernel, numbered from 1
        number = int(directory.name) if directory.name.isdigit() else 0
        traces = traces[number - 1 : number]
    launch = json.loads(json.dumps(manifest["trace"]["launch"]))
    if len(traces) != 1 or json.loads(json.dumps(asdict(traces[0].launch))) != launch:
        raise SubcoreError(f"{directory}: {given['source']} is no longer what was run")
    return traces[0], config


def _write(window: Window, pieces: Iterable[str]) -> None:
    from isa.files import replace_file

    with replace_file(window.output, window.force) as file:
        for piece in pieces:
            file.write(piece.encode())
    click.echo(str(window.output))
