// FP32 rows to FP8 (E4M3) with one scale per row: largest magnitude by warp shuffles, then four codes per store.
#include <cuda_fp8.h>
extern "C" __global__ void quantise_fp8(const float4* __restrict__ in, unsigned int* __restrict__ codes,
                                        float* __restrict__ scale, int rows, int vectors) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    const float4* from = in + (size_t)row * vectors;
    float largest = 1e-12f;
    for (int i = lane; i < vectors; i += 32) {
        float4 v = from[i];
        largest = fmaxf(largest, fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w))));
    }
    for (int offset = 16; offset > 0; offset /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, offset));
    float multiplier = 448.0f / largest;  // 448 is the largest E4M3 number
    for (int i = lane; i < vectors; i += 32) {
        float4 v = from[i];
        __nv_fp8x2_storage_t low = __nv_cvt_float2_to_fp8x2(make_float2(v.x * multiplier, v.y * multiplier),
                                                            __NV_SATFINITE, __NV_E4M3);
        __nv_fp8x2_storage_t high = __nv_cvt_float2_to_fp8x2(make_float2(v.z * multiplier, v.w * multiplier),
                                                             __NV_SATFINITE, __NV_E4M3);
        codes[(size_t)row * vectors + i] = low | (unsigned int)high << 16;
    }
    if (lane == 0) scale[row] = largest / 448.0f;
}
