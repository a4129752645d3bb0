// C = A B with half inputs and FP32 sums on tensor cores: 128 x 128 tiles, eight warps of 64 x 32 each, STAGES slices of k in
// flight by cp.async. Shared memory is unpadded: 16-byte vectors of a row are permuted by xor so that neither the copies nor
// ldmatrix meet a bank twice. m, n multiples of 128, k of 32.
#include "../tensor_core.cuh"
#ifndef STAGES
#define STAGES 3
#endif
#define TILE 128
#define DEPTH 32
__device__ __forceinline__ int place_a(int row, int vector) { return row * DEPTH + (vector ^ row / 2 % 4) * 8; }
__device__ __forceinline__ int place_b(int row, int vector) { return row * TILE + (vector ^ row % 8) * 8; }
__device__ __forceinline__ void fetch(__half* tile_a, __half* tile_b, const __half* a, const __half* b, int n, int k, int start) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        int at = threadIdx.x + 256 * i;
        copy_async(&tile_a[place_a(at / 4, at % 4)], &a[(size_t)(at / 4) * k + start + at % 4 * 8]);
        copy_async(&tile_b[place_b(at / 16, at % 16)], &b[(size_t)(start + at / 16) * n + at % 16 * 8]);
    }
}
extern "C" __global__ void __launch_bounds__(256, 2) gemm_mma_pipelined(const __half* __restrict__ a,
                                                                        const __half* __restrict__ b, float* __restrict__ c,
                                                                        int n, int k) {
    __shared__ __align__(128) __half tile_a[STAGES][TILE * DEPTH], tile_b[STAGES][DEPTH * TILE];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int warp_row = warp / 4 * 64, warp_column = warp % 4 * 32;
    a += (size_t)blockIdx.y * TILE * k;
    b += blockIdx.x * TILE;
    int slices = k / DEPTH;
#pragma unroll
    for (int s = 0; s < STAGES - 1; ++s) {
        if (s < slices) fetch(tile_a[s], tile_b[s], a, b, n, k, s * DEPTH);
        copy_commit();
    }
    float sum[4][4][4] = {};
    for (int slice = 0; slice < slices; ++slice) {
        copy_wait<STAGES - 2>();
        __syncthreads();
        int ahead = slice + STAGES - 1;
        if (ahead < slices) fetch(tile_a[ahead % STAGES], tile_b[ahead % STAGES], a, b, n, k, ahead * DEPTH);
        copy_commit();
        const __half *now_a = tile_a[slice % STAGES], *now_b = tile_b[slice % STAGES];
#pragma unroll
        for (int depth = 0; depth < 2; ++depth) {
            unsigned int x[4][4], y[2][4];
#pragma unroll
            for (int i = 0; i < 4; ++i) load_matrix(x[i], &now_a[place_a(warp_row + 16 * i + lane % 16, 2 * depth + lane / 16)]);
#pragma unroll
            for (int i = 0; i < 2; ++i)
                load_matrix_transposed(y[i], &now_b[place_b(16 * depth + lane % 16, warp_column / 8 + 2 * i + lane / 16)]);
#pragma unroll
            for (int i = 0; i < 4; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) mma(sum[i][j], x[i], y[j / 2][j % 2 * 2], y[j / 2][j % 2 * 2 + 1]);
        }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            int row = blockIdx.y * TILE + warp_row + 16 * i + lane / 4;
            int column = blockIdx.x * TILE + warp_column + 8 * j + lane % 4 * 2;
            *(float2*)&c[(size_t)row * n + column] = make_float2(sum[i][j][0], sum[i][j][1]);
            *(float2*)&c[(size_t)(row + 8) * n + column] = make_float2(sum[i][j][2], sum[i][j][3]);
        }
}
