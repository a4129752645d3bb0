// Sum by clusters of blocks: each block sums its part in shared memory, block 0 of the cluster reads the others' sums.
#include "../hopper.cuh"

extern "C" __global__ void __cluster_dims__(4, 1, 1) reduction_cluster(const float* in, float* partial, int n) {
    __shared__ float warps[8];
    __shared__ float sum;
    float own = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) own += in[i];
    for (int step = 16; step > 0; step /= 2) own += __shfl_xor_sync(0xffffffff, own, step);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = own;
    __syncthreads();
    if (threadIdx.x == 0) {
        float total = 0;
        for (int warp = 0; warp < blockDim.x / 32; ++warp) total += warps[warp];
        sum = total;
    }
    cluster_arrive();
    cluster_wait();
    if (cluster_rank() == 0 && threadIdx.x == 0) {
        float total = sum;
        for (int rank = 1; rank < 4; ++rank) total += remote_load(remote_address(shared_address(&sum), rank));
        partial[blockIdx.x / 4] = total;
    }
    cluster_arrive();  // no block may end while its memory is read
    cluster_wait();
}
