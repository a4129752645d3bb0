"""`subcore plot`: figures from run directories and sweeps, each with the data it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isa.errors import SubcoreError
from subcore import options

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

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

    frames: list[pandas.DataFrame] = []
    for directory in runs:
        try:
            manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
            label = f"{manifest['trace']['launch']['kernel']}\n{manifest['config']['values']['gpu.name']}"
            frame = pandas.read_csv(directory / "stalls.csv")[["reason", "subcore_cycles"]]
        except (OSError, ValueError, KeyError) as error:
            raise SubcoreError(f"{directory}: not a run directory of one kernel ({error})") from None
        if any(label == seen["run"].iloc[0] for seen in frames):
            label += f" ({directory.name})"
        frame.insert(0, "run", label)
        frames.append(frame)
    return pandas.concat(frames, ignore_index=True)
