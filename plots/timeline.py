"""A window of a run as a figure: one row per warp, coloured by what it does or waits for."""

from __future__ import annotations

import pandas
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from isa.errors import SubcoreError
from plots.style import STALL_COLOURS, figure_style

COLOURS = {**STALL_COLOURS, "not_selected": "#9ecae1"}
MOST_ROWS = 128


def timeline_figure(frame: pandas.DataFrame, title: str) -> Figure:
    """`frame`: columns sm, subcore, slot (a row of the figure), reason, first, last (cycles). SubcoreError for nothing
    to draw or more warps than a page holds."""
    rows = sorted(set(zip(frame["sm"], frame["subcore"], frame["slot"], strict=True)))
    if not rows:
        raise SubcoreError("the window holds no warp")
    if len(rows) > MOST_ROWS:
        raise SubcoreError(f"the window holds {len(rows)} warps, a figure at most {MOST_ROWS}: choose one --sm")
    place = {row: number for number, row in enumerate(rows)}
    one_sm = len({sm for sm, _, _ in rows}) == 1
    with figure_style():
        figure = Figure(figsize=(9.0, 1.5 + 0.16 * max(4, len(rows))), layout="constrained")
        axes = figure.add_subplot()
        for reason, colour in COLOURS.items():
            part = frame[frame["reason"] == reason]
            if part.empty:
                continue
            boxes = []
            for row in part.to_dict("records"):
                low, first, last = place[row["sm"], row["subcore"], row["slot"]], row["first"], row["last"]
                boxes.append([(first, low - 0.42), (last, low - 0.42), (last, low + 0.42), (first, low + 0.42)])
            label = reason.replace("_", " ")
            axes.add_collection(PolyCollection(boxes, facecolors=colour, edgecolors="none", label=label))
        for number in range(1, len(rows)):
            if rows[number][:2] != rows[number - 1][:2]:
                axes.axhline(number - 0.5, color="#404040", linewidth=0.6)
        axes.set_xlim(frame["first"].min(), frame["last"].max())
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [str(slot) for _, _, slot in rows], fontsize=6)
        axes.tick_params(axis="y", length=0)
        groups: dict[tuple[int, int], list[int]] = {}
        for number, (sm, subcore, _) in enumerate(rows):
            groups.setdefault((sm, subcore), []).append(number)
        for (sm, subcore), members in groups.items():
            name = f"sub-core {subcore}" if one_sm else f"SM {sm}.{subcore}"
            upright = len(members) > 3
            axes.annotate(name, (0, (members[0] + members[-1]) / 2), xycoords=("axes fraction", "data"),
                          xytext=(-24, 0), textcoords="offset points", rotation=90 if upright else 0, va="center",
                          ha="center" if upright else "right", fontsize=7)  # fmt: skip
        axes.set_xlabel("cycle")
        axes.set_title(title, loc="left")
        figure.legend(loc="outside lower center", ncols=6, fontsize=7)
    return figure
