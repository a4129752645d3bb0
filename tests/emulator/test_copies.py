"""Asynchronous copies, matrix loads and stores, mbarriers, and memory forms beyond plain loads and stores."""
# ruff: noqa: E501 (CUDA source in strings)

import numpy as np
import pytest

from tests.emulator.conftest import ARCHITECTURES

pytestmark = [pytest.mark.sass, pytest.mark.parametrize("architecture", ARCHITECTURES)]
PRELUDE = "__device__ unsigned su(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }\n"


def test_copies_fill_with_zeros_what_the_source_does_not_give(run_cuda, architecture):
    if architecture < 80:
        pytest.skip("cp.async exists from sm_80")
    source = (
        PRELUDE
        + r"""
    extern "C" __global__ void k(const unsigned* in, unsigned* out, int n) {
        __shared__ __align__(16) unsigned s[512]; int t = threadIdx.x;
        for (int i = 0; i < 16; ++i) s[t + 32 * i] = ~0u;
        asm volatile("cp.async.ca.shared.global [%0],[%1],4;" :: "r"(su(s + t)), "l"(in + t));
        asm volatile("cp.async.ca.shared.global [%0],[%1],8;" :: "r"(su(s + 32 + 2 * t)), "l"(in + 2 * t));
        asm volatile("cp.async.cg.shared.global [%0],[%1],16,%2;" :: "r"(su(s + 96 + 4 * t)), "l"(in + 4 * t), "r"(t ? t % 13 : 16));
        asm volatile("{ .reg .pred p; setp.gt.s32 p,%2,%3; cp.async.ca.shared.global [%0],[%1],4,p; }" :: "r"(su(s + 224 + t)), "l"(t > n ? (const unsigned*)16 : in + t), "r"(t), "r"(n));
        asm volatile("cp.async.commit_group; cp.async.wait_group 0;");
        __syncthreads();
        for (int i = 0; i < 8; ++i) out[t + 32 * i] = s[t + 32 * i];
    }
    """
    )
    data = np.random.default_rng(1).integers(
        0, 2**32, 127, dtype=np.uint32
    )  # the last copy of 16 bytes ends before its end
    _, out = run_cuda(source, architecture, [data, np.zeros(256, np.uint32), np.int32(10)])
    raw = np.concatenate([data, [0]]).astype(np.uint32).view(np.uint8)
    partial = raw.reshape(32, 16).copy()
    for t in range(32):
        partial[t, t % 13 if t else 16 :] = 0
    assert np.array_equal(out[:32], data[:32])
    assert np.array_equal(out[32:96], data[:64])
    assert np.array_equal(out[96:224].view(np.uint8).reshape(32, 16), partial)
    assert np.array_equal(out[224:], np.where(np.arange(32) > 10, 0, data[:32]))


def test_copy_logs_its_source_and_its_destination(architecture):
    from isa.compile import compile_cuda
    from traces.emulator import emulate

    if architecture < 80:
        pytest.skip("cp.async exists from sm_80")
    source = (
        PRELUDE
        + r"""
    extern "C" __global__ void k(const int4* in, int* out) {
        __shared__ int4 s[32];
        asm volatile("cp.async.cg.shared.global [%0],[%1],16;" :: "r"(su(s + threadIdx.x)), "l"(in + 2 * threadIdx.x));
        asm volatile("cp.async.wait_all;"); __syncthreads(); out[threadIdx.x] = s[31 - threadIdx.x].x;
    }
    """
    )
    data = np.arange(256, dtype=np.int32)
    trace = emulate(compile_cuda(source, architecture), None, 1, 32, [data, np.zeros(32, np.int32)])
    (chunk,) = trace.blocks()
    at = next(k for k in range(len(chunk.instruction)) if "LDGSTS" in trace.program.text[chunk.instruction[k]])
    first, second = chunk.accesses[chunk.access[at]], chunk.accesses[chunk.access[at] + 1]
    assert (first["more"], second["more"]) == (1, 0)
    assert (first["stride"], second["stride"]) == (32, 16), "global source first, then shared destination"
    assert second["base"] < 1 << 20 < first["base"]


