"""Warpgroup matrix instructions against numpy: shapes, types, layouts of the factors, signs, and what goes wrong."""

import numpy as np
import pytest

from traces.emulator.faults import EmulationError

pytestmark = pytest.mark.sass

PRELUDE = """
typedef unsigned int u32;
typedef unsigned long long u64;
extern "C" __global__ void product(const uint4* tiles, %(type)s* out, u64 a, u64 b, int accumulate, int bytes) {
    extern __shared__ __align__(1024) unsigned char shared[];
    for (int i = threadIdx.x; i < bytes / 16; i += blockDim.x) ((uint4*)shared)[i] = tiles[i];
    asm volatile("fence.proxy.async;" ::: "memory");
    __syncthreads();
    u64 base = ((u32)__cvta_generic_to_shared(shared) & 0x3ffff) >> 4;
    a += base; b += base;
    %(type)s d[%(count)d];
    for (int i = 0; i < %(count)d; ++i) d[i] = out[threadIdx.x * %(count)d + i];
    u32 f[4];
    for (int i = 0; i < 4; ++i) f[i] = ((u32*)shared)[threadIdx.x * 4 + i];
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    asm volatile("{\\n.reg .pred p;\\nsetp.ne.b32 p, %%%(scale)d, 0;\\n"
                 "wgmma.mma_async.sync.aligned.%(shape)s {%(list)s}, %(factor)s, %%%(b)d, p%(tail)s;\\n}"
                 : %(outputs)s : %(a_inputs)s, "l"(b), "r"(accumulate), "r"(f[0]));
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    for (int i = 0; i < %(count)d; ++i) out[threadIdx.x * %(count)d + i] = d[i];
}
"""


def source(shape, registers, tail="", from_registers=False, type_="float"):
    constraint = {"float": "+f", "int": "+r", "u32": "+r"}[type_]
    first = registers
    a = 4 if from_registers else 1
    factor = "{" + ", ".join(f"%{first + i}" for i in range(4)) + "}" if from_registers else f"%{first}"
    inputs = ", ".join(f'"r"(f[{i}])' for i in range(4)) if from_registers else '"l"(a)'
    return PRELUDE % {
        "type": type_,
        "count": registers,
        "scale": first + a + 1,
        "shape": shape,
        "list": ", ".join(f"%{i}" for i in range(registers)),
        "factor": factor,
        "b": first + a,
        "tail": tail,
        "outputs": ", ".join(f'"{constraint}"(d[{i}])' for i in range(registers)),
        "a_inputs": inputs,
    }


def run(text, tiles, out, a, b, accumulate=1, **options):
    from isa.compile import compile_cuda
    from traces.emulator import emulate

    tiles = np.ascontiguousarray(tiles).view(np.uint8)
    arguments = [tiles, out, np.uint64(a), np.uint64(b), np.int32(accumulate), np.int32(tiles.nbytes)]
    options = {"grid": 1, "block": 128, "dynamic_shared_bytes": tiles.nbytes} | options
    trace = emulate(compile_cuda(text, 90), "product", arguments=arguments, names=list("toabcd"), **options)
    return trace.outputs()["o"]


