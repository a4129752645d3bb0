// Root-mean-square normalisation of half rows after adding the residual, which is updated in place: one block per row.
#include <cuda_fp16.h>
extern "C" __global__ void rmsnorm(const __half2* __restrict__ in, __half2* residual, const __half2* __restrict__ weight,
                                   __half2* __restrict__ out, int pairs, float epsilon) {
    __shared__ float warp_sums[32];
    size_t row = (size_t)blockIdx.x * pairs;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
        __half2 x = __hadd2(in[row + i], residual[row + i]);
        residual[row + i] = x;
        float2 v = __half22float2(x);
        sum += v.x * v.x + v.y * v.y;
    }
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(~0u, sum, offset);
    if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = 0.0f;
    for (int w = 0; w < blockDim.x / 32; ++w) sum += warp_sums[w];
    float factor = rsqrtf(sum / (2 * pairs) + epsilon);
    for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
        float2 v = __half22float2(residual[row + i]), g = __half22float2(weight[i]);
        out[row + i] = __floats2half2_rn(v.x * factor * g.x, v.y * factor * g.y);
    }
}