def test_matrix_loads_and_stores_move_rows_of_sixteen_bytes(run_cuda, architecture):
    source = (
        PRELUDE
        + r"""
    extern "C" __global__ void k(const unsigned* in, unsigned* out) {
        __shared__ __align__(16) unsigned s[256]; int t = threadIdx.x; unsigned* o = out + 16 * t; unsigned a, b, c, d;
        for (int i = 0; i < 8; ++i) s[t + 32 * i] = in[t + 32 * i];
        __syncthreads();
        unsigned at = su(s + 4 * ((t * 5) % 64));
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "r"(at)); o[0] = a; o[1] = b; o[2] = c; o[3] = d;
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1},[%2];" : "=r"(a), "=r"(b) : "r"(at)); o[4] = a; o[5] = b;
        asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0},[%1];" : "=r"(a) : "r"(at)); o[6] = a;
        asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0,%1;" : "=r"(a) : "r"(in[t])); o[7] = a;
    #if __CUDA_ARCH__ >= 900
        __syncthreads();
        asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0],{%1,%2};" :: "r"(su(s + 4 * (t % 16))), "r"(in[t]), "r"(in[t + 32]) : "memory");
        asm volatile("stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%0],{%1};" :: "r"(su(s + 64 + 4 * (t % 8))), "r"(in[t]) : "memory");
        __syncthreads();
        o[8] = s[t]; o[9] = s[t + 32]; o[10] = s[t + 64];
    #endif
    }
    """
    )
    data = np.random.default_rng(2).integers(0, 2**32, 256, dtype=np.uint32)
    _, out = run_cuda(source, architecture, [data, np.zeros((32, 16), np.uint32)])
    rows = data.view(np.uint16).reshape(64, 8)
    wanted = np.zeros((32, 16), np.uint32)
    for t in range(32):
        g, i = t // 4, t % 4

        def pair(low, high):
            return int(low) | int(high) << 16

        for m in range(4):
            row = rows[(8 * m + g) * 5 % 64]
            wanted[t, m] = pair(row[2 * i], row[2 * i + 1])
        for m in range(2):
            wanted[t, 4 + m] = pair(rows[(8 * m + 2 * i) * 5 % 64][g], rows[(8 * m + 2 * i + 1) * 5 % 64][g])
        wanted[t, 6] = wanted[t, 0]
        wanted[t, 7] = pair(rows[2 * i][g], rows[2 * i + 1][g])
    columns = 8
    if architecture >= 90:
        columns = 11
        wanted[:, 8], wanted[:, 9] = data[:32], data[32:64]
        wanted[:, 10] = rows[:8].T.copy().reshape(-1).view(np.uint32)
    assert out[:, :columns].tolist() == wanted[:, :columns].tolist()