def spread(d):
    """The 64 x N matrix whose accumulators the threads hold: (128, N / 2)."""
    n = 2 * d.shape[1]
    thread, i = np.arange(128)[:, None], np.arange(n // 2)
    matrix = np.zeros((64, n), d.dtype)
    matrix[16 * (thread // 32) + thread % 32 // 4 + 8 * (i >> 1 & 1), 8 * (i >> 2) + 2 * (thread % 4) + (i & 1)] = d
    return matrix


def tile(matrix, swizzle):
    """Bytes of rows of `swizzle` bytes (0: 8 rows of 16 bytes, unit after unit) as a descriptor expects them."""
    rows = matrix.view(np.uint8).reshape(len(matrix), -1, 16)
    if swizzle == 0:
        return np.ascontiguousarray(rows.reshape(-1, 8, rows.shape[1], 16).swapaxes(1, 2)).reshape(-1)
    units = swizzle // 16
    flat = rows.reshape(-1, 16)
    at = 16 * np.arange(len(flat))
    placed = np.zeros_like(flat)
    placed[(at ^ ((at >> 7 & units - 1) << 4)) // 16] = flat
    return placed.reshape(-1)


def descriptor(at, swizzle, leading, stride):
    return at >> 4 | leading >> 4 << 16 | stride >> 4 << 32 | {0: 0, 128: 1, 64: 2, 32: 3}[swizzle] << 62


def halves(shape, seed):
    return np.random.default_rng(seed).uniform(-2, 2, shape).astype(np.float16)


@pytest.mark.parametrize("swizzle", [0, 32, 64, 128])
@pytest.mark.parametrize("n", [8, 24, 64])
def test_k_major_factors_of_every_swizzle(swizzle, n):
    columns = max(16, swizzle // 2)
    a, b = halves((64, columns), 1), halves((n, columns), 2)
    at = 64 * columns * 2
    padding = -at % 1024
    tiles = np.concatenate([tile(a, swizzle), np.zeros(padding, np.uint8), tile(b, swizzle)])
    # without swizzle: a unit of K lies 128 bytes further, eight rows 128 times the units
    stride = 8 * columns * 2
    where = [descriptor(place, swizzle, 128, stride) for place in (0, at + padding)]
    out = np.arange(128 * n // 2, dtype=np.float32).reshape(128, n // 2)
    got = run(source(f"m64n{n}k16.f32.f16.f16", n // 2, ", 1, 1, 0, 0"), tiles, out, *where)
    exact = spread(out) + a[:, :16].astype(np.float64) @ b[:, :16].astype(np.float64).T
    np.testing.assert_allclose(spread(got), exact, rtol=1e-6)
    alone = run(source(f"m64n{n}k16.f32.f16.f16", n // 2, ", 1, 1, 0, 0"), tiles, out, *where, accumulate=0)
    np.testing.assert_allclose(spread(alone), exact - spread(out), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("swizzle", [0, 32, 64, 128])
def test_transposed_factors_of_every_swizzle(swizzle):
    """Rows of K: 64 and 64 columns; the second half of the columns begins a leading offset further."""
    a, b = halves((16, 64), 3), halves((16, 64), 4)
    span = (swizzle or 16) // 2  # halves that lie together

    def parts(matrix):
        if swizzle == 0:  # eight rows of one unit are 128 bytes; a unit of columns is `stride`, eight rows `leading`
            return np.concatenate([tile(matrix[8 * k : 8 * k + 8], 0) for k in range(2)])
        return np.concatenate(
            [tile(np.ascontiguousarray(matrix[:, i : i + span]), swizzle) for i in range(0, 64, span)]
        )

    tiles = np.concatenate([parts(a), parts(b)])
    leading, stride = (1024, 128) if swizzle == 0 else (16 * span * 2, 8 * span * 2)
    where = [descriptor(place, swizzle, leading, stride) for place in (0, 2048)]
    out = np.zeros((128, 32), np.float32)
    got = run(source("m64n64k16.f32.f16.f16", 32, ", 1, 1, 1, 1"), tiles, out, *where)
    np.testing.assert_allclose(spread(got), a.astype(np.float64).T @ b.astype(np.float64), rtol=1e-6, atol=1e-6)


def fragments(flat):
    """The 64 x 16 halves that the threads' first four words are as factor A."""
    thread, column = np.arange(64)[:, None], np.arange(16)
    owner = 32 * (thread // 16) + 4 * (thread % 8) + column % 8 // 2
    return flat[8 * owner + 2 * ((thread // 8 & 1) + 2 * (column // 8)) + column % 2]


def test_factor_from_registers_and_signs():
    flat, b = halves(1024, 5), halves((16, 16), 6)
    tiles = np.concatenate([flat.view(np.uint8), tile(b, 32)])
    out = np.ones((128, 8), np.float32)
    where = (0, descriptor(2048, 32, 16, 256))
    text = source("m64n16k16.f32.f16.f16", 8, ", -1, 1, 0", from_registers=True)
    exact = fragments(flat).astype(np.float64) @ b.astype(np.float64).T
    np.testing.assert_allclose(spread(run(text, tiles, out, *where)), 1 - exact, rtol=1e-6, atol=1e-6)
    text = source("m64n16k16.f32.f16.f16", 8, ", -1, -1, 0", from_registers=True)
    np.testing.assert_allclose(spread(run(text, tiles, out, *where)), 1 + exact, rtol=1e-6, atol=1e-6)


def test_half_accumulators_are_rounded_once():
    a, b = halves((64, 16), 7), halves((8, 16), 8)
    tiles = np.concatenate([tile(a, 32), tile(b, 32)])
    out = np.zeros((128, 2), np.uint32)
    where = [descriptor(place, 32, 16, 256) for place in (0, 2048)]
    got = run(source("m64n8k16.f16.f16.f16", 2, ", 1, 1, 0, 0", type_="u32"), tiles, out, *where)
    exact = (a.astype(np.float64) @ b.astype(np.float64).T).astype(np.float16)
    np.testing.assert_array_equal(spread(got.view(np.float16).reshape(128, 4)), exact)


def bfloat_values(words):
    return (words.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


@pytest.mark.parametrize("kind", ["bf16", "tf32", "e4m3", "e5m2", "s8", "u8"])
def test_element_types(kind):
    random = np.random.default_rng(9)
    bits = {"bf16": 16, "tf32": 32}.get(kind, 8)
    k = 256 // bits
    tail = "" if kind in ("s8", "u8") else ", 1, 1, 0, 0" if kind == "bf16" else ", 1, 1"
    if kind == "bf16":
        codes = [
            (random.uniform(-2, 2, (n, k)).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16) for n in (64, 16)
        ]
        values = [bfloat_values(c) for c in codes]
    elif kind == "tf32":
        codes = [random.uniform(-2, 2, (n, k)).astype(np.float32) for n in (64, 16)]
        values = [(c.view(np.uint32) & 0xFFFFE000).view(np.float32).astype(np.float64) for c in codes]
    elif kind in ("s8", "u8"):
        codes = [random.integers(0, 256, (n, k)).astype(np.uint8) for n in (64, 16)]
        values = [c.view({"s8": np.int8, "u8": np.uint8}[kind]).astype(np.float64) for c in codes]
    else:
        codes = [random.integers(0, 0x78, (n, k)) | 0x80 * random.integers(0, 2, (n, k)) for n in (64, 16)]
        codes = [c.astype(np.uint8) for c in codes]
        mantissa = 3 if kind == "e4m3" else 2
        bias = 7 if kind == "e4m3" else 15

        def value(code):
            exponent, fraction = (code & 0x7F) >> mantissa, (code & (1 << mantissa) - 1) / (1 << mantissa)
            scaled = np.where(
                exponent > 0, (1 + fraction) * 2.0 ** (exponent.astype(int) - bias), fraction * 2.0 ** (1 - bias)
            )
            return np.where(code & 0x80, -scaled, scaled)

        values = [value(c) for c in codes]
    tiles = np.concatenate([tile(c, 32) for c in codes])
    where = [descriptor(place, 32, 16, 256) for place in (0, 2048)]
    integer = kind in ("s8", "u8")
    out = np.zeros((128, 8), np.int32 if integer else np.float32)
    shape = f"m64n16k{k}.{'s32' if integer else 'f32'}.{kind}.{kind}"
    got = run(source(shape, 8, tail, type_="int" if integer else "float"), tiles, out, *where)
    exact = values[0] @ values[1].T
    if integer:
        np.testing.assert_array_equal(spread(got), exact)
    else:
        np.testing.assert_allclose(spread(got), exact, rtol=1e-6, atol=1e-6 * np.abs(exact).max())


def test_two_groups_are_waited_for_in_order():
    """A warp that runs ahead of its warpgroup must not see the group complete: the emulator holds it back."""
    text = source("m64n8k16.f32.f16.f16", 4, ", 1, 1, 0, 0").replace(
        "float d[4];",
        'if (threadIdx.x >= 96) for (int i = 0; i < 200; ++i) asm volatile("nanosleep.u32 20;");\n float d[4];',
    )
    a, b = halves((64, 16), 10), halves((8, 16), 11)
    where = [descriptor(place, 32, 16, 256) for place in (0, 2048)]
    got = run(text, np.concatenate([tile(a, 32), tile(b, 32)]), np.zeros((128, 4), np.float32), *where)
    np.testing.assert_allclose(spread(got), a.astype(np.float64) @ b.astype(np.float64).T, rtol=1e-6, atol=1e-6)


PLAIN = ("m64n8k16.f32.f16.f16", 4, ", 1, 1, 0, 0")


@pytest.mark.parametrize(
    ("where", "options", "kind", "text"),
    [
        ((descriptor(0, 32, 16, 256), 1 << 49), {}, "descriptor", "base offset"),
        ((0, descriptor(1 << 17, 32, 16, 256)), {}, "out_of_bounds", "shared"),
        ((0, 0), {"block": 64}, "divergence", "four warps"),
    ],
)
def test_faults_name_the_reason(where, options, kind, text):
    tiles = np.zeros(4096, np.uint8)
    with pytest.raises(EmulationError, match=text) as caught:
        run(source(*PLAIN), tiles, np.zeros((128, 4), np.float32), *where, **options)
    assert caught.value.fault.kind == kind


def test_reading_a_tile_that_nothing_wrote():
    with pytest.raises(EmulationError) as caught:
        run(source(*PLAIN), np.zeros(1024, np.uint8), np.zeros((128, 4), np.float32), 0, 256, dynamic_shared_bytes=8192)
    assert caught.value.fault.kind == "uninitialized"
