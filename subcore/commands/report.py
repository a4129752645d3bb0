"""`subcore report`: the error report of a validation directory, as one HTML page and its figures."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isa.errors import SubcoreError
from subcore import options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from validate.hardware.run import PointResult


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Default: DIR/report.")
@options.force
def command(directory: Path, output: Path | None, force: bool) -> None:
    """Write the error report of DIR (`subcore validate hardware -o DIR`).

    report.html holds everything; each figure lies beside it as PNG and SVG, the points as points.csv.
    """
    from isa.files import replace_file
    from subcore.page import page
    from validate.hardware.published import read_published

    summary, points = read_validation(directory)
    output = output or directory / "report"
    published = read_published()
    figures = draw(points, published, {row["name"]: row["tier_percent"] for row in summary["benchmarks"]}, summary)
    files: dict[str, bytes] = {}
    embedded = []
    for name, (caption, figure) in figures.items():
        for kind in ("svg", "png"):
            files[f"{name}.{kind}"] = _saved(figure, kind)
        embedded.append((caption, files[f"{name}.svg"]))
    cards = {suite: entry["card"] for suite, entry in summary["cards"].items()}
    files["points.csv"] = _csv(points)
    files["report.html"] = page(summary, points, cards, published, embedded).encode()
    output.mkdir(parents=True, exist_ok=True)
    for name in files:
        if (output / name).exists() and not force:
            raise SubcoreError(f"{output / name}: exists already; choose another folder or pass --force")
    for name, data in files.items():
        with replace_file(output / name, force=True) as file:
            file.write(data)
    click.echo("\n".join(str(output / name) for name in sorted(files)))


def read_validation(directory: Path) -> tuple[dict[str, Any], list[PointResult]]:
    """Summary and points of a validation directory. SubcoreError if it is none, or a point is gone."""
    from subcore.commands.validate_hardware import FORMAT
    from validate.hardware.run import read_point

    try:
        summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
        files = [point["file"] for point in summary["points"]] if summary["format"] == FORMAT else []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SubcoreError(f"{directory}: no finished `subcore validate hardware -o {directory}` ({error})") from None
    points = [read_point(directory / "points" / Path(file).name) for file in files]
    if None in points or not any(point is not None and point.simulated is not None for point in points):
        raise SubcoreError(f"{directory}: points are missing: run `subcore validate hardware -o {directory}` again")
    return summary, [point for point in points if point is not None]


def draw(
    points: list[PointResult], published: list[dict[str, Any]], tiers: dict[str, float], summary: dict[str, Any]
) -> dict[str, tuple[str, Figure]]:
    """Figures by file name, with their captions."""
    import pandas

    from plots.errors import group_errors, published_errors, sorted_errors
    from plots.scatter import scatter

    ran = [p for p in points if p.simulated is not None]
    frame = pandas.DataFrame(
        {
            "group": [f"{p.suite}.{p.benchmark}" for p in ran],
            "role": [p.role for p in ran],
            "unit": [p.unit for p in ran],
            "measured": [p.measured for p in ran],
            "simulated": [p.simulated for p in ran],
            "error": [p.error for p in ran],
            "tier": [tiers[f"{p.suite}.{p.benchmark}"] / 100 for p in ran],
        }
    )
    frame["hollow"] = frame["role"] != "validation"
    frame.loc[frame["hollow"], "group"] += " (calibration)"
    figures: dict[str, tuple[str, Figure]] = {}
    for unit, name, what in (("ns", "scatter_duration", "Kernel durations"), ("cycles", "scatter_cycles", "Cycles")):
        if not (mine := frame[frame["unit"] == unit]).empty:
            caption = f"{what}, measured and simulated. The band is 20 % to either side."
            figures[name] = (caption, scatter(mine, f"{what}: measured and simulated", unit))
    figures["errors"] = (
        "Signed error of every point, sorted within its benchmark; dashed: the tier of the benchmark.",
        sorted_errors(frame, "Signed error of every point, sorted"),
    )
    groups = [
        {
            "section": section,
            "group": row["name"],
            "count": row["count"],
            "mean": row["mean_absolute"],
            "median": row["median_absolute"],
            "p90": row["p90_absolute"],
            "bias": row["bias"],
        }
        for section, rows in (("by suite", summary["suites"]), ("by bound", summary["bounds"]))
        for row in rows
        if row["count"] and row["role"] == "validation"
    ]
    if groups:
        caption = "Errors of the validation points by suite and by what bounds the kernel."
        figures["groups"] = (caption, group_errors(pandas.DataFrame(groups), "Errors by suite and by bound"))
    boards = dict.fromkeys(card["measured_on"] for card in summary["cards"].values())
    panels = {"all": "all programs", "polybench": "PolyBench"}
    own = [
        {
            "programs": panels[row["name"]],
            "board": ", ".join(boards).removeprefix("NVIDIA "),
            "model": "subcore",
            "mean": row["mean_absolute"],
            "count": row["count"],
        }
        for row in summary["suites"]
        if row["name"] in panels and row["count"] and row["role"] == "validation"
    ]
    others = [
        {**row, "mean": row["mean_absolute"], "programs": row["programs"].replace("all", "all programs")}
        for row in published
    ]
    caption = "Mean absolute error beside published models; other programs and boards than ours, in per cent."
    bars = pandas.DataFrame([*others, *own])
    figures["published"] = (caption, published_errors(bars, "Mean absolute error beside published models"))
    return figures


def _saved(figure: Figure, kind: str) -> bytes:
    from plots.style import figure_style

    buffer = io.BytesIO()
    metadata: Any = {"png": {"Software": None}, "svg": {"Date": None}}[kind]
    with figure_style():
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def _csv(points: list[PointResult]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = "suite benchmark point role unit measured simulated error bound left_out"
    writer.writerow(names.split())
    for p in points:
        values = ("", "") if p.simulated is None else (repr(p.simulated), f"{p.error:.6f}")
        writer.writerow((p.suite, p.benchmark, p.point, p.role, p.unit, p.measured, *values, p.bound, p.skipped))
    return text.getvalue().encode()
