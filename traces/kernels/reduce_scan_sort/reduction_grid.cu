// Sum of all elements in one cooperative launch: partial sums per block, a barrier of the grid, block 0 adds them.
#include <cooperative_groups.h>

extern "C" __global__ void reduction_grid(const int* in, int* partial, int* total, int n) {
    __shared__ int sum;
    if (threadIdx.x == 0) sum = 0;
    __syncthreads();
    int own = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) own += in[i];
    atomicAdd(&sum, own);
    __syncthreads();
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
    cooperative_groups::this_grid().sync();
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        own = 0;
        for (int block = 0; block < gridDim.x; ++block) own += partial[block];
        *total = own;
    }
}
