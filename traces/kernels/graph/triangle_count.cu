// Counts common neighbours along the edges of a graph whose adjacency lists are sorted: one thread per edge, two-pointer merge of
// both lists.
extern "C" __global__ void triangle_count(const int* __restrict__ row_start, const int* __restrict__ column,
                                          const int* __restrict__ source, unsigned int* total, int edges) {
    int edge = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned int count = 0;
    if (edge < edges) {
        int u = source[edge], v = column[edge];
        int i = row_start[u], end_i = row_start[u + 1], j = row_start[v], end_j = row_start[v + 1];
        while (i < end_i && j < end_j) {
            int a = column[i], b = column[j];
            count += a == b;
            i += a <= b;
            j += b <= a;
        }
    }
    for (int offset = 16; offset > 0; offset /= 2) count += __shfl_down_sync(~0u, count, offset);
    if (threadIdx.x % 32 == 0 && count) atomicAdd(total, count);
}
