"""Measured against simulated, on logarithmic axes."""

from __future__ import annotations

import pandas
from matplotlib.figure import Figure

from plots.style import GROUP_COLOURS, figure_style

BAND = 0.2  # half width of the grey band, as a fraction of the measured value


def scatter(frame: pandas.DataFrame, title: str = "", unit: str = "ns") -> Figure:
    """One mark per point, one colour per group, with the diagonal and a band of +-20 %.

    frame: columns group (in order of appearance), measured, simulated, both above zero; optional hollow (True draws
    the group as rings). `unit` labels the axes.
    Raises ValueError for a missing column, no point, or a value that has no logarithm.
    """
    missing = {"group", "measured", "simulated"} - set(frame.columns)
    if missing:
        raise ValueError(f"scatter: columns missing: {', '.join(sorted(missing))}")
    if frame.empty or (frame[["measured", "simulated"]] <= 0).any(axis=None):
        raise ValueError("scatter: needs points, all above zero")
    low = frame[["measured", "simulated"]].min().min() / 1.3
    high = frame[["measured", "simulated"]].max().max() * 1.3
    with figure_style():
        figure = Figure(figsize=(6.0, 6.0), layout="constrained")
        axes = figure.add_subplot()
        line = [low, high]
        axes.fill_between(line, [v * (1 - BAND) for v in line], [v * (1 + BAND) for v in line], color="#ececec", lw=0)
        axes.plot(line, line, color="#808080", lw=0.8)
        for at, (name, points) in enumerate(frame.groupby("group", sort=False)):
            colour = GROUP_COLOURS[at % len(GROUP_COLOURS)]
            fill = "none" if "hollow" in frame.columns and points["hollow"].iloc[0] else colour
            axes.scatter(
                points["measured"], points["simulated"], s=14, facecolors=fill, edgecolors=colour, lw=0.6, alpha=0.75,
                label=str(name),
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.set_aspect("equal")
        axes.set_xlabel(f"measured ({unit})")
        axes.set_ylabel(f"simulated ({unit})")
        axes.text(high / 1.1, high / 1.5, "\u00b120 %", ha="right", va="top", color="#808080", fontsize=8)
        axes.set_title(title, loc="left")
        axes.legend(loc="upper left", fontsize=7, labelspacing=0.25, handletextpad=0.2)
    return figure
