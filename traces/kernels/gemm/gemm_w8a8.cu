// Linear layer with 8-bit weights and activations: tensor-core sums of bytes (see gemm_direct), then scale per row (token) and
// per column (channel), bias, half result. m a multiple of 16, n of 128, k of 32.
#include "../tensor_core.cuh"
#include "gemm_direct.cuh"
extern "C" __global__ void __launch_bounds__(128) gemm_w8a8(const unsigned int* __restrict__ a, const unsigned int* __restrict__ b,
                                                            const float* __restrict__ row_scale,
                                                            const float* __restrict__ column_scale,
                                                            const float* __restrict__ bias, __half* __restrict__ c, int n, int k) {
    auto multiply = [](int (&c)[4], const unsigned int (&a)[4], unsigned int b0, unsigned int b1) { mma(c, a, b0, b1); };
    auto store = [=](int row, int column, const int (&sum)[4]) {
        float low = row_scale[row], high = row_scale[row + 8];
        float2 scale = *(const float2*)&column_scale[column], shift = *(const float2*)&bias[column];
        __half* to = &c[(size_t)row * n + column];
        *(__half2*)to = __floats2half2_rn(sum[0] * low * scale.x + shift.x, sum[1] * low * scale.y + shift.y);
        *(__half2*)(to + 8 * (size_t)n) = __floats2half2_rn(sum[2] * high * scale.x + shift.x, sum[3] * high * scale.y + shift.y);
    };
    gemm_direct<int>(a, b, k / 4, multiply, store);
}
