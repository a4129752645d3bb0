// C = A B in half precision without tensor cores: two columns per instruction. m, n multiples of 32, k of 16.
#include <cuda_fp16.h>
#define TILE 32
#define DEPTH 16
extern "C" __global__ void __launch_bounds__(128) gemm_half(const __half* __restrict__ a, const __half2* __restrict__ b,
                                                            __half2* __restrict__ c, int n, int k) {
    __shared__ __half tile_a[TILE][DEPTH];
    __shared__ __half2 tile_b[DEPTH][TILE / 2];
    int thread = threadIdx.x, pair = thread % 16, row = thread / 16;
    int pairs = n / 2;
    __half2 sum[4] = {};
    for (int start = 0; start < k; start += DEPTH) {
        for (int i = thread; i < TILE * DEPTH; i += 128)
            tile_a[i / DEPTH][i % DEPTH] = a[(size_t)(blockIdx.y * TILE + i / DEPTH) * k + start + i % DEPTH];
        for (int i = row; i < DEPTH; i += 8) tile_b[i][pair] = b[(size_t)(start + i) * pairs + blockIdx.x * 16 + pair];
        __syncthreads();
#pragma unroll
        for (int i = 0; i < DEPTH; ++i) {
            __half2 y = tile_b[i][pair];
#pragma unroll
            for (int r = 0; r < 4; ++r) sum[r] = __hfma2(__half2half2(tile_a[row + 8 * r][i]), y, sum[r]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < 4; ++r) c[(size_t)(blockIdx.y * TILE + row + 8 * r) * pairs + blockIdx.x * 16 + pair] = sum[r];
}
