"""Roofline: work per second over work per byte, below the peaks of the GPU (Williams et al., CACM 2009)."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pandas
from matplotlib.figure import Figure

from plots.style import GROUP_COLOURS, figure_style

MARKERS = {"L1": "^", "L2": "s", "DRAM": "o"}
LINES = {"L1": ":", "L2": "--", "DRAM": "-"}


def roofline_figure(points: pandas.DataFrame, roofs: pandas.DataFrame, title: str) -> Figure:
    """points: columns run, gpu, level, unit, intensity (work per byte), performance (work per second).
    roofs: gpu, roof, kind ("work" or "bytes"), value per second; those of one GPU."""
    flops = points["unit"].iloc[0] == "FLOP"
    with figure_style():
        figure = Figure(figsize=(7.2, 5.2), layout="constrained")
        axes = figure.add_subplot()
        work = roofs[roofs["kind"] == "work"]
        bandwidth = roofs[roofs["kind"] == "bytes"]
        top = work["value"].max()
        knees = top / bandwidth["value"]
        left = min(points["intensity"].min() / 3, work["value"].min() / bandwidth["value"].max() / 6)
        right = max(points["intensity"].max() * 3, knees.max() * 4)
        bottom = min(points["performance"].min() / 3, work["value"].min() / 30)
        for name, value in zip(work["roof"], work["value"].astype(float), strict=True):
            axes.plot([value / bandwidth["value"].max(), right], [value] * 2, color="#404040", linewidth=1.0)
            axes.annotate(f"{name}, {_amount(value, flops)}", (right, value), xytext=(-3, 3),
                          textcoords="offset points", ha="right", fontsize=7)  # fmt: skip
        slopes = list(zip(bandwidth["roof"], bandwidth["value"].astype(float), strict=True))
        for name, value in slopes:
            ends = np.array([left, top / value])
            axes.plot(ends, ends * value, color="#404040", linewidth=1.0, linestyle=LINES[name])
        colours = dict(zip(dict.fromkeys(points["run"]), cycle(GROUP_COLOURS), strict=False))
        for point in points.to_dict("records"):
            axes.plot(point["intensity"], point["performance"], MARKERS[point["level"]], color=colours[point["run"]],
                      markersize=7, markeredgecolor="black", markeredgewidth=0.5)  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top * 3)
        unit = "floating-point operations" if flops else "warp instructions"
        axes.set_xlabel(f"{unit} per byte")
        axes.set_ylabel(f"{unit} per second")
        axes.set_title(title, loc="left")
        axes.grid(True, which="major", color="#e8e8e8", linewidth=0.6)
        axes.set_axisbelow(True)
        handles = [
            *(axes.plot([], [], "o", color=c, label=run)[0] for run, c in colours.items()),
            *(
                axes.plot([], [], MARKERS[name], linestyle=LINES[name], color="#404040", markerfacecolor="none",
                          linewidth=1.0, label=f"{name}, {value / 1e9:,.0f} GB/s")[0]
                for name, value in slopes
            ),
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=7)
    return figure


def _amount(value: float, flops: bool) -> str:
    if flops:
        return f"{value / 1e12:,.1f} TFLOP/s" if value >= 1e12 else f"{value / 1e9:,.0f} GFLOP/s"
    return f"{value / 1e9:,.0f} billion per second"
