"""The error report as one self-contained HTML page: tables, embedded figures, and the stall table of every point."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from validate.hardware.run import PointResult

_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; color: #1c1c1c; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .6rem; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap; }
th { background: #f5f5f5; position: sticky; top: 0; } td:first-child, th:first-child, .left { text-align: left; }
.beyond { color: #b2182b; font-weight: 600; } .within { color: #1a7a3c; } .calibration { color: #777; }
figure { margin: 1rem 0; } img { max-width: 100%; } figcaption, .note { color: #555; font-size: 13px; }
.wide td { white-space: normal; vertical-align: top; }
.points { max-height: 32rem; overflow: auto; border: 1px solid #ddd; }
.stalls { display: none; border-left: 3px solid #4477aa; padding-left: 1rem; } .stalls:target { display: block; }
.bar { display: inline-block; height: .7em; background: #4477aa; }
"""
Cell = str | tuple[str, str]  # text (escaped here), or (HTML, class)


def percent(value: float | None, sign: bool = False) -> str:
    """A fraction in per cent, "-" for none."""
    return "-" if value is None else f"{100 * value:{'+' if sign else ''}.1f} %"


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """HTML table."""
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    body = "\n".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _cell(cell: Cell) -> str:
    return f"<td>{escape(cell)}</td>" if isinstance(cell, str) else f'<td class="{cell[1]}">{cell[0]}</td>'


def image(svg: bytes, caption: str) -> str:
    """A figure, embedded."""
    data = base64.b64encode(svg).decode()
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/svg+xml;base64,{data}"><figcaption>{text}</figcaption></figure>'


def page(
    summary: Mapping[str, Any],
    points: Sequence[PointResult],
    cards: Mapping[str, Mapping[str, Any]],
    published: Sequence[Mapping[str, Any]],
    figures: Sequence[tuple[str, bytes]],
) -> str:
    """The whole page.

    summary: of a validation directory. points: its results. cards: what is known of the measurements, by suite.
    published: errors of other models (board, model, programs, count, mean_absolute, median_absolute, p90_absolute,
    bias). figures: (caption, SVG).
    """
    ran = [p for p in points if p.simulated is not None]
    sampled = sum(p.sampled for p in ran)
    left_out = [p for p in points if p.simulated is None]
    counts = f"{len(ran):,} points simulated, {sampled} of them block-sampled, {len(left_out)} left out"
    parts = [
        "<h1>Simulated against measured kernel times</h1>",
        f"<p>{counts}. Errors are signed: (simulated - measured) / "
        "measured. Calibration points are what knobs were fitted to; they do not validate and are in no total. Every "
        "number is made of the files of the validation directory, <code>summary.json</code> and <code>points/</code>: "
        "the stall table behind each error names its own.</p>",
        *_cards(summary, cards),
        "<h2>Errors by suite</h2>",
        _groups(summary["suites"]),
        "<h2>Errors by benchmark</h2>",
        _groups(summary["benchmarks"], benchmarks=True),
        '<p class="note">slope: time per unit of work beyond the fixed part, simulated over measured. '
        "tier: mean absolute error that the suite allows.</p>",
        "<h2>Errors by what bounds the kernel</h2>",
        _groups(summary["bounds"]),
        '<p class="note">launch: at least half of the time goes to launching; else the resource that is busiest, if '
        "busy for half of the time; else latency.</p>",
        *(image(svg, caption) for caption, svg in figures),
        "<h2>Beside published models</h2>",
        _published(summary, published),
        '<p class="note">Other programs on other boards, as far as they are published: a yardstick, no contest. '
        "Source: data of the MICRO 2025 artifact (upc-arco/modern-gpu-simulator-micro-2025).</p>",
        "<h2>Every point</h2>",
        '<p class="note">An error leads to the stall table of its kernel.</p>',
        f'<div class="points">{_points(ran)}</div>',
    ]
    if left_out:
        rows = [(f"{p.suite}.{p.benchmark} {p.point}", (escape(p.skipped), "left")) for p in left_out]
        parts += ["<h2>Left out</h2>", f'<div class="points">{table(("point", "reason"), rows)}</div>']
    parts += ["<h2>Stall tables</h2>", '<p class="note">Shown for the point that was followed.</p>']
    parts += [_stalls(at, point) for at, point in enumerate(ran)]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>subcore: error report</title>\n'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _cards(summary: Mapping[str, Any], cards: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = []
    for suite, card in cards.items():
        for profiler in card.get("profiler", {}).values():
            rows.append(
                (
                    suite,
                    summary["cards"][suite]["gpu"],
                    (escape(f"{card['card']}; {card['software']}; driver {card['driver']}"), "left"),
                    (escape(f"{profiler['name']}: {profiler['quantity']}"), "left"),
                    (escape(f"{profiler['clock']}; {profiler['caches']}"), "left"),
                )
            )
    sources = dict.fromkeys(card["source"] for card in cards.values())
    guesses = "; ".join(
        f"{known['guesses']} of {known['knobs']} knobs of {gpu} are guesses"
        for gpu, known in summary["guessed_knobs"].items()
    )
    return [
        '<div class="wide">',
        table(("suite", "configuration", "measured on", "profiler", "clock; caches"), rows),
        "</div>",
        f'<p class="note">Source of the measurements: {escape("; ".join(sources))}. {escape(guesses)}.</p>',
    ]


