// Sum of n floats by a tree in shared memory with sequential addresses (no bank conflicts, no divergent warps until the last).
extern "C" __global__ void reduction_shared(const float* __restrict__ in, float* partial, int n) {
    extern __shared__ float tile[];
    int thread = threadIdx.x;
    float sum = 0.0f;
    for (int i = blockIdx.x * blockDim.x * 2 + thread; i < n; i += gridDim.x * blockDim.x * 2) {
        sum += in[i];
        if (i + blockDim.x < n) sum += in[i + blockDim.x];
    }
    tile[thread] = sum;
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half) tile[thread] += tile[thread + half];
    }
    if (thread == 0) partial[blockIdx.x] = tile[0];
}
