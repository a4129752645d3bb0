"""`subcore sweep`: many configurations and kernels, one table."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isa.errors import SubcoreError
from subcore import options

if TYPE_CHECKING:
    from subcore.sweep.spec import Spec


@click.command()
@click.argument("sources", nargs=-1, metavar="[TRACE|KERNEL]...")
@click.option("-f", "--file", "file", type=click.Path(path_type=Path), metavar="FILE", help="Sweep file (TOML).")
@click.option("--study", metavar="NAME", help="A shipped sweep; `--study list` names them.")
@click.option("-c", "--config", "gpus", multiple=True, metavar="GPU|FILE", help="GPU configuration; may be repeated.")
@click.option(
    "--param",
    "axes",
    multiple=True,
    metavar="SECTION.KNOB=V1,V2",
    help="An axis: a knob, a kernel size, or `overlay`; may be repeated.",
)
@click.option("--design", type=click.Choice(["grid", "list", "one_at_a_time"]), default="grid", show_default=True)
@options.overlays
@options.settings
@options.parameters
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the sweep.")
@click.option("-j", "--jobs", type=click.IntRange(1), metavar="N", help="Worker processes. Default: all cores.")
@click.option("--dask", metavar="ADDRESS", help="Run on the Dask scheduler at ADDRESS instead (extra `cluster`).")
@click.option("--retry-failed", is_flag=True, help="Run the points again that failed.")
@click.option("--list-points", is_flag=True, help="Print the points and run nothing.")
@options.force
def command(
    sources: tuple[str, ...],
    file: Path | None,
    study: str | None,
    gpus: tuple[str, ...],
    axes: tuple[str, ...],
    design: str,
    overlays: tuple[str, ...],
    settings: tuple[str, ...],
    parameters: tuple[str, ...],
    output: Path | None,
    jobs: int | None,
    dask: str | None,
    retry_failed: bool,
    list_points: bool,
    force: bool,
) -> None:
    """Simulate kernels over a space of configurations. Interrupted sweeps go on when the command is repeated.

    Say what to run on the command line, in a sweep file, or name a shipped study.

    Example: subcore sweep matmul_tiled -p n=128 -c rtx_a6000 --param l1d.mshrs=16,64,256 -o sweeps/mshrs
    """
    from subcore.sweep.run import RESULTS, run_sweep
    from subcore.sweep.spec import STUDIES, list_studies, near, read_spec

    if study == "list":
        for name in list_studies():
            click.echo(f"{name:24}{read_spec(STUDIES / f'{name}.toml').title}")
        return
    if sum((bool(sources), file is not None, study is not None)) != 1:
        raise click.UsageError("give kernels or traces, or --file, or --study")
    if not sources and (gpus or axes or overlays or settings or parameters):
        raise click.UsageError(
            "a sweep file or study says itself what varies; -c, -p, --param, --set do not go with it"
        )
    if study is not None:
        if study not in list_studies():
            raise SubcoreError(f"no study named {study!r}{near(study, list_studies())}")
        file = STUDIES / f"{study}.toml"
    spec = (
        read_spec(file)
        if file is not None
        else _from_options(sources, gpus, axes, design, overlays, settings, parameters)
    )
    if list_points:
        _print_points(spec)
        return
    if output is None:
        raise click.UsageError("say where with -o DIR")
    progress = _Progress()
    rows = run_sweep(
        spec,
        output,
        jobs=jobs or os.cpu_count() or 1,
        dask=dask,
        force=force,
        retry_failed=retry_failed,
        progress=progress,
    )
    progress.end()
    click.echo(_summary(spec, rows))
    click.echo(f"\n{output / RESULTS}")
    if all(row["status"] != "ok" for row in rows):
        raise SubcoreError("every point failed")


def _from_options(
    sources: tuple[str, ...],
    gpus: tuple[str, ...],
    axes: tuple[str, ...],
    design: str,
    overlays: tuple[str, ...],
    settings: tuple[str, ...],
    parameters: tuple[str, ...],
) -> Spec:
    from subcore.sweep.spec import Where, build_spec

    sizes = options.read_parameters(parameters)
    workloads: list[dict[str, Any]] = [
        {"trace": source} if Path(source).exists() else {"kernel": source, "parameters": sizes} for source in sources
    ]
    return build_spec(
        {
            "gpus": list(gpus),
            "design": design,
            "overlays": list(overlays),
            "settings": list(settings),
            "workload": workloads,
            "axis": [_axis(text) for text in axes],
        },
        Where("command line"),
    )


def _axis(text: str) -> dict[str, Any]:
    name, equals, values = (part.strip() for part in text.partition("="))
    items = [item.strip() for item in values.split(",")]
    if not equals or not name or (not all(items) and name != "overlay"):
        raise SubcoreError(
            f"--param {text!r}: must have the form section.knob=value,value or size=1,2 or overlay=NAME,"
        )
    if name == "overlay":
        return {"overlays": items}
    key = "knob" if "." in name else "parameter"
    return {key: name, "values": [_number(item) for item in items]}


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text, text)


def _print_points(spec: Spec) -> None:
    from subcore.text import table

    points = spec.points()
    rows = [(p.number, p.workload.label, p.gpu, *("" if value is None else value for _, value in p.at)) for p in points]
    click.echo(table(rows, ("point", "workload", "gpu", *spec.names)))


def _summary(spec: Spec, rows: list[dict[str, Any]], most: int = 40) -> str:
    """The table as text, shortened, and what failed."""
    from subcore.text import table

    shown = [
        (
            row["point"],
            row["workload"],
            row["gpu"],
            *("" if row[name] is None else row[name] for name in spec.names),
            f"{row['cycles']:,}" if row["status"] == "ok" else "failed",
            f"{row['ipc']:.2f}" if row["status"] == "ok" else "",
        )
        for row in rows[:most]
    ]
    right = ">" + "<<" + ">" * (len(spec.names) + 2)
    text = table(shown, ("point", "workload", "gpu", *spec.names, "cycles", "IPC"), right)
    if len(rows) > most:
        text += f"\n... {len(rows) - most:,} more points in the table"
    failed = [row for row in rows if row["status"] != "ok"]
    for row in failed[:10]:
        text += f"\npoint {row['point']} failed: {row['error']}"
    return text + (f"\n{len(failed)} of {len(rows)} points failed" if failed else "")


class _Progress:
    """Points done, rate and time left on standard error."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.first: int | None = None
        self.shown_at = 0.0

    def __call__(self, done: int, of: int) -> None:
        now = time.perf_counter()
        if self.first is None:
            self.first, self.began = done, now
            if done:
                click.echo(f"{done:,} of {of:,} points are done already", err=True)
            return
        if not sys.stderr.isatty() and (now - self.shown_at < 10 and done < of):
            return
        self.shown_at = now
        rate = (done - self.first) / max(now - self.began, 1e-9)
        left = (of - done) / rate if rate else 0.0
        text = f"{done:,} of {of:,} points, {rate:.2f}/s, {left:,.0f} s left"
        click.echo(f"\r\x1b[K{text}" if sys.stderr.isatty() else text, nl=not sys.stderr.isatty(), err=True)

    def end(self) -> None:
        if sys.stderr.isatty():
            click.echo("\r\x1b[K", nl=False, err=True)
