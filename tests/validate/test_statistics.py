"""Error statistics: signs, ties, weights, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa.errors import SubcoreError
from validate.statistics import correlation, ranks, signed_errors, slope, summarize

POSITIVE = st.floats(1e-3, 1e6)


def test_errors_are_signed_and_relative_to_the_measurement():
    assert signed_errors([100, 200], [110, 100]).tolist() == pytest.approx([0.1, -0.5])


def test_summary_of_known_errors():
    s = summarize([100, 100, 100, 100], [110, 90, 130, 100])
    assert (s.count, s.mean_absolute, s.median_absolute, s.max_absolute, s.bias) == pytest.approx(
        (4, 0.125, 0.1, 0.3, 0.075)
    )
    assert s.within == 0.75, "three of four lie inside 20 %"
    assert math.isnan(s.pearson) and s.as_dict()["pearson"] is None, "nothing varies on the measured side"


def test_rank_correlation_sees_order_where_pearson_sees_size():
    s = summarize([1, 2, 3, 4], [1, 10, 100, 10000])
    assert s.rank == pytest.approx(1) and s.pearson < 0.9


def test_equal_values_share_their_mean_rank():
    assert ranks(np.array([5.0, 1.0, 5.0, 9.0])).tolist() == [2.5, 1, 2.5, 4]


def test_slope_leaves_the_fixed_part_out():
    work = np.array([10, 20, 30, 40])
    assert slope(work, 1000 + 529 * work) == pytest.approx(529)
    assert math.isnan(slope([5, 5], [10, 11])), "one amount of work has no slope"


@pytest.mark.parametrize(
    ("measured", "simulated"), [([], []), ([1], [1, 2]), ([0], [1]), ([1], [float("nan")]), ([1], [-1])]
)
def test_lists_that_have_no_errors_are_refused(measured, simulated):
    with pytest.raises(SubcoreError, match="statistics need"):
        summarize(measured, simulated)


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=30))
def test_summary_keeps_its_bounds(pairs):
    s = summarize(*zip(*pairs, strict=True))
    assert 0 <= s.median_absolute <= s.max_absolute and s.p90_absolute <= s.max_absolute * (1 + 1e-9)
    assert abs(s.bias) <= s.mean_absolute * (1 + 1e-9) and s.mean_absolute <= s.max_absolute * (1 + 1e-9)
    assert math.isnan(s.rank) or -1 <= s.rank <= 1


@given(st.lists(POSITIVE, min_size=2, max_size=20, unique=True), st.floats(0.1, 10))
def test_correlation_ignores_scale(values, factor):
    x = np.array(values)
    r = correlation(x, factor * x)
    assert math.isnan(r) or r == pytest.approx(1, abs=1e-6)
