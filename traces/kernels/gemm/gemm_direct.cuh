// C = A B' on tensor cores, k running fastest in both: one 16 x 32 tile per warp straight from global memory. Words of A and B
// hold several elements; multiply(c, a, b0, b1) is the instruction of 16 x 8 sums over eight words of k.
#pragma once

template <typename Multiply>
__device__ __forceinline__ void gemm_direct(const unsigned int* __restrict__ a, const unsigned int* __restrict__ b,
                                            float* __restrict__ c, int n, int words, Multiply multiply) {
    int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    int row = blockIdx.y * 16 + g, column = blockIdx.x * 128 + threadIdx.x / 32 * 32;
    float sum[4][4] = {};
    for (int start = 0; start < words; start += 8) {
        const unsigned int* from = a + (size_t)row * words + start + t;
        unsigned int own[4] = {from[0], from[8 * words], from[4], from[8 * words + 4]};
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const unsigned int* other = b + (size_t)(column + 8 * j + g) * words + start + t;
            multiply(sum[j], own, other[0], other[4]);
        }
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        float* to = &c[(size_t)row * n + column + 8 * j + 2 * t];
        *(float2*)to = make_float2(sum[j][0], sum[j][1]);
        *(float2*)(to + 8 * (size_t)n) = make_float2(sum[j][2], sum[j][3]);
    }
}
