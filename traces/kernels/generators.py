"""Input arrays of launch files by generator name: deterministic functions of shape, dtype, seed and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Generator = Callable[[tuple[int, ...], np.dtype, np.random.Generator, Mapping[str, Any]], np.ndarray]
_DEGREE = 8


def _uniform(shape, dtype, random, options):
    low, high = options.get("range", [0, 1])
    if dtype.kind == "f":
        return random.uniform(low, high, shape).astype(dtype)
    return random.integers(low, high, shape, dtype=dtype)


def _filled(shape, dtype, random, options):
    return np.full(shape, options.get("value", 0), dtype)


def _arange(shape, dtype, random, options):
    return np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)


def _marked(shape, dtype, random, options):
    """-1 everywhere but 0 in the first `count` elements: distances of a search whose frontier is known."""
    array = np.full(shape, -1, dtype)
    array[: options["count"]] = 0
    return array


def _cycle(shape, dtype, random, options):
    """A single random cycle through all elements: element i holds its successor."""
    order = random.permutation(shape[0])
    following = np.empty(shape[0], dtype)
    following[order] = np.roll(order, -1)
    return following


def _row_lengths(rows: int, random: np.random.Generator) -> np.ndarray:
    """Entries per row, 0 to twice the mean: an irregular matrix."""
    return random.integers(0, 2 * _DEGREE + 1, rows)


def _csr_row_start(shape, dtype, random, options):
    """Row starts of an irregular sparse matrix with shape[0] - 1 rows. Same seed: fits csr_column and csr_value."""
    return np.concatenate([[0], np.cumsum(_row_lengths(shape[0] - 1, random))]).astype(dtype)


def _csr_column(shape, dtype, random, options):
    """Column of each entry, for a square matrix with shape[0] rows."""
    entries = int(_row_lengths(shape[0], random).sum())
    return random.integers(0, shape[0], entries).astype(dtype)


def _csr_value(shape, dtype, random, options):
    entries = int(_row_lengths(shape[0], random).sum())
    return random.uniform(-1, 1, entries).astype(dtype)


GENERATORS: dict[str, Generator] = {
    "uniform": _uniform,
    "filled": _filled,
    "arange": _arange,
    "marked": _marked,
    "cycle": _cycle,
    "csr_row_start": _csr_row_start,
    "csr_column": _csr_column,
    "csr_value": _csr_value,
}
