// Merges two sorted arrays: each thread finds its diagonal of the merge path by bisection and merges ITEMS keys serially.
#define ITEMS 8
extern "C" __global__ void merge_path(const int* __restrict__ a, const int* __restrict__ b, int* __restrict__ out,
                                      int count_a, int count_b) {
    int diagonal = (blockIdx.x * blockDim.x + threadIdx.x) * ITEMS;
    if (diagonal >= count_a + count_b) return;
    int low = max(0, diagonal - count_b), high = min(diagonal, count_a);
    while (low < high) {
        int middle = (low + high) / 2;
        if (a[middle] <= b[diagonal - 1 - middle]) low = middle + 1;
        else high = middle;
    }
    int i = low, j = diagonal - low;
#pragma unroll
    for (int k = 0; k < ITEMS && diagonal + k < count_a + count_b; ++k) {
        bool from_a = j >= count_b || (i < count_a && a[i] <= b[j]);
        out[diagonal + k] = from_a ? a[i++] : b[j++];
    }
}
