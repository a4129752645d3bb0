// C = A B' on tensor cores, k running fastest in both: one 16 x 32 tile per warp straight from global memory. Words of A and B
// hold several elements; multiply(c, a, b0, b1) is the instruction of 16 x 8 sums over eight words of k. store(row, column,
// sum) gets sums 0 and 1 of that row, 2 and 3 of the eighth row below, of that column and the next.
#pragma once

template <typename Sum, typename Multiply, typename Store>
__device__ __forceinline__ void gemm_direct(const unsigned int* __restrict__ a, const unsigned int* __restrict__ b, int words,
                                            Multiply multiply, Store store) {
    int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    int row = blockIdx.y * 16 + g, column = blockIdx.x * 128 + threadIdx.x / 32 * 32;
    Sum sum[4][4] = {};
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
    for (int j = 0; j < 4; ++j) store(row, column + 8 * j + 2 * t, sum[j]);
}

// Store of gemm_direct: floats of a matrix of n columns.
struct StoreFloats {
    float* c;
    int n;
    __device__ __forceinline__ void operator()(int row, int column, const float (&sum)[4]) const {
        float* to = &c[(size_t)row * n + column];
        *(float2*)to = make_float2(sum[0], sum[1]);
        *(float2*)(to + 8 * (size_t)n) = make_float2(sum[2], sum[3]);
    }
};
