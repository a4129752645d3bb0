// Flash attention (Dao, 2023) on tensor cores: a block of four warps takes 64 queries of one head, passes over tiles of 64 keys and
// values in shared memory with a running maximum and sum per row; heads of 64 halves, no mask. Sequence a multiple of 64.
#include "../tensor_core.cuh"
#define SIZE 64
#define TILE 64
#define PAD 8
extern "C" __global__ void __launch_bounds__(128) flash_attention(const __half* __restrict__ query, const __half* __restrict__ key,
                                                                  const __half* __restrict__ value, __half* __restrict__ out,
                                                                  int sequence, float scale) {
    __shared__ __align__(16) __half tile_k[TILE][SIZE + PAD], tile_v[TILE][SIZE + PAD];
    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32, g = lane / 4, t = lane % 4;
    size_t head = (size_t)blockIdx.y * sequence * SIZE, first = head + (size_t)(blockIdx.x * TILE) * SIZE;
    for (int i = thread; i < TILE * SIZE / 8; i += 128)
        *(uint4*)&tile_k[i / 8][i % 8 * 8] = *(const uint4*)&query[first + i * 8];
    __syncthreads();
    unsigned int q[4][4];  // the warp's 16 queries stay in registers
#pragma unroll
    for (int d = 0; d < 4; ++d) load_matrix(q[d], &tile_k[warp * 16 + lane % 16][d * 16 + lane / 16 * 8]);
    float o[8][4] = {}, largest[2] = {-1e30f, -1e30f}, sum[2] = {};
    float scale_log2 = scale * 1.4426950409f;
    for (int start = 0; start < sequence; start += TILE) {
        __syncthreads();
        for (int i = thread; i < TILE * SIZE / 8; i += 128) {
            *(uint4*)&tile_k[i / 8][i % 8 * 8] = *(const uint4*)&key[head + (size_t)start * SIZE + i * 8];
            *(uint4*)&tile_v[i / 8][i % 8 * 8] = *(const uint4*)&value[head + (size_t)start * SIZE + i * 8];
        }
        __syncthreads();
        float s[8][4] = {};
#pragma unroll
        for (int d = 0; d < 4; ++d)
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                unsigned int k[4];
                load_matrix(k, &tile_k[j * 16 + lane / 16 * 8 + lane % 8][d * 16 + lane / 8 % 2 * 8]);
                mma(s[2 * j], q[d], k[0], k[1]);
                mma(s[2 * j + 1], q[d], k[2], k[3]);
            }
#pragma unroll
        for (int half = 0; half < 2; ++half) {  // rows g and g + 8
            float m = largest[half];
#pragma unroll
            for (int j = 0; j < 8; ++j) m = fmaxf(m, fmaxf(s[j][2 * half], s[j][2 * half + 1]));
            m = fmaxf(m, __shfl_xor_sync(~0u, m, 1));
            m = fmaxf(m, __shfl_xor_sync(~0u, m, 2));
            float correction = exp2f((largest[half] - m) * scale_log2), total = 0.0f;
            largest[half] = m;
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                s[j][2 * half] = exp2f((s[j][2 * half] - m) * scale_log2);
                s[j][2 * half + 1] = exp2f((s[j][2 * half + 1] - m) * scale_log2);
                total += s[j][2 * half] + s[j][2 * half + 1];
                o[j][2 * half] *= correction;
                o[j][2 * half + 1] *= correction;
            }
            sum[half] = sum[half] * correction + total;
        }
#pragma unroll
        for (int d = 0; d < 4; ++d) {  // the accumulator's layout is that of operand A
            unsigned int p[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                __half2 pair = __floats2half2_rn(s[2 * d + i / 2][i % 2 * 2], s[2 * d + i / 2][i % 2 * 2 + 1]);
                p[i] = *(unsigned int*)&pair;
            }
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                unsigned int v[4];
                load_matrix_transposed(v, &tile_v[d * 16 + lane % 16][j * 16 + lane / 16 * 8]);
                mma(o[2 * j], p, v[0], v[1]);
                mma(o[2 * j + 1], p, v[2], v[3]);
            }
        }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float total = sum[half] + __shfl_xor_sync(~0u, sum[half], 1);
        total += __shfl_xor_sync(~0u, total, 2);
        __half* to = out + first + (size_t)(warp * 16 + g + 8 * half) * SIZE + 2 * t;
#pragma unroll
        for (int j = 0; j < 8; ++j)
            *(__half2*)(to + 8 * j) = __floats2half2_rn(o[j][2 * half] / total, o[j][2 * half + 1] / total);
    }
}
