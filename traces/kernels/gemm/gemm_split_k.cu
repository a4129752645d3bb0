// C += A B, row-major, m, n, k multiples of 32: blocks share a tile of C, each takes a slice of k and adds its part by atomics.
#define TILE 32
extern "C" __global__ void __launch_bounds__(256) gemm_split_k(const float* __restrict__ a, const float* __restrict__ b,
                                                               float* c, int n, int k) {
    __shared__ float tile_a[TILE][TILE + 1], tile_b[TILE][TILE];
    int x = threadIdx.x, y = threadIdx.y, column = blockIdx.x * TILE + x, row = blockIdx.y * TILE + y;
    float sum[4] = {};
    for (int start = blockIdx.z * TILE; start < k; start += gridDim.z * TILE) {
#pragma unroll
        for (int j = 0; j < TILE; j += 8) {
            tile_a[y + j][x] = a[(size_t)(row + j) * k + start + x];
            tile_b[y + j][x] = b[(size_t)(start + y + j) * n + column];
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < TILE; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j) sum[j] += tile_a[y + 8 * j][i] * tile_b[i][x];
        __syncthreads();
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) atomicAdd(&c[(size_t)(row + 8 * j) * n + column], sum[j]);
}
