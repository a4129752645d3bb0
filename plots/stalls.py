"""Where the sub-core cycles went: stacked bars, one per run."""

from __future__ import annotations

import pandas
from matplotlib.figure import Figure

from plots.style import STALL_COLOURS, figure_style, text_colour

LABELLED_SHARE = 0.045  # narrower segments carry no number


def stall_bars(frame: pandas.DataFrame, title: str = "Sub-core cycles by reason") -> Figure:
    """Horizontal stacked bars.

    frame: columns run (label of a bar, in order of appearance), reason (a name of `sim.stats.Stall`, lower case),
    subcore_cycles. Bars are shares of a run's cycles. Reasons that no run has are left out of the legend.
    Raises ValueError for a missing column, an unknown reason or a run without cycles.
    """
    missing = {"run", "reason", "subcore_cycles"} - set(frame.columns)
    if missing:
        raise ValueError(f"stall_bars: columns missing: {', '.join(sorted(missing))}")
    unknown = set(frame["reason"]) - set(STALL_COLOURS)
    if unknown:
        raise ValueError(f"stall_bars: unknown reasons: {', '.join(sorted(unknown))}")
    runs = list(dict.fromkeys(frame["run"]))
    table = frame.pivot_table(index="run", columns="reason", values="subcore_cycles", aggfunc="sum", fill_value=0)
    table = table.reindex(index=runs, columns=list(STALL_COLOURS), fill_value=0)
    totals = table.sum(axis=1)
    if (totals <= 0).any():
        raise ValueError(f"stall_bars: no cycles in run {totals[totals <= 0].index[0]}")
    shares = table.div(totals, axis=0)
    with figure_style():
        figure = Figure(figsize=(8.0, 1.5 + 0.5 * len(runs)), layout="constrained")
        axes = figure.add_subplot()
        left = pandas.Series(0.0, index=shares.index)
        for reason, colour in STALL_COLOURS.items():
            share = shares[reason]
            if not (share > 0).any():
                continue
            axes.barh(runs, share, left=left, color=colour, label=reason.replace("_", " "), height=0.66)
            for position, run in enumerate(runs):
                if share[run] >= LABELLED_SHARE:
                    middle = left[run] + share[run] / 2
                    axes.text(middle, position, f"{share[run]:.0%}", ha="center", va="center", fontsize=8,
                              color=text_colour(colour))  # fmt: skip
            left += share
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter("{x:.0%}")
        axes.set_xlabel("share of all sub-core cycles")
        axes.tick_params(axis="y", length=0)
        axes.set_title(title, loc="left")
        figure.legend(loc="outside lower center", ncols=5, fontsize=8)
    return figure
