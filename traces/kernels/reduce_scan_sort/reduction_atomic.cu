// Sum and extremes of n integers: hardware warp reductions where they exist, then one atomic per warp.
__device__ int warp_sum(int value) {
#if __CUDA_ARCH__ >= 800
    return __reduce_add_sync(~0u, value);
#else
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(~0u, value, offset);
    return value;
#endif
}
__device__ int warp_maximum(int value) {
#if __CUDA_ARCH__ >= 800
    return __reduce_max_sync(~0u, value);
#else
    for (int offset = 16; offset > 0; offset /= 2) value = max(value, __shfl_xor_sync(~0u, value, offset));
    return value;
#endif
}
extern "C" __global__ void reduction_atomic(const int4* __restrict__ in, int* sum, int* largest, int* smallest, int vectors) {
    int total = 0, high = -2147483647 - 1, low = 2147483647;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < vectors; i += gridDim.x * blockDim.x) {
        int4 v = in[i];
        total += v.x + v.y + v.z + v.w;
        high = max(high, max(max(v.x, v.y), max(v.z, v.w)));
        low = min(low, min(min(v.x, v.y), min(v.z, v.w)));
    }
    total = warp_sum(total);
    high = warp_maximum(high);
    low = -warp_maximum(-low);
    if (threadIdx.x % 32 == 0) {
        atomicAdd(sum, total);
        atomicMax(largest, high);
        atomicMin(smallest, low);
    }
}
