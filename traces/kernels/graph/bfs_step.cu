// One level of a breadth-first search over a CSR graph: divergent, with scattered loads and one atomic per new vertex.
extern "C" __global__ void bfs_step(const int* __restrict__ row_start, const int* __restrict__ column, int* distance,
                                    const int* __restrict__ frontier, int frontier_size, int* next, int* next_size, int level) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= frontier_size) return;
    int vertex = frontier[i];
    for (int k = row_start[vertex]; k < row_start[vertex + 1]; ++k) {
        int neighbour = column[k];
        if (atomicCAS(&distance[neighbour], -1, level) == -1) next[atomicAdd(next_size, 1)] = neighbour;
    }
}
