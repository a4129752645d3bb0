"""Integer SASS forms, one row each, against Python integers: random operands and edges through every modifier."""
# ruff: noqa: E501 (tables with one form per line)

import numpy as np
import pytest

from tests.emulator.sass import Warp

EDGES = [
    0,
    1,
    2,
    7,
    31,
    32,
    33,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0x80000001,
    0xFFFFFFFE,
    0xFFFFFFFF,
    0x80808080,
    0x7F7F7F7F,
]
M32, M64 = 2**32 - 1, 2**64 - 1


def signed(value, bits=32):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def clamp(value, low, high):
    return min(max(value, low), high)


def by_parts(width, sign, function):
    """Apply a function to the elements of packed words."""

    def apply(*words):
        total = 0
        for k in range(32 // width):
            parts = [w >> (k * width) & ((1 << width) - 1) for w in words]
            total |= (function(*[signed(p, width) if sign else p for p in parts]) & ((1 << width) - 1)) << (k * width)
        return total

    return apply


def add_carry(*terms):
    total = sum(terms)
    return total & M32, total >> 32


def shift(a, b, c, left, bits, sign, high, wrap):
    value = a | c << 32
    amount = b % bits if wrap else min(b, bits)
    value = signed(value, 64) if sign else value
    value = value << amount if left else value >> amount
    return (value >> 32 if high else value) & M32


def lop3(table):
    return lambda a, b, c: sum(
        ((table >> ((a >> i & 1) * 4 + (b >> i & 1) * 2 + (c >> i & 1))) & 1) << i for i in range(32)
    )


def prmt(mode):
    def apply(a, b, c):
        data, n = a | c << 32, b & 3
        picks = {
            "": [b >> 4 * k & 15 for k in range(4)],
            "F4E": [n + k for k in range(4)],
            "B4E": [(n - k) % 8 for k in range(4)],
            "RC8": [n] * 4,
            "ECL": [max(n, k) for k in range(4)],
            "ECR": [min(n, k) for k in range(4)],
            "RC16": [2 * (n & 1) + (k & 1) for k in range(4)],
        }[mode]
        total = 0
        for k, pick in enumerate(picks):
            byte = data >> 8 * (pick & 7) & 255
            total |= ((255 if byte & 128 else 0) if pick & 8 else byte) << 8 * k
        return total

    return apply


def dot4(sign_a, sign_b):
    def apply(a, b, c):
        return c + sum(
            (signed(a >> 8 * k, 8) if sign_a else a >> 8 * k & 255)
            * (signed(b >> 8 * k, 8) if sign_b else b >> 8 * k & 255)
            for k in range(4)
        )

    return apply


def dot2(sign_a, sign_b, high):
    def apply(a, b, c):
        return c + sum(
            (signed(a >> 16 * k, 16) if sign_a else a >> 16 * k & 0xFFFF)
            * (signed(b >> 8 * (k + 2 * high), 8) if sign_b else b >> 8 * (k + 2 * high) & 255)
            for k in range(2)
        )

    return apply


def find_leading(sign, shifted):
    def apply(a):
        a = ~a & M32 if sign and a >> 31 else a
        return M32 if a == 0 else 31 - (a.bit_length() - 1) if shifted else a.bit_length() - 1

    return apply


def extremum(pick, sign, relu=False):
    def apply(*values):
        value = pick(signed(v) if sign else v for v in values)
        return max(value, 0) if relu else value

    return apply


def packed_extremum(pick, width, sign, relu=False):
    return by_parts(width, sign, lambda *v: max(pick(v), 0) if relu else pick(v))


def wrapped_add(width, sign):
    return lambda x, y: signed(x + y, width) if sign else x + y & ((1 << width) - 1)


def add_extremum(pick, width, sign, relu=False):
    def element(x, y, z):
        value = pick((wrapped_add(width, sign)(x, y), z))
        return max(value, 0) if relu else value

    return by_parts(width, sign, element)


def narrow(width, sign):
    return (-(1 << width - 1), (1 << width - 1) - 1) if sign else (0, (1 << width) - 1)


def pack(width, sign):
    def apply(a, b, c):
        low, high = narrow(width, sign)
        mask = (1 << width) - 1
        return c << 2 * width | (clamp(signed(a), low, high) & mask) << width | clamp(signed(b), low, high) & mask

    return apply


def product_sum(sign, high, negate=False):
    def apply(a, b, c):
        product = signed(a) * signed(b) if sign else a * b
        total = (-product if negate else product) + c
        return total >> 32 if high else total

    return apply


def lea_high(a, b, c, k, sign):
    value = signed(a) if sign else a | c << 32
    return ((value << k) >> 32) + b


def sign_extend(sign, wrap):
    def apply(a, b):
        n = b & 31 if wrap else min(b, 32)
        value = a & ((1 << n) - 1)
        return value - (1 << n) if sign and n and value >> (n - 1) else value

    return apply


def bit_mask(wrap):
    def apply(a, b):
        at, n = (a & 31, b & 31) if wrap else (min(a, 32), min(b, 32))
        return ((1 << n) - 1) << at

    return apply


# text with a in R2, b in R4, c in R6, the result in R8; the reference takes as many of a, b, c as it has parameters
NARROW = {
    "IADD3 R8,R2,R4,R6": lambda a, b, c: a + b + c,
    "IADD3 R8,-R2,R4,-R6": lambda a, b, c: b - a - c,
    "IADD3 R8,R2,-0x7,R6": lambda a, b, c: a - 7 + c,
    "IADD R8,R2,-R4": lambda a, b: a - b,
    "VIADD R8,R2,0xffffff85": lambda a: a - 123,
    "IADD3.X R8,R2,~R4,R6,PT,!PT": lambda a, b, c: a + (~b & M32) + c + 1,
    "IMAD R8,R2,R4,R6": lambda a, b, c: a * b + c,
    "IMAD R8,R2,-R4,R6": lambda a, b, c: c - a * b,
    "IMAD.MOV R8,RZ,RZ,-R6": lambda a, b, c: -c,
    "IMAD.X R8,R2,R4,R6,PT": lambda a, b, c: a * b + c + 1,
    "MOV R8,R2": lambda a: a,
    "LEA R8,R2,R4,0x5": lambda a, b: (a << 5) + b,
    "LEA R8,-R2,R4,0x3": lambda a, b: b - (a << 3),
    "LEA.HI R8,R2,R4,R6,0x7": lambda a, b, c: lea_high(a, b, c, 7, False),
    "LEA.HI.SX32 R8,R2,R4,0x1b": lambda a, b: lea_high(a, b, 0, 27, True),
    "LEA.HI.X R8,R2,R4,R6,0x2,PT": lambda a, b, c: lea_high(a, b, c, 2, False) + 1,
    "LEA.HI.X.SX32 R8,R2,R4,0x1,!PT": lambda a, b: lea_high(a, b, 0, 1, True),
    **{f"LOP3.LUT R8,R2,R4,R6,{t:#x},!PT": lop3(t) for t in (0xC0, 0xFC, 0x3C, 0x96, 0xE8, 0x01, 0x80, 0x5A)},
    "LOP3.LUT R8,R2,0xff00ff,R6,0xb8,!PT": lambda a, b, c: lop3(0xB8)(a, 0xFF00FF, c),
    **{
        f"SHF.{d}.{t}{h}{w} R8,R2,R4,R6": (lambda a, b, c, d=d, t=t, h=h, w=w: shift(a, b, c, d == "L", int(t[1:]), t[0] == "S", bool(h), bool(w)))
        for d in "LR" for t in ("U32", "S32", "U64", "S64") for h in ("", ".HI") for w in ("", ".W") if (d, t[0]) != ("L", "S")
    },
    **{f"PRMT{'.' if m else ''}{m} R8,R2,R4,R6": prmt(m) for m in ("", "F4E", "B4E", "RC8", "ECL", "ECR", "RC16")},
    **{f"IDP.4A.{'S' if x else 'U'}8.{'S' if y else 'U'}8 R8,R2,R4,R6": dot4(x, y) for x in (0, 1) for y in (0, 1)},
    **{f"IDP.2A.{'HI' if h else 'LO'}.{'S' if x else 'U'}16.{'S' if y else 'U'}8 R8,R2,R4,R6": dot2(x, y, h) for h in (0, 1) for x in (0, 1) for y in (0, 1)},
    "POPC R8,R2": lambda a: a.bit_count(),
    "POPC R8,~R2": lambda a: 32 - a.bit_count(),
    "BREV R8,R2": lambda a: int(f"{a:032b}"[::-1], 2),
    "IABS R8,R2": lambda a: abs(signed(a)),
    **{f"FLO.{'S' if s else 'U'}32{'.SH' if h else ''} R8,R2": find_leading(s, h) for s in (0, 1) for h in (0, 1)},
    **{f"SGXT{'.W' if w else ''}{'' if s else '.U32'} R8,R2,R4": sign_extend(s, w) for w in (0, 1) for s in (0, 1)},
    "BMSK R8,R2,R4": bit_mask(False), "BMSK.W R8,R2,R4": bit_mask(True),
    "VABSDIFF.U32 R8,R2,R4,R6": lambda a, b, c: abs(a - b) + c,
    "VABSDIFF R8,R2,R4,R6": lambda a, b, c: abs(signed(a) - signed(b)) + c,
    "VABSDIFF4.U8 R8,R2,R4,RZ": by_parts(8, False, lambda x, y: abs(x - y)),
    "VABSDIFF4 R8,R2,R4,RZ": by_parts(8, True, lambda x, y: abs(x - y)),
    "VABSDIFF4.U8.ACC R8,R2,R4,R6": lambda a, b, c: c + sum(abs((a >> k & 255) - (b >> k & 255)) for k in (0, 8, 16, 24)),
    "VIADD.16x2 R8,R2,R4": by_parts(16, False, lambda x, y: x + y),
    "VIADD.U8x4 R8,R2,-R4": by_parts(8, False, lambda x, y: x - y),
    "VIADD.S8x4 R8,-R2,R4": by_parts(8, True, lambda x, y: y - x),
    "VIADD.S32.ISAT R8,R2,R4": lambda a, b: clamp(signed(a) + signed(b), -(2**31), 2**31 - 1),
    **{
        f"{op} R8,R2,R4,{p}": extremum(pick, sign)
        for p, pick in (("PT", min), ("!PT", max)) for op, sign in (("IMNMX", 1), ("IMNMX.U32", 0), ("VIMNMX.S32", 1), ("VIMNMX.U32", 0))
    },
    **{f"VIMNMX.RELU R8,R2,R4,{p}": extremum(pick, 1, True) for p, pick in (("PT", min), ("!PT", max))},
    **{
        f"VIMNMX.{'S' if s else 'U'}{16 if w == 16 else 8}x{32 // w}{'.RELU' if r else ''} R8,R2,R4,{p}": packed_extremum(pick, w, s, r)
        for p, pick in (("PT", min), ("!PT", max)) for w in (16, 8) for s in (0, 1) for r in (0, 1) if s or not r
    },
    **{f"VIMNMX3{m} R8,R2,R4,R6,{p}": extremum(pick, m != ".U32", m == ".RELU") for p, pick in (("PT", min), ("!PT", max)) for m in ("", ".U32", ".RELU")},
    **{f"VIMNMX3.{t}16x2 R8,R2,R4,R6,{p}": packed_extremum(pick, 16, t == "S") for p, pick in (("PT", min), ("!PT", max)) for t in "SU"},
    **{f"VIADDMNMX{m} R8,R2,R4,R6,{p}": add_extremum(pick, 32, m != ".U32", m == ".RELU") for p, pick in (("PT", min), ("!PT", max)) for m in ("", ".U32", ".RELU")},
    **{f"VIADDMNMX.{t}16x2{r} R8,R2,R4,R6,{p}": add_extremum(pick, 16, t == "S", bool(r)) for p, pick in (("PT", min), ("!PT", max)) for t, r in (("S", ""), ("U", ""), ("S", ".RELU"))},
    **{f"I2I.{'S' if s else 'U'}{w}.S32.SAT R8,R2": (lambda a, s=s, w=w: clamp(signed(a), *narrow(w, s))) for s in (0, 1) for w in (8, 16)},
    **{f"I2IP.{'S' if s else 'U'}{w}.S32.SAT R8,R2,R4,R6{'' if w > 4 else f'.{32 - 2 * w}'}": pack(w, s) for s in (0, 1) for w in (2, 4, 8, 16)},
    "IMAD.HI R8,R2,R4,RZ": lambda a, b: signed(a) * signed(b) >> 32,
    "IMAD.HI.U32 R8,R2,R4,RZ": lambda a, b: a * b >> 32,
}  # fmt: skip
# a in R2:R3, b in R4:R5, c in R6:R7 (64 bits), the result in R8:R9
WIDE = {
    "IADD3.64 R8,R2,R4,R6": lambda a, b, c: a + b + c,
    "IADD.64 R8,R2,-R4": lambda a, b: a - b,
    "IADD.64.X R8,R2,~R4,PT": lambda a, b: a + (~b & M64) + 1,
    "MOV.64 R8,R2": lambda a: a,
    "IMAD.WIDE R8,R2,R4,R6": lambda a, b, c: signed(a) * signed(b) + c,
    "IMAD.WIDE.U32 R8,R2,R4,R6": lambda a, b, c: (a & M32) * (b & M32) + c,
    "IMAD.WIDE R8,R2,-R4,R6": lambda a, b, c: c - signed(a) * signed(b),
    **{f"VIMNMX.{t}64 R8,R2,R4,{p}": (lambda a, b, t=t, pick=pick: pick(signed(a, 64), signed(b, 64)) if t == "S" else pick(a, b)) for t in "SU" for p, pick in (("PT", min), ("!PT", max))},
}  # fmt: skip


def operands(bits, random):
    """32 lanes of a, b and c."""
    edges = EDGES if bits == 32 else [e | f << 32 for e, f in zip(EDGES, EDGES[::-1], strict=True)]
    values = []
    for _ in range(3):
        lanes = random.integers(0, 2**bits, 32, dtype=np.uint64)
        at = random.choice(32, 16, replace=False)
        lanes[at] = np.array([edges[k] for k in random.integers(0, len(edges), 16)], np.uint64)
        values.append(lanes)
    return values


def arity(function):
    return function.__code__.co_argcount - len(function.__defaults__ or ()) or 3


@pytest.mark.parametrize("wide", [False, True])
def test_form_equals_python_integers(wide):
    random = np.random.default_rng(1)
    warp, wrong = Warp(120), []
    for text, function in (WIDE if wide else NARROW).items():
        count = text.count("R2") + text.count("R4") + text.count("R6")
        for _ in range(12):
            inputs = operands(64 if wide else 32, random)
            for register, lanes in zip((2, 4, 6), inputs, strict=True):
                warp.set_wide(register, lanes)
            warp.run(text)
            got = warp.wide(8) if wide else warp.register[8]
            lists = [lane.tolist() for lane, name in zip(inputs, ("R2", "R4", "R6"), strict=True) if name in text]
            parameters = arity(function)
            if parameters == 3 and len(lists) < 3 and function.__code__.co_varnames[:3] == ("a", "b", "c"):
                lists = [lane.tolist() for lane in inputs]
            bad = [k for k in range(32) if function(*(v[k] for v in lists)) & (M64 if wide else M32) != got[k]]
            if bad:
                k = bad[0]
                values = [hex(v[k]) for v in lists]
                wrong.append(
                    f"{text}: {values} gives {int(got[k]):#x}, expected {function(*(v[k] for v in lists)) & (M64 if wide else M32):#x}"
                )
                break
        assert count
    assert not wrong, "\n".join(wrong)


RELATIONS = {
    "LT": lambda x, y: x < y,
    "EQ": lambda x, y: x == y,
    "LE": lambda x, y: x <= y,
    "GT": lambda x, y: x > y,
    "NE": lambda x, y: x != y,
    "GE": lambda x, y: x >= y,
}
COMBINE = {"AND": lambda x, y: x and y, "OR": lambda x, y: x or y, "XOR": lambda x, y: x != y}


@pytest.mark.parametrize("kind", ["S32", "U32", "S64", "U64", "EX"])
def test_compare_gives_both_predicates(kind):
    random = np.random.default_rng(2)
    warp = Warp(120)
    for name, relation in RELATIONS.items():
        for combination, combine in COMBINE.items():
            a, b, _ = operands(64 if kind in ("S64", "U64", "EX") else 32, random)
            b[::3] = a[::3]
            warp.set_wide(2, a)
            warp.set_wide(4, b)
            other = int(random.integers(0, 2**32))
            warp.predicate[2] = other
            bits = 32 if kind.endswith("32") else 64
            if kind == "EX":  # a 64-bit compare of two instructions
                warp.run(f"ISETP.{name}.U32.AND P3,PT,R2,R4,PT", f"ISETP.{name}.{combination}.EX P0,P1,R3,R5,!P2,P3")
            else:
                typed = "" if kind == "S32" else f".{kind}"
                warp.run(f"ISETP.{name}{typed}.{combination} P0,P1,R2,R4,!P2")
            for lane in range(32):
                x, y = int(a[lane]), int(b[lane])
                if not kind.startswith("U"):
                    x, y = signed(x, bits), signed(y, bits)
                holds, third = relation(x, y), not other >> lane & 1
                got = bool(int(warp.predicate[0]) >> lane & 1), bool(int(warp.predicate[1]) >> lane & 1)
                assert got == (combine(holds, third), combine(not holds, third)), (
                    f"{name} {combination} {kind}: {x} {y}"
                )


@pytest.mark.parametrize("wide", [False, True])
def test_carries_count_beyond_the_word(wide):
    random = np.random.default_rng(3)
    warp = Warp(120)
    suffix, bits = (".64", 64) if wide else ("", 32)
    for _ in range(20):
        a, b, c = (v.tolist() for v in operands(bits, random))
        for register, lanes in zip((2, 4, 6), (a, b, c), strict=True):
            warp.set_wide(register, lanes)
        carry = random.integers(0, 2**32, 2)
        warp.predicate[2], warp.predicate[3] = carry
        warp.run(f"IADD3{suffix}.X R8,P0,P1,R2,R4,~R6,P2,!P3", f"IADD{suffix}.X R10,P4,R2,~R4,P2")
        for k in range(32):
            first, second = int(carry[0]) >> k & 1, 1 - (int(carry[1]) >> k & 1)
            total = a[k] + b[k] + (~c[k] & (1 << bits) - 1) + first + second
            got = int(warp.wide(8)[k] if wide else warp.register[8, k])
            flags = int(warp.predicate[0]) >> k & 1, int(warp.predicate[1]) >> k & 1
            assert (got, flags) == (total % (1 << bits), (total >> bits >= 1, total >> bits >= 2))
            total = a[k] + (~b[k] & (1 << bits) - 1) + first
            assert int(warp.predicate[4]) >> k & 1 == total >> bits, "carry of IADD.X"


def test_extremum_predicates_name_the_winner():
    random = np.random.default_rng(4)
    warp = Warp(90)
    a, b, _ = operands(32, random)
    b[::4] = a[::4]
    warp.register[2], warp.register[4] = a, b
    warp.run("VIMNMX.S16x2 R8,P0,P1,R2,R4,!PT", "VIMNMX.U16x2 R9,P2,P3,R2,R4,PT")
    for lane in range(32):
        x, y = int(a[lane]), int(b[lane])
        halves = [(signed(x >> s, 16), signed(y >> s, 16), x >> s & 0xFFFF, y >> s & 0xFFFF) for s in (16, 0)]
        got = [bool(int(warp.predicate[k]) >> lane & 1) for k in range(4)]
        assert got == [halves[0][0] >= halves[0][1], halves[1][0] >= halves[1][1], halves[0][2] <= halves[0][3], halves[1][2] <= halves[1][3]]  # fmt: skip


def test_predicate_logic_follows_its_tables():
    warp, random = Warp(90), np.random.default_rng(5)
    for table in (0x80, 0xE8, 0x2A, 0x71, 0x01):
        p = [int(v) for v in random.integers(0, 2**32, 3)]
        warp.predicate[2:5] = p
        warp.register[2], warp.register[4], warp.register[6] = operands(32, random)
        warp.run(
            f"PLOP3.LUT P0,P1,P2,!P3,P4,{table:#x},{255 - table:#x}",
            f"PLOP3.LUT P5,PT,R2.SIGN,R4.SIGN,R6.SIGN,{table:#x},0x0",
        )
        for lane in range(32):
            x, y, z = (v >> lane & 1 for v in p)
            wanted = table >> (4 * x + 2 * (1 - y) + z) & 1
            assert int(warp.predicate[0]) >> lane & 1 == wanted
            assert int(warp.predicate[1]) >> lane & 1 == 1 - wanted
            x, y, z = (int(warp.register[r, lane]) >> 31 for r in (2, 4, 6))
            assert int(warp.predicate[5]) >> lane & 1 == table >> (4 * x + 2 * y + z) & 1


def test_predicates_move_to_registers_and_back():
    warp, random = Warp(90), np.random.default_rng(6)
    warp.predicate[:7] = random.integers(0, 2**32, 7)
    before = warp.predicate[:7].copy()
    warp.register[2] = random.integers(0, 2**32, 32)
    warp.run("P2R R8,PR,R2,0x2d", "P2R.B1 R9,PR,RZ,0x7f", "R2P PR,R9.B1,0x3c")
    bits = [sum((int(before[k]) >> lane & 1) << k for k in range(7)) for lane in range(32)]
    assert warp.register[9].tolist() == [b << 8 for b in bits], "P2R.B1 shifts the predicates to byte 1"
    assert warp.predicate[:7].tolist() == before.tolist(), "R2P restores what P2R saved"
    assert [int(v) & 0x2D for v in warp.register[8]] == [b & 0x2D for b in bits]
    assert [int(v) & ~0x2D for v in warp.register[8]] == [int(v) & ~0x2D for v in warp.register[2]]
