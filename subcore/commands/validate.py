"""`subcore validate`: measured beside simulated."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from isa.errors import SubcoreError
from subcore import options
from subcore.text import table

if TYPE_CHECKING:
    from validate.core import Case, Cell


@click.group()
def command() -> None:
    """Compare the model with published measurements."""


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
