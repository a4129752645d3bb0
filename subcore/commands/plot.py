"""`subcore plot`: figures from run directories, each with the data it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isa.errors import SubcoreError
from subcore import options

if TYPE_CHECKING:
    import pandas

FORMATS = (".png", ".svg", ".pdf")


@click.group()
def command() -> None:
    """Draw figures from run directories (`subcore simulate -o DIR`)."""


@command.command("stalls")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="PNG, SVG or PDF to write."
)
@options.force
def stalls(runs: tuple[Path, ...], output: Path, force: bool) -> None:
    """Where the sub-core cycles went: one stacked bar per run. The data go into FILE with the ending .csv."""
    if output.suffix.lower() not in FORMATS:
        raise SubcoreError(f"{output}: the ending must be one of {', '.join(FORMATS)}")
    from plots.stalls import stall_bars
    from traces.store import replace_file

    frame = read_stalls(runs)
    data = output.with_suffix(".csv")
    for target in (output, data):
        if target.exists() and not force:
            raise SubcoreError(f"{target}: exists already; choose another name or pass --force")
    figure = stall_bars(frame)
    kind = output.suffix[1:].lower()
    # no date or software version in the file: the same runs give the same bytes
    metadata: dict[str, None] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with replace_file(output, force) as file:
        figure.savefig(file, format=kind, metadata=metadata)
    with replace_file(data, force) as file:
        file.write(frame.to_csv(index=False, lineterminator="\n").encode())
    click.echo(f"{output}\n{data}")


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
