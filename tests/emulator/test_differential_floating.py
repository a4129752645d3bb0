"""Floating-point SASS forms, one row each, against exact rationals rounded once: edges, every rounding and modifier."""
# ruff: noqa: E501 (tables with one form per line)

import math
from fractions import Fraction

import numpy as np
import pytest

from tests.emulator.sass import Warp

NAN32 = 0x7FFFFFFF
# name: (mantissa bits, bias, has infinity, largest code)
FORMATS = {
    "F32": (23, 127, True, 0x7F7FFFFF), "F16": (10, 15, True, 0x7BFF), "BF16": (7, 127, True, 0x7F7F), "TF32": (10, 127, True, 0x3FBFF),
    "F64": (52, 1023, True, 0x7FEFFFFFFFFFFFFF),
    "E4M3": (3, 7, False, 0x7E), "E5M2": (2, 15, True, 0x7B), "E3M2": (2, 3, False, 0x1F), "E2M3": (3, 1, False, 0x1F), "E2M1": (1, 1, False, 7),
}  # fmt: skip
WIDTHS = {
    "F32": 32,
    "F16": 16,
    "BF16": 16,
    "TF32": 19,
    "F64": 64,
    "E4M3": 8,
    "E5M2": 8,
    "E3M2": 6,
    "E2M3": 6,
    "E2M1": 4,
}
EDGES32 = [
    0,
    0x80000000,
    1,
    0x80000001,
    0x007FFFFF,
    0x00800000,
    0x3F800000,
    0xBF800000,
    0x3F000001,
    0x7F7FFFFF,
    0xFF7FFFFF,
    0x7F800000,
    0xFF800000,
    0x7FC00000,
    0xFFC12345,
    0x7F800001,
    0x38800000,
    0x387FE000,
    0x477FF000,
    0x43E00000,
    0x43E80000,
    0x4B800001,
]


def decode(bits, form):
    """Exact value as Fraction, or math.nan, inf; and its sign."""
    mantissa_bits, bias, infinite, _ = FORMATS[form]
    width = WIDTHS[form]
    sign = bits >> (width - 1) & 1
    exponent = bits >> mantissa_bits & ((1 << (width - 1 - mantissa_bits)) - 1)
    mantissa = bits & ((1 << mantissa_bits) - 1)
    top = (1 << (width - 1 - mantissa_bits)) - 1
    if infinite and exponent == top:
        return (math.nan if mantissa else math.inf * (-1) ** sign), sign
    if form == "E4M3" and bits & 0x7F == 0x7F:
        return math.nan, sign
    value = Fraction(mantissa + ((1 << mantissa_bits) if exponent else 0)) * Fraction(2) ** (
        max(exponent, 1) - bias - mantissa_bits
    )
    return (-value if sign else value), sign


def encode(value, form, mode="RN", negative_zero=False, finite=False):
    """Bits of a Fraction (or inf) in a format, rounded once."""
    mantissa_bits, bias, infinite, largest = FORMATS[form]
    sign_bit = 1 << (WIDTHS[form] - 1)
    if value == 0:
        return sign_bit if negative_zero else 0
    sign, magnitude = value < 0, abs(value)
    overflow = largest if finite or not infinite else largest + 1
    if magnitude == math.inf:
        return overflow | (sign_bit if sign else 0)
    exponent = max(magnitude.numerator.bit_length() - magnitude.denominator.bit_length(), 1 - bias)
    while Fraction(2) ** (exponent + 1) <= magnitude:
        exponent += 1
    while Fraction(2) ** exponent > magnitude and exponent > 1 - bias:
        exponent -= 1
    scaled = magnitude / Fraction(2) ** (exponent - mantissa_bits)
    down = math.floor(scaled)
    away = (mode == "RP" and not sign) or (mode == "RM" and sign)
    whole = round(scaled) if mode == "RN" else down + (away and scaled != down)
    code = whole + ((exponent + bias - 1) << mantissa_bits)
    if code > largest:
        code = overflow if mode == "RN" or away else largest
    return code | (sign_bit if sign else 0)


def flush(bits, ftz):
    return bits & 0x80000000 if ftz and bits & 0x7F800000 == 0 else bits


def fused(a, b, c, mode, form, sign_of_zero):
    """Bits of a * b + c on decoded operands (value, sign)."""
    nan = {"F32": NAN32, "F64": None}[form]
    x, y, z = a[0], b[0], c[0]
    if any(isinstance(v, float) and math.isnan(v) for v in (x, y, z)):
        return nan
    product_sign = a[1] ^ b[1]
    if isinstance(x, float) or isinstance(y, float):
        if x == 0 or y == 0 or (isinstance(z, float) and c[1] != product_sign):
            return nan
        return encode(-math.inf if product_sign else math.inf, form)
    if isinstance(z, float):
        return encode(z, form)
    total = x * y + z
    negative = sign_of_zero(product_sign, c[1], x * y == 0 and z == 0)
    return encode(total, form, mode, negative)


