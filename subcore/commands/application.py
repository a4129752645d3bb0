"""`subcore application`: many launches, copies and events, and the host that calls for them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from subcore import options


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="FILE|FOLDER")
@click.option("-c", "--config", "gpu", metavar="GPU|FILE", help="GPU configuration: see `subcore config list`.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST|FILE",
    help="Host and its link, may be repeated to compare; `--host list` names them. Default: pcie_gen4_x86.",
)
@options.overlays
@options.settings
@click.option(
    "--l2",
    type=click.Choice(["warm", "cold"]),
    default="warm",
    show_default=True,
    help="What a kernel finds in the L2: what those before it left, or only what the host copied.",
)
@click.option(
    "--dispatch-us",
    type=click.FloatRange(0),
    default=0.0,
    metavar="US",
    help="Host time of the program before each launch or copy (a framework's dispatch); captures do not hold it.",
)
@click.option("-j", "--jobs", type=click.IntRange(1), default=1, metavar="N", help="Processes, with --l2 cold.")
@options.threads
@click.option("--any-arch", is_flag=True, help="Simulate code of an architecture that the GPU cannot run.")
@click.option("--max-cycles", type=click.IntRange(1), metavar="N", help="Stop if a kernel takes more cycles.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write a run directory.")
@click.option(
    "--perfetto", type=click.Path(path_type=Path), metavar="FILE", help="Write the time line of the first host."
)
@options.force
@options.as_json
def command(
    file: Path | None,
    gpu: str | None,
    hosts: tuple[str, ...],
    overlays: tuple[str, ...],
    settings: tuple[str, ...],
    l2: str,
    dispatch_us: float,
    jobs: int,
    threads: int,
    any_arch: bool,
    max_cycles: int | None,
    output: Path | None,
    perfetto: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Simulate an application: its kernels, and the time line of launches, copies and events around them.

    FILE is an Accel-Sim kernelslist, a folder of traces, or a TOML file of kernels and steps (its form:
    docs/applications.md). Every launch is simulated once; equal ones are reused and counted as such.

    Example: subcore application traces/kernelslist.g -c a100 --host pcie_gen4_x86 --host gh200 -o runs/step
    """
    if hosts == ("list",):
        click.echo(_host_list())
        return
    if file is None or gpu is None:
        raise click.UsageError("say what to run, and on which GPU: subcore application FILE -c GPU")
    from isa.errors import SubcoreError
    from isa.files import replace_file
    from subcore import rundir
    from subcore.application import report
    from subcore.application.perfetto import timeline_text
    from subcore.application.run import run_application

    if output is not None:
        rundir.check_target(output, force)
    if perfetto is not None and perfetto.exists() and not force:
        raise SubcoreError(f"{perfetto}: exists already; choose another name or pass --force")
    status = _Status()
    result = run_application(
        file,
        gpu,
        hosts,
        overlays=overlays,
        settings=settings,
        warm=l2 == "warm",
        jobs=jobs,
        threads=threads,
        dispatch_ns=round(dispatch_us * 1000),
        any_architecture=any_arch,
        max_cycles=max_cycles,
        progress=status.progress,
        on_compile=status.compiling,
    )
    status.end()
    if as_json:
        options.echo_json(report.values(result))
    else:
        click.echo(report.report(result))
    if perfetto is not None:
        with replace_file(perfetto, force) as stream:
            stream.write(timeline_text(result, result.played[0]).encode())
    if output is not None:
        given = {
            "file": str(file), "gpu": gpu, "hosts": list(hosts), "overlays": list(overlays), "settings": list(settings),
            "l2": l2, "dispatch_us": dispatch_us, "any_arch": any_arch, "max_cycles": max_cycles,
        }  # fmt: skip
        rundir.write_files(output, report.files(result, given), force)
        if not as_json:
            click.echo(f"\n{output}")


def _host_list() -> str:
    from sim.host.model import list_hosts, load_host
    from subcore.text import table

    parts = []
    for name in list_hosts():
        host = load_host(name)
        rows = [(knob, value, source) for knob, value, source, _ in host.rows()]
        parts.append(f"{name}: {host.name}\n{table(rows, (), '<><')}")
    return "\n\n".join(parts)


class _Status:
    """Launches done on standard error, while it is a terminal; compilation always."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()

    def progress(self, done: int, of: int) -> None:
        if self.terminal:
            click.echo(f"\r\x1b[Klaunch {done:,} of {of:,}", nl=False, err=True)

    def compiling(self) -> None:
        click.echo("compiling the simulator, once per version ...", err=True)

    def end(self) -> None:
        if self.terminal:
            click.echo("\r\x1b[K", nl=False, err=True)
