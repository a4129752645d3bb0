"""Errors of a model: sorted per point, by group, and beside other models."""

from __future__ import annotations

import pandas
from matplotlib.figure import Figure

from plots.style import GROUP_COLOURS, figure_style

TIER_COLOUR = "#b2182b"


def _require(frame: pandas.DataFrame, columns: set[str], what: str) -> None:
    if missing := columns - set(frame.columns):
        raise ValueError(f"{what}: columns missing: {', '.join(sorted(missing))}")
    if frame.empty:
        raise ValueError(f"{what}: no rows")


def sorted_errors(frame: pandas.DataFrame, title: str = "", columns: int = 3) -> Figure:
    """Signed error of every point, sorted, one panel per benchmark with the same scale.

    frame: columns group (one panel each, in order of appearance), error (fraction); optional tier (fraction, one
    value per group) is drawn as a pair of lines. Raises ValueError for a missing column or no row.
    """
    _require(frame, {"group", "error"}, "sorted_errors")
    names = list(dict.fromkeys(frame["group"]))
    rows = -(-len(names) // columns)
    limit = max(0.25, 1.08 * float(frame["error"].abs().max()))
    with figure_style():
        figure = Figure(figsize=(8.0, 0.6 + 1.45 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for at, name in enumerate(names):
            axes, points = panels[at], frame[frame["group"] == name]
            errors = points["error"].sort_values().to_numpy()
            axes.bar(range(len(errors)), errors, width=0.9, color=["#2166ac" if e < 0 else "#d6604d" for e in errors])
            axes.axhline(0, color="#404040", lw=0.6)
            if "tier" in frame.columns and pandas.notna(points["tier"].iloc[0]):
                for sign in (-1, 1):
                    axes.axhline(sign * points["tier"].iloc[0], color=TIER_COLOUR, lw=0.7, ls=(0, (4, 3)))
            axes.set_ylim(-limit, limit)
            axes.set_xlim(-0.7, len(errors) - 0.3)
            axes.set_xticks([])
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.0%}" if value else "0")
            axes.set_title(f"{name} ({len(errors)})", loc="left", fontsize=8)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return figure


def group_errors(frame: pandas.DataFrame, title: str = "") -> Figure:
    """Mean absolute error (bar) with median, 90th percentile and bias (marks) of groups.

    frame: columns section (drawn apart, in order of appearance), group, count, mean, median, p90, bias; errors are
    fractions. Raises ValueError for a missing column or no row.
    """
    _require(frame, {"section", "group", "count", "mean", "median", "p90", "bias"}, "group_errors")
    sections = list(dict.fromkeys(frame["section"]))
    sizes = [int((frame["section"] == section).sum()) for section in sections]
    with figure_style():
        figure = Figure(figsize=(8.0, 0.9 + 0.34 * sum(sizes) + 0.45 * len(sections)), layout="constrained")
        panels = figure.subplots(len(sections), 1, sharex=True, squeeze=False, height_ratios=sizes).ravel()
        for at, section in enumerate(sections):
            axes, rows = panels[at], frame[frame["section"] == section]
            labels = [f"{name} ({count})" for name, count in zip(rows["group"], rows["count"], strict=True)]
            axes.barh(labels, rows["mean"], color=GROUP_COLOURS[at % len(GROUP_COLOURS)], height=0.6, label="mean")
            axes.plot(rows["median"], labels, "|", color="black", ms=10, mew=1.6, label="median")
            axes.plot(rows["p90"], labels, ">", color="#606060", ms=4, label="90th percentile")
            axes.plot(rows["bias"], labels, "D", mfc="white", mec="black", ms=4, label="bias (signed mean)")
            axes.axvline(0, color="#404040", lw=0.6)
            axes.invert_yaxis()
            axes.set_title(section, loc="left", fontsize=9)
            axes.tick_params(axis="y", length=0)
        panels[-1].xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
        panels[-1].set_xlabel("error of the cycles or of the duration, absolute; bias signed")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return figure


def published_errors(frame: pandas.DataFrame, title: str = "") -> Figure:
    """Mean absolute errors of several models, one bar per model and board.

    frame: columns programs (one panel each), board, model, mean (fraction), count. Raises ValueError for a missing
    column or no row.
    """
    _require(frame, {"programs", "board", "model", "mean", "count"}, "published_errors")
    programs = list(dict.fromkeys(frame["programs"]))
    models = list(dict.fromkeys(frame["model"]))
    colours = dict(zip(models, ("#bababa", "#6baed6", "#08519c", *GROUP_COLOURS), strict=False))
    with figure_style():
        figure = Figure(figsize=(8.0, 3.2), layout="constrained")
        panels = figure.subplots(1, len(programs), sharey=True, squeeze=False).ravel()
        for axes, program in zip(panels, programs, strict=True):
            rows = frame[frame["programs"] == program]
            boards = list(dict.fromkeys(rows["board"]))
            for _, row in rows.iterrows():
                mine = [m for m in models if ((rows["board"] == row["board"]) & (rows["model"] == m)).any()]
                width = 0.8 / max(2, len(mine))
                at = boards.index(row["board"]) + (mine.index(row["model"]) - (len(mine) - 1) / 2) * width
                axes.bar(at, row["mean"], width=width * 0.92, color=colours[row["model"]])
                axes.text(at, row["mean"] + 0.004, f"{100 * row['mean']:.0f}", ha="center", fontsize=7)
            axes.set_xticks(range(len(boards)), [board.replace(" ", "\n") for board in boards], fontsize=7)
            axes.set_title(program, loc="left", fontsize=9)
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        panels[0].set_ylabel("mean absolute error")
        for model in models:
            panels[0].bar(0, 0, color=colours[model], label=model)
        figure.legend(loc="outside lower center", ncols=len(models), fontsize=8)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return figure
