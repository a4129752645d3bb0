"""Input arrays for sparse matrices; the same seed makes arrays that fit together."""

import numpy as np

_DEGREE = 8  # mean entries per row
_DENSITY = 0.4  # of bitmap matrices


def _row_lengths(rows: int, random: np.random.Generator) -> np.ndarray:
    """Entries per row, 0 to twice the mean: an irregular matrix."""
    return random.integers(0, 2 * _DEGREE + 1, rows)


def csr_row_start(shape, dtype, random, options):
    """Row starts of an irregular sparse matrix with shape[0] - 1 rows."""
    return np.concatenate([[0], np.cumsum(_row_lengths(shape[0] - 1, random))]).astype(dtype)


def csr_column(shape, dtype, random, options):
    """Column of each entry, for a square matrix with shape[0] rows."""
    return random.integers(0, shape[0], int(_row_lengths(shape[0], random).sum())).astype(dtype)


def csr_value(shape, dtype, random, options):
    return random.uniform(-1, 1, int(_row_lengths(shape[0], random).sum())).astype(dtype)


def csr_weight(shape, dtype, random, options):
    return random.integers(1, 100, int(_row_lengths(shape[0], random).sum())).astype(dtype)


def csr_block(shape, dtype, random, options):
    """A dense block of 16 x 16 for each entry."""
    return random.uniform(-1, 1, (int(_row_lengths(shape[0], random).sum()), 16, 16)).astype(dtype)


def _bits(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    return random.random((*shape, 64)) < _DENSITY


def bitmap(shape, dtype, random, options):
    """Masks of the non-zero elements of 8 x 8 tiles, row by row from the lowest bit."""
    return (_bits(shape, random).astype(np.uint64) << np.arange(64, dtype=np.uint64)).sum(axis=-1).astype(dtype)


def bitmap_start(shape, dtype, random, options):
    """Index of each tile's first value."""
    counts = _bits(shape, random).sum(axis=-1)
    return (np.cumsum(counts).reshape(shape) - counts).astype(dtype)


def bitmap_value(shape, dtype, random, options):
    return random.uniform(-1, 1, int(_bits(shape, random).sum())).astype(dtype)


def two_of_four(shape, dtype, random, options):
    """Ascending pairs of 2-bit positions, as many as fit into an element: the metadata of 2:4 sparse matrices."""
    pairs = np.array([a | b << 2 for a in range(4) for b in range(a + 1, 4)], np.uint64)
    chosen = pairs[random.integers(0, len(pairs), (*shape, dtype.itemsize * 2))]
    return (chosen << np.arange(0, dtype.itemsize * 8, 4, dtype=np.uint64)).sum(axis=-1).astype(dtype)
