// Each block sorts its 2 * blockDim.x keys in dynamic shared memory.
extern "C" __global__ void bitonic_sort(unsigned int* keys) {
    extern __shared__ unsigned int tile[];
    int count = 2 * blockDim.x, thread = threadIdx.x;
    unsigned int* block_keys = keys + blockIdx.x * count;
    tile[thread] = block_keys[thread];
    tile[thread + blockDim.x] = block_keys[thread + blockDim.x];
    for (int size = 2; size <= count; size *= 2)
        for (int stride = size / 2; stride > 0; stride /= 2) {
            __syncthreads();
            int low = 2 * thread - (thread & (stride - 1)), high = low + stride;
            bool ascending = (low & size) == 0;
            unsigned int a = tile[low], b = tile[high];
            if ((a > b) == ascending) {
                tile[low] = b;
                tile[high] = a;
            }
        }
    __syncthreads();
    block_keys[thread] = tile[thread];
    block_keys[thread + blockDim.x] = tile[thread + blockDim.x];
}
