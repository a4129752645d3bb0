// C = A B with half inputs and FP32 sums on tensor cores: tiles of TILE_M x TILE_N, a warp for each WARP_M x WARP_N of them,
// STAGES slices of DEPTH along k in flight by cp.async, FRAGMENTS sets of registers (2: the next ones load during the products).
// Shared memory is unpadded: 16-byte vectors of a row are permuted by xor so that neither the copies nor ldmatrix meet a bank
// twice. n a multiple of TILE_N, k of DEPTH; a last tile that would overhang m starts further up and writes some rows again.
#include "../tensor_core.cuh"
#ifndef TILE_M
#define TILE_M 128
#define TILE_N 128
#define WARP_M 64
#define WARP_N 32
#define DEPTH 32
#define STAGES 3
#define FRAGMENTS 1
#endif
#ifndef HALF_OUTPUT
#define HALF_OUTPUT 0
#endif
#define VECTOR 8                    // halves that are copied together
#define VECTORS_A (DEPTH / VECTOR)  // of a row
#define VECTORS_B (TILE_N / VECTOR)
#define WARPS_N (TILE_N / WARP_N)
#define THREADS (TILE_M / WARP_M * WARPS_N * 32)
#define STEPS (DEPTH / 16)
#define STAGE_HALVES ((TILE_M + TILE_N) * DEPTH)
#define ROWS_A (THREADS / VECTORS_A)  // that one copy of every thread covers
#define ROWS_B (THREADS / VECTORS_B)
static_assert(VECTORS_A == 4 || VECTORS_A == 8, "a slice is 32 or 64 deep");
static_assert(WARP_M % 16 == 0 && WARP_N % 16 == 0 && TILE_M % WARP_M == 0 && TILE_N % WARP_N == 0, "whole fragments");
static_assert(TILE_M % ROWS_A == 0 && DEPTH % ROWS_B == 0 && TILE_N % 64 == 0, "every thread copies as much as the others");
static_assert(ROWS_A % 8 == 0 && ROWS_B % 8 == 0, "the rows that a thread copies have the same permutation");
static_assert(STAGES >= 2 && STAGES * STAGE_HALVES >= HALF_OUTPUT * TILE_M * TILE_N, "the output tile fits into the stages");

#if TILE_M * TILE_N <= 128 * 128 && THREADS == 256 && FRAGMENTS == 1
#define BLOCKS_PER_SM 2  // registers for two
#else
#define BLOCKS_PER_SM 1
#endif

__device__ __forceinline__ int place_a(int row, int vector) {
    return row * DEPTH + (vector ^ (VECTORS_A == 4 ? row / 2 % 4 : row % 8)) * VECTOR;
}
__device__ __forceinline__ int place_b(int row, int vector) { return row * TILE_N + (vector ^ row % 8) * VECTOR; }

// Places of a lane's rows in the fragments: rows 16 further have the same permutation, so the rest are constants.
struct Places {
    int a[STEPS], b[WARP_N / 16];
    __device__ __forceinline__ Places(int row, int column, int lane) {
#pragma unroll
        for (int step = 0; step < STEPS; ++step) a[step] = place_a(row + lane % 16, 2 * step + lane / 16);
#pragma unroll
        for (int j = 0; j < WARP_N / 16; ++j)
            b[j] = TILE_M * DEPTH + place_b(lane % 16, column / VECTOR + 2 * j + lane / 16);
    }
};