def test_barrier_objects_separate_phases(run_cuda, architecture):
    if architecture < 80:
        pytest.skip("mbarrier exists from sm_80")
    source = (
        PRELUDE
        + r"""
    extern "C" __global__ void k(const int* in, int* out) {
        __shared__ __align__(8) unsigned long long bar; __shared__ int s[128]; int t = threadIdx.x; unsigned long long st; unsigned b = su(&bar); int done;
        if (t == 0) asm volatile("mbarrier.init.shared.b64 [%0],128;" :: "r"(b));
        __syncthreads();
        for (int i = 0; i < 3; ++i) {
            s[t] = in[(t + i) % 128];
            asm volatile("mbarrier.arrive.shared.b64 %0,[%1];" : "=l"(st) : "r"(b) : "memory");
            do asm volatile("{ .reg .pred p; mbarrier.test_wait.shared.b64 p,[%1],%2; selp.s32 %0,1,0,p; }" : "=r"(done) : "r"(b), "l"(st) : "memory"); while (!done);
            out[128 * i + t] = s[127 - t];
            __syncthreads();
        }
        asm volatile("cp.async.ca.shared.global [%0],[%1],4;" :: "r"(su(s + t)), "l"(in + t));
        asm volatile("cp.async.mbarrier.arrive.shared.b64 [%0];" :: "r"(b));
        asm volatile("mbarrier.arrive.shared.b64 %0,[%1];" : "=l"(st) : "r"(b) : "memory");
        do asm volatile("{ .reg .pred p; mbarrier.test_wait.shared.b64 p,[%1],%2; selp.s32 %0,1,0,p; }" : "=r"(done) : "r"(b), "l"(st) : "memory"); while (!done);
        out[384 + t] = s[t ^ 1];
    }
    """
    )
    data = np.random.default_rng(3).integers(0, 2**31, 128).astype(np.int32)
    _, out = run_cuda(source, architecture, [data, np.zeros(512, np.int32)], block=128)
    for i in range(3):
        assert np.array_equal(out[128 * i : 128 * i + 128], np.roll(data, -i)[::-1])
    assert np.array_equal(out[384:], data[np.arange(128) ^ 1])


def test_library_barriers_and_pipelines_run(run_cuda, architecture):
    source = r"""
    #include <cuda/barrier>
    extern "C" __global__ void k(int* out) {
        __shared__ cuda::barrier<cuda::thread_scope_block> bar; __shared__ int s[64]; int t = threadIdx.x;
        if (t == 0) init(&bar, 64);
        __syncthreads();
        for (int i = 0; i < 3; ++i) { s[t] = t * (i + 1); bar.arrive_and_wait(); out[64 * i + t] = s[63 - t]; bar.arrive_and_wait(); }
    }
    """
    (out,) = run_cuda(source, architecture, [np.zeros(192, np.int32)], block=64)
    assert out.tolist() == [(63 - t) * (i + 1) for i in range(3) for t in range(64)]


def test_lanes_of_a_warp_may_access_different_spaces(run_cuda, architecture):
    source = r"""
    extern "C" __global__ void k(int* g, float* f, double* d, int* out) {
        __shared__ int s[32]; __shared__ float sf[1]; __shared__ double sd[1]; int t = threadIdx.x; int l[4] = {t, t + 1, t + 2, t + 3};
        s[t] = 100 + t; if (t == 0) { sf[0] = 0; sd[0] = 0; }
        __syncthreads();
        int* p = t % 3 == 0 ? s + t : t % 3 == 1 ? g + t : l + (g[0] & 3);
        out[t] = *p; *p += 1000;
        __syncthreads();
        out[32 + t] = t % 3 == 0 ? s[t] : t % 3 == 1 ? g[t] : l[g[0] & 3];
        int* q = t & 1 ? s : g; out[64 + t] = atomicAdd(q + 3, 1) & 0;
        atomicAdd(t & 1 ? sf : f, 1.0f); atomicAdd(t & 1 ? sd : d, 2.0);
        out[96 + t] = __isShared(p) + 2 * __isGlobal(p) + 4 * __isLocal(p);
        __syncthreads();
        if (t == 0) { out[128] = s[3]; out[129] = (int)sf[0]; out[130] = (int)sd[0]; }
    }
    """
    g = np.arange(0, 64, 2, dtype=np.int32)
    g_out, f, d, out = run_cuda(
        source, architecture, [g, np.zeros(1, np.float32), np.zeros(1), np.zeros(131, np.int32)]
    )
    t = np.arange(32)
    value = np.where(t % 3 == 0, 100 + t, np.where(t % 3 == 1, 2 * t, t))
    assert np.array_equal(out[:32], value)
    assert np.array_equal(out[32:64], value + 1000)
    assert np.array_equal(out[96:128], np.where(t % 3 == 0, 1, np.where(t % 3 == 1, 2, 4)))
    assert (f[0], d[0], g_out[3]) == (16, 32, 6 + 16)
    assert out[128:].tolist() == [1103 + 16, 16, 32]


