// C = A B', both of signed bytes with k running fastest, 32-bit sums on tensor cores. 64 x 64 tiles, four warps of 32 x 32;
// ldmatrix moves bytes in pairs. m, n multiples of 64, k of 64.
#include "../tensor_core.cuh"
#define TILE 64
#define DEPTH 64
#define PAD 16
extern "C" __global__ void __launch_bounds__(128) gemm_int8(const signed char* __restrict__ a, const signed char* __restrict__ b,
                                                            int* __restrict__ c, int n, int k) {
    __shared__ __align__(16) signed char tile_a[TILE][DEPTH + PAD], tile_b[TILE][DEPTH + PAD];
    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    int warp_row = warp / 2 * 32, warp_column = warp % 2 * 32;
    int sum[2][4][4] = {};
    for (int start = 0; start < k; start += DEPTH) {
#pragma unroll
        for (int i = thread; i < TILE * DEPTH / 16; i += 128) {
            int row = i / (DEPTH / 16), column = i % (DEPTH / 16) * 16;
            *(uint4*)&tile_a[row][column] = *(const uint4*)&a[(size_t)(blockIdx.y * TILE + row) * k + start + column];
            *(uint4*)&tile_b[row][column] = *(const uint4*)&b[(size_t)(blockIdx.x * TILE + row) * k + start + column];
        }
        __syncthreads();
#pragma unroll
        for (int depth = 0; depth < DEPTH; depth += 32) {
            unsigned int x[2][4], y[2][4];
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                load_matrix(x[i], &tile_a[warp_row + 16 * i + lane % 16][depth + lane / 16 * 16]);
                load_matrix(y[i], &tile_b[warp_column + 16 * i + lane / 16 * 8 + lane % 8][depth + lane / 8 % 2 * 16]);
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
            *(int2*)&c[(size_t)row * n + column] = make_int2(sum[i][j][0], sum[i][j][1]);
            *(int2*)&c[(size_t)(row + 8) * n + column] = make_int2(sum[i][j][2], sum[i][j][3]);
        }
}