def arithmetic(kind, mode, ftz, saturate, form="F32"):
    """Reference of FADD, FMUL, FFMA, DADD ... on bit patterns."""

    def apply(*bits):
        bits = [flush(v, ftz) for v in bits]
        values = [decode(v, form) for v in bits]
        one = (Fraction(1), 0)

        def zero_sign(product, addend, all_zero):
            if kind == "MUL":
                return bool(product)
            return bool(product and addend) if product == addend else mode == "RM"

        if kind == "ADD":
            result = fused(values[0], one, values[1], mode, form, zero_sign)
        elif kind == "MUL":
            result = fused(values[0], values[1], (Fraction(0), values[0][1] ^ values[1][1]), mode, form, zero_sign)
        else:
            result = fused(*values, mode, form, zero_sign)
        if result is None:
            return None
        result = flush(result, ftz)
        if saturate:
            value, sign = decode(result, form)
            nan = isinstance(value, float) and math.isnan(value)
            result = 0 if nan or sign or value == 0 else min(result, 0x3F800000)
        return result

    return apply


def lanes32(random):
    words = random.integers(0, 2**32, 32, dtype=np.uint64)
    near = random.choice(32, 16, replace=False)
    words[near] = (
        random.integers(100, 150, 16) << 23 | random.integers(0, 2**23, 16) | random.integers(0, 2, 16) << 31
    ).astype(np.uint64)
    at = random.choice(32, 10, replace=False)
    words[at] = random.choice(np.array(EDGES32, np.uint64), 10)
    return words


def lanes64(random):
    low = random.integers(0, 2**32, 32, dtype=np.uint64)
    return lanes32(random) << np.uint64(32) | np.where(random.integers(0, 2, 32), low, np.uint64(0))


SINGLE = {
    f"{op}{ftz}{'' if mode == 'RN' else '.' + mode}{sat} R8,{sources}": (kind, mode, bool(ftz), bool(sat))
    for op, kind, sources in (("FADD", "ADD", "R2,R4"), ("FMUL", "MUL", "R2,R4"), ("FFMA", "FMA", "R2,R4,R6"))
    for mode in ("RN", "RM", "RP", "RZ") for ftz in ("", ".FTZ") for sat in ("", ".SAT")
}  # fmt: skip


def run_rows(warp, random, rows, count, lanes, wide=False):
    """Run every row on random lanes; rows: text -> function of bit patterns giving the wanted bits, or None for any NaN."""
    wrong = []
    for text, function in rows.items():
        for _ in range(count):
            inputs = [lanes(random) for _ in range(3)]
            for register, values in zip((2, 4, 6), inputs, strict=True):
                warp.set_wide(register, values)
            warp.run(text)
            got = warp.wide(8) if wide else warp.register[8]
            used = [v.tolist() for v, name in zip(inputs, ("R2", "R4", "R6"), strict=True) if name in text]
            if not wide:
                used = [[v & 0xFFFFFFFF for v in lane] for lane in used]
            for lane in range(32):
                wanted, value = function(*(v[lane] for v in used)), int(got[lane])
                is_nan = wide and value & 0x7FF0000000000000 == 0x7FF0000000000000 and value & 0xFFFFFFFFFFFFF
                if (wanted is None and not is_nan) or (wanted is not None and wanted != value):
                    wrong.append(
                        f"{text}: {[hex(v[lane]) for v in used]} gives {value:#x}, expected {wanted if wanted is None else hex(wanted)}"
                    )
                    break
            else:
                continue
            break
    assert not wrong, "\n".join(wrong)


def test_single_precision_is_rounded_once():
    run_rows(Warp(90), np.random.default_rng(1), {text: arithmetic(*row) for text, row in SINGLE.items()}, 6, lanes32)


def test_double_precision_is_rounded_once():
    rows = {
        f"{op}{'' if mode == 'RN' else '.' + mode} R8,{sources}": arithmetic(kind, mode, False, False, "F64")
        for op, kind, sources in (("DADD", "ADD", "R2,R4"), ("DMUL", "MUL", "R2,R4"), ("DFMA", "FMA", "R2,R4,R6"))
        for mode in ("RN", "RM", "RP", "RZ")
    }
    run_rows(Warp(90), np.random.default_rng(2), rows, 6, lanes64, wide=True)