struct Fragments {
    unsigned int a[WARP_M / 16][4], b[WARP_N / 16][4];
    __device__ __forceinline__ void load(const __half* stage, const Places& at, int step) {
#pragma unroll
        for (int i = 0; i < WARP_M / 16; ++i) load_matrix(a[i], &stage[at.a[step] + 16 * i * DEPTH]);
#pragma unroll
        for (int j = 0; j < WARP_N / 16; ++j) load_matrix_transposed(b[j], &stage[at.b[j] + 16 * step * TILE_N]);
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
gemm_mma_pipelined(const __half* __restrict__ a, const __half* __restrict__ b, void* __restrict__ c, int m, int n, int k) {
    extern __shared__ __align__(128) __half stages[];  // STAGES times the rows of a, then those of b
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int warp_row = warp / WARPS_N * WARP_M, warp_column = warp % WARPS_N * WARP_N;
    const int first_row = min((int)blockIdx.y * TILE_M, m - TILE_M), first_column = blockIdx.x * TILE_N;
    const int slices = k / DEPTH;
    const __half* from_a = a + (size_t)(first_row + thread / VECTORS_A) * k + thread % VECTORS_A * VECTOR;
    const __half* from_b = b + (size_t)(thread / VECTORS_B) * n + first_column + thread % VECTORS_B * VECTOR;
    const size_t step_a = (size_t)ROWS_A * k, step_b = (size_t)ROWS_B * n;
    const int to_a = place_a(thread / VECTORS_A, thread % VECTORS_A);
    const int to_b = TILE_M * DEPTH + place_b(thread / VECTORS_B, thread % VECTORS_B);
    auto fetch = [&](__half* stage) {
#pragma unroll
        for (int i = 0; i < TILE_M / ROWS_A; ++i) copy_async(&stage[to_a + i * ROWS_A * DEPTH], from_a + i * step_a);
#pragma unroll
        for (int i = 0; i < DEPTH / ROWS_B; ++i) copy_async(&stage[to_b + i * ROWS_B * TILE_N], from_b + i * step_b);
        from_a += DEPTH;
        from_b += (size_t)DEPTH * n;
    };
#pragma unroll
    for (int s = 0; s < STAGES - 1; ++s) {
        if (s < slices) fetch(stages + s * STAGE_HALVES);
        copy_commit();
    }
    float sum[WARP_M / 16][WARP_N / 8][4] = {};
    const Places at(warp_row, warp_column, lane);
    Fragments held[FRAGMENTS];
    const __half* now = stages;
    __half* ahead = stages + (STAGES - 1) * STAGE_HALVES;
    copy_wait<STAGES - 2>();
    __syncthreads();
    if (FRAGMENTS == 2) held[0].load(now, at, 0);
    for (int slice = 0; slice < slices; ++slice) {
#pragma unroll
        for (int step = 0; step < STEPS; ++step) {
            Fragments& own = held[step % FRAGMENTS];
            if (FRAGMENTS == 1) own.load(now, at, step);
            if (FRAGMENTS == 2 && step + 1 < STEPS) held[(step + 1) % 2].load(now, at, step + 1);
            if (step == 0) {
                if (slice + STAGES - 1 < slices) fetch(ahead);
                copy_commit();
            }
            if (step + 1 == STEPS) {  // every warp has read this slice, and the next one has arrived
                ahead = ahead == stages + (STAGES - 1) * STAGE_HALVES ? stages : ahead + STAGE_HALVES;
                now = now == stages + (STAGES - 1) * STAGE_HALVES ? stages : now + STAGE_HALVES;
                copy_wait<STAGES - 2>();
                __syncthreads();
                if (FRAGMENTS == 2) held[(step + 1) % 2].load(now, at, 0);
            }
#pragma unroll
            for (int i = 0; i < WARP_M / 16; ++i)
#pragma unroll
                for (int j = 0; j < WARP_N / 8; ++j)
                    mma(sum[i][j], own.a[i], own.b[j / 2][j % 2 * 2], own.b[j / 2][j % 2 * 2 + 1]);
        }
    }
#if HALF_OUTPUT  // through shared memory, so that a warp writes whole rows of its tile
    __syncthreads();
    const int own_row = warp_row + lane / 4;
#pragma unroll
    for (int i = 0; i < WARP_M / 16; ++i)
#pragma unroll
        for (int j = 0; j < WARP_N / 8; ++j)
#pragma unroll
            for (int upper = 0; upper < 2; ++upper)
                *(__half2*)&stages[place_b(own_row + 16 * i + 8 * upper, warp_column / VECTOR + j) + lane % 4 * 2] =
                    __floats2half2_rn(sum[i][j][2 * upper], sum[i][j][2 * upper + 1]);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < TILE_M / ROWS_B; ++i) {
        const int row = thread / VECTORS_B + i * ROWS_B, vector = thread % VECTORS_B;
        *(uint4*)&((__half*)c)[(size_t)(first_row + row) * n + first_column + vector * VECTOR] =
            *(const uint4*)&stages[place_b(row, vector)];
    }
#else
#pragma unroll
    for (int i = 0; i < WARP_M / 16; ++i)
#pragma unroll
        for (int j = 0; j < WARP_N / 8; ++j) {
            const int row = first_row + warp_row + 16 * i + lane / 4;
            const int column = first_column + warp_column + 8 * j + lane % 4 * 2;
            float* to = (float*)c + (size_t)row * n + column;
            *(float2*)to = make_float2(sum[i][j][0], sum[i][j][1]);
            *(float2*)(to + 8 * (size_t)n) = make_float2(sum[i][j][2], sum[i][j][3]);
        }
#endif
}
