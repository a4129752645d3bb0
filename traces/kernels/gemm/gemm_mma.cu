// C = A B with half inputs and FP32 sums on tensor cores: 64 x 64 tiles in padded shared memory, four warps of 32 x 32 each,
// fragments by ldmatrix. m, n multiples of 64, k of 32.
#include "../tensor_core.cuh"
#define TILE 64
#define DEPTH 32
#define PAD 8  // 16 bytes: rows of a matrix start in different banks
extern "C" __global__ void __launch_bounds__(128) gemm_mma(const __half* __restrict__ a, const __half* __restrict__ b,
                                                           float* __restrict__ c, int n, int k) {
    __shared__ __align__(16) __half tile_a[TILE][DEPTH + PAD], tile_b[DEPTH][TILE + PAD];
    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    int warp_row = warp / 2 * 32, warp_column = warp % 2 * 32;
    float sum[2][4][4] = {};
    for (int start = 0; start < k; start += DEPTH) {
#pragma unroll
        for (int i = thread; i < TILE * DEPTH / 8; i += 128) {
            int row = i / (DEPTH / 8), column = i % (DEPTH / 8) * 8;
            *(uint4*)&tile_a[row][column] = *(const uint4*)&a[(size_t)(blockIdx.y * TILE + row) * k + start + column];
            row = i / (TILE / 8);
            column = i % (TILE / 8) * 8;
            *(uint4*)&tile_b[row][column] = *(const uint4*)&b[(size_t)(start + row) * n + blockIdx.x * TILE + column];
        }
        __syncthreads();
#pragma unroll
        for (int depth = 0; depth < DEPTH; depth += 16) {
            unsigned int x[2][4], y[2][4];
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                load_matrix(x[i], &tile_a[warp_row + 16 * i + lane % 16][depth + lane / 16 * 8]);
                load_matrix_transposed(y[i], &tile_b[depth + lane % 16][warp_column + 16 * i + lane / 16 * 8]);
            }
#pragma unroll
            for (int i = 0; i < 2; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) mma(sum[i][j], x[i], y[j / 2][j % 2 * 2], y[j / 2][j % 2 * 2 + 1]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            int row = blockIdx.y * TILE + warp_row + 16 * i + lane / 4;
            int column = blockIdx.x * TILE + warp_column + 8 * j + lane % 4 * 2;
            *(float2*)&c[(size_t)row * n + column] = make_float2(sum[i][j][0], sum[i][j][1]);
            *(float2*)&c[(size_t)(row + 8) * n + column] = make_float2(sum[i][j][2], sum[i][j][3]);
        }
}
