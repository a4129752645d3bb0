// Linear layer with 4-bit weights and half activations: c = a w, w[k][n] = (code - 8) * scale[k / GROUP][n]; eight codes of a
// column per word, k running fastest. Codes become halves by bit tricks (0x6400 is 1024, whose last place is 1) on their way
// into shared memory, then tensor cores. m a multiple of 32, n of 64, k of 64.
#include "../tensor_core.cuh"
#define GROUP 64
#define DEPTH 64
#define PAD 8
extern "C" __global__ void __launch_bounds__(128) gemm_w4a16(const __half* __restrict__ a, const unsigned int* __restrict__ codes,
                                                             const __half* __restrict__ scale, __half* __restrict__ c, int n,
                                                             int k) {
    __shared__ __align__(16) __half tile_a[32][DEPTH + PAD], tile_w[64][DEPTH + PAD];
    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    float sum[2][2][4] = {};
    for (int start = 0; start < k; start += DEPTH) {
#pragma unroll
        for (int i = thread; i < 32 * DEPTH / 8; i += 128) {
            int row = i / 8, column = i % 8 * 8;
            *(uint4*)&tile_a[row][column] = *(const uint4*)&a[(size_t)(blockIdx.y * 32 + row) * k + start + column];
        }
#pragma unroll
        for (int i = thread; i < 64 * DEPTH / 8; i += 128) {
            int column = i / 8, word = i % 8, channel = blockIdx.x * 64 + column;
            unsigned int packed = codes[(size_t)channel * (k / 8) + start / 8 + word];
            __half2 factor = __half2half2(scale[(size_t)(start / GROUP) * n + channel]);
            __half2 offset = __half2half2(__ushort_as_half(0x6408));  // 1024 + 8
            __half2 pairs[4];  // pair j: codes j and j + 4
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                unsigned int bits = (packed >> 4 * j & 0x000f000fu) | 0x64006400u;
                pairs[j] = __hmul2(__hsub2(*(__half2*)&bits, offset), factor);
            }
            __half2 low[4] = {__lows2half2(pairs[0], pairs[1]), __lows2half2(pairs[2], pairs[3]),
                              __highs2half2(pairs[0], pairs[1]), __highs2half2(pairs[2], pairs[3])};
            *(uint4*)&tile_w[column][word * 8] = *(uint4*)low;
        }
        __syncthreads();
#pragma unroll
        for (int depth = 0; depth < DEPTH; depth += 16) {
            unsigned int x[2][4], y[4];
            load_matrix(x[0], &tile_a[lane % 16][depth + lane / 16 * 8]);
            load_matrix(x[1], &tile_a[16 + lane % 16][depth + lane / 16 * 8]);
            load_matrix(y, &tile_w[warp * 16 + lane / 16 * 8 + lane % 8][depth + lane / 8 % 2 * 8]);
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                mma(sum[i][0], x[i], y[0], y[1]);
                mma(sum[i][1], x[i], y[2], y[3]);
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 2; ++j) {
            int row = blockIdx.y * 32 + 16 * i + lane / 4, column = blockIdx.x * 64 + warp * 16 + 8 * j + lane % 4 * 2;
            *(__half2*)&c[(size_t)row * n + column] = __floats2half2_rn(sum[i][j][0], sum[i][j][1]);
            *(__half2*)&c[(size_t)(row + 8) * n + column] = __floats2half2_rn(sum[i][j][2], sum[i][j][3]);
        }
}
