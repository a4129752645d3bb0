"""Every shape and type of mma against numpy; the compiler expands what an architecture lacks."""
# ruff: noqa: E501 (tables and CUDA source in strings)

import numpy as np
import pytest

from tests.emulator import fragments as f
from tests.emulator.conftest import ARCHITECTURES
from tests.emulator.fragments import Case

pytestmark = [pytest.mark.sass, pytest.mark.parametrize("architecture", ARCHITECTURES)]
FLOATS = [
    *(Case(16, 8, "f16", "f16", c, 75) for c in ("f32", "f16")),
    *(Case(16, 16, "f16", "f16", c, 80) for c in ("f32", "f16")),
    *(Case(16, k, "bf16", "bf16", "f32", 80) for k in (8, 16)),
    *(Case(16, k, "tf32", "tf32", "f32", 80) for k in (4, 8)),
    *(Case(16, 32, a, b, "f32", 89) for a in ("e4m3", "e5m2") for b in ("e4m3", "e5m2")),
    *(Case(16, k, "e4m3", "e5m2", "f16", 89) for k in (16, 32)),
    *(
        Case(16, 32, a, b, "f32", 120, prefix=".kind::f8f6f4")
        for a, b in (("e3m2", "e2m1"), ("e2m3", "e4m3"), ("e2m1", "e5m2"), ("e5m2", "e2m3"))
    ),
]
QUARTERS = [Case(8, 4, "f16", "f16", c, 75, layout=f"{a}.{b}") for c in ("f32", "f16") for a in ("row", "col") for b in ("row", "col")]  # fmt: skip
DOUBLES = [Case(8, 4, "f64", "f64", "f64", 80), *(Case(16, k, "f64", "f64", "f64", 90) for k in (4, 8, 16))]
INTEGERS = [
    *(
        Case(m, k, a, b, "s32", since, suffix=suffix)
        for m, k, since in ((8, 16, 75), (16, 16, 80), (16, 32, 80))
        for a, b, suffix in (("s8", "s8", ""), ("u8", "s8", "satfinite"), ("s8", "u8", ""))
    ),
    *(
        Case(m, k, a, b, "s32", since, suffix=suffix)
        for m, k, since in ((8, 32, 75), (16, 32, 80), (16, 64, 80))
        for a, b, suffix in (("s4", "s4", ""), ("u4", "s4", "satfinite"))
    ),
]
BITS = [
    Case(8, 128, "b1", "b1", "s32", 75, suffix="xor"),
    *(Case(m, k, "b1", "b1", "s32", 80, suffix=o) for m, k in ((8, 128), (16, 128), (16, 256)) for o in ("xor", "and") if (m, o) != (8, "xor")),
]  # fmt: skip
SPARSE = [
    *(Case(16, 16, "f16", "f16", "f32", 80, selector=s) for s in range(4)),
    *(Case(16, 32, "f16", "f16", "f32", 80, selector=s) for s in range(2)),
    Case(16, 32, "bf16", "bf16", "f32", 80, selector=1, ordered=True),
    Case(16, 32, "f16", "f16", "f16", 80, selector=0, ordered=True),
    *(Case(16, 8, "tf32", "tf32", "f32", 80, selector=s) for s in (0, 3)),
    Case(16, 16, "tf32", "tf32", "f32", 80, selector=1),
    *(Case(16, 32, "s8", "u8", "s32", 80, selector=s) for s in range(2)),
    Case(16, 64, "s8", "s8", "s32", 80, selector=0, ordered=True),
    Case(16, 64, "u8", "s8", "s32", 80, selector=0),
    *(Case(16, 64, "s4", "s4", "s32", 80, selector=s) for s in range(2)),
    Case(16, 128, "u4", "s4", "s32", 80, selector=0),
    Case(16, 64, "e4m3", "e5m2", "f32", 89, selector=0, ordered=True),
]


def values(kind, shape, random):
    """Values whose products and sums are exact in every accumulator: halves of small integers, or small integers."""
    if kind in ("s8", "u8", "s4", "u4"):
        codes = random.integers(0, 1 << f.BITS[kind], shape)
        return f.decode(kind, codes)
    if kind == "b1":
        return random.integers(0, 2, shape).astype(np.float64)
    return (
        random.integers(-4, 5, shape) / 2 if kind != "e2m1" else random.choice([-2, -1.5, -1, 0, 0.5, 1, 1.5, 2], shape)
    )


