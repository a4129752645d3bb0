// Row softmax in two passes: maximum and sum together (the sum is rescaled when the maximum grows), then the division. One block
// per row.
#define WARPS 4
__device__ __forceinline__ void join(float& largest, float& sum, float other_largest, float other_sum) {
    float m = fmaxf(largest, other_largest);
    sum = sum * __expf(largest - m) + other_sum * __expf(other_largest - m);
    largest = m;
}
extern "C" __global__ void __launch_bounds__(32 * WARPS) softmax_online(const float* __restrict__ in, float* __restrict__ out,
                                                                        int columns) {
    __shared__ float warp_largest[WARPS], warp_sum[WARPS];
    const float* from = in + (size_t)blockIdx.x * columns;
    float largest = -1e30f, sum = 0.0f;
    for (int i = threadIdx.x; i < columns; i += 32 * WARPS) join(largest, sum, from[i], 1.0f);
    for (int offset = 16; offset > 0; offset /= 2)
        join(largest, sum, __shfl_xor_sync(~0u, largest, offset), __shfl_xor_sync(~0u, sum, offset));
    if (threadIdx.x % 32 == 0) {
        warp_largest[threadIdx.x / 32] = largest;
        warp_sum[threadIdx.x / 32] = sum;
    }
    __syncthreads();
    largest = warp_largest[0];
    sum = warp_sum[0];
#pragma unroll
    for (int w = 1; w < WARPS; ++w) join(largest, sum, warp_largest[w], warp_sum[w]);
    float inverse = 1.0f / sum;
    for (int i = threadIdx.x; i < columns; i += 32 * WARPS)
        out[(size_t)blockIdx.x * columns + i] = __expf(from[i] - largest) * inverse;
}
