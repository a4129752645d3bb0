"""Plain aligned text for terminals. No colour, no box drawing: the output is for reading and for `diff`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(rows: Iterable[Sequence[Any]], header: Sequence[str] = (), right: str = "") -> str:
    """Rows as lines of aligned columns, two blanks apart.

    `right` has one character per column: ">" aligns right, "<" left; missing ones align numbers right.
    """
    cells = [[shown(value) for value in row] for row in rows]
    numeric = [[isinstance(value, int | float) for value in row] for row in rows] if isinstance(rows, list) else []
    everything = [list(header), *cells] if header else cells
    if not everything:
        return ""
    width = [max(len(row[i]) for row in everything) for i in range(len(everything[0]))]
    sides = [
        right[i] if i < len(right) else ">" if numeric and all(row[i] for row in numeric) else "<"
        for i in range(len(width))
    ]
    return "\n".join(
        "  ".join(f"{cell:{side}{size}}" for cell, side, size in zip(row, sides, width, strict=True)).rstrip()
        for row in everything
    )


def shown(value: Any) -> str:
    """A value as people read it: thousands separated, floats with four significant digits."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    if isinstance(value, tuple | list):
        return " ".join(str(item) for item in value)
    return str(value)


def percent(part: float, whole: float) -> str:
    """`part` of `whole` in per cent, "-" where there is nothing to divide."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def dimensions(value: Sequence[int]) -> str:
    """(x, y, z) without trailing ones: 32x4, 128."""
    last = max((i for i, n in enumerate(value) if n != 1), default=0)
    return "x".join(str(n) for n in value[: last + 1])
