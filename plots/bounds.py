"""Lower bounds of a run as bars: how close each resource alone comes to the simulated cycles."""

from __future__ import annotations

import pandas
from matplotlib.figure import Figure

from plots.style import figure_style

MOST_BARS = 10  # of a run


def bound_bars(frame: pandas.DataFrame) -> Figure:
    """`frame`: columns run, cycles_simulated, resource, cycles, busy_cycles. A panel per run with its
    highest bounds; the binding one dark."""
    runs = list(dict.fromkeys(frame["run"]))
    most = min(MOST_BARS, max(int((frame["run"] == run).sum()) for run in runs))
    with figure_style():
        figure = Figure(figsize=(4.6 * min(2, len(runs)) + 1, (0.9 + 0.2 * most) * -(-len(runs) // 2) + 0.4),
                        layout="constrained")  # fmt: skip
        panels = figure.subplots(-(-len(runs) // 2), min(2, len(runs)), squeeze=False, sharex=True).ravel()
        for axes, run in zip(panels, runs, strict=False):
            part = frame[frame["run"] == run].sort_values(["cycles", "resource"], ascending=[True, False])[-most:]
            share = 100 * part["cycles"] / part["cycles_simulated"]
            busy = 100 * part["busy_cycles"] / part["cycles_simulated"]
            colours = ["#9ecae1"] * (len(part) - 1) + ["#1f4e79"]
            axes.barh(part["resource"], share, color="#e8e8e8", height=0.7)
            axes.barh(part["resource"], busy, left=share - busy, color=colours, height=0.7)
            for place, value in enumerate(share):
                axes.text(value + 1, place, f"{value:.0f}", va="center", fontsize=6)
            axes.tick_params(axis="y", length=0, labelsize=7)
            axes.set_xlim(0, 108)
            axes.set_title(run.replace("\n", ", "), loc="left", fontsize=8)
        for axes in panels[len(runs) :]:
            axes.axis("off")
        for axes in panels[max(0, len(runs) - 2) : len(runs)]:
            axes.set_xlabel("% of the simulated cycles (grey: launch and drain)")
    return figure
