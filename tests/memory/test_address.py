"""Address hash: exact remainders, one to one, even."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.jit import standalone
from sim.memory.address import POLYNOMIALS, remainder, remainder_table, rotation_table, split_count, spread

_remainder = standalone(remainder)
_spread = standalone(spread)


def divide(value: int, degree: int) -> int:
    """Remainder of the polynomial division, bit by bit."""
    polynomial = 1 << degree | POLYNOMIALS[degree]
    while value.bit_length() > degree:
        value ^= polynomial << (value.bit_length() - 1 - degree)
    return value


@pytest.mark.parametrize("degree", range(1, len(POLYNOMIALS)))
def test_polynomial_is_irreducible(degree):
    polynomial = 1 << degree | POLYNOMIALS[degree]
    for divisor in range(2, 1 << (degree // 2 + 1)):
        value = polynomial
        while value.bit_length() >= divisor.bit_length():
            value ^= divisor << (value.bit_length() - divisor.bit_length())
        assert value, f"degree {degree}: divisible by {divisor:#b}"


@settings(deadline=None)
@given(st.integers(0, (1 << 48) - 1), st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 10, 16]))
def test_table_gives_the_exact_remainder(value, degree):
    assert int(_remainder(remainder_table(degree), value)) == divide(value, degree)
    assert int(_remainder(remainder_table(degree, shift=5), value)) == divide(value << 5, degree)


def indices(values: np.ndarray, count: int) -> np.ndarray:
    bits, odd = split_count(count)
    table, rotation = remainder_table(bits), rotation_table()
    return np.array([_spread(table, rotation, bits, odd, int(v)) for v in values])


COUNTS = [1, 2, 24, 32, 40, 48, 80, 94, 96, 160, 320]


@pytest.mark.parametrize("count", COUNTS)
def test_index_and_quotient_identify_the_line(count):
    values = np.arange(4 * count * 64)
    pairs = set(zip(indices(values, count), values // count, strict=True))
    assert len(pairs) == len(values)
    assert {i for i, _ in pairs} == set(range(count))


@pytest.mark.parametrize("count", COUNTS)
def test_aligned_runs_are_perfectly_balanced(count):
    start = 12345 * count
    assert sorted(indices(np.arange(start, start + count), count)) == list(range(count))


@pytest.mark.parametrize("count", [32, 48, 80, 96])
@pytest.mark.parametrize("stride", [2, 3, 4, 5, 8, 16, 32, 48, 64, 80, 96, 128, 160, 1000, 1024, 4096, 6144])
def test_strides_are_spread(count, stride):
    """No slice gets more than twice its share, whatever the stride between lines."""
    used = np.bincount(indices(np.arange(64 * count) * stride, count), minlength=count)
    assert used.max() <= 128, f"stride {stride} lines over {count} slices: {used.max()} of {64 * count} in one slice"
