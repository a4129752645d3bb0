"""Measured and simulated curves over each other, and the signed error below."""

from __future__ import annotations

import pandas
from matplotlib.figure import Figure

from plots.style import figure_style

COLOURS = ("#1f4e79", "#b2182b", "#1a9850", "#e08214", "#5e3c99", "#636363", "#35978f", "#8c510a")
ERROR_RANGE_PERCENT = 30.0


def curve_figure(
    frame: pandas.DataFrame, title: str, x: str, y: str, *, log_x: bool = False, log_y: bool = False
) -> Figure:
    """Curves of one experiment on one board.

    frame: columns series, x, measured, simulated; one colour per series, measured as circles, simulated as a line.
    `x` and `y` name the axes, with units. Errors beyond 30 % lie on the edge of the lower panel.
    Raises ValueError for a missing column or no rows.
    """
    missing = {"series", "x", "measured", "simulated"} - set(frame.columns)
    if missing:
        raise ValueError(f"curve_figure: columns missing: {', '.join(sorted(missing))}")
    if frame.empty:
        raise ValueError("curve_figure: no rows")
    with figure_style():
        figure = Figure(figsize=(7.2, 5.0), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        names = list(dict.fromkeys(frame["series"]))
        for number, name in enumerate(names):
            rows = frame[frame["series"] == name].sort_values("x")
            colour = COLOURS[number % len(COLOURS)]
            prefix = f"{name}, " if len(names) > 1 else ""
            upper.plot(rows["x"], rows["simulated"], "-", color=colour, lw=1.3, label=f"{prefix}simulated")
            upper.plot(rows["x"], rows["measured"], "o", color=colour, ms=4, mfc="none", label=f"{prefix}measured")
            error = 100 * (rows["simulated"] / rows["measured"] - 1)
            lower.plot(rows["x"], error.clip(-ERROR_RANGE_PERCENT, ERROR_RANGE_PERCENT), ".-", color=colour, lw=0.8)
        lower.axhline(0, color="black", lw=0.8)
        lower.set_ylim(-1.05 * ERROR_RANGE_PERCENT, 1.05 * ERROR_RANGE_PERCENT)
        lower.set_ylabel("error (%)")
        lower.set_xlabel(x)
        upper.set_ylabel(y)
        if log_x:
            upper.set_xscale("log", base=2)
            lower.xaxis.set_major_formatter("{x:g}")
        if log_y:
            upper.set_yscale("log")
        for axes in (upper, lower):
            axes.grid(True, color="#e8e8e8", lw=0.6)
        upper.set_title(title, loc="left")
        upper.legend(fontsize=8, ncols=2 if len(names) > 2 else 1)
    return figure
