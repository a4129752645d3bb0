// 256-bin histogram of bytes: atomics in shared memory per block, then global atomics.
extern "C" __global__ void histogram(const unsigned char* __restrict__ in, unsigned int* bins, int n) {
    __shared__ unsigned int local_bins[256];
    for (int i = threadIdx.x; i < 256; i += blockDim.x) local_bins[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&local_bins[in[i]], 1u);
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        if (local_bins[i]) atomicAdd(&bins[i], local_bins[i]);
}