def minimum(pick, ftz=False, nan_wins=False, xor_sign=False, form="F32"):
    nan = {"F32": NAN32, "F16": 0x7FFF, "BF16": 0x7FFF}[form]
    sign_bit = 1 << (WIDTHS[form] - 1)

    def pair(a, b):
        sign = (a ^ b) & sign_bit
        if xor_sign:
            a, b = a & ~sign_bit, b & ~sign_bit
        (x, sx), (y, sy) = decode(a, form), decode(b, form)
        nans = [isinstance(v, float) and math.isnan(v) for v in (x, y)]
        if all(nans) or (nan_wins and any(nans)):
            return nan
        result = b if nans[0] else a if nans[1] else pick(((x, -sx), a), ((y, -sy), b), key=lambda item: item[0])[1]
        return result | sign if xor_sign else result

    def apply(*bits):
        bits = [flush(v, ftz) if form == "F32" else v & sign_bit if ftz and not v & 0x7C00 else v for v in bits]
        result = pair(bits[0], bits[1])
        return pair(result, bits[2]) if len(bits) == 3 else result

    return apply


def halves(function):
    return lambda *words: sum(function(*(w >> s & 0xFFFF for w in words)) << s for s in (0, 16))


def test_extrema_follow_the_rules_of_nan_and_zero():
    rows = {
        f"FMNMX{f}{n}{x} R8,R2,R4,{p}": minimum(pick, bool(f), bool(n), bool(x))
        for f in ("", ".FTZ") for n in ("", ".NAN") for x in ("", ".XORSIGN") for p, pick in (("PT", min), ("!PT", max))
    } | {f"FMNMX3{n} R8,R2,R4,R6,{p}": minimum(pick, False, bool(n)) for n in ("", ".NAN") for p, pick in (("PT", min), ("!PT", max))}  # fmt: skip
    rows |= {
        f"HMNMX2{t}{f}{n}{x} R8,R2,R4,{p}": halves(minimum(pick, bool(f), bool(n), bool(x), "BF16" if t else "F16"))
        for t in ("", ".BF16_V2") for f in ("", ".FTZ") if not (t and f) for n in ("", ".NAN") for x in ("", ".XORSIGN") for p, pick in (("PT", min), ("!PT", max))
    }  # fmt: skip
    run_rows(Warp(100), np.random.default_rng(3), rows, 6, lanes32)


def half_arithmetic(kind, form, relu=False, saturate=False, ftz=False):
    one = {"F16": 0x3C00, "BF16": 0x3F80}[form]

    def apply(*bits):
        values = [decode(v, form) for v in bits]
        x, y = (values[0], values[1]) if kind != "ADD" else (values[0], (Fraction(1), 0))
        z = values[1] if kind == "ADD" else values[2] if kind == "FMA" else (Fraction(0), x[1] ^ y[1])
        if any(isinstance(v[0], float) and math.isnan(v[0]) for v in (x, y, z)):
            result = None
        elif isinstance(x[0], float) or isinstance(y[0], float):
            bad = x[0] == 0 or y[0] == 0 or (isinstance(z[0], float) and z[1] != x[1] ^ y[1])
            result = None if bad else encode(math.inf * (-1) ** (x[1] ^ y[1]), form)
        elif isinstance(z[0], float):
            result = encode(z[0], form)
        else:
            result = encode(x[0] * y[0] + z[0], form, "RN", bool((x[1] ^ y[1]) and z[1]))
        if result is None:
            return 0 if saturate else 0x7FFF
        if ftz and result & 0x7C00 == 0:
            result &= 0x8000
        if relu and result & 0x8000:
            result = 0
        if saturate:
            result = 0 if result & 0x8000 else min(result, one)
        return result

    return apply


def test_half_precision_is_rounded_once():
    rows = {}
    for op, kind, sources in (("HADD2", "ADD", "R2,R4"), ("HMUL2", "MUL", "R2,R4"), ("HFMA2", "FMA", "R2,R4,R6")):
        rows[f"{op} R8,{sources}"] = halves(half_arithmetic(kind, "F16"))
        rows[f"{op}.SAT R8,{sources}"] = halves(half_arithmetic(kind, "F16", saturate=True))
        rows[f"{op}.BF16_V2 R8,{sources}"] = halves(half_arithmetic(kind, "BF16"))
    rows["HFMA2.RELU R8,R2,R4,R6"] = halves(half_arithmetic("FMA", "F16", relu=True))
    rows["HFMA2.BF16_V2.RELU R8,R2,R4,R6"] = halves(half_arithmetic("FMA", "BF16", relu=True))
    run_rows(Warp(90), np.random.default_rng(4), rows, 8, lanes32)


