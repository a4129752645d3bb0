"""`subcore plot`: figures from run directories and sweeps, each with the data it shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isa.errors import SubcoreError
from subcore import options

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

    from subcore.stored_run import StoredRun

FORMATS = (".png", ".svg", ".pdf")


@click.group()
def command() -> None:
    """Draw figures from run directories (`subcore simulate -o DIR`) and sweeps."""


@command.command("stalls")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="PNG, SVG or PDF to write."
)
@options.force
def stalls(runs: tuple[Path, ...], output: Path, force: bool) -> None:
    """Where the sub-core cycles went: one stacked bar per run. The data go into FILE with the ending .csv."""
    check_output(output, force)
    from plots.stalls import stall_bars

    frame = read_stalls(runs)
    save(stall_bars(frame), frame, output, force)


@command.command("sweep")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--kind",
    type=click.Choice(["lines", "bars", "heatmap", "tornado"]),
    help="Default: tornado for one_at_a_time, lines along one numeric axis, heatmap for two, else bars.",
)
@click.option("-x", "x", metavar="AXIS", help="Axis of the sweep; default: the first one.")
@click.option("--by", "second", metavar="AXIS", help="Second axis of a heatmap; default: the second one.")
@click.option("-y", "y", metavar="COLUMN", default="cycles", show_default=True, help="Column of the table.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="PNG, SVG or PDF to write."
)
@options.force
def sweep(folder: Path, kind: str | None, x: str | None, second: str | None, y: str, output: Path, force: bool) -> None:
    """Draw the table of a sweep (`subcore sweep -o DIR`). The data go into FILE with the ending .csv."""
    check_output(output, force)
    import pandas

    from plots import sweeps
    from subcore.sweep.run import RESULTS

    try:
        frame = pandas.read_csv(folder / RESULTS, keep_default_na=True)
        names = list(frame.columns[3 : frame.columns.get_loc("status")])
    except (OSError, ValueError, KeyError) as error:
        raise SubcoreError(f"{folder}: not the folder of a finished sweep ({error})") from None
    for axis in (x, second):
        if axis is not None and axis not in names:
            raise SubcoreError(f"{folder}: the sweep has no axis {axis!r}; it has {', '.join(names)}")
    numeric = [name for name in names if pandas.api.types.is_numeric_dtype(frame[name]) and name != "overlay"]
    if kind is None:
        alone = frame[names].notna().sum(axis=1).max() == 1 and len(names) > 1
        kind = "tornado" if alone else "heatmap" if len(names) > 1 and x is None else "lines" if numeric else "bars"
    x = x or names[0]
    if kind == "tornado":
        figure, data = sweeps.tornado(frame, names, y)
    elif kind == "heatmap":
        second = second or next((name for name in names if name != x), x)
        figure, data = sweeps.heatmap(frame, x, second, y)
    elif kind == "lines":
        figure, data = sweeps.lines(frame, x, y)
    else:
        figure, data = sweeps.bars(frame, x, y)
    save(figure, data, output, force)


_RUNS = click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
_OUTPUT = click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="PNG, SVG or PDF to write."
)


@command.command("series")
@_RUNS
@_OUTPUT
@options.force
def series(runs: tuple[Path, ...], output: Path, force: bool) -> None:
    """Occupancy and IPC over time; of a single run also the stall reasons. The data go into FILE with ending .csv."""
    check_output(output, force)
    import pandas

    from plots.series import series_figure
    from subcore.series import rates, read_series

    found = [read_series(directory) for directory in runs]
    labels = labels_of([run for run, _ in found])
    frames = [
        pandas.DataFrame(rates(run, rows)).assign(run=label) for (run, rows), label in zip(found, labels, strict=True)
    ]
    frame = pandas.concat(frames, ignore_index=True)
    frame.insert(0, "run", frame.pop("run"))
    title = labels[0].replace("\n", " on ") if len(runs) == 1 else "Occupancy and instructions per cycle"
    save(series_figure(frame, title), frame, output, force)


@command.command("roofline")
@_RUNS
@click.option("--work", type=click.Choice(["flop", "instructions"]), help="Default: flop if every run has some.")
@_OUTPUT
@options.force
def roofline(runs: tuple[Path, ...], work: str | None, output: Path, force: bool) -> None:
    """Work per second over work per byte of L1, L2 and DRAM, below the peaks of the GPU (one GPU per figure)."""
    check_output(output, force)
    import pandas

    from plots.roofline import roofline_figure
    from subcore.roofline import points, roofs

    found = pandas.DataFrame(points(runs, None if work is None else work == "flop"))
    gpus = list(dict.fromkeys(found["gpu"]))
    if len(gpus) > 1:
        raise SubcoreError(f"runs of {' and '.join(gpus)}: a roofline has the peaks of one GPU")
    peaks = pandas.DataFrame(roofs(runs, found["unit"].iloc[0] == "FLOP"))
    data = pandas.concat([found, peaks], ignore_index=True)
    save(roofline_figure(found, peaks, f"Roofline of {gpus[0]}"), data, output, force)


@command.command("bounds")
@_RUNS
@_OUTPUT
@options.force
def bounds(runs: tuple[Path, ...], output: Path, force: bool) -> None:
    """How close each resource alone comes to the simulated cycles: lower bounds, a panel per run."""
    check_output(output, force)
    import pandas

    from plots.bounds import bound_bars
    from subcore.bounds import read_rows
    from subcore.stored_run import read_run

    found = [read_run(directory) for directory in runs]
    labels = labels_of(found)
    rows = [
        {"run": label, "cycles_simulated": run.manifest["cycles"], **row}
        for run, label, directory in zip(found, labels, runs, strict=True)
        for row in read_rows(directory)
    ]
    frame = pandas.DataFrame(rows)
    save(bound_bars(frame), frame, output, force)


@command.command("speedup")
@_RUNS
@_OUTPUT
@options.force
def speedup(runs: tuple[Path, ...], output: Path, force: bool) -> None:
    """Speed-up bars over the first GPU, or over the first run of each kernel, with the geometric mean.

    A bar group per kernel; runs of a kernel are told apart by GPU, or by folder where they ran on the same one.
    """
    check_output(output, force)
    import pandas

    from plots.sweeps import bars
    from subcore.stored_run import read_run

    found = [read_run(directory) for directory in runs]
    by_gpu = len({(run.kernel, run.knobs["gpu.name"]) for run in found}) == len(found)
    rows = [
        {"workload": run.kernel, "gpu": "", "run on": run.knobs["gpu.name"] if by_gpu else run.directory.name,
         "cycles": run.manifest["cycles"] / run.knobs["gpu.core_clock_mhz"] if by_gpu else run.manifest["cycles"],
         "status": "ok"}
        for run in found
    ]  # fmt: skip
    figure, data = bars(pandas.DataFrame(rows), "run on")
    save(figure, data, output, force)


def labels_of(runs: Sequence[StoredRun]) -> list[str]:
    """Kernel and GPU of each run in two lines; runs that these do not tell apart carry the folder's name."""
    labels = [f"{run.kernel}\n{run.knobs['gpu.name']}" for run in runs]
    return [
        f"{label} ({run.directory.name})" if labels.count(label) > 1 else label
        for label, run in zip(labels, runs, strict=True)
    ]