def metadata(case, positions):
    """Registers with the metadata of positions, shape (16, k / 2 granules), two bits each."""
    words = np.zeros(32, np.uint64)
    byte = f.BITS[case.a] <= 8
    per_word = 16 if byte else 8
    parts = positions.shape[1] // per_word  # words, or half words, of one row
    threads = 2 * parts if byte else parts
    for row in range(16):
        for part in range(parts):
            value = sum(
                int(p) << (2 * i) for i, p in enumerate(positions[row, part * per_word : (part + 1) * per_word])
            )
            if byte:
                thread, shift = 2 * part + row // 8, 0
            else:
                thread, shift = part, 16 * (row // 8)
            lane = 4 * (row % 8) + (case.selector * threads + thread) % 4
            words[lane] |= np.uint64(value << shift)
    return words.astype(np.uint32)


def run(case, trace_of, random, addend_limit=8):
    """Messages about wrong elements of one case."""
    m, k = case.m, case.k
    a, b = values(case.a, (m, k), random), values(case.b, (k, 8), random)
    c = random.integers(-addend_limit, addend_limit + 1, (m, 8)).astype(np.float64)
    meta = np.zeros(32, np.uint32)
    bits = f.BITS[case.a]
    stored, stored_k = a, k
    if case.selector >= 0:
        granule = 1 if bits in (16, 8) else 2  # columns: of tf32 one of two, in a pair of granules
        if case.a == "tf32":
            place = random.integers(0, 2, (m, k // 2))
            stored = np.take_along_axis(a.reshape(m, -1, 2), place[:, :, None], axis=2)[:, :, 0]
            a = np.zeros((m, k // 2, 2))
            np.put_along_axis(a, place[:, :, None], stored[:, :, None], axis=2)
            a = a.reshape(m, k)
            positions = np.stack([2 * place, 2 * place + 1], axis=2).reshape(m, k)
        else:
            a, stored, positions = f.compress(a, granule, bits <= 8, random)
        meta, stored_k = metadata(case, positions), k // 2
    rows, columns = f.a_places(m, stored_k, bits)
    b_rows, b_columns = f.b_places(k, f.BITS[case.b])
    c_rows, c_columns = f.c_places(m)
    if case.a == "f64":
        registers = stored[rows, columns], b[b_rows, b_columns], c[c_rows, c_columns]
    else:
        registers = [
            f.pack(f.encode(case.a, stored)[rows, columns], bits),
            f.pack(f.encode(case.b, b)[b_rows, b_columns], f.BITS[case.b]),
            c[c_rows, c_columns].astype(np.int32 if case.c == "s32" else np.float16 if case.c == "f16" else np.float32),
        ]
        registers[2] = np.ascontiguousarray(registers[2]).view({"f32": np.float32}.get(case.c, np.uint32))
    result = np.zeros_like(registers[2])
    got = trace_of(case, [np.ascontiguousarray(r) for r in registers] + [result, meta])
    if case.a == "b1":
        pairs = (a[:, :, None] != b[None]) if case.suffix == "xor" else (a[:, :, None] * b[None] != 0)
        wanted = pairs.sum(axis=1) + c
    else:
        wanted = a @ b + c
    if case.suffix == "satfinite":
        wanted = wanted.clip(-(2**31), 2**31 - 1)
    got = got.view({"s32": np.int32, "f16": np.float16, "f32": np.float32, "f64": np.float64}[case.c]).astype(
        np.float64
    )
    matrix = np.zeros((m, 8))
    matrix[c_rows, c_columns] = got
    bad = np.argwhere(matrix != wanted)
    return [f"{case.ptx} selector {case.selector}: {len(bad)} wrong, first {tuple(bad[0])}: {matrix[tuple(bad[0])]}, expected {wanted[tuple(bad[0])]}"] if len(bad) else []  # fmt: skip


def tracer(cases, architecture):
    """(cases that the architecture has, function that runs one of them)."""
    from isa.compile import compile_cuda
    from isa.cubin import read_cubin
    from traces.emulator import emulate

    cases = [case for case in cases if case.since <= architecture <= case.until]
    cubin = read_cubin(compile_cuda("".join(case.source() for case in cases), architecture)) if cases else None

    def trace(case, arguments):
        return emulate(cubin, case.name, 1, 32, arguments).outputs()["argument3"]

    return cases, trace


@pytest.mark.parametrize("table", ["FLOATS", "DOUBLES", "INTEGERS", "BITS", "SPARSE"])
def test_matrix_product_equals_numpy(table, architecture):
    cases, trace = tracer(globals()[table], architecture)
    random = np.random.default_rng(5)
    wrong = [message for case in cases for message in run(case, trace, random)]
    assert not wrong, "\n".join(wrong)
    assert cases or (table, architecture) in {("DOUBLES", 75), ("SPARSE", 75)}


def test_integer_sums_saturate_or_wrap(architecture):
    cases, trace = tracer([c for c in INTEGERS if c.a in ("s8", "u8")], architecture)
    for case in cases:
        rows, columns = f.a_places(case.m, case.k, 8)
        b_rows, b_columns = f.b_places(case.k, 8)
        a = f.pack(f.encode(case.a, np.full((case.m, case.k), 100.0))[rows, columns], 8)
        b = f.pack(f.encode(case.b, np.full((case.k, 8), 100.0))[b_rows, b_columns], 8)
        c = np.full((32, case.m // 4), 2**31 - 5, np.int32)
        got = trace(case, [a, b, c.view(np.uint32), np.zeros_like(c).view(np.uint32), np.zeros(32, np.uint32)]).view(
            np.int32
        )
        total = 2**31 - 5 + 10000 * case.k
        wanted = 2**31 - 1 if case.suffix == "satfinite" else total - 2**32
        assert set(got.flat) == {wanted}, case.ptx


def test_eight_by_eight_by_four_products_of_half_precision(architecture):
    cases, trace = tracer(QUARTERS, architecture)
    random = np.random.default_rng(6)
    for case in cases:
        a_layout, b_layout = case.layout.split(".")
        a, b = values("f16", (4, 8, 4), random), values("f16", (4, 4, 8), random)
        c = random.integers(-8, 9, (4, 8, 8)).astype(np.float64)
        quarter = (f.LANES >> 2 & 3)[:, None]
        places = f.quarter_places("a", a_layout, None), f.quarter_places("b", b_layout, None), f.quarter_places("c" + case.c[1:], "", None)  # fmt: skip
        inputs = [
            f.pack(f.encode("f16", m)[quarter, rows, columns], 16)
            for m, (rows, columns) in zip((a, b), places[:2], strict=True)
        ]
        dtype = np.float16 if case.c == "f16" else np.float32
        addend = np.ascontiguousarray(c[quarter, *places[2]].astype(dtype)).view(
            np.float32 if case.c == "f32" else np.uint32
        )
        got = (
            trace(case, [*inputs, addend, np.zeros_like(addend), np.zeros(32, np.uint32)])
            .view(dtype)
            .astype(np.float64)
        )
        assert np.array_equal(got, (a @ b + c)[quarter, *places[2]]), case.ptx


def test_sums_are_rounded_once(architecture):
    cases, trace = tracer([c for c in FLOATS if c.a in ("f16", "bf16", "tf32")], architecture)
    random = np.random.default_rng(7)
    for case in cases:
        a, b = random.normal(size=(16, case.k)), random.normal(size=(case.k, 8))
        c = random.normal(size=(16, 8))
        if case.a == "f16":
            a, b = a.astype(np.float16).astype(float), b.astype(np.float16).astype(float)
        else:
            keep = 0xFFFF0000 if case.a == "bf16" else 0xFFFFE000
            a, b = (
                (v.astype(np.float32).view(np.uint32) & np.uint32(keep)).view(np.float32).astype(float) for v in (a, b)
            )
        dtype = np.float16 if case.c == "f16" else np.float32
        c = c.astype(dtype)
        rows, columns = f.a_places(16, case.k, f.BITS[case.a])
        b_rows, b_columns = f.b_places(case.k, f.BITS[case.b])
        c_rows, c_columns = f.c_places(16)
        noise = 0x1FFF if case.a == "tf32" else 0  # bits that the instruction does not read
        inputs = [f.pack(f.encode(case.a, a)[rows, columns] | noise, f.BITS[case.a]), f.pack(f.encode(case.b, b)[b_rows, b_columns], f.BITS[case.b])]  # fmt: skip
        addend = np.ascontiguousarray(c[c_rows, c_columns]).view(np.float32 if case.c == "f32" else np.uint32)
        got = trace(case, [*inputs, addend, np.zeros_like(addend), np.zeros(32, np.uint32)]).view(dtype)
        wanted = (a @ b + c.astype(np.float64)).astype(dtype)[c_rows, c_columns]
        assert np.array_equal(got, wanted), case.ptx


def test_infinite_factors_meet_only_the_stored_elements_of_a_sparse_matrix(architecture):
    cases, trace = tracer([SPARSE[0]], architecture)
    for case in cases:
        a, b = np.ones((32, 2), np.uint32) * 0x3C003C00, np.ones((32, 2), np.uint32) * 0x3C003C00
        b[:, 0] |= 0x7C00  # element 0 of each pair of rows 0, 2, 4, 6 is infinite
        b[:, 1] |= 0x7C00
        positions = np.tile([1, 3], (16, 4))
        got = trace(
            case, [a, b, np.zeros((32, 4), np.float32), np.zeros((32, 4), np.float32), metadata(case, positions)]
        )
        assert np.array_equal(got, np.full((32, 4), 8.0)), "only the odd rows of B take part"
