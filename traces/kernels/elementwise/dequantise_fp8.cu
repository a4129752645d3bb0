// FP8 (E5M2) codes to half precision times a scale per row of 128 elements, eight codes per thread.
#include <cuda_fp8.h>
extern "C" __global__ void dequantise_fp8(const uint2* __restrict__ codes, const float* __restrict__ scale,
                                          uint4* __restrict__ out, int vectors) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= vectors) return;
    uint2 packed = codes[i];
    __half2 factor = __float2half2_rn(scale[i / 16]);
    uint4 result;
    __half2* to = (__half2*)&result;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        unsigned int pair = (k < 2 ? packed.x : packed.y) >> (k & 1) * 16;
        __half2_raw raw = __nv_cvt_fp8x2_to_halfraw2((__nv_fp8x2_storage_t)pair, __NV_E5M2);
        to[k] = __hmul2(__half2(raw), factor);
    }
    out[i] = result;
}
