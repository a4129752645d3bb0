// Small kernel whose cubin and listing are kept, so that the decoder can be tested without the NVIDIA packages.
__constant__ float weights[16];
__device__ int launches = 3;

extern "C" __global__ void __launch_bounds__(128) weighted_sum(const float *in, double *out, int n) {
    __shared__ float partial[128];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    partial[threadIdx.x] = i < n ? in[i] * weights[i & 15] : 0.0f;
    __syncthreads();
    for (int step = 64; step > 0; step >>= 1) {
        if (threadIdx.x < step) partial[threadIdx.x] += partial[threadIdx.x + step];
        __syncthreads();
    }
    float total = __shfl_sync(~0u, partial[0], 0) * 3.0f + launches;
    if (threadIdx.x == 0) out[blockIdx.x] = total;
}
