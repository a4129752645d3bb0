"""Error statistics of simulated against measured values. Errors are signed: (simulated - measured) / measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from isa.errors import SubcoreError

WITHIN = 0.2  # the band of the scatter plots


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Fractions (0.1 = 10 %), except `count`. Correlations are NaN where a side does not vary or one point is all."""

    count: int
    mean_absolute: float  # MAPE
    median_absolute: float
    p90_absolute: float
    max_absolute: float
    bias: float  # mean of the signed errors
    within: float  # share of the points inside the +-20 % band
    pearson: float
    rank: float  # Spearman

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain values; None for a correlation that does not exist."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


def _pair(measured: object, simulated: object) -> tuple[np.ndarray, np.ndarray]:
    m, s = np.asarray(measured, float), np.asarray(simulated, float)
    if m.ndim != 1 or m.shape != s.shape or not len(m):
        raise SubcoreError(f"statistics need two lists of the same length, at least 1: got {m.shape} and {s.shape}")
    if not (np.isfinite(m).all() and np.isfinite(s).all()) or (m <= 0).any() or (s < 0).any():
        raise SubcoreError("statistics need finite values, measured above zero and simulated not below")
    return m, s


def signed_errors(measured: object, simulated: object) -> np.ndarray:
    """(simulated - measured) / measured, f8, shape (n,). SubcoreError for empty, unequal or non-positive input."""
    m, s = _pair(measured, simulated)
    return (s - m) / m


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's r; NaN if it is not defined."""
    dx, dy = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((dx @ dx) * (dy @ dy)))
    return float(np.clip(dx @ dy / norm, -1, 1)) if len(x) > 1 and norm > 0 else float("nan")


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties share their mean rank."""
    unique, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def summarize(measured: object, simulated: object) -> Summary:
    """Statistics of n points. SubcoreError as `signed_errors`."""
    m, s = _pair(measured, simulated)
    errors = (s - m) / m
    size = np.abs(errors)
    return Summary(
        count=len(m),
        mean_absolute=float(size.mean()),
        median_absolute=float(np.median(size)),
        p90_absolute=float(np.percentile(size, 90)),
        max_absolute=float(size.max()),
        bias=float(errors.mean()),
        within=float((size <= WITHIN).mean()),
        pearson=correlation(m, s),
        rank=correlation(ranks(m), ranks(s)),
    )


def slope(work: object, time: object) -> float:
    """Time per unit of work beyond the fixed part: line through (work, time), points weighted by 1 / time.

    The weights make relative errors count the same at every size. NaN for fewer than two amounts of work.
    """
    w, t = np.asarray(work, float), np.asarray(time, float)
    if len(np.unique(w)) < 2:
        return float("nan")
    weight = 1 / t
    columns = np.stack([w, np.ones_like(w)], 1) * weight[:, None]
    return float(np.linalg.lstsq(columns, t * weight, rcond=None)[0][0])
