// Linear layer with 8-bit weights and activations: tensor-core sums of bytes, then scale per row (token) and per column
// (channel), bias, half result. One 16 x 32 tile per warp straight from global memory. m a multiple of 16, n of 128, k of 32.
#include "../tensor_core.cuh"
extern "C" __global__ void __launch_bounds__(128) gemm_w8a8(const unsigned int* __restrict__ a, const unsigned int* __restrict__ b,
                                                            const float* __restrict__ row_scale,
                                                            const float* __restrict__ column_scale,
                                                            const float* __restrict__ bias, __half* __restrict__ c, int n, int k) {
    int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, words = k / 4;
    int row = blockIdx.y * 16 + g, column = blockIdx.x * 128 + threadIdx.x / 32 * 32;
    int sum[4][4] = {};
    for (int start = 0; start < words; start += 8) {
        const unsigned int* from = a + (size_t)row * words + start + t;
        unsigned int x[4] = {from[0], from[8 * words], from[4], from[8 * words + 4]};
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const unsigned int* weight = b + (size_t)(column + 8 * j + g) * words + start + t;
            mma(sum[j], x, weight[0], weight[4]);
        }
    }
    float low = row_scale[row], high = row_scale[row + 8];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        int at = column + 8 * j + 2 * t;
        float2 scale = *(const float2*)&column_scale[at], shift = *(const float2*)&bias[at];
        *(__half2*)&c[(size_t)row * n + at] =
            __floats2half2_rn(sum[j][0] * low * scale.x + shift.x, sum[j][1] * low * scale.y + shift.y);
        *(__half2*)&c[(size_t)(row + 8) * n + at] =
            __floats2half2_rn(sum[j][2] * high * scale.x + shift.x, sum[j][3] * high * scale.y + shift.y);
    }
}
