// Blocked Floyd-Warshall on a complete graph of n vertices, the phase for all blocks off the pivot's row and column:
// distance[i][j] = min(distance[i][j], distance[i][k] + distance[k][j]) for the TILE pivots k of round `pivot`.
#define TILE 32
extern "C" __global__ void __launch_bounds__(256) floyd_warshall(int* distance, int n, int pivot) {
    __shared__ int left[TILE][TILE + 1], top[TILE][TILE];
    int x = threadIdx.x, y = threadIdx.y;
    if (blockIdx.x == pivot || blockIdx.y == pivot) return;
    int column = blockIdx.x * TILE + x, row = blockIdx.y * TILE + y, best[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        left[y + 8 * j][x] = distance[(row + 8 * j) * n + pivot * TILE + x];
        top[y + 8 * j][x] = distance[(pivot * TILE + y + 8 * j) * n + column];
        best[j] = distance[(row + 8 * j) * n + column];
    }
    __syncthreads();
#pragma unroll 8
    for (int k = 0; k < TILE; ++k)
#pragma unroll
        for (int j = 0; j < 4; ++j) best[j] = min(best[j], left[y + 8 * j][k] + top[k][x]);
#pragma unroll
    for (int j = 0; j < 4; ++j) distance[(row + 8 * j) * n + column] = best[j];
}
