"""What the commands of `subcore validate` that compare cell by cell have in common: their output and exit code."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from subcore import options
from subcore.text import table

if TYPE_CHECKING:
    from validate.deviations import C, Deviation, Findings


def compile_simulator() -> None:
    """Say that the simulator will compile, if it will."""
    from isa.jit import is_cold
    from sim.dispatch import run_gpu

    if is_cold(run_gpu):
        click.echo("compiling the simulator, once per version ...", err=True)


def show(
    context: click.Context,
    suite: str,
    findings: Findings[C],
    began: float,
    *,
    header: tuple[str, ...],
    right: str,
    row: Callable[[C, Deviation | None], Sequence[str]],
    values: Callable[[C], dict[str, Any]],
    as_json: bool,
    noun: str = "cells",
    extra: dict[str, Any] | None = None,
    notes: Iterable[str] = (),
) -> None:
    """Print the table or the JSON of a suite, and exit with 1 if a cell differs that DEVIATIONS.md does not list.

    began: `time.perf_counter()` of the start; right: alignment of the columns, as in `table`; row, values: a cell as
    cells of the table, as JSON; extra: further entries of the JSON; notes: lines below the table.
    """
    differing, failed = findings.differing, findings.unlisted
    if as_json:
        cells = [
            {**values(cell), "deviation": known.reason if known is not None and not cell.agrees else None}
            for cell, known in findings.rows
        ]
        counts = {"differences": len(differing), "differences_unlisted": len(failed)}
        options.echo_json({"suite": suite, "cells": cells, **counts, **(extra or {})})
    else:
        click.echo(table([row(cell, known) for cell, known in findings.rows], header, right))
        click.echo(
            f"\n{len(findings.rows):,} {noun}, {len(differing)} differ, {len(differing) - len(failed)} of them listed "
            f"in DEVIATIONS.md, {len(failed)} not; {time.perf_counter() - began:.1f} s"
        )
        for line in (*findings.reasons, *notes):
            click.echo(line)
    if failed:
        context.exit(1)
