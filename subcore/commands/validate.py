"""`subcore validate`: measured beside simulated."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from isa.errors import SubcoreError
from subcore import options
from subcore.commands import findings, validate_hardware, validate_ncu
from subcore.commands.validate_matrix import matrix
from subcore.commands.validate_memory import memory
from subcore.text import table

if TYPE_CHECKING:
    from validate.core import Case, Cell
    from validate.deviations import Deviation
    from validate.tensor import Outcome, Row


@click.group()
def command() -> None:
    """Compare the model with published measurements."""


command.add_command(memory)
command.add_command(matrix)
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
    from validate.deviations import compare

    began = time.perf_counter()
    cases = _choose(gpu, names)
    findings.compile_simulator()
    cells = [cell for case in cases for cell in run_case(case, overlays, settings)]
    findings.show(
        context, "core", compare("core", cells), began,
        header=("case", "cell", "gpu", "measured", "simulated", "difference", ""), right="<<<>>><", row=_row,
        values=_values, as_json=as_json,
    )  # fmt: skip


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
    findings.compile_simulator()
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
    """Published latencies and rates of matrix and DPX instructions: within 2 cycles, within 3 %; of copies within 10 %.

    Exit code 1 if any figure differs by more that is not a row of validate/DEVIATIONS.md.
    """
    from validate.deviations import compare
    from validate.tensor import load_suite, run_row

    rows, left_out = load_suite()
    began = time.perf_counter()
    chosen = _choose_rows(rows, gpu, names)
    findings.compile_simulator()
    outcomes = [run_row(row, overlays, settings) for row in chosen]
    reasons = [{"table": i.table, "board": i.board, "metric": i.metric, "reason": i.reason} for i in left_out]
    findings.show(
        context, "tensor", compare("tensor", outcomes), began,
        header=("case", "published", "on", "measured", "simulated", "unit", "difference", ""), right="<<<>><><",
        row=_tensor_row, values=_tensor_values, as_json=as_json, noun="figures", extra={"left_out": reasons},
        notes=[f"left out: {item.board}, {item.metric}: {item.reason}" for item in left_out],
    )  # fmt: skip


def _choose_rows(rows: list[Row], gpu: str | None, names: tuple[str, ...]) -> list[Row]:
    """Rows by case and GPU. SubcoreError names what is unknown and what there is."""
    cases, gpus = list(dict.fromkeys(row.case for row in rows)), sorted({row.gpu for row in rows})
    if unknown := sorted(set(names) - set(cases)):
        raise SubcoreError(f"no case {', '.join(unknown)} in the tensor suite; there are {', '.join(cases)}")
    if gpu is not None and gpu not in gpus:
        raise SubcoreError(f"no row of the tensor suite runs on {gpu}; there are {', '.join(gpus)}")
    return [row for row in rows if (not names or row.case in names) and gpu in (None, row.gpu)]


def _tensor_row(item: Outcome, row: Deviation | None) -> tuple[str, ...]:
    unit = "" if item.row.measure == "latency" else " %"
    difference = "-" if item.difference is None else f"{item.difference:+.1f}{unit}"
    mark = "" if item.agrees else "listed" if row else "DIFFERS"
    simulated = "-" if item.simulated is None else f"{item.simulated:g}"
    return (item.case, item.cell, item.gpu, f"{item.measured:g}", simulated, item.row.unit, difference, mark)


def _tensor_values(item: Outcome) -> dict[str, Any]:
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


def _row(cell: Cell, row: Deviation | None) -> tuple[str, ...]:
    difference = "-" if cell.difference is None else f"{cell.difference:+g}" if cell.difference else "0"
    mark = "" if cell.agrees and not cell.difference else "allowed" if cell.agrees else "listed" if row else "DIFFERS"
    simulated = "-" if cell.simulated is None else f"{cell.simulated:g}"
    return (cell.case, cell.cell, cell.gpu, f"{cell.measured:g}", simulated, difference, mark)


def _values(cell: Cell) -> dict[str, Any]:
    return {
        "case": cell.case,
        "cell": cell.cell,
        "gpu": cell.gpu,
        "measured": cell.measured,
        "simulated": cell.simulated,
        "difference": cell.difference,
        "tolerance": cell.tolerance,
        "agrees": cell.agrees,
        "source": cell.source,
    }
