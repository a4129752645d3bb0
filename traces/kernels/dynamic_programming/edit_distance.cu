// Levenshtein distances of many pairs of strings: one block per pair, anti-diagonals of the table one after the other, the last
// two of them in shared memory.
extern "C" __global__ void edit_distance(const unsigned char* __restrict__ a, const unsigned char* __restrict__ b, int* distance,
                                         int length_a, int length_b) {
    extern __shared__ int diagonal[];  // three diagonals of length_a + 1
    const unsigned char *from = a + (size_t)blockIdx.x * length_a, *to = b + (size_t)blockIdx.x * length_b;
    int stride = length_a + 1;
    for (int d = 0; d <= length_a + length_b; ++d) {
        int* now = diagonal + d % 3 * stride;
        const int *last = diagonal + (d + 2) % 3 * stride, *before = diagonal + (d + 1) % 3 * stride;
        for (int i = max(0, d - length_b) + threadIdx.x; i <= min(d, length_a); i += blockDim.x) {
            int j = d - i;
            if (i == 0 || j == 0) now[i] = d;
            else now[i] = min(min(last[i - 1], last[i]) + 1, before[i - 1] + (from[i - 1] != to[j - 1]));
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) distance[blockIdx.x] = diagonal[(length_a + length_b) % 3 * stride + length_a];
}
