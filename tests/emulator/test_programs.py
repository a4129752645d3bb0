"""Whole programs: divergence, calls, barriers, lane exchange, memory spaces and atomics, on every architecture."""
# ruff: noqa: E501 (CUDA source in strings)

import numpy as np
import pytest

from tests.emulator.conftest import ARCHITECTURES

pytestmark = [pytest.mark.sass, pytest.mark.parametrize("architecture", ARCHITECTURES)]
THREADS = np.arange(64, dtype=np.int64)


def test_recursion_uses_the_stack(run_cuda, architecture):
    source = """
    __device__ __noinline__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
    extern "C" __global__ void k(int* out) { out[threadIdx.x] = fibonacci(threadIdx.x % 11); }
    """
    numbers = [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55]
    (out,) = run_cuda(source, architecture, [np.zeros(32, np.int32)], stack_bytes=2048)
    assert out.tolist() == [numbers[i % 11] for i in range(32)]


def test_switch_jumps_through_a_table(run_cuda, architecture):
    cases = "".join(f"case {i}: for (int j = 0; j < n; ++j) x = x * {2 * i + 3} + {i}; break;" for i in range(12))
    source = f'extern "C" __global__ void k(int* o, int n) {{ int x = threadIdx.x; switch (x % 16) {{ {cases} default: x = -x; }} o[threadIdx.x] = x; }}'
    (out,) = run_cuda(source, architecture, [np.zeros(64, np.int32), np.int32(3)], block=64)
    wanted = []
    for thread in range(64):
        x, i = thread, thread % 16
        for _ in range(3):
            x = (x * (2 * i + 3) + i) & 0xFFFFFFFF if i < 12 else x
        wanted.append(x if i < 12 else -x & 0xFFFFFFFF)
    assert out.view(np.uint32).tolist() == wanted


def test_divergent_loops_with_break_and_continue_reconverge(run_cuda, architecture):
    source = """
    extern "C" __global__ void k(int* out, unsigned* masks) {
        int t = threadIdx.x, sum = 0;
        for (int i = 0; i < 40; ++i) {
            if ((i + t) % 3 == 0) continue;
            for (int j = t % 5; j < 9; ++j) { if (j * i > 100 + t) break; sum += i ^ j; if (sum % 7 == 6) sum += __popc(sum); }
            if (sum > 900 - t * 8) break;
        }
        out[t] = sum;
        __syncwarp();
        masks[t] = __activemask();
    }
    """
    out, masks = run_cuda(source, architecture, [np.zeros(64, np.int32), np.zeros(64, np.uint32)], block=64)
    wanted = []
    for t in range(64):
        total = 0
        for i in range(40):
            if (i + t) % 3 == 0:
                continue
            for j in range(t % 5, 9):
                if j * i > 100 + t:
                    break
                total += i ^ j
                if total % 7 == 6:
                    total += total.bit_count()
            if total > 900 - t * 8:
                break
        wanted.append(total)
    assert out.tolist() == wanted
    assert set(masks.tolist()) == {0xFFFFFFFF}


def test_lock_taken_lane_by_lane_makes_progress(run_cuda, architecture):
    source = """
    extern "C" __global__ void k(int* lock, int* count) {
        for (bool done = false; !done;)
            if (atomicCAS(lock, 0, 1) == 0) { *(volatile int*)count += threadIdx.x; __threadfence(); atomicExch(lock, 0); done = true; }
    }
    """
    _, count = run_cuda(source, architecture, [np.zeros(1, np.int32), np.zeros(1, np.int32)], block=64)
    assert count[0] == 63 * 64 // 2


