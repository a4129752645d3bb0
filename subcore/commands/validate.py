"""`subcore validate`: measured beside simulated."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from isa.errors import SubcoreError
from subcore import options
from subcore.commands import validate_hardware, validate_ncu
from subcore.commands.validate_memory import memory
from subcore.text import table

if TYPE_CHECKING:
    from validate.core import Case, Cell
    from validate.tensor import Outcome, Row


@click.group()
def command() -> None:
    """Compare the model with published measurements."""


command.add_command(memory)
validate_hardware.register(command)
command.add_command(validate_ncu.command)


@command.command()
@click.option(
    "-c", "--config", "gpu", metavar="GPU|FILE", help="Only the cases of this GPU's architecture, on this GPU."
)
@options.overlays
@options.settings
@click.option("--case", "names", multiple=True, metavar="NAME", help="Only this case; may be repeated.")
@options.as_json
@click.pass_context
def core(
    context: click.Context,
    gpu: str | None,
    overlays: tuple[str, ...],
    settings: tuple[str, ...],
    names: tuple[str, ...],
    as_json: bool,
) -> None:
    """Published measurements of the SM core, to the cycle.

    Exit code 1 if any cell differs that is not a row of validate/DEVIATIONS.md.
    """
    from validate.core import run_case
    from validate.deviations import read_deviations

    known = read_deviations("core")
    began = time.perf_counter()
    _compile()
    cells = [cell for case in _choose(gpu, names) for cell in run_case(case, overlays, settings)]
    rows = [(cell, next((row for row in known if row.covers(cell)), None)) for cell in cells]
    differing = [(cell, row) for cell, row in rows if not cell.agrees]
    failed = sum(row is None for _, row in differing)
    if as_json:
        options.echo_json(
            {
                "suite": "core",
                "cells": [_values(cell, row) for cell, row in rows],
                "differences": len(differing),
                "differences_unlisted": failed,
            }
        )
    else:
        click.echo(
            table(
                [_row(cell, row) for cell, row in rows],
                ("case", "cell", "gpu", "measured", "simulated", "difference", ""),
                "<<<>>><",
            )
        )
        click.echo(
            f"\n{len(cells):,} cells, {len(differing)} differ, {len(differing) - failed} of them listed in "
            f"DEVIATIONS.md, {failed} not; {time.perf_counter() - began:.1f} s"
        )
        for reason in dict.fromkeys(f"{row.case}, {row.cell}: {row.reason}" for _, row in differing if row is not None):
            click.echo(reason)
    if failed:
        context.exit(1)


@command.command()
@click.option("--workload", "names", multiple=True, metavar="NAME", help="Only this workload; may be repeated.")
@options.as_json
@click.pass_context
def ablations(context: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Published effects of the core's mechanisms beside ours: speed-up of each overlay on an RTX A6000.

    Exit code 1 if a speed-up leaves its accepted range. Needs the NVIDIA compiler wheels (extra `sass`).
    """
    from validate.ablations import load_suite, measure

    suite = load_suite()
    known = list(dict.fromkeys(item.workload.name for item in suite))
    if unknown := sorted(set(names) - set(known)):
        raise SubcoreError(f"no workload {', '.join(unknown)} in the ablation suite; there are {', '.join(known)}")
    _compile()
    items = list(measure([item for item in suite if not names or item.workload.name in names]))
    failed = sum(not item.agrees for item in items)
    if as_json:
        options.echo_json(
            {
                "suite": "ablations",
                "comparisons": [
                    {
                        "workload": item.workload.name,
                        "overlay": item.overlay,
                        "speed_up": item.speed_up,
                        "published": list(item.published),
                        "published_for": item.workload.theirs,
                        "accepted": item.accepted,
                        "source": item.source,
                    }
                    for item in items
                ],
                "failed": failed,
            }
        )
    else:
        click.echo(
            table(
                [
                    (
                        item.workload.name,
                        item.overlay,
                        f"{item.speed_up:.3f}",
                        " ".join(f"{value:g}" for value in item.published),
                        "{:g} to {:g}".format(*item.accepted) if item.accepted else "",
                        "" if item.agrees else "OUTSIDE",
                        f"{item.workload.theirs}, {item.source}" if item.published else "",
                    )
                    for item in items
                ],
                ("workload", "overlay", "ours", "published", "accepted", "", "published for"),
                "<<>><<<",
            )
        )
        click.echo(f"\n{len(items)} speed-ups, {failed} outside their range")
    if failed:
        context.exit(1)


