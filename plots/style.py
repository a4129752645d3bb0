"""One look for every figure: fonts, sizes, and the colour of each stall reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import matplotlib
from matplotlib.figure import Figure

# Issue in blue; waiting for units warm, for memory green to violet, idle grey. Distinct in greyscale by neighbour.
STALL_COLOURS = {
    "issued": "#1f4e79",
    "dispatch_stall": "#f4a582",
    "mio_throttle": "#d6604d",
    "math_pipe_throttle": "#b2182b",
    "imc_miss": "#fddbc7",
    "wait": "#fee08b",
    "short_scoreboard": "#a6d96a",
    "long_scoreboard": "#1a9850",
    "barrier": "#9970ab",
    "membar": "#5e3c99",
    "no_instruction": "#c2a5cf",
    "drain": "#bababa",
    "no_warp": "#e8e8e8",
}

# Groups of points, in order; ten hues that stay apart for colour-blind readers as far as ten can.
GROUP_COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#a6761d", "#44bb99", "#bbbbbb", "#000000",
)  # fmt: skip

_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "svg.hashsalt": "subcore",  # the same data give the same bytes
    "svg.fonttype": "none",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the look to figures made inside."""
    with matplotlib.rc_context(_SETTINGS):
        yield


def write_figure(figure: Figure, file: IO[bytes], kind: str) -> None:
    """Write a figure as "png", "svg" or "pdf". The same figure gives the same bytes: no date, no random name."""
    metadata: dict[str, None] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with figure_style():  # the names inside an SVG file are made now
        figure.savefig(file, format=kind, metadata=metadata)


def text_colour(background: str) -> str:
    """Black or white, whichever reads better on `background` ("#rrggbb")."""
    red, green, blue = (int(background[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.55 else "black"