def test_packed_and_wide_atomics(run_cuda, architecture):
    source = r"""
    #include <cuda_fp16.h>
    #include <cuda_bf16.h>
    extern "C" __global__ void k(__half2* h, unsigned long long* w, float* f, unsigned* b) {
        int t = threadIdx.x;
        atomicAdd(h + t % 4, __half2{__float2half(0.5f), __float2half(t)});
        atomicMax(w, (unsigned long long)t << 40); atomicMin((long long*)w + 1, -(long long)t << 33); atomicAdd(w + 2, 1ull << 33); atomicXor(w + 3, 1ull << t); atomicCAS(w + 4, (unsigned long long)t, t + 1ull);
    #if __CUDA_ARCH__ >= 900
        asm volatile("red.global.add.v4.f32 [%0],{%1,%1,%1,%2};" :: "l"(f), "f"(1.0f), "f"((float)t));
        asm volatile("red.global.add.noftz.bf16x2 [%0],%1;" :: "l"(b), "r"(0x40003f80));
        asm volatile("red.global.max.noftz.v2.bf16x2 [%0],{%1,%1};" :: "l"(b + 2), "r"(0x3f800000 + (t << 16)));
        asm volatile("{ .reg .b128 x, y, z; mov.b128 x,{%1,%1}; mov.b128 y,{%2,%3}; atom.global.cas.b128 z,[%0],x,y; }" :: "l"(w + 6), "l"((unsigned long long)t), "l"(t + 1ull), "l"(t + 1ull));
    #endif
    }
    """
    h, w, f, b = run_cuda(
        source,
        architecture,
        [np.zeros(8, np.float16), np.zeros(8, np.uint64), np.zeros(4, np.float32), np.zeros(4, np.uint32)],
    )
    assert h[::2].tolist() == [4.0] * 4
    assert h[1::2].tolist() == [float(sum(range(r, 32, 4))) for r in range(4)]
    assert w[0] == 31 << 40
    assert w[1:5].view(np.int64).tolist()[:2] == [-31 << 33, 32 << 33]
    assert w[3:5].tolist() == [2**32 - 1, 32]
    if architecture >= 90:
        assert f.tolist() == [32, 32, 32, 496]
        assert b.tolist() == [0x42800000 | 0x4200, 0, 0x3F9F0000, 0x3F9F0000]
        assert w[6:8].tolist() == [32, 32]


def test_accesses_of_thirty_two_bytes(run_cuda, architecture):
    if architecture < 100:
        pytest.skip("256-bit accesses exist from sm_100")
    source = r"""
    extern "C" __global__ void k(const unsigned* in, unsigned* out) {
        unsigned a, b, c, d, e, f, g, h; int t = threadIdx.x;
        asm volatile("ld.global.v8.b32 {%0,%1,%2,%3,%4,%5,%6,%7},[%8];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d), "=r"(e), "=r"(f), "=r"(g), "=r"(h) : "l"(in + 8 * t));
        out[t] = a + 2 * e; out[32 + t] = d + 2 * h;
        asm volatile("st.global.v8.b32 [%8],{%0,%1,%2,%3,%4,%5,%6,%7};" :: "r"(b), "r"(a), "r"(c), "r"(d), "r"(e), "r"(f), "r"(g), "r"(h + 1), "l"(out + 64 + 8 * t));
    }
    """
    data = np.random.default_rng(5).integers(0, 2**32, 256, dtype=np.uint32)
    _, out = run_cuda(source, architecture, [data, np.zeros(320, np.uint32)])
    rows = data.reshape(32, 8)
    assert np.array_equal(out[:32], rows[:, 0] + 2 * rows[:, 4])
    assert np.array_equal(out[32:64], rows[:, 3] + 2 * rows[:, 7])
    stored = rows[:, [1, 0, 2, 3, 4, 5, 6, 7]].copy()
    stored[:, 7] += 1
    assert np.array_equal(out[64:].reshape(32, 8), stored)
