// Microscaling decompression: blocks of 32 4-bit floats (E2M1, two per byte) share an exponent (E8M0) and become floats; eight codes
// per thread.
__device__ float value(unsigned int code) {
    unsigned int magnitude = code & 7;  // 0, 0.5, 1, 1.5, 2, 3, 4, 6
    float x = magnitude < 2 ? 0.5f * magnitude : __uint_as_float((126 + (magnitude >> 1)) << 23 | (magnitude & 1) << 22);
    return code & 8 ? -x : x;
}
extern "C" __global__ void dequantise_mxfp4(const unsigned int* __restrict__ codes, const unsigned char* __restrict__ exponent,
                                            float4* __restrict__ out, int words) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= words) return;
    unsigned int packed = codes[i];
    float scale = __uint_as_float((unsigned int)exponent[i / 4] << 23);
    float x[8];
#pragma unroll
    for (int k = 0; k < 8; ++k) x[k] = value(packed >> 4 * k & 15) * scale;
    out[2 * i] = make_float4(x[0], x[1], x[2], x[3]);
    out[2 * i + 1] = make_float4(x[4], x[5], x[6], x[7]);
}
