"""Results of suites as tables: per benchmark, per bound, and what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from validate.hardware.bound import BOUNDS
from validate.hardware.run import PointResult
from validate.hardware.suite import Benchmark
from validate.statistics import Summary, slope, summarize


@dataclass(frozen=True, kw_only=True)
class Row:
    """Errors of a group of points; `summary` is None if every point was skipped."""

    name: str
    role: str
    summary: Summary | None
    skipped: int
    worst: str = ""  # point with the largest error, signed
    slope_ratio: float = float("nan")  # time per unit of work, simulated over measured
    tier_percent: float | None = None

    @property
    def passes(self) -> bool:
        """Within its tier; a group without tier or without results passes."""
        if self.tier_percent is None or self.summary is None:
            return True
        return 100 * self.summary.mean_absolute <= self.tier_percent


def group(
    name: str, role: str, results: Sequence[PointResult], tier_percent: float | None = None, with_slope: bool = False
) -> Row:
    """Statistics of points that ran; those skipped are counted."""
    ran = [result for result in results if result.simulated is not None]
    if not ran:
        return Row(name=name, role=role, summary=None, skipped=len(results), tier_percent=tier_percent)
    measured, simulated = [r.measured for r in ran], [float(r.simulated or 0) for r in ran]
    worst = max(ran, key=lambda r: abs(r.error))
    ratio = float("nan")
    if with_slope:
        work = [r.work for r in ran]
        ratio = slope(work, simulated) / slope(work, measured)
    return Row(
        name=name,
        role=role,
        summary=summarize(measured, simulated),
        skipped=len(results) - len(ran),
        worst=f"{worst.error:+.1%} {worst.point}",
        slope_ratio=ratio,
        tier_percent=tier_percent,
    )


def by_benchmark(results: Sequence[PointResult], benchmarks: Iterable[Benchmark]) -> list[Row]:
    """One row per benchmark that has points, in suite order, with tier and slope."""
    rows = []
    for benchmark in benchmarks:
        mine = [r for r in results if (r.suite, r.benchmark) == (benchmark.suite, benchmark.name)]
        if mine:
            name = f"{benchmark.suite}.{benchmark.name}"
            rows.append(group(name, benchmark.role, mine, benchmark.tier_percent, with_slope=True))
    return rows


def by_suite(results: Sequence[PointResult]) -> list[Row]:
    """One row per suite and role, then all validation points."""
    keys = dict.fromkeys((r.suite, r.role) for r in results)
    rows = [group(suite, role, [r for r in results if (r.suite, r.role) == (suite, role)]) for suite, role in keys]
    if validation := [r for r in results if r.role == "validation"]:
        rows.append(group("all", "validation", validation))
    return rows


def by_bound(results: Sequence[PointResult]) -> list[Row]:
    """One row per bound that validation points have."""
    ran = [r for r in results if r.role == "validation" and r.bound]
    return [group(b, "validation", [r for r in ran if r.bound == b]) for b in BOUNDS if any(r.bound == b for r in ran)]