def packed(form, mode="RN", relu=False, finite=False, source="F32"):
    """Reference of one value of F2FP."""
    sign_bit = 1 << (WIDTHS[form] - 1)
    nan = {
        "F16": 0x7FFF,
        "BF16": 0x7FFF,
        "TF32": 0x3FFFF,
        "E4M3": 0x7F,
        "E5M2": 0x7F,
        "E3M2": 0x1F,
        "E2M3": 0x1F,
        "E2M1": 7,
    }[form]

    def apply(bits):
        value, sign = decode(bits, source)
        if isinstance(value, float) and math.isnan(value):
            return nan
        code = encode(value, form, mode, bool(sign), finite or form.startswith("E"))
        return 0 if relu and code & sign_bit else code

    return apply


def test_packing_conversions_round_and_saturate():
    rows = {}
    for t in ("F16", "BF16"):
        for m in ("RN", "RZ"):
            for relu in ("", "RELU."):
                one = packed(t, m, bool(relu))
                rows[f"F2FP.{relu}{t}.F32.PACK_AB{'' if m == 'RN' else '.RZ'} R8,R2,R4"] = lambda a, b, one=one: (
                    one(a) << 16 | one(b)
                )
        one = packed(t, finite=True)
        rows[f"F2FP.SATFINITE.{t}.F32.PACK_AB R8,R2,R4"] = lambda a, b, one=one: one(a) << 16 | one(b)
        plain = packed(t)
        rows[f"F2FP.{t}.F32.MERGE_C R8,R2,R6"] = lambda a, c, one=plain: c << 16 & 0xFFFFFFFF | one(a)
    for t in ("E4M3", "E5M2", "E3M2", "E2M3"):
        one = packed(t)
        rows[f"F2FP.SATFINITE.{t}.F32.PACK_AB_MERGE_C R8,R2,R4,R6"] = lambda a, b, c, one=one: (
            c << 16 & 0xFFFFFFFF | one(a) << 8 | one(b)
        )
        one = packed(t, source="F16")
        if t in ("E4M3", "E5M2"):
            rows[f"F2FP.SATFINITE.{t}.F16.UNPACK_B_MERGE_C R8,R4,R6"] = lambda b, c, one=one: (
                c << 16 & 0xFFFFFFFF | one(b >> 16) << 8 | one(b & 0xFFFF)
            )

        def unpack(b, t=t, high=0):
            values = [decode(b >> s & ((1 << WIDTHS[t]) - 1), t) for s in (16 * high, 16 * high + 8)]
            codes = [
                0x7FFF if isinstance(v, float) and math.isnan(v) else encode(v, "F16", "RN", bool(s)) for v, s in values
            ]
            return codes[1] << 16 | codes[0]

        rows[f"F2FP.F16.{t}.UNPACK_B R8,R4"] = unpack
        rows[f"F2FP.F16.{t}.UNPACK_B R8,R4.H1"] = lambda b, unpack=unpack, t=t: unpack(b, t, 1)
    one = packed("E2M1")
    rows["F2FP.SATFINITE.E2M1.F32.PACK_AB_MERGE_C R8,R2,R4,R6"] = lambda a, b, c, one=one: (
        c << 8 & 0xFFFFFFFF | one(a) << 4 | one(b)
    )
    for m in ("RN", "RZ"):
        one = packed("TF32", m)
        rows[f"F2FP.TF32.F32.PACK_B{'' if m == 'RN' else '.RZ'} R8,R4"] = lambda b, one=one: (
            NAN32 if one(b) == 0x3FFFF else one(b) << 13
        )
    run_rows(Warp(120), np.random.default_rng(5), rows, 6, lanes32)


