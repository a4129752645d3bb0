// Label propagation: each vertex hooks the labels of its edges onto the smaller one, then follows labels to their root. Blocks
// race on labels, so the kernel only reads `label` and lowers `next`.
extern "C" __global__ void connected_components_step(const int* __restrict__ row_start, const int* __restrict__ column,
                                                     const int* __restrict__ label, int* next, int vertices) {
    int vertex = blockIdx.x * blockDim.x + threadIdx.x;
    if (vertex >= vertices) return;
    int smallest = vertex, other;
    while ((other = label[smallest]) != smallest) smallest = other;
    for (int k = row_start[vertex]; k < row_start[vertex + 1]; ++k) {
        int root = column[k];
        while ((other = label[root]) != root) root = other;
        if (root < smallest) atomicMin(&next[smallest], root);
        if (smallest < root) atomicMin(&next[root], smallest);
    }
}
