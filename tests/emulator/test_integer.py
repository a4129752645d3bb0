"""Integer instructions as compiled code uses them, against Python integers."""

import numpy as np
import pytest

from tests.emulator.conftest import ARCHITECTURES

pytestmark = pytest.mark.sass
RANDOM = np.random.default_rng(7)
EDGES = np.array(
    [0, 1, 2, 31, 32, 33, 63, 64, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFF, 0x10000, 12345],
    np.uint32,
)


def pairs():
    a = np.concatenate([np.repeat(EDGES, len(EDGES)), RANDOM.integers(0, 2**32, 256, dtype=np.uint32)])
    b = np.concatenate([np.tile(EDGES, len(EDGES)), RANDOM.integers(0, 2**32, 256, dtype=np.uint32)])
    return a, b


def pairs64():
    a, b = pairs()
    c, d = np.roll(a, 17), np.roll(b, 5)
    return a.astype(np.uint64) << np.uint64(32) | c, b.astype(np.uint64) << np.uint64(32) | d


def signed(values, bits=32):
    return [int(v) - (1 << bits) if int(v) >> (bits - 1) else int(v) for v in values]


def truncated(a, b):
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


U32 = {
    "x + y": lambda a, b: a + b,
    "x - y": lambda a, b: a - b,
    "x * y": lambda a, b: a * b,
    "x * 37u + y": lambda a, b: a * 37 + b,
    "__umulhi(x, y)": lambda a, b: a * b >> 32,
    "y ? x / y : 7u": lambda a, b: a // b if b else 7,
    "y ? x % y : 7u": lambda a, b: a % b if b else 7,
    "x / 7u": lambda a, b: a // 7,
    "x << (y & 31)": lambda a, b: a << (b & 31),
    "x >> (y & 31)": lambda a, b: a >> (b & 31),
    "__funnelshift_l(x, y, 13)": lambda a, b: (b << 32 | a) << 13 >> 32,
    "__funnelshift_r(x, y, y)": lambda a, b: (b << 32 | a) >> (b & 31),
    "__funnelshift_rc(x, y, y)": lambda a, b: (b << 32 | a) >> min(b, 32),
    "__funnelshift_lc(x, y, x)": lambda a, b: (b << 32 | a) << min(a, 32) >> 32,
    "__popc(x) + y": lambda a, b: a.bit_count() + b,
    "__clz(x) * 1000 + __clz(y)": lambda a, b: (32 - a.bit_length()) * 1000 + 32 - b.bit_length(),
    "__ffs(x) + y": lambda a, b: (a & -a).bit_length() + b,
    "__brev(x) ^ y": lambda a, b: int(f"{a:032b}"[::-1], 2) ^ b,
    "__byte_perm(x, y, 0x3715)": lambda a, b: int.from_bytes(
        bytes((b << 32 | a).to_bytes(8, "little")[i] for i in (5, 1, 7, 3)), "little"
    ),
    "min(x, y) + 3u * max(x, y)": lambda a, b: min(a, b) + 3 * max(a, b),
    "(x & y) | (~x ^ (y << 3))": lambda a, b: (a & b) | (~a ^ (b << 3)),
    "x < y ? 1u : x == y ? 2u : 3u": lambda a, b: 1 if a < b else 2 if a == b else 3,
    "__dp4a(x, y, 5u)": lambda a, b: (
        5 + sum(i * j for i, j in zip(a.to_bytes(4, "little"), b.to_bytes(4, "little"), strict=True))
    ),
    "__vadd4(x, y)": lambda a, b: int.from_bytes(
        bytes((i + j) & 255 for i, j in zip(a.to_bytes(4, "little"), b.to_bytes(4, "little"), strict=True)), "little"
    ),
    "(unsigned char)x * (unsigned short)y": lambda a, b: (a & 255) * (b & 65535),
    "__usad(x, y, 9u)": lambda a, b: abs(a - b) + 9,
}
S32 = {
    "__mulhi(x, y)": lambda a, b: a * b >> 32,
    "y ? (x == (-2147483647 - 1) && y == -1 ? 3 : x / y) : 7": lambda a, b: (
        (3 if a == -(2**31) and b == -1 else truncated(a, b)) if b else 7
    ),
    "x / 7 + x % 10": lambda a, b: truncated(a, 7) + a - 10 * truncated(a, 10),
    "x >> (y & 31)": lambda a, b: a >> (b & 31),
    "min(x, y) - max(x, 100)": lambda a, b: min(a, b) - max(a, 100),
    "abs(x) + y": lambda a, b: abs(a) + b,
    "x < y ? 1 : x == y ? 2 : 3": lambda a, b: 1 if a < b else 2 if a == b else 3,
    "(signed char)x * (short)y": lambda a, b: signed([a & 255], 8)[0] * signed([b & 65535], 16)[0],
    "__dp4a(x, y, -5)": lambda a, b: (
        -5
        + sum(
            i * j
            for i, j in zip(
                signed((a & 2**32 - 1).to_bytes(4, "little"), 8),
                signed((b & 2**32 - 1).to_bytes(4, "little"), 8),
                strict=True,
            )
        )
    ),
    "max(x + y, 17)": lambda a, b: max(signed([a + b & 2**32 - 1])[0], 17),
}
U64 = {
    "x + y": lambda a, b: a + b,
    "x - y": lambda a, b: a - b,
    "x * y": lambda a, b: a * b,
    "__umul64hi(x, y)": lambda a, b: a * b >> 64,
    "y ? x / y : 7ull": lambda a, b: a // b if b else 7,
    "y ? x % y : 7ull": lambda a, b: a % b if b else 7,
    "x << (y & 63)": lambda a, b: a << (b & 63),
    "x >> (y & 63)": lambda a, b: a >> (b & 63),
    "(x & y) ^ ~(x | (y >> 7))": lambda a, b: (a & b) ^ ~(a | b >> 7),
    "x < y ? 1ull : x == y ? 2ull : 3ull": lambda a, b: 1 if a < b else 2 if a == b else 3,
    "min(x, y) + max(x, 99ull)": lambda a, b: min(a, b) + max(a, 99),
    "__popcll(x) + __clzll(y) + __ffsll(x)": lambda a, b: a.bit_count() + 64 - b.bit_length() + (a & -a).bit_length(),
    "__brevll(x) + y": lambda a, b: int(f"{a:064b}"[::-1], 2) + b,
    "x * 8 + (unsigned)y": lambda a, b: a * 8 + (b & 2**32 - 1),
}
S64 = {
    "__mul64hi(x, y)": lambda a, b: a * b >> 64,
    "x >> (y & 63)": lambda a, b: a >> (b & 63),
    "x < y ? 1ll : x == y ? 2ll : 3ll": lambda a, b: 1 if a < b else 2 if a == b else 3,
    "min(x, y) - max(x, -99ll)": lambda a, b: min(a, b) - max(a, -99),
    "(y | 1) == -1 ? 0 : x / (y | 1)": lambda a, b: 0 if b | 1 == -1 else truncated(a, b | 1),
    "llabs(x) + (int)y * 3ll": lambda a, b: abs(a) + 3 * signed([b & 2**32 - 1])[0],
}


TYPES = {
    "unsigned": (U32, 32),
    "int": (S32, 32),
    "unsigned long long": (U64, 64),
    "long long": (S64, 64),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_integer_expressions_equal_python(differences, architecture):
    cases = []
    for type_name, (table, bits) in TYPES.items():
        a, b = pairs() if bits == 32 else pairs64()
        x, y = (a.tolist(), b.tolist()) if type_name.startswith("unsigned") else (signed(a, bits), signed(b, bits))
        for expression, function in table.items():
            wanted = np.array([function(i, j) & ((1 << bits) - 1) for i, j in zip(x, y, strict=True)], a.dtype)
            cases.append((expression, (type_name,) * 3, a, b, wanted, np.equal))
    wrong = differences(architecture, cases)
    assert not wrong, "\n".join(wrong)
