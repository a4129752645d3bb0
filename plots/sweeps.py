"""Figures of a sweep table: lines, heatmap, tornado, speed-up bars. Each returns the figure and its data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
from matplotlib.figure import Figure

from isa.errors import SubcoreError
from plots.style import figure_style, text_colour

COLOURS = ("#1f4e79", "#d6604d", "#1a9850", "#9970ab", "#f4a582", "#5e3c99", "#878787", "#a6d96a")
MARKERS = "osD^vP*X"
MOST_LABELS = 40  # bars that carry their value
Drawn = tuple[Figure, pandas.DataFrame]


def finished(frame: pandas.DataFrame, y: str) -> pandas.DataFrame:
    """Points that ran. SubcoreError if there are none, or `y` is no number of the table."""
    if y not in frame:
        raise SubcoreError(f"the table has no column {y!r}")
    done = frame[frame["status"] == "ok"]
    if done.empty:
        raise SubcoreError("the table has no finished point")
    if not pandas.api.types.is_numeric_dtype(done[y]):
        raise SubcoreError(f"column {y!r} holds no numbers")
    return done


def lines(frame: pandas.DataFrame, x: str, y: str) -> Drawn:
    """`y` against a numeric axis `x`, one line per workload (and GPU); other axes are averaged geometrically."""
    data = _mean(finished(frame, y), ["workload", "gpu", x], y)
    if not pandas.api.types.is_numeric_dtype(data[x]):
        raise SubcoreError(f"axis {x!r} holds no numbers: draw bars instead")
    with figure_style():
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.add_subplot()
        many_gpus = data["gpu"].nunique() > 1
        for number, ((workload, gpu), group) in enumerate(data.groupby(["workload", "gpu"], sort=False)):
            axes.plot(
                group[x],
                group[y],
                marker=MARKERS[number % len(MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                markersize=4,
                label=f"{workload}, {gpu}" if many_gpus else workload,
            )
        values = data[x].to_numpy(float)
        if (values > 0).all() and values.max() / values.min() >= 8:
            axes.set_xscale("log", base=2)
            ticks = sorted(set(values)) if len(set(values)) <= 8 else None
            if ticks:
                axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
                axes.minorticks_off()
        if (data[y] > 0).all() and data[y].max() / data[y].min() >= 8:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        figure.legend(loc="outside lower center", ncols=2, fontsize=7)
    return figure, data


def heatmap(frame: pandas.DataFrame, x: str, y_axis: str, y: str) -> Drawn:
    """`y` relative to its smallest value over two axes; geometric mean over the workloads."""
    done = finished(frame, y)
    if x == y_axis:
        raise SubcoreError("a heatmap needs two different axes")
    relative = done.assign(**{y: done[y] / done.groupby(["workload", "gpu"])[y].transform("min")})
    data = _mean(relative, [y_axis, x], y)
    grid = data.pivot(index=y_axis, columns=x, values=y)
    with figure_style():
        figure = Figure(figsize=(1.6 + 0.75 * grid.shape[1], 1.4 + 0.42 * grid.shape[0]), layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(grid, cmap="YlOrRd", aspect="auto", vmin=1)
        axes.set_xticks(range(grid.shape[1]), [_label(value) for value in grid.columns])
        axes.set_yticks(range(grid.shape[0]), [_label(value) for value in grid.index])
        for (row, column), value in np.ndenumerate(grid.to_numpy(float)):
            if np.isfinite(value):
                shade = _hex(image.cmap(image.norm(value)))
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=text_colour(shade))
        axes.set_xlabel(x)
        axes.set_ylabel(y_axis)
        axes.set_title(f"{y}, relative to the best")
    return figure, data


def tornado(frame: pandas.DataFrame, names: list[str], y: str) -> Drawn:
    """Change of `y` from the baseline for every value of a one-at-a-time sweep, the widest axis on top."""
    done = finished(frame, y)
    base = done[done[names].isna().all(axis=1)].groupby(["workload", "gpu"])[y].first()
    if base.empty:
        raise SubcoreError("the table has no baseline: a tornado needs a sweep of design one_at_a_time")
    rows = []
    for name in names:
        for value, group in done[done[name].notna()].groupby(name, sort=False):
            ratios = (
                group[y].to_numpy(float) / base.loc[list(zip(group["workload"], group["gpu"], strict=True))].to_numpy()
            )
            rows.append((name, _label(value), 100 * (float(np.exp(np.log(ratios).mean())) - 1)))
    data = pandas.DataFrame(rows, columns=["knob", "value", "change_percent"])
    order = data.groupby("knob")["change_percent"].agg(lambda c: c.abs().max()).sort_values().index
    with figure_style():
        figure = Figure(figsize=(6.4, 1.2 + 0.42 * len(order)), layout="constrained")
        axes = figure.add_subplot()
        span = max(float(np.ptp([0.0, *data["change_percent"]])), 1e-9)
        for place, name in enumerate(order):
            labels: dict[float, list[str]] = {}  # values that end at the same place share a label
            for _, row in data[data["knob"] == name].iterrows():
                change = row["change_percent"]
                axes.barh(place, change, color="#d6604d" if change > 0 else "#1f4e79", alpha=0.75, height=0.6)
                near = next((end for end in labels if abs(end - change) < 0.05 * span), change)
                labels.setdefault(near, []).append(row["value"])
            for change, values in labels.items():
                axes.annotate(
                    ", ".join(values),
                    (change, place),
                    textcoords="offset points",
                    xytext=(3 if change >= 0 else -3, 0),
                    ha="left" if change >= 0 else "right",
                    va="center",
                    fontsize=7,
                )
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(range(len(order)), list(order))
        axes.margins(x=0.15)
        axes.set_xlabel(f"change of {y} from the baseline, %")
    return figure, data


def bars(frame: pandas.DataFrame, x: str, y: str = "cycles") -> Drawn:
    """Speed-up over the first value of axis `x`, bars per workload and their geometric mean."""
    done = finished(frame, y)
    done = done.assign(**{x: done[x].fillna("").map(_label)})
    names = list(dict.fromkeys(done[x]))
    table = _mean(done, ["workload", "gpu", x], y)
    grid = table.pivot(index=["workload", "gpu"], columns=x, values=y)[names]
    grid = grid.reindex(list(dict.fromkeys(zip(done["workload"], done["gpu"], strict=True)))).dropna()
    if grid.empty:
        raise SubcoreError(f"no workload ran with every value of {x!r}")
    speed = grid.rdiv(grid[names[0]], axis=0)
    mean = pandas.DataFrame(np.exp(np.log(speed).mean())).T
    mean.index = pandas.MultiIndex.from_tuples([("geometric mean", "")], names=speed.index.names)
    speed = pandas.concat([speed, mean])
    with figure_style():
        figure = Figure(figsize=(max(5.0, 1.5 + 0.16 * speed.size + 0.35 * len(speed)), 4.2), layout="constrained")
        axes = figure.add_subplot()
        width = 0.8 / len(names)
        for number, name in enumerate(names):
            places = np.arange(len(speed)) + (number - (len(names) - 1) / 2) * width
            drawn = axes.bar(places, speed[name], width, color=COLOURS[number % len(COLOURS)], label=name or "as it is")
            if speed.size <= MOST_LABELS:
                axes.bar_label(drawn, fmt="%.2f", fontsize=6)
        axes.axhline(1, color="black", linewidth=0.8)
        many_gpus = len({gpu for _, gpu in grid.index}) > 1
        labels = ["\n".join([*w.split(" ", 1), *([g] if many_gpus and g else [])]) for w, g in speed.index]
        axes.set_xticks(range(len(speed)), labels, rotation=35, ha="right", rotation_mode="anchor", fontsize=8)
        axes.axvline(len(speed) - 1.5, color="#bababa", linewidth=0.8, linestyle="--")
        axes.set_ylabel(f"speed-up over {names[0] or 'the GPU as it is'}")
        figure.legend(loc="outside lower center", ncols=5, title=x, fontsize=7)
    return figure, speed.reset_index()


def _mean(frame: pandas.DataFrame, keys: list[str], y: str) -> pandas.DataFrame:
    """Geometric mean of `y` for each combination of `keys`, in table order."""
    for key in keys:
        if key not in frame:
            raise SubcoreError(f"the table has no axis {key!r}")
    positive = frame[y] > 0
    logs = frame.assign(**{y: np.log(frame[y].where(positive))})
    grouped = logs.groupby(keys, sort=False, dropna=False)[y].mean().reset_index()
    return grouped.assign(**{y: np.exp(grouped[y])}).dropna(subset=[y])


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _hex(colour: Any) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])
