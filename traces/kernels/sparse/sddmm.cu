// Sampled dense-dense product: for each entry (i, j) of a sparse matrix its value times the dot product of row i of A and row j of
// B, 64 halves each; eight lanes per entry.
#include <cuda_fp16.h>
extern "C" __global__ void sddmm(const int* __restrict__ row, const int* __restrict__ column, const float* __restrict__ value,
                                 const uint4* __restrict__ a, const uint4* __restrict__ b, float* __restrict__ out, int entries) {
    int entry = (blockIdx.x * blockDim.x + threadIdx.x) / 8, lane = threadIdx.x % 8;
    bool live = entry < entries;
    float sum = 0.0f;
    if (live) {
        uint4 u = a[row[entry] * 8 + lane], v = b[column[entry] * 8 + lane];
        const __half2 *x = (const __half2*)&u, *y = (const __half2*)&v;
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            float2 p = __half22float2(x[k]), q = __half22float2(y[k]);
            sum += p.x * q.x + p.y * q.y;
        }
    }
    for (int offset = 4; offset > 0; offset /= 2) sum += __shfl_xor_sync(~0u, sum, offset);
    if (live && lane == 0) out[entry] = sum * value[entry];
}
