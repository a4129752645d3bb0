"""`subcore bench`: how fast the simulator is, and whether that has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from subcore import options

if TYPE_CHECKING:
    from subcore.bench import Row

_HEADER = (
    "kernel", "GPU", "SMs", "threads", "warp inst", "M inst/s", "of CPU time", "M SM cycles/s", "start s", "peak MB"
)  # fmt: skip
_RIGHT = "<<>>>>>>>>"


@click.group(invoke_without_command=True)
@click.option("-k", "--kernel", "names", multiple=True, metavar="NAME", help="Only this kernel; may be repeated.")
@click.option(
    "--sms", "sm_counts", multiple=True, type=click.IntRange(0), metavar="N", help="SMs; 0 = all. Default: 1, 16, all."
)
@click.option(
    "--threads", multiple=True, type=click.IntRange(1, 64), default=(1,), show_default=True, metavar="N",
    help="Cores that simulate; may be repeated.",
)  # fmt: skip
@click.option("--repetitions", type=click.IntRange(1), default=3, show_default=True, metavar="N")
@click.option(
    "--shared", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
    help="Folder of captured traces (bfs-rodinia-3.1-sm70, flashinfer-sm80); without it they are left out.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Keep the results (JSON).")
@options.force
@options.as_json
@click.pass_context
def command(
    context: click.Context,
    names: tuple[str, ...],
    sm_counts: tuple[int, ...],
    threads: tuple[int, ...],
    repetitions: int,
    shared: Path | None,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Measure simulation speed, memory and start-up on a fixed set of kernels.

    Results are kept with the machine and the commit; `subcore bench compare BEFORE AFTER` lays two of them side by
    side. Run it on an idle machine.
    """
    if context.invoked_subcommand is not None:
        return
    from isa.files import replace_file
    from subcore import bench

    cases = bench.find_cases(names, shared)
    if output is not None and output.exists() and not force:
        with replace_file(output):  # says what to do before minutes of work, not behind them
            pass
    results = bench.run(cases, sm_counts or bench.SM_COUNTS, threads, repetitions, shared, _progress)
    if output is not None:
        bench.write(output, results, force)
    if as_json:
        rows = [{**asdict(row), "instructions_per_second": row.instructions_per_second} for row in results.rows]
        options.echo_json({"machine": results.machine, "commit": results.commit, "rows": rows})
        return
    from subcore.text import table

    click.echo(table([_cells(row) for row in results.rows], _HEADER, _RIGHT))
    where = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    click.echo(f"\ncommit {results.commit}; {where}")


@command.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@options.as_json
def compare(before: Path, after: Path, as_json: bool) -> None:
    """Speed of two kept results side by side. A change within the noise of the repetitions is marked ~."""
    from isa.errors import SubcoreError
    from subcore import bench
    from subcore.text import table

    old, new = bench.read(before), bench.read(after)
    rows = bench.compare(old, new)
    if not rows:
        raise SubcoreError(f"{before} and {after} have no point in common")
    if as_json:
        options.echo_json(
            [
                {"kernel": b.case, "gpu": b.gpu, "sms": b.sms, "threads": b.threads, "ratio": ratio, "noise": noise,
                 "cycles_before": a.cycles, "cycles_after": b.cycles}
                for a, b, ratio, noise in rows
            ]
        )  # fmt: skip
        return
    cells = []
    for a, b, ratio, noise in rows:
        mark = "~" if abs(ratio - 1) <= noise else ""
        note = "" if a.cycles == b.cycles else f"cycles {a.cycles:,} -> {b.cycles:,}"
        speeds = (f"{r.instructions_per_second / 1e6:.2f}" for r in (a, b))
        cells.append((b.case, b.gpu, b.sms, b.threads, *speeds, f"{ratio:.2f}{mark}", f"{100 * noise:.0f} %", note))
    header = ("kernel", "GPU", "SMs", "threads", "before", "after M inst/s", "ratio", "noise", "")
    click.echo(table(cells, header, "<<>>>>>><"))
    if old.machine != new.machine:
        differing = [name for name in new.machine if old.machine.get(name) != new.machine[name]]
        click.echo(f"\nthe machines differ in {', '.join(differing)}")


@command.command()
@click.option("--repetitions", type=click.IntRange(1), default=3, show_default=True, metavar="N")
@options.as_json
def goals(repetitions: int, as_json: bool) -> None:
    """Measure what is promised for two cores: speed of one thread, gain of a second, growth with the length.

    Takes about five minutes on an idle machine, and says little on any other.
    """
    from subcore import bench
    from subcore.text import table

    found = bench.goals(repetitions, _progress)
    if as_json:
        options.echo_json([asdict(goal) for goal in found])
        return
    marks = {True: "met", False: "missed", None: ""}
    speeds, lengths = [], []
    for goal in found:
        if len(goal.measured) == 3:
            speeds.append((goal.case, goal.gpu, *(f"{value:.2f}" for value in goal.measured), marks[goal.met]))
        else:
            cost, growth = goal.measured
            size = f"{goal.warp_instructions / 1e6:.1f} M"
            lengths.append((goal.case, goal.gpu, size, f"{cost:.0f}", f"{100 * growth:+.0f} %", marks[goal.met]))
    click.echo(table(speeds, ("kernel", "GPU", "one thread", "two", "ratio", ""), "<<>>><"))
    click.echo("million warp instructions per second of wall time, all SMs\n")
    click.echo(table(lengths, ("kernel", "GPU", "warp inst", "ns each", "growth", ""), "<<>>><"))


def _progress(row: Row) -> None:
    click.echo(
        f"{row.case} on {row.gpu}, {row.sms} SMs, {row.threads} threads: "
        f"{row.instructions_per_second / 1e6:.2f} M warp instructions/s",
        err=True,
    )


def _cells(row: Row) -> Sequence[object]:
    return (
        row.case,
        row.gpu,
        row.sms,
        row.threads,
        f"{row.warp_instructions:,}",
        f"{row.instructions_per_second / 1e6:.2f}",
        f"{row.warp_instructions / row.cpu_seconds / 1e6:.2f}",
        f"{row.sm_cycles_per_second / 1e6:.2f}",
        f"{row.start_seconds:.2f}",
        f"{row.peak_bytes / 1e6:.0f}",
    )
