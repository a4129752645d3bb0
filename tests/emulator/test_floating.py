"""Floating-point instructions as compiled code uses them: exactly rounded where CUDA promises it, else within its bounds."""
# ruff: noqa: E501 (tables with one case per line)

import math
from fractions import Fraction

import numpy as np
import pytest

from tests.emulator.conftest import ARCHITECTURES

pytestmark = pytest.mark.sass
RANDOM = np.random.default_rng(11)
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.0, np.inf, -np.inf, np.nan, 1e-3, 1e30, -1e-30, 65504.0]
SPECIAL32 = np.array(
    [
        *SPECIAL,
        1e-40,
        -1.1754944e-38,
        3.4028235e38,
        -3.4028235e38,
        2147483648.0,
        -2147483904.0,
        16777217.0,
        4294967296.0,
    ],
    np.float32,
)
SPECIAL64 = np.array(
    [*SPECIAL, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1e300, 1e-300, 9.3e18, -9.3e18, 1.9e19],
    np.float64,
)


def pairs(dtype):
    special = SPECIAL32 if dtype == np.float32 else SPECIAL64
    span = 30 if dtype == np.float32 else 200
    sign = RANDOM.choice([-1.0, 1.0], 256)
    values = (sign * RANDOM.uniform(1, 2, 256) * 2.0 ** RANDOM.integers(-span, span, 256)).astype(dtype)
    n = len(special)
    return np.concatenate([np.repeat(special, n), values]), np.concatenate([np.tile(special, n), np.roll(values, 9)])


def same(got, wanted):
    """Equal values, NaN equal to NaN, zeros of equal sign."""
    return ((got == wanted) & (np.signbit(got) == np.signbit(wanted))) | (np.isnan(got) & np.isnan(wanted))


def close(relative, absolute=0.0):
    return lambda got, wanted: np.isclose(got, wanted, relative, absolute, equal_nan=True)


def directed(x, y, z, mode, dtype):
    """x * y + z rounded towards "zero", "down" or "up", by exact rationals; None where the plain operation decides."""
    if not all(map(math.isfinite, (x, y, z))):
        return None
    exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
    if exact == 0:
        return None
    largest = np.finfo(dtype).max
    limit = Fraction(float(largest))
    guess = dtype(float(min(max(exact, -limit), limit)))
    below = above = guess
    if Fraction(float(guess)) > exact:
        below = np.nextafter(guess, dtype(-np.inf))
    elif Fraction(float(guess)) < exact:
        above = np.nextafter(guess, dtype(np.inf))
    if mode == "down" or (mode == "zero" and exact > 0):
        return below
    return above


def apply(function, x, y, dtype):
    with np.errstate(all="ignore"):
        return np.array([function(i, j) for i, j in zip(x, y, strict=True)], dtype)


def fused(x, y, z, dtype):
    """x * y + z with one rounding."""
    if not all(map(math.isfinite, (x, y, z))):
        return dtype(x) * dtype(y) + dtype(z)
    exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
    if exact == 0:
        return dtype(x) * dtype(y) + dtype(z)
    largest = np.finfo(dtype).max
    ulp = Fraction(float(largest)) - Fraction(float(np.nextafter(largest, dtype(0))))
    if abs(exact) >= Fraction(float(largest)) + ulp / 2:
        return dtype(math.inf if exact > 0 else -math.inf)
    if abs(exact) > Fraction(float(largest)):
        return dtype(largest if exact > 0 else -largest)
    low, high = directed(x, y, z, "down", dtype), directed(x, y, z, "up", dtype)
    down, up = exact - Fraction(float(low)), Fraction(float(high)) - exact
    if down == up and low != high:
        bits = np.uint32 if dtype == np.float32 else np.uint64
        return low if int(low.view(bits)) % 2 == 0 else high
    return low if down < up else high


def to_integer(value, rounding, bits, is_signed, nan):
    if math.isnan(value):
        return nan
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    if math.isinf(value):
        return high if value > 0 else low
    return min(max(int(rounding(value)), low), high)