def _groups(rows: Sequence[Mapping[str, Any]], benchmarks: bool = False) -> str:
    header = ["", "points", "left out", "MAPE", "median", "P90", "worst", "bias", "within 20 %", "Pearson", "rank"]
    header += ["slope", "tier"] if benchmarks else []
    cells = []
    for row in rows:
        role = "" if row["role"] == "validation" else f" ({row['role']})"
        line: list[Cell] = [row["name"] + role, f"{row['count']:,}", f"{row['skipped'] or ''}"]
        if row["count"]:
            bad = benchmarks and not row["passes"]
            line += [
                (percent(row["mean_absolute"]), "beyond" if bad else "within" if benchmarks else ""),
                percent(row["median_absolute"]),
                percent(row["p90_absolute"]),
                (escape(row["worst"]), "left"),
                percent(row["bias"], sign=True),
                f"{100 * row['within']:.0f} %",
                _number(row["pearson"]),
                _number(row["rank"]),
            ]
        else:
            line += ["-"] * 8
        if benchmarks:
            line += [_number(row["slope_ratio"]), f"{row['tier_percent']:g} %"]
        cells.append(line)
    return table(header, cells)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _published(summary: Mapping[str, Any], published: Sequence[Mapping[str, Any]]) -> str:
    boards = {suite: card["measured_on"] for suite, card in summary["cards"].items()}
    everything = ", ".join(dict.fromkeys(boards.values()))
    own = [
        (
            "subcore",
            boards.get(row["name"], everything),
            f"suite {row['name']}" if row["name"] != "all" else "all validation points",
            row,
        )
        for row in summary["suites"]
        if row["role"] == "validation" and row["count"]
    ]
    rows = [(row["model"], row["board"], row["programs"], row) for row in published]
    return table(
        ("model", "board", "programs", "points", "MAPE", "median", "P90", "bias"),
        [
            (
                model,
                board,
                (escape(programs), "left"),
                f"{row['count']}",
                percent(row["mean_absolute"]),
                percent(row["median_absolute"]),
                percent(row["p90_absolute"]),
                percent(row["bias"], sign=True),
            )
            for model, board, programs, row in own + rows
        ],
    )


def _points(points: Sequence[PointResult]) -> str:
    rows: list[Sequence[Cell]] = []
    for at, p in enumerate(points):
        style = "left" if p.role == "validation" else "left calibration"
        rows.append(
            (
                (escape(f"{p.suite}.{p.benchmark} {p.point}"), style),
                f"{p.measured:,.0f}",
                f"{p.simulated:,.0f}",
                p.unit,
                (f'<a href="#p{at}">{percent(p.error, sign=True)}</a>', ""),
                p.bound + (" (sampled)" if p.sampled else ""),
            )
        )
    return table(("point", "measured", "simulated", "unit", "error", "bound"), rows)


def _stalls(at: int, point: PointResult) -> str:
    parts = [f'<div class="stalls" id="p{at}">', f"<h3>{escape(f'{point.suite}.{point.benchmark} {point.point}')}</h3>"]
    parts.append(
        f'<p class="note">key {escape(point.key)}, <code>points/{escape(point.file_name)}</code> of the validation '
        "directory</p>"
    )
    parts.append(
        f"<p>measured {point.measured:,.0f} {point.unit}, simulated {point.simulated:,.0f} {point.unit}, "
        f"{percent(point.error, sign=True)}; bound by {point.bound}</p>"
    )
    for launch in point.launches:
        whole = sum(launch.stalls.values()) or 1
        shares = ", ".join(f"{name} {share:.1%}" for name, share in launch.shares.items())
        grid, block = (" x ".join(map(str, sizes)) for sizes in (launch.grid, launch.block))
        parts.append(
            f"<p>{escape(launch.kernel)}: grid {grid}, block {block}; {launch.cycles:,} cycles, "
            f"{launch.warp_instructions:,} warp instructions; of the peak: {shares}</p>"
        )
        if launch.sampled:
            known = launch.sampled
            parts.append(
                f'<p class="note">block-sampled: {known["simulated_blocks"]:,.0f} of {known["blocks"]:,.0f} blocks '
                f"({known['simulated_share']:.1%} of the warp instructions) were simulated, the others inferred with a "
                f"stated error of {known['stated_error']:.1%}; the table is of the simulated blocks</p>"
            )
        rows: list[Sequence[Cell]] = [
            (
                reason,
                f"{cycles:,}",
                f"{cycles / whole:.1%}",
                (f'<span class="bar" style="width:{12 * cycles / whole:.2f}rem"></span>', "left"),
            )
            for reason, cycles in sorted(launch.stalls.items(), key=lambda item: -item[1])
        ]
        parts.append(table(("sub-core cycles", "count", "share", ""), rows))
    return "\n".join([*parts, "</div>"])
