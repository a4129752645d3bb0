// One round of Bellman-Ford: every vertex offers its distance plus the edge's weight to its neighbours by atomic minimum. Reads
// come from the distances before the round, so that the result does not depend on the order.
extern "C" __global__ void sssp_relax(const int* __restrict__ row_start, const int* __restrict__ column, const int* __restrict__ weight,
                                      const int* __restrict__ before, int* distance, int vertices, int* changed) {
    int vertex = blockIdx.x * blockDim.x + threadIdx.x;
    if (vertex >= vertices) return;
    int mine = before[vertex];
    for (int k = row_start[vertex]; k < row_start[vertex + 1]; ++k) {
        int offer = mine + weight[k], neighbour = column[k];
        if (offer < distance[neighbour] && offer < atomicMin(&distance[neighbour], offer)) atomicOr(changed, 1);
    }
}