def check_output(output: Path, force: bool) -> None:
    """SubcoreError if `output` has no known ending, or it or its data file exist without `force`."""
    if output.suffix.lower() not in FORMATS:
        raise SubcoreError(f"{output}: the ending must be one of {', '.join(FORMATS)}")
    for target in (output, output.with_suffix(".csv")):
        if target.exists() and not force:
            raise SubcoreError(f"{target}: exists already; choose another name or pass --force")


def save(figure: Figure, data: pandas.DataFrame, output: Path, force: bool) -> None:
    """Write a figure and, beside it, its data as CSV; print both names."""
    write(figure, data, output, force)
    click.echo(f"{output}\n{output.with_suffix('.csv')}")


def write(figure: Figure, data: pandas.DataFrame, output: Path, force: bool) -> None:
    """Write a figure and, beside it, its data as CSV. The same data give the same bytes."""
    from isa.files import replace_file
    from plots.style import write_figure

    with replace_file(output, force) as file:
        write_figure(figure, file, output.suffix[1:].lower())
    with replace_file(output.with_suffix(".csv"), force) as file:
        file.write(data.to_csv(index=False, lineterminator="\n").encode())


def read_stalls(runs: tuple[Path, ...]) -> pandas.DataFrame:
    """Stall tables of run directories: run (kernel on GPU), reason, subcore_cycles."""
    import pandas

    from subcore.stored_run import read_run

    found = [read_run(directory) for directory in runs]
    rows = [
        (label, reason, cycles)
        for run, label in zip(found, labels_of(found), strict=True)
        for reason, cycles in run.stalls.items()
    ]
    return pandas.DataFrame(rows, columns=["run", "reason", "subcore_cycles"])