def test_votes_and_matches_see_only_active_lanes(run_cuda, architecture):
    source = """
    extern "C" __global__ void k(unsigned* out) {
        int t = threadIdx.x;
        unsigned* o = out + 8 * t;
        o[0] = __ballot_sync(~0u, t % 3 == 0);
        o[1] = __any_sync(~0u, t == 40) * 2 + __all_sync(~0u, t < 40);
        o[2] = __match_any_sync(~0u, t % 5);
        int all; o[3] = __match_all_sync(~0u, t / 32, &all); o[4] = all;
        if (t % 2) { o[5] = __activemask(); o[6] = __ballot_sync(0xaaaaaaaau, t % 4 == 3); o[7] = __match_any_sync(0xaaaaaaaau, (unsigned long long)(t % 3) << 40); }
    }
    """
    (out,) = run_cuda(source, architecture, [np.zeros((64, 8), np.uint32)], block=64)
    for t in range(64):
        warp = range(t // 32 * 32, t // 32 * 32 + 32)

        def mask(condition, warp=warp):
            return sum(1 << (u % 32) for u in warp if condition(u))

        wanted = [
            mask(lambda u: u % 3 == 0),
            2 * (t >= 32) + (t < 32),
            mask(lambda u, t=t: u % 5 == t % 5),
            0xFFFFFFFF,
            1,
        ]
        if t % 2:
            wanted += [0xAAAAAAAA, 0x88888888, mask(lambda u, t=t: u % 2 == 1 and u % 3 == t % 3)]
        else:
            wanted += [0, 0, 0]
        assert out[t].tolist() == wanted, f"thread {t}"


def test_warp_reductions(run_cuda, architecture):
    if architecture < 80:
        pytest.skip("REDUX exists from sm_80")
    source = """
    extern "C" __global__ void k(const int* in, int* out) {
        int t = threadIdx.x, v = in[t]; int* o = out + 8 * t; unsigned u = v;
        o[0] = __reduce_add_sync(~0u, v); o[1] = __reduce_min_sync(~0u, v); o[2] = __reduce_max_sync(~0u, v);
        o[3] = __reduce_min_sync(~0u, u); o[4] = __reduce_max_sync(~0u, u); o[5] = __reduce_and_sync(~0u, u);
        o[6] = __reduce_or_sync(~0u, u); o[7] = __reduce_xor_sync(~0u, u);
    }
    """
    values = np.random.default_rng(3).integers(-(2**31), 2**31, 32).astype(np.int32)
    _, out = run_cuda(source, architecture, [values, np.zeros((32, 8), np.int32)])
    u = values.view(np.uint32)
    wanted = [values.sum(dtype=np.int64), values.min(), values.max(), u.min(), u.max()]
    wanted += [np.bitwise_and.reduce(u), np.bitwise_or.reduce(u), np.bitwise_xor.reduce(u)]
    assert out.view(np.uint32).tolist() == [[int(w) & 0xFFFFFFFF for w in wanted]] * 32


def test_shuffles_respect_their_width(run_cuda, architecture):
    source = """
    extern "C" __global__ void k(int* out) {
        int t = threadIdx.x; int* o = out + 6 * t;
        o[0] = __shfl_up_sync(~0u, t, 3, 8); o[1] = __shfl_down_sync(~0u, t, 5, 16); o[2] = __shfl_xor_sync(~0u, t, 9, 16);
        o[3] = __shfl_sync(~0u, t, t * 7, 32); o[4] = __shfl_sync(~0u, t, 5, 4); o[5] = (int)(__shfl_sync(~0u, t * 10000000000ll, 31 - t) / 10000000000ll);
    }
    """
    (out,) = run_cuda(source, architecture, [np.zeros((32, 6), np.int32)])
    t = np.arange(32)
    up = np.where(t % 8 >= 3, t - 3, t)
    down = np.where(t % 16 + 5 < 16, t + 5, t)
    assert out.T.tolist() == [
        up.tolist(),
        down.tolist(),
        (t ^ 9).tolist(),
        (t * 7 % 32).tolist(),
        (t // 4 * 4 + 1).tolist(),
        (31 - t).tolist(),
    ]


def test_block_barrier_reductions(run_cuda, architecture):
    source = """
    extern "C" __global__ void k(int* out) {
        int t = threadIdx.x; int* o = out + 5 * t;
        o[0] = __syncthreads_count(t % 3 == 0); o[1] = __syncthreads_and(t < 96); o[2] = __syncthreads_and(t < 95);
        o[3] = __syncthreads_or(t == 77); o[4] = __syncthreads_or(t > 96);
    }
    """
    (out,) = run_cuda(source, architecture, [np.zeros((96, 5), np.int32)], block=96)
    assert (out != 0).tolist() == [[True, True, False, True, False]] * 96
    assert set(out[:, 0].tolist()) == {32}


def test_named_barriers_pass_data_from_producers_to_consumers(run_cuda, architecture):
    source = """
    extern "C" __global__ void k(int* out) {
        __shared__ int box[64];
        int t = threadIdx.x;
        for (int round = 0; round < 4; ++round) {
            if (t >= 64) {
                asm volatile("bar.sync 1, 128;" ::: "memory");
                out[round * 64 + t - 64] = box[(t * 7) % 64];
                asm volatile("bar.arrive 2, 128;" ::: "memory");
            } else {
                if (round) asm volatile("bar.sync 2, 128;" ::: "memory");
                box[t] = t * 100 + round;
                __threadfence_block();
                asm volatile("bar.arrive 1, 128;" ::: "memory");
            }
        }
    }
    """
    (out,) = run_cuda(source, architecture, [np.zeros((4, 64), np.int32)], block=128)
    wanted = [[(t * 7 % 64) * 100 + r for t in range(64, 128)] for r in range(4)]
    assert out.tolist() == wanted


@pytest.mark.parametrize("space", ["global", "shared"])
def test_atomics_equal_a_sequential_machine(run_cuda, architecture, space):
    shared = space == "shared"
    source = f"""
    extern "C" __global__ void k(unsigned* out, unsigned long long* wide, float* f, double* d) {{
        int t = threadIdx.x;
        {
        "__shared__ unsigned u[12]; __shared__ unsigned long long w[6]; __shared__ float fs[1]; __shared__ double ds[1];"
        if shared
        else "unsigned* u = out; unsigned long long* w = wide; float* fs = f; double* ds = d;"
    }
        {
        "if (t < 12) u[t] = out[t]; if (t < 6) w[t] = wide[t]; if (!t) { fs[0] = *f; ds[0] = *d; } __syncthreads();"
        if shared
        else ""
    }
        unsigned v = t * 2654435761u;
        atomicAdd(&u[0], v); atomicSub(&u[1], v); atomicMin(&u[2], v); atomicMax(&u[3], v);
        atomicMin((int*)&u[4], (int)v); atomicMax((int*)&u[5], (int)v); atomicAnd(&u[6], v | 0xf0f); atomicOr(&u[7], v & 0x11111111);
        atomicXor(&u[8], v); atomicInc(&u[9], 40); atomicDec(&u[10], 40); atomicAdd(&u[11], 1);
        unsigned long long q = v * 0x100000001ull;
        atomicAdd(&w[0], q); atomicMin(&w[1], q); atomicMax(&w[2], q); atomicXor(&w[3], q); atomicMax((long long*)&w[4], (long long)q >> 1);
        unsigned long long old = w[5], assumed;
        do {{ assumed = old; old = atomicCAS(&w[5], assumed, assumed * 1 + t); }} while (old != assumed);
        atomicAdd(fs, (float)t); atomicAdd(ds, t * 0.5);
        {
        "__syncthreads(); if (t < 12) out[t] = u[t]; if (t < 6) wide[t] = w[t]; if (!t) { *f = fs[0]; *d = ds[0]; }"
        if shared
        else ""
    }
    }}
    """
    start = np.full(12, 1000, np.uint32)
    start[2], start[6] = 0xFFFFFFFF, 0xFFFFFFFF
    wide = np.full(6, 7, np.uint64)
    wide[1] = 2**64 - 1
    out, w, f, d = run_cuda(source, architecture, [start, wide, np.ones(1, np.float32), np.ones(1)], block=96)
    v = [t * 2654435761 % 2**32 for t in range(96)]
    signed = [x - 2**32 if x >> 31 else x for x in v]
    increment = decrement = 1000
    for _ in v:
        increment = 0 if increment >= 40 else increment + 1
        decrement = 40 if decrement == 0 or decrement > 40 else decrement - 1
    x = y = 0
    bits, both, xor64 = 0xFFFFFFFF, 1000, 7
    for value in v:
        bits &= value | 0xF0F
        both |= value & 0x11111111
        x ^= value
        y += value
        xor64 ^= value * 0x100000001 % 2**64
    wanted = [1000 + y, 1000 - y, min(v), max([1000, *v]), min([1000, *signed]), max([1000, *signed]), bits, both]
    wanted += [1000 ^ x, increment, decrement, 1096]
    assert out.tolist() == [n % 2**32 for n in wanted]
    q = [value * 0x100000001 % 2**64 for value in v]
    signed_q = [(n - 2**64 if n >> 63 else n) >> 1 for n in q]
    assert w.tolist() == [
        (7 + sum(q)) % 2**64,
        min(q),
        max([7, *q]),
        xor64,
        max([7, *signed_q]) % 2**64,
        7 + sum(range(96)),
    ]
    assert (f[0], d[0]) == (1 + 95 * 48, 1 + 95 * 24)


def test_local_arrays_of_every_width(run_cuda, architecture):
    source = """
    extern "C" __global__ void k(int* out, int n) {
        int t = threadIdx.x; unsigned char b[16]; short s[16]; long long q[16];
        for (int i = 0; i < n; ++i) { b[(i * 5 + t) % 16] = i * t; s[(i * 3 + t) % 16] = -i * t * 100; q[(i * 7 + t) % 16] = (long long)i << 33; }
        int sum = 0;
        for (int i = 0; i < n; ++i) sum += b[i] * (i + 1) + s[i] + (int)(q[i] >> 32) * i;
        out[t] = sum;
    }
    """
    (out,) = run_cuda(source, architecture, [np.zeros(64, np.int32), np.int32(16)], block=64)
    for t in range(64):
        b, s, q = {}, {}, {}
        for i in range(16):
            b[(i * 5 + t) % 16] = i * t & 255
            s[(i * 3 + t) % 16] = int(np.array(-i * t * 100).astype(np.int16))
            q[(i * 7 + t) % 16] = i * 2
        assert out[t] == sum(b[i] * (i + 1) + s[i] + q[i] * i for i in range(16)), f"thread {t}"


def test_constant_and_device_variables(run_cuda, architecture):
    source = """
    __constant__ int table[16]; __constant__ short small[4] = {-1, 2, -3, 4};
    __device__ int counter = 5; __device__ float zeros[8];
    extern "C" __global__ void k(int* out) {
        int t = threadIdx.x;
        out[t] = table[t % 16] * 10 + small[t % 4] + (int)zeros[t % 8];
        if (t == 0) out[63] = atomicAdd(&counter, 3) + *(volatile int*)&counter;
    }
    """
    values = np.arange(16, dtype=np.int32) ** 2
    (out,) = run_cuda(source, architecture, [np.zeros(64, np.int32)], block=63, constants={"table": values})
    assert out[:63].tolist() == [int(values[t % 16]) * 10 + [-1, 2, -3, 4][t % 4] for t in range(63)]
    assert out[63] == 5 + 8


def test_generic_pointers_reach_shared_global_and_local_memory(run_cuda, architecture):
    source = """
    __device__ __noinline__ int sum(const int* p, int n) { int s = 0; for (int i = 0; i < n; ++i) s += p[i]; return s; }
    extern "C" __global__ void k(const int* in, int* out) {
        __shared__ int box[32]; int own[8]; int t = threadIdx.x;
        box[t] = in[t] * 2; for (int i = 0; i < 8; ++i) own[(i * t) % 8] = i + t;  for (int i = 0; i < 8; ++i) own[i] = i * t;
        __syncthreads();
        out[t] = sum(t == 100 ? own : box, 32) * 10000 + sum(in, 32);
        out[32 + t] = sum(own, 8);
    }
    """
    values = np.arange(32, dtype=np.int32)
    _, out = run_cuda(source, architecture, [values, np.zeros(64, np.int32)], stack_bytes=1024)
    assert out[:32].tolist() == [2 * 496 * 10000 + 496] * 32
    assert out[32:].tolist() == [28 * t for t in range(32)]


def test_vector_and_narrow_accesses(run_cuda, architecture):
    source = """
    extern "C" __global__ void k(const char4* a, const ushort2* b, const double2* c, float4* o, signed char* n, short* h) {
        int t = threadIdx.x; char4 x = a[t]; ushort2 y = b[t]; double2 z = c[t];
        o[t] = make_float4(x.x + x.y * 2 + x.z * 3 + x.w * 4, y.x - y.y, z.x, z.y);
        n[t] = ((const signed char*)a)[t * 3 % 32]; h[t] = ((const short*)b)[t * 5 % 32];
    }
    """
    random = np.random.default_rng(5)
    a, b = random.integers(-128, 128, (32, 4)).astype(np.int8), random.integers(0, 65536, (32, 2)).astype(np.uint16)
    c = random.uniform(-1, 1, (32, 2))
    arguments = [a, b, c, np.zeros((32, 4), np.float32), np.zeros(32, np.int8), np.zeros(32, np.int16)]
    *_, o, n, h = run_cuda(source, architecture, arguments)
    t = np.arange(32)
    wanted = np.stack([a.astype(np.int32) @ [1, 2, 3, 4], b[:, 0].astype(np.int32) - b[:, 1], c[:, 0], c[:, 1]], 1)
    assert np.array_equal(o, wanted.astype(np.float32))
    assert np.array_equal(n, a.reshape(-1)[t * 3 % 32])
    assert np.array_equal(h, b.reshape(-1).view(np.int16)[t * 5 % 32])


def test_clock_advances(run_cuda, architecture):
    source = 'extern "C" __global__ void k(long long* o, float x) { long long a = clock64(); for (int i = 0; i < 50; ++i) x = sinf(x); o[threadIdx.x] = clock64() - a + (x == 7.0f); }'
    (out,) = run_cuda(source, architecture, [np.zeros(32, np.int64), 0.5])
    assert (out > 50).all()


def test_three_dimensional_grid_and_block(run_cuda, architecture):
    source = """
    extern "C" __global__ void k(int* o) {
        int b = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
        int t = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
        o[b * blockDim.x * blockDim.y * blockDim.z + t] = blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z + 1000 * threadIdx.x + 10000 * threadIdx.y + 100000 * threadIdx.z;
    }
    """
    (out,) = run_cuda(source, architecture, [np.zeros((5, 3, 2, 2, 3, 7), np.int32)], grid=(2, 3, 5), block=(7, 3, 2))
    bz, by, bx, tz, ty, tx = np.indices(out.shape)
    assert np.array_equal(out, bx + 10 * by + 100 * bz + 1000 * tx + 10000 * ty + 100000 * tz)


def half_cases(x, y):
    f = np.float64
    a, b = x.astype(f), y.astype(f)
    return {
        "__hadd2(x, y)": (x + y),
        "__hsub2(x, y)": (x - y),
        "__hmul2(x, y)": (x * y),
        "__hfma2(x, y, x)": (a * b + a).astype(np.float16),
        "__hmax2(x, y)": np.fmax(x, y),
        "__hneg2(__habs2(x))": -np.abs(x),
        "__lows2half2(x, y)": np.stack([x[:, 0], y[:, 0]], 1),
        "__hgt2(x, y)": (x > y).astype(np.float16),
        "__floats2half2_rn(__low2float(x) * 3.f, __high2float(y) + 1.f)": np.stack(
            [x[:, 0].astype(np.float32) * np.float32(3), y[:, 1].astype(np.float32) + np.float32(1)], 1
        ).astype(np.float16),
    }


def test_packed_half_arithmetic_is_exactly_rounded(differences, architecture):
    random = np.random.default_rng(9)
    values = (random.uniform(-1, 1, (512, 2)) * 2.0 ** random.integers(-12, 12, (512, 2))).astype(np.float16)
    values[:6] = [[0.0, -0.0], [1, np.inf], [6e-8, -6e-8], [65504, -65504], [1e-5, 3e-5], [0.5, 2048]]
    x, y = values, np.roll(values, 37, axis=0)

    def equal(got, wanted):
        g, w = got.view(np.float16).reshape(-1, 2), wanted.view(np.float16).reshape(-1, 2)
        return ((g == w) | (np.isnan(g) & np.isnan(w))).all(axis=1)

    types = ("half2",) * 3
    with np.errstate(all="ignore"):
        cases = [
            (
                e,
                types,
                x.view(np.uint32)[:, 0],
                y.view(np.uint32)[:, 0],
                np.ascontiguousarray(w).view(np.uint32)[:, 0],
                equal,
            )
            for e, w in half_cases(x, y).items()
        ]
    prelude = "#include <cuda_fp16.h>\n"
    if architecture < 80:
        cases = [c for c in cases if "hmax2" not in c[0]]
    wrong = differences(architecture, cases, prelude)
    assert not wrong, "\n".join(wrong)


def test_packed_bfloat16_arithmetic_is_exactly_rounded(differences, architecture):
    if architecture < 80:
        pytest.skip("bfloat16 arithmetic exists from sm_80")
    random = np.random.default_rng(10)
    values = (random.uniform(-1, 1, (512, 2)) * 2.0 ** random.integers(-30, 30, (512, 2))).astype(np.float32)
    words = values.view(np.uint32) >> 16
    x, y = words, np.roll(words, 37, axis=0)

    def value(w):
        return (w.astype(np.uint32) << 16).view(np.float32).astype(np.float64)

    def rounded(v):
        bits = v.astype(np.float32).view(np.uint32)
        return (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16

    def pack(w):
        return (w[:, 0] | w[:, 1] << 16).astype(np.uint32)

    a, b = value(x), value(y)
    types = ("__nv_bfloat162",) * 3
    cases = [
        (e, types, pack(x), pack(y), pack(rounded(w)), np.equal)
        for e, w in {"__hadd2(x, y)": a + b, "__hmul2(x, y)": a * b, "__hfma2(x, y, x)": a * b + a}.items()
    ]
    wrong = differences(architecture, cases, "#include <cuda_bf16.h>\n")
    assert not wrong, "\n".join(wrong)
