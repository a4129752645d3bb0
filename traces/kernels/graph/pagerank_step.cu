// One step of PageRank, pull direction: a warp adds up rank / degree over the predecessors of one vertex (CSR of incoming edges).
extern "C" __global__ void pagerank_step(const int* __restrict__ row_start, const int* __restrict__ column,
                                         const float* __restrict__ share, float* __restrict__ rank, int vertices, float damping) {
    int vertex = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (vertex >= vertices) return;
    float sum = 0.0f;
    for (int k = row_start[vertex] + lane; k < row_start[vertex + 1]; k += 32) sum += __ldg(&share[column[k]]);
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(~0u, sum, offset);
    if (lane == 0) rank[vertex] = (1.0f - damping) / vertices + damping * sum;
}
