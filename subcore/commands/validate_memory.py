"""`subcore validate memory`: microbenchmarks of the memory system beside published measurements."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isa.errors import SubcoreError
from subcore import options
from subcore.commands import findings
from subcore.commands.plot import write

if TYPE_CHECKING:
    from validate.deviations import Deviation
    from validate.memory.suite import Benchmark, Board, Cell, Outcome


@click.command()
@click.option("-c", "--config", "gpus", multiple=True, metavar="GPU", help="Only this board; may be repeated.")
@options.overlays
@options.settings
@click.option("--only", "names", multiple=True, metavar="NAME", help="Only this benchmark; may be repeated.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Draw each curve into DIR, with its data."
)
@click.option("--format", "kind", type=click.Choice(("svg", "png")), default="svg", help="Of the figures.")
@options.force
@options.as_json
@click.pass_context
def memory(
    context: click.Context,
    gpus: tuple[str, ...],
    overlays: tuple[str, ...],
    settings: tuple[str, ...],
    names: tuple[str, ...],
    output: Path | None,
    kind: str,
    force: bool,
    as_json: bool,
) -> None:
    """Microbenchmarks of the memory system beside published measurements.

    Each is a kernel of traces/kernels/memory, emulated and simulated. Exit code 1 if any cell is beyond its limit that
    is not a row of validate/DEVIATIONS.md.
    """
    from subcore.api import compiler_missing
    from validate.deviations import compare
    from validate.memory.run import run_benchmark

    if compiler_missing():
        raise SubcoreError("the memory suite compiles its kernels: install the extra `sass` (nvrtc, nvdisasm)")
    chosen = _benchmarks(gpus, names)
    began = time.perf_counter()
    findings.compile_simulator()
    outcomes = []
    for benchmark, board in chosen:
        click.echo(f"{benchmark.name} on {board.gpu} ...", err=True)
        outcomes.append(outcome := run_benchmark(benchmark, board, overlays, settings))
        if output is not None and outcome.points:
            _draw(outcome, output, kind, force)
    findings.show(
        context, "memory", compare("memory", [cell for outcome in outcomes for cell in outcome.cells]), began,
        header=("benchmark", "cell", "gpu", "measured", "simulated", "unit", "error", "limit", ""), right="<<<>><>><",
        row=_row, values=_values, as_json=as_json,
    )  # fmt: skip


def _benchmarks(gpus: tuple[str, ...], names: tuple[str, ...]) -> list[tuple[Benchmark, Board]]:
    """(benchmark, board) pairs by name and GPU. SubcoreError names what is unknown and what there is."""
    from validate.memory.suite import load_suite

    suite = load_suite()
    for what, asked, there in (
        ("benchmark", names, {b.name for b in suite}),
        ("board", gpus, {board.gpu for b in suite for board in b.boards}),
    ):
        if unknown := set(asked) - there:
            raise SubcoreError(
                f"no {what} {sorted(unknown)[0]} in the memory suite; there are {', '.join(sorted(there))}"
            )
    chosen = [b for b in suite if not names or b.name in names]
    return [(b, board) for b in chosen for board in b.boards if not gpus or board.gpu in gpus]


def _draw(outcome: Outcome, folder: Path, kind: str, force: bool) -> None:
    """One figure of the outcome's curves, and a CSV file of what it shows."""
    import pandas

    from plots.curves import curve_figure

    benchmark, board = outcome.benchmark, outcome.board
    frame = pandas.DataFrame(outcome.points)
    figure = curve_figure(
        frame, f"{benchmark.title}: {board.measured_on}", benchmark.x, benchmark.y, log_x=benchmark.log_x,
        log_y=benchmark.log_y,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write(figure, frame, folder / f"{benchmark.name}.{board.gpu}.{kind}", force)


def _row(cell: Cell, row: Deviation | None) -> tuple[str, ...]:
    relative = cell.rule == "relative"
    error = f"{100 * cell.error:+.1f} %" if relative else "" if cell.rule.startswith("at") else f"{cell.error:+.3g}"
    limit = f"{100 * cell.limit:g} %" if relative else f"{cell.rule} {cell.limit:g}" if cell.rule[:2] == "at" else ""
    mark = "" if cell.agrees else "listed" if row else "DIFFERS"
    return (
        cell.case, cell.cell, cell.gpu, f"{cell.measured:.4g}", f"{cell.simulated:.4g}", cell.unit, error, limit, mark
    )  # fmt: skip


def _values(cell: Cell) -> dict[str, Any]:
    return {**asdict(cell), "error": cell.error, "agrees": cell.agrees}