def arithmetic_cases(dtype):
    name, f = ("float", "f") if dtype == np.float32 else ("double", "d")
    x, y = pairs(dtype)
    types = (name,) * 3
    with np.errstate(all="ignore"):
        cases = [
            ("x + y", types, x, y, x + y, same),
            ("x - y", types, x, y, x - y, same),
            ("x * y", types, x, y, x * y, same),
            ("x / y", types, x, y, x / y, same),
            ("fma(x, y, x)", types, x, y, apply(lambda i, j: fused(i, j, i, dtype), x, y, dtype), same),
            ("fmin(x, y)", types, x, y, np.fmin(x, y), lambda g, w: (g == w) | (np.isnan(g) & np.isnan(w))),
            ("fmax(x, y)", types, x, y, np.fmax(x, y), lambda g, w: (g == w) | (np.isnan(g) & np.isnan(w))),
            ("sqrt(x)", types, x, y, np.sqrt(x), same),
            ("floor(x) + ceil(y)", types, x, y, np.floor(x) + np.ceil(y), same),
            ("rint(x)", types, x, y, np.rint(x), same),
            ("trunc(x)", types, x, y, np.trunc(x), same),
            ("fabs(x)", types, x, y, np.abs(x), same),
            ("x < y ? 1 : x == y ? 2 : x > y ? 3 : 4", types, x, y, np.where(x < y, 1, np.where(x == y, 2, np.where(x > y, 3, 4))).astype(dtype), same),
            ("!(x >= y) ? 1 : 2", types, x, y, np.where(~(x >= y), 1, 2).astype(dtype), same),
        ]  # fmt: skip
        for letters, mode in (("rz", "zero"), ("rd", "down"), ("ru", "up")):

            def plain(function, i, j, k, mode=mode):
                value = directed(i, j, k, mode, dtype)
                return function() if value is None else value

            def signed_zero(value, i, j, mode=mode):
                """An exact zero sum of unlike signs is -0 when rounding down."""
                return dtype(-0.0) if mode == "down" and value == 0 and np.signbit(i) != np.signbit(j) else value

            add = apply(lambda i, j: plain(lambda: signed_zero(i + j, i, j), i, 1.0, j), x, y, dtype)
            multiply = apply(lambda i, j: plain(lambda: i * j, i, j, 0.0), x, y, dtype)
            both = apply(lambda i, j: plain(lambda: signed_zero(i * j + i, i * j, i), i, j, i), x, y, dtype)
            fma = "__fmaf_" if f == "f" else "__fma_"
            cases += [
                (f"__{f}add_{letters}(x, y)", types, x, y, add, same),
                (f"__{f}mul_{letters}(x, y)", types, x, y, multiply, same),
                (f"{fma}{letters}(x, y, x)", types, x, y, both, same),
            ]
    return cases


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arithmetic_is_exactly_rounded(differences, architecture, dtype):
    wrong = differences(architecture, arithmetic_cases(dtype))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_mathematical_functions_are_within_cuda_bounds(differences, architecture):
    x = RANDOM.uniform(-20, 20, 256)
    big = np.concatenate([x, RANDOM.uniform(-1e7, 1e7, 64)])
    cases = []
    for dtype, name, bound in ((np.float32, "float", 1e-6), (np.float64, "double", 1e-14)):
        types = (name,) * 3
        f = "f" if dtype == np.float32 else ""
        v, b = x.astype(dtype), big.astype(dtype)
        p = np.abs(v)
        w = v.astype(np.float64)
        for function, argument, wanted in (
            ("sin", b, np.sin(b.astype(np.float64))),
            ("cos", b, np.cos(b.astype(np.float64))),
            ("exp", v, np.exp(w)),
            ("log", p, np.log(np.abs(w))),
            ("tanh", v, np.tanh(w)),
            ("cbrt", v, np.cbrt(w)),
            ("erf", v, np.array([math.erf(i) for i in w])),
            ("rsqrt", p, 1 / np.sqrt(np.abs(w))),
        ):
            equal = close(bound, 1e-7 if dtype == np.float32 else 1e-16)
            cases.append((f"{function}{f}(x)", types, argument, argument, wanted.astype(dtype), equal))
        cases.append(
            (
                f"pow{f}(x, y)",
                types,
                p,
                v / 8,
                (np.abs(w) ** (v / 8).astype(np.float64)).astype(dtype),
                close(2e-6 if f else 1e-13),
            )
        )
    v = x.astype(np.float32)
    cases.append(("__sinf(x)", ("float",) * 3, v / 8, v, np.sin(v / 8).astype(np.float32), close(0, 1e-6)))
    cases.append(("__expf(x)", ("float",) * 3, v, v, np.exp(v).astype(np.float32), close(3e-6)))
    cases.append(("__fdividef(x, y)", ("float",) * 3, v, v + 50, v / (v + 50), close(1e-6)))
    wrong = differences(architecture, cases)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_conversions_clamp_and_round(differences, architecture):
    cases = []
    for dtype, name in ((np.float32, "float"), (np.float64, "double")):
        x = pairs(dtype)[0]
        x = np.concatenate(
            [x, RANDOM.uniform(-1e10, 1e10, 64).astype(dtype), RANDOM.uniform(-300, 300, 64).astype(dtype)]
        )
        for c_type, bits, is_signed in (
            ("int", 32, 1),
            ("unsigned", 32, 0),
            ("long long", 64, 1),
            ("unsigned long long", 64, 0),
        ):
            result = np.dtype(f"{'i' if is_signed else 'u'}{bits // 8}")
            nan = (
                -(1 << 31)
                if (name == "double" and bits == 32 and is_signed)
                else -(1 << 63)
                if bits == 64 and is_signed
                else 0
            )
            if not is_signed and (bits == 64 or name == "double"):
                nan = 1 << (bits - 1)
            wanted = np.array([to_integer(float(v), math.trunc, bits, is_signed, nan) for v in x], result)
            cases.append((f"({c_type})x", (name, name, c_type), x, x, wanted, np.equal))
        nan = 0 if name == "float" else -(1 << 31)
        for suffix, rounding in (("rn", round), ("rd", math.floor), ("ru", math.ceil)):
            wanted = np.array([to_integer(float(v), rounding, 32, True, nan) for v in x], np.int32)
            cases.append((f"__{name}2int_{suffix}(x)", (name, name, "int"), x, x, wanted, np.equal))
    whole = np.concatenate(
        [
            RANDOM.integers(0, 2**64, 200, dtype=np.uint64),
            np.array([0, 1, 2**24 + 1, 2**53 + 1, 2**63, 2**64 - 1, 2**31], np.uint64),
        ]
    )
    for c_type, dtype in (
        ("unsigned", np.uint32),
        ("int", np.int32),
        ("unsigned long long", np.uint64),
        ("long long", np.int64),
    ):
        v = whole.astype(dtype)
        cases.append(("(float)x", (c_type, c_type, "float"), v, v, v.astype(np.float32), same))
        cases.append(("(double)x", (c_type, c_type, "double"), v, v, v.astype(np.float64), same))
        short = {"unsigned": "uint", "int": "int", "unsigned long long": "ull", "long long": "ll"}[c_type]
        for suffix, mode in (("rz", "zero"), ("rd", "down"), ("ru", "up")):
            wanted = []
            for n in v.tolist():
                nearest = np.float32(n)
                if int(nearest) != n:
                    lower = nearest if int(nearest) < n else np.nextafter(nearest, np.float32(-np.inf))
                    upper = nearest if int(nearest) > n else np.nextafter(nearest, np.float32(np.inf))
                    nearest = upper if mode == "up" or (mode == "zero" and n < 0) else lower
                wanted.append(nearest)
            cases.append(
                (f"__{short}2float_{suffix}(x)", (c_type, c_type, "float"), v, v, np.array(wanted, np.float32), same)
            )
    x = pairs(np.float64)[0]
    with np.errstate(all="ignore"):
        cases.append(("(float)x", ("double", "double", "float"), x, x, x.astype(np.float32), same))
    y = pairs(np.float32)[0]
    cases.append(("(double)x", ("float", "float", "double"), y, y, y.astype(np.float64), same))
    small = RANDOM.integers(0, 2**32, 200, dtype=np.uint32)
    cases.append(
        ("(unsigned char)x", ("unsigned", "unsigned", "float"), small, small, (small & 255).astype(np.float32), same)
    )
    cases.append(
        (
            "(short)(x >> 16)",
            ("unsigned", "unsigned", "float"),
            small,
            small,
            (small >> 16).astype(np.uint16).view(np.int16).astype(np.float32),
            same,
        )
    )
    cases.append(
        (
            "(signed char)(x >> 8)",
            ("unsigned", "unsigned", "float"),
            small,
            small,
            ((small >> 8) & 255).astype(np.uint8).view(np.int8).astype(np.float32),
            same,
        )
    )
    wrong = differences(architecture, cases)
    assert not wrong, "\n".join(wrong)
