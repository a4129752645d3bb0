"""`subcore compare`: what changed between runs, and what that did."""

from __future__ import annotations

from pathlib import Path

import click

from subcore import options
from subcore.text import table


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR DIR...")
@click.option("--counters", "most", type=click.IntRange(0), default=12, show_default=True, help="Counters to show.")
@options.as_json
def command(runs: tuple[Path, ...], most: int, as_json: bool) -> None:
    """Compare run directories (`subcore simulate -o DIR`) with the first: knobs, cycles, stalls, counters."""
    from subcore.comparison import compare
    from subcore.stored_run import read_run

    if len(runs) < 2:
        raise click.UsageError("give at least two run directories")
    found = compare([read_run(directory) for directory in runs])
    if as_json:
        options.echo_json(found)
        return
    names = found["runs"]
    baseline = found["cycles"][0]
    rows = [
        (name, kernel, gpu, f"{cycles:,}", f"{baseline / cycles:.3f}", f"{bound['resource']}, {bound['share']:.0%}")
        for name, kernel, gpu, cycles, bound in zip(
            names, found["kernels"], found["gpus"], found["cycles"], found["bounds"], strict=True
        )
    ]
    click.echo(table(rows, ("run", "kernel", "gpu", "cycles", "speed-up", "highest lower bound"), "<<<>><"))
    for remark in found["remarks"]:
        click.echo(f"remark: {remark}")
    if found["knobs"]:
        click.echo("\n" + table([(knob, *values) for knob, values in found["knobs"].items()], ("knob", *names)))
    elif len(set(found["gpus"])) == 1:
        click.echo("\nthe configurations are equal")
    shares = [
        (reason, *(f"{100 * share:.1f}" for share in row), f"{100 * (row[-1] - row[0]):+.1f}")
        for reason, row in found["stalls"].items()
    ]
    click.echo("\n" + table(shares, ("% of sub-core cycles", *names, "change"), "<" + ">" * (len(names) + 1)))
    if most and found["counters"]:
        moved = list(found["counters"].items())[:most]
        lines = [(name, *(f"{v:,.6g}" for v in row["values"]), row["change"]) for name, row in moved]
        click.echo("\n" + table(lines, ("counter", *names, "change"), "<" + ">" * (len(names) + 1)))