def test_conversions_between_formats():
    rows = {}
    for mode in ("RN", "RM", "RP", "RZ"):
        suffix = "" if mode == "RN" else f".{mode}"
        for t in ("F16", "BF16"):
            rows[f"F2F.{t}.F32{suffix} R8,R2"] = packed(t, mode)
            for sign in (0, 1):

                def integer(a, t=t, mode=mode, sign=sign):
                    a = a - 2**32 if sign and a >> 31 else a
                    return encode(Fraction(a), t, mode)

                rows[f"I2F.{t}{'' if sign else '.U32'}{suffix} R8,R2"] = integer

        def single(a, mode=mode):
            a = a - 2**32 if a >> 31 else a
            return encode(Fraction(a), "F32", mode)

        rows[f"I2F{suffix} R8,R2"] = single
        rounding = {"RN": round, "RM": math.floor, "RP": math.ceil, "RZ": math.trunc}[mode]
        word = {"RN": "", "RM": ".FLOOR", "RP": ".CEIL", "RZ": ".TRUNC"}[mode]
        for name, low, high in (
            ("", -(2**31), 2**31 - 1),
            (".U32", 0, 2**32 - 1),
            (".S16", -(2**15), 2**15 - 1),
            (".U8", 0, 255),
        ):

            def to_integer(a, rounding=rounding, low=low, high=high):
                value, _ = decode(a, "F32")
                if isinstance(value, float):
                    value = 0 if math.isnan(value) else (high if value > 0 else low)
                return min(max(rounding(value), low), high) & 0xFFFFFFFF

            rows[f"F2I{name}{word}.NTZ R8,R2"] = to_integer

        def integral(a, rounding=rounding):
            value, sign = decode(a, "F32")
            if isinstance(value, float):
                return NAN32 if math.isnan(value) else a
            return encode(Fraction(rounding(value)), "F32", "RN", bool(sign))

        rows[f"FRND{word} R8,R2"] = integral
    rows["F2IP.U8.F32.TRUNC.NTZ R8,R2,R4,R6"] = lambda a, b, c: (
        c << 16 & 0xFFFFFFFF | rows["F2I.U8.TRUNC.NTZ R8,R2"](a) << 8 | rows["F2I.U8.TRUNC.NTZ R8,R2"](b)
    )
    run_rows(Warp(90), np.random.default_rng(6), rows, 6, lanes32)


RELATIONS = {"LT": "<", "EQ": "=", "LE": "<=", "GT": ">", "NE": "<>", "GE": ">=", "NUM": "<=>", "NAN": "u"}
RELATIONS |= {f"{name}U": marks + "u" for name, marks in RELATIONS.items() if name not in ("NUM", "NAN")}


@pytest.mark.parametrize("form", ["F32", "F64"])
def test_compares_treat_nan_as_unordered(form):
    random, warp = np.random.default_rng(7), Warp(90)
    for name, marks in RELATIONS.items():
        a, b = (lanes64 if form == "F64" else lanes32)(random), (lanes64 if form == "F64" else lanes32)(random)
        b[::3] = a[::3]
        warp.set_wide(2, a)
        warp.set_wide(4, b)
        other = int(random.integers(0, 2**32))
        warp.predicate[2] = other
        warp.run(f"{'DSETP' if form == 'F64' else 'FSETP'}.{name}.AND P0,P1,R2,R4,P2")
        if form == "F32":
            warp.run(f"FSET.BF.{name}.OR R8,R2,R4,P2", f"FSET.{name}.XOR R9,R2,R4,!P2")
        for lane in range(32):
            x, y = (decode(int(v[lane]) & ((1 << WIDTHS[form]) - 1), form)[0] for v in (a, b))
            nan = any(isinstance(v, float) and math.isnan(v) for v in (x, y))
            holds = ("u" if nan else "<" if x < y else "=" if x == y else ">") in marks
            third = other >> lane & 1
            got = [bool(int(warp.predicate[k]) >> lane & 1) for k in (0, 1)]
            assert got == [holds and bool(third), not holds and bool(third)], f"{name}: {x} {y}"
            if form == "F32":
                assert warp.register[8, lane] == (0x3F800000 if holds or third else 0)
                assert warp.register[9, lane] == (0xFFFFFFFF if holds != (not third) else 0)


@pytest.mark.parametrize("function", ["RCP", "RSQ", "SQRT", "EX2", "LG2", "SIN", "COS", "TANH"])
def test_special_functions_are_within_two_units_in_the_last_place(function):
    reference = {
        "RCP": lambda x: 1 / x, "RSQ": lambda x: 1 / np.sqrt(x), "SQRT": np.sqrt, "EX2": np.exp2, "LG2": np.log2, "TANH": np.tanh,
        "SIN": lambda x: np.sin(2 * np.pi * x), "COS": lambda x: np.cos(2 * np.pi * x),
    }[function]  # fmt: skip
    random, warp = np.random.default_rng(8), Warp(90)
    for _ in range(8):
        x = random.uniform(-4, 4, 32).astype(np.float32)
        x = np.abs(x) if function in ("RSQ", "SQRT", "LG2") else x
        warp.register[2] = x.view(np.uint32)
        warp.run(f"MUFU.{function} R8,R2")
        got, wanted = warp.register[8].view(np.float32), reference(x.astype(np.float64))
        assert np.all(
            np.abs(got - wanted)
            <= 2 * np.spacing(np.abs(wanted).astype(np.float32)) + (1e-6 if function in ("SIN", "COS") else 0)
        )