@command.command()
@click.option("-c", "--config", "gpu", metavar="GPU", help="Only the rows that run on this GPU.")
@options.overlays
@options.settings
@click.option("--case", "names", multiple=True, metavar="NAME", help="Only this case; may be repeated.")
@options.as_json
@click.pass_context
def tensor(
    context: click.Context,
    gpu: str | None,
    overlays: tuple[str, ...],
    settings: tuple[str, ...],
    names: tuple[str, ...],
    as_json: bool,
) -> None:
    """Published latencies and rates of matrix and DPX instructions: within 2 cycles, within 3 %.

    Exit code 1 if any figure differs by more that is not a row of validate/DEVIATIONS.md.
    """
    from validate.deviations import read_deviations
    from validate.tensor import load_suite, run_row

    rows, left_out = load_suite()
    known = read_deviations("tensor")
    began = time.perf_counter()
    _compile()
    outcomes = [run_row(row, overlays, settings) for row in _choose_rows(rows, gpu, names)]
    found = [(item, next((row for row in known if row.covers(item)), None)) for item in outcomes]
    differing = [(item, row) for item, row in found if not item.agrees]
    failed = sum(row is None for _, row in differing)
    if as_json:
        options.echo_json(
            {
                "suite": "tensor",
                "rows": [_tensor_values(item, row) for item, row in found],
                "left_out": [
                    {"table": item.table, "board": item.board, "metric": item.metric, "reason": item.reason}
                    for item in left_out
                ],
                "differences": len(differing),
                "differences_unlisted": failed,
            }
        )
    else:
        header = ("case", "published", "on", "measured", "simulated", "unit", "difference", "")
        click.echo(table([_tensor_row(item, row) for item, row in found], header, "<<<>><><"))
        click.echo(
            f"\n{len(found)} figures, {len(differing)} differ, {len(differing) - failed} of them listed in "
            f"DEVIATIONS.md, {failed} not; {time.perf_counter() - began:.1f} s"
        )
        for reason in dict.fromkeys(f"{row.case}, {row.cell}: {row.reason}" for _, row in differing if row is not None):
            click.echo(reason)
        for item in left_out:
            click.echo(f"left out: {item.board}, {item.metric}: {item.reason}")
    if failed:
        context.exit(1)


def _choose_rows(rows: list[Row], gpu: str | None, names: tuple[str, ...]) -> list[Row]:
    """Rows by case and GPU. SubcoreError names what is unknown and what there is."""
    cases, gpus = list(dict.fromkeys(row.case for row in rows)), sorted({row.gpu for row in rows})
    if unknown := sorted(set(names) - set(cases)):
        raise SubcoreError(f"no case {', '.join(unknown)} in the tensor suite; there are {', '.join(cases)}")
    if gpu is not None and gpu not in gpus:
        raise SubcoreError(f"no row of the tensor suite runs on {gpu}; there are {', '.join(gpus)}")
    return [row for row in rows if (not names or row.case in names) and gpu in (None, row.gpu)]


def _tensor_row(item: Outcome, row: Any) -> tuple[str, ...]:
    unit = "" if item.row.measure == "latency" else " %"
    difference = "-" if item.difference is None else f"{item.difference:+.1f}{unit}"
    mark = "" if item.agrees else "listed" if row else "DIFFERS"
    simulated = "-" if item.simulated is None else f"{item.simulated:g}"
    return (item.case, item.cell, item.gpu, f"{item.measured:g}", simulated, item.row.unit, difference, mark)


def _tensor_values(item: Outcome, row: Any) -> dict[str, Any]:
    return {
        "case": item.case,
        "table": item.row.table,
        "board": item.row.board,
        "metric": item.row.metric,
        "gpu": item.gpu,
        "measure": item.row.measure,
        "unit": item.row.unit,
        "measured": item.measured,
        "simulated": item.simulated,
        "difference": item.difference,
        "limit": item.limit,
        "agrees": item.agrees,
        "deviation": row.reason if row is not None and not item.agrees else None,
        "source": item.row.source,
    }


def _choose(gpu: str | None, names: tuple[str, ...]) -> list[Case]:
    """Cases by name and, with a GPU, those of its architecture moved to it."""
    from dataclasses import replace

    from validate.core import architecture_of, load_suite

    cases = load_suite()
    if unknown := set(names) - {case.name for case in cases}:
        known = ", ".join(dict.fromkeys(case.name for case in cases))
        raise SubcoreError(f"no case {', '.join(sorted(unknown))} in the core suite; there are {known}")
    cases = [case for case in cases if not names or case.name in names]
    if gpu is not None:
        architecture = architecture_of(gpu)
        own = [case for case in cases if case.gpu == gpu]
        cases = own or [replace(case, gpu=gpu) for case in cases if architecture_of(case.gpu) == architecture]
        if not cases:
            raise SubcoreError(f"{gpu}: no case of the core suite was measured on sm_{architecture}")
    return cases


def _compile() -> None:
    from isa.jit import is_cold
    from sim.dispatch import run_gpu

    if is_cold(run_gpu):
        click.echo("compiling the simulator, once per version ...", err=True)


def _row(cell: Cell, row: Any) -> tuple[str, ...]:
    difference = "-" if cell.difference is None else f"{cell.difference:+g}" if cell.difference else "0"
    mark = "" if cell.agrees and not cell.difference else "allowed" if cell.agrees else "listed" if row else "DIFFERS"
    simulated = "-" if cell.simulated is None else f"{cell.simulated:g}"
    return (cell.case, cell.cell, cell.gpu, f"{cell.measured:g}", simulated, difference, mark)


def _values(cell: Cell, row: Any) -> dict[str, Any]:
    return {
        "case": cell.case,
        "cell": cell.cell,
        "gpu": cell.gpu,
        "measured": cell.measured,
        "simulated": cell.simulated,
        "difference": cell.difference,
        "tolerance": cell.tolerance,
        "agrees": cell.agrees,
        "deviation": row.reason if row is not None and not cell.agrees else None,
        "source": cell.source,
    }
