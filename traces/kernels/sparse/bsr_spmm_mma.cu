// C = A B on tensor cores with A block-sparse (BSR, dense blocks of 16 x 16 halves): one warp per block row of A and 32 columns of
// B, which has k running fastest. n a multiple of 128.
#include "../tensor_core.cuh"
extern "C" __global__ void __launch_bounds__(128) bsr_spmm_mma(const int* __restrict__ row_start, const int* __restrict__ column,
                                                               const unsigned int* __restrict__ blocks,
                                                               const unsigned int* __restrict__ b, float* __restrict__ c, int n,
                                                               int k) {
    int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, words = k / 2;
    int first = blockIdx.x * 128 + threadIdx.x / 32 * 32;
    float sum[4][4] = {};
    for (int i = row_start[blockIdx.y]; i < row_start[blockIdx.y + 1]; ++i) {
        const unsigned int* from = blocks + (size_t)i * 128 + g * 8 + t;
        unsigned int a[4] = {from[0], from[64], from[4], from[68]};
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const unsigned int* other = b + (size_t)(first + 8 * j + g) * words + column[i] * 8 + t;
            mma(sum[j], a, other[0], other[4]);
        }
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        float* to = &c[(size_t)(blockIdx.y * 16 + g) * n + first + 8 * j + 2 * t];
        *(float2*)to = make_float2(sum[j][0], sum[j][1]);
        *(float2*)(to + 8 * (size_t)n) = make_float2(sum[j][2], sum[j][3]);
    }
}
