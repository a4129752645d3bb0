"""`subcore validate hardware` and one command per hardware suite: kernel times of real cards beside the simulated."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isa.errors import SubcoreError
from subcore import options
from subcore.text import table

if TYPE_CHECKING:
    from validate.hardware.run import PointResult
    from validate.hardware.suite import Benchmark, Measurement
    from validate.hardware.summary import Row

FORMAT = "subcore-validation"
SUITES = ("cuda_sdk", "launch", "polybench")
HEADER = ("benchmark", "points", "MAPE", "median", "P90", "max", "bias", "<20 %", "r", "rank", "slope", "tier", "")


def register(group: click.Group) -> None:
    """Add the commands to `subcore validate`."""
    group.add_command(_command("hardware", SUITES, "Kernel times of real cards: every hardware suite."))
    for suite in SUITES:
        group.add_command(_command(suite, (suite,), f"Kernel times of real cards: the suite {suite}."))
    group.add_command(_campaign())


def _campaign() -> click.Command:
    @click.command("campaign", short_help="Kernel times that the measuring kit wrote.")
    @click.argument("table_file", metavar="FILE.csv", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    @click.option("-c", "--config", "gpu", metavar="GPU|FILE", required=True, help="The card that was measured.")
    @_options
    @click.pass_context
    def campaign(context: click.Context, table_file: Path, gpu: str, **given: Any) -> None:
        """Kernel times of your own card: kernels.csv, as `python -m validate.campaign` writes it.

        The kit builds and times the kernels of traces/kernels on any machine with an NVIDIA GPU, nvcc and numpy; see
        validate/campaign. Output, options and exit code as of `subcore validate hardware`.
        """
        from validate.hardware.suite import load_campaign

        _run(context, load_campaign(table_file, gpu), None, **given)

    return campaign


def _options(function: Any) -> Any:
    """The options that all commands here share."""
    for add in reversed(
        (
            options.overlays,
            options.settings,
            click.option("--benchmark", "names", multiple=True, metavar="NAME", help="Only this; may be repeated."),
            click.option("--quick", "extent", flag_value="quick", help="A few small points of each benchmark."),
            click.option("--all", "extent", flag_value="all", help="Every measured point, also of the large grids."),
            click.option(
                "--limit", default=40.0, show_default=True, metavar="M",
                help="Million warp instructions of a point; above it some waves of blocks are simulated.",
            ),
            click.option("--points", "show_points", is_flag=True, help="Print every point."),
            click.option(
                "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Keep results; go on there."
            ),
            options.as_json,
        )
    ):  # fmt: skip
        function = add(function)
    return function


def _command(name: str, suites: tuple[str, ...], text: str) -> click.Command:
    @click.command(
        name,
        help=f"""{text}

        Errors are signed, (simulated - measured) / measured. Exit code 1 if the mean absolute error of a validation
        benchmark is beyond its tier. Needs the NVIDIA disassembler (extra `sass`).

        With -o DIR every result is kept, results that are there and still valid are taken, and `subcore report DIR`
        makes the error report.
        """,
        short_help=text,
    )
    @click.option("-c", "--config", "gpu", metavar="GPU|FILE", help="Instead of the board that was measured.")
    @_options
    @click.pass_context
    def command(context: click.Context, gpu: str | None, **given: Any) -> None:
        from validate.hardware.suite import load_suite

        _run(context, [benchmark for suite in suites for benchmark in load_suite(suite)], gpu, **given)

    return command


def _run(
    context: click.Context,
    benchmarks: list[Benchmark],
    gpu: str | None,
    overlays: tuple[str, ...],
    settings: tuple[str, ...],
    names: tuple[str, ...],
    extent: str | None,
    limit: float,
    show_points: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    from dataclasses import replace

    from configs.load import load_config
    from validate.hardware.run import run_benchmarks
    from validate.hardware.suite import card_of
    from validate.hardware.summary import by_benchmark, by_bound, by_suite

    known = [benchmark.name for benchmark in benchmarks]
    if unknown := sorted(set(names) - set(known)):
        raise SubcoreError(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    benchmarks = [b for b in benchmarks if not names or b.name in names]
    if gpu is not None:
        benchmarks = [replace(b, gpu=gpu) for b in benchmarks]
    folder = _prepare(output) if output else None
    _compile()
    found = run_benchmarks(
        benchmarks,
        extent or "default",
        overlays=overlays,
        settings=settings,
        limit=int(limit * 1e6),
        store=folder,
        progress=_progress if sys.stderr.isatty() and not as_json else None,
    )
    results = list(found)
    if sys.stderr.isatty() and not as_json:
        click.echo("\r\x1b[K", nl=False, err=True)
    rows = by_benchmark(results, benchmarks)
    guesses = {b.gpu: _guesses(load_config(b.gpu, overlays, settings).sources) for b in benchmarks}
    summary = {
        "format": FORMAT,
        "cards": {b.suite: {"gpu": b.gpu, "measured_on": b.card, "card": card_of(b)} for b in benchmarks[::-1]},
        "extent": extent or "default",
        "guessed_knobs": {gpu: {"guesses": few, "knobs": all_} for gpu, (few, all_) in guesses.items()},
        "benchmarks": [_values(row) for row in rows],
        "suites": [_values(row) for row in by_suite(results)],
        "bounds": [_values(row) for row in by_bound(results)],
        "points": [_point_values(result) for result in results],
    }
    if output is not None:
        _finish(output, summary)
    if as_json:
        options.echo_json(summary)
    else:
        if show_points:
            header = ("point", "measured", "simulated", "unit", "error", "bound")
            click.echo(table([_point(r) for r in results], header, "<>><><") + "\n")
        click.echo(table([_row(row) for row in rows], HEADER, "<" + ">" * 11 + "<"))
        click.echo()
        groups = [_row(row)[:11] for row in by_suite(results) + by_bound(results)]
        click.echo(table(groups, ("group", *HEADER[1:11]), "<" + ">" * 10))
        click.echo("\n" + "\n".join(_remarks(results, rows, guesses)))
    if not all(row.passes for row in rows if row.role == "validation"):
        context.exit(1)


def _guesses(sources: Any) -> tuple[int, int]:
    return sum(source.startswith("guess") for source in sources.values()), len(sources)


def _compile() -> None:
    from isa.jit import is_cold
    from sim.dispatch import run_gpu
    from traces.emulator.interpreter import run

    if is_cold(run_gpu) or is_cold(run):
        click.echo("compiling the simulator and the emulator, once per version ...", err=True)


def _progress(at: int, count: int, benchmark: Benchmark, point: Measurement) -> None:
    click.echo(f"\r\x1b[K{at + 1}/{count} {benchmark.suite}.{benchmark.name} {point.label}", nl=False, err=True)


def _prepare(output: Path) -> Path:
    """The folder of the points. SubcoreError if `output` holds something else."""
    points = output / "points"
    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and not points.is_dir())):
        raise SubcoreError(f"{output}: is not a validation directory; choose another name")
    points.mkdir(parents=True, exist_ok=True)
    return points


def _finish(output: Path, summary: dict[str, Any]) -> None:
    from isa.files import replace_file

    with replace_file(output / "summary.json", force=True) as file:
        file.write((json.dumps(summary, indent=1, sort_keys=True) + "\n").encode())


def _percent(value: float, sign: bool = False) -> str:
    return f"{100 * value:{'+' if sign else ''}.1f} %"


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"


def _row(row: Row) -> tuple[str, ...]:
    label = f"{row.name} ({row.role})" if row.role != "validation" else row.name
    count = f"{row.summary.count if row.summary else 0}" + (f" +{row.skipped} left out" if row.skipped else "")
    tier = "" if row.tier_percent is None else f"{row.tier_percent:g} %"
    if row.summary is None:
        return (label, count, *("-" for _ in range(9)), tier, "")
    s = row.summary
    mark = "" if row.passes else "BEYOND" if row.role == "validation" else "beyond"
    return (
        label,
        count,
        _percent(s.mean_absolute),
        _percent(s.median_absolute),
        _percent(s.p90_absolute),
        row.worst.split(" ", 1)[0],
        _percent(s.bias, sign=True),
        f"{100 * s.within:.0f} %",
        _number(s.pearson),
        _number(s.rank),
        _number(row.slope_ratio),
        tier,
        mark,
    )


def _remarks(results: list[PointResult], rows: list[Row], guesses: dict[str, tuple[int, int]]) -> list[str]:
    left_out = [r for r in results if r.simulated is None]
    remarks = [f"worst of {row.name}: {row.worst}" for row in rows if row.worst]
    remarks += [f"left out: {r.suite}.{r.benchmark} {r.point}: {r.skipped}" for r in left_out]
    remarks += [f"{few} of {every} knobs of {gpu} are guesses" for gpu, (few, every) in guesses.items()]
    if sampled := [r for r in results if r.sampled]:
        worst = max(launch.sampled["stated_error"] for r in sampled for launch in r.launches if launch.sampled)
        remarks.append(f"{len(sampled)} points are block-sampled (stated error up to {worst:.1%}): --points marks them")
    remarks.append("calibration rows are what knobs were fitted to: they do not validate")
    return remarks


def _point(result: PointResult) -> tuple[str, ...]:
    name = f"{result.suite}.{result.benchmark} {result.point}"
    if result.simulated is None:
        return (name, f"{result.measured:,.0f}", "-", result.unit, "-", "left out")
    measured, simulated = f"{result.measured:,.0f}", f"{result.simulated:,.0f}"
    return (
        name,
        measured,
        simulated,
        result.unit,
        _percent(result.error, sign=True),
        result.bound + (" (sampled)" if result.sampled else ""),
    )


def _point_values(result: PointResult) -> dict[str, Any]:
    return {
        "suite": result.suite,
        "benchmark": result.benchmark,
        "point": result.point,
        "role": result.role,
        "unit": result.unit,
        "measured": result.measured,
        "simulated": result.simulated,
        "error": None if result.simulated is None else result.error,
        "bound": result.bound,
        "skipped": result.skipped,
        "sampled": result.sampled,
        "file": f"points/{result.file_name}",
    }


def _values(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "role": row.role,
        "skipped": row.skipped,
        "worst": row.worst,
        "slope_ratio": None if row.slope_ratio != row.slope_ratio else row.slope_ratio,
        "tier_percent": row.tier_percent,
        "passes": row.passes,
        **(row.summary.as_dict() if row.summary else {"count": 0}),
    }
