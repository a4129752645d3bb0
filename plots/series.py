"""A run over time: occupancy, instructions per cycle, and where the sub-core cycles went."""

from __future__ import annotations

import pandas
from matplotlib.figure import Figure

from plots.style import GROUP_COLOURS, STALL_COLOURS, figure_style


def series_figure(frame: pandas.DataFrame, title: str) -> Figure:
    """`frame`: columns run, first_cycle, last_cycle, ipc, occupancy, active_sms and one per stall reason (shares).

    One run: three panels, the last with stacked stall shares. Several: their occupancy and IPC over each other.
    """
    runs = list(dict.fromkeys(frame["run"]))
    with figure_style():
        one = len(runs) == 1
        figure = Figure(figsize=(8.0, 6.2 if one else 4.6), layout="constrained")
        panels = figure.subplots(3 if one else 2, 1, sharex=True, height_ratios=(1, 1, 1.6) if one else (1, 1))
        for number, run in enumerate(runs):
            part = frame[frame["run"] == run]
            edges = [*part["first_cycle"], part["last_cycle"].iloc[-1]]
            colour = GROUP_COLOURS[number % len(GROUP_COLOURS)]
            label = "warps resident" if one else run.replace("\n", ", ")
            panels[0].stairs(100 * part["occupancy"], edges, color=colour, label=label, linewidth=1.3)
            panels[1].stairs(part["ipc"], edges, color=colour, linewidth=1.3)
            if one:
                panels[0].stairs(100 * part["active_sms"], edges, color="#888888", label="SMs active", linestyle=":")
                low = pandas.Series(0.0, index=part.index)
                for reason, shade in STALL_COLOURS.items():
                    share = 100 * part[reason]
                    if reason == "no_warp" or not (share > 0).any():
                        continue
                    label = reason.replace("_", " ")
                    panels[2].stairs(low + share, edges, baseline=low, fill=True, color=shade, label=label, linewidth=0)
                    low = low + share
        panels[0].set_ylabel("% of the most" if one else "occupancy, %")
        panels[0].set_ylim(bottom=0)
        panels[1].set_ylabel("warp instructions\nper cycle, chip")
        panels[1].set_ylim(bottom=0)
        panels[0].set_title(title, loc="left")
        if one:
            panels[0].set_ylim(top=1.35 * panels[0].get_ylim()[1])
            panels[0].legend(loc="upper right", ncols=2, fontsize=7)
            panels[2].set_ylabel("% of sub-core cycles\n(the rest has no warp)")
            panels[2].set_ylim(0, max(1.0, 100 * (1 - part["no_warp"].min())))
            figure.legend(*panels[2].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=7)
        else:
            figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=7)
        panels[-1].set_xlabel("cycle")
        panels[-1].set_xlim(0, frame["last_cycle"].max())
    return figure
