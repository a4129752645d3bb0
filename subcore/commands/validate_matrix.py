"""`subcore validate matrix`: whole matrix kernels beside published times."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from isa.errors import SubcoreError
from subcore import options
from subcore.commands import findings

if TYPE_CHECKING:
    from validate.deviations import Deviation
    from validate.matrix import Outcome


@click.command()
@options.overlays
@options.settings
@click.option("--case", "names", multiple=True, metavar="NAME", help="Only this case; may be repeated.")
@options.as_json
@click.pass_context
def matrix(
    context: click.Context, overlays: tuple[str, ...], settings: tuple[str, ...], names: tuple[str, ...], as_json: bool
) -> None:
    """Times of matrix products with the tile and stages of measured ones, and of attention as context.

    Exit code 1 if a time is beyond its limit that is not a row of validate/DEVIATIONS.md.
    """
    from subcore.api import compiler_missing
    from validate.deviations import compare
    from validate.matrix import load_suite, run_row

    if compiler_missing():
        raise SubcoreError("the matrix suite compiles its kernels: install the extra `sass` (nvrtc, nvdisasm)")
    rows = load_suite()
    cases = list(dict.fromkeys(row.case for row in rows))
    if unknown := sorted(set(names) - set(cases)):
        raise SubcoreError(f"no case {', '.join(unknown)} in the matrix suite; there are {', '.join(cases)}")
    began = time.perf_counter()
    findings.compile_simulator()
    outcomes = []
    for row in rows:
        if not names or row.case in names:
            click.echo(f"{row.case}: {row.cell} ...", err=True)
            outcomes.append(run_row(row, overlays, settings))
    findings.show(
        context, "matrix", compare("matrix", outcomes), began,
        header=("case", "kernel", "measured us", "simulated", "of peak", "simulated", "cycles", "error", "limit", ""),
        right="<<>>>>>>><", row=_row, values=_values, as_json=as_json, noun="kernels",
        notes=[f"{o.cell}: {o.row.remark}" for o in outcomes if o.row.remark],
    )  # fmt: skip


def _row(item: Outcome, known: Deviation | None) -> tuple[str, ...]:
    row, sample = item.row, item.sample
    mark = "" if item.agrees else "listed" if known else "DIFFERS"
    if sample.inferred_blocks:
        mark = f"{mark} {sample.simulated_blocks:,} of {sample.blocks:,} blocks, +-{sample.error:.1%}".strip()
    limit = "context" if row.limit_percent is None else f"{row.limit_percent:g} %"
    return (
        row.case, row.cell, f"{item.measured:.1f}", f"{item.simulated:.1f}", f"{row.of_peak(item.measured):.1%}",
        f"{row.of_peak(item.simulated):.1%}", f"{sample.cycles:,}", f"{100 * item.error:+.1f} %", limit, mark,
    )  # fmt: skip


def _values(item: Outcome) -> dict[str, Any]:
    row, sample = item.row, item.sample
    return {
        "case": row.case,
        "cell": row.cell,
        "board": row.board,
        "gpu": row.gpu,
        "kernel": row.kernel,
        "parameters": dict(row.parameters),
        "measured_us": item.measured,
        "simulated_us": item.simulated,
        "measured_of_peak": row.of_peak(item.measured),
        "simulated_of_peak": row.of_peak(item.simulated),
        "cycles": sample.cycles,
        "error": item.error,
        "limit_percent": row.limit_percent,
        "agrees": item.agrees,
        "blocks": sample.blocks,
        "simulated_blocks": sample.simulated_blocks,
        "stated_error": sample.error,
        "remark": row.remark,
        "source": row.source,
    }
