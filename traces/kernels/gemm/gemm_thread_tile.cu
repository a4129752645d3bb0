// C = A B, row-major; m, n multiples of 64, k of 8. 64 x 64 tiles in shared memory, a column of 8 results per thread: one
// value of B serves eight multiply-adds.
#define TILE 64
#define DEPTH 8
#define ROWS 8
extern "C" __global__ void __launch_bounds__(512) gemm_thread_tile(const float* __restrict__ a, const float* __restrict__ b,
                                                                   float* __restrict__ c, int n, int k) {
    __shared__ float tile_a[TILE][DEPTH], tile_b[DEPTH][TILE];
    int thread = threadIdx.x, column = thread % TILE, group = thread / TILE;
    const float* from_a = a + (size_t)blockIdx.y * TILE * k;
    const float* from_b = b + blockIdx.x * TILE;
    float sum[ROWS] = {};
    for (int start = 0; start < k; start += DEPTH) {
        tile_a[thread / DEPTH][thread % DEPTH] = from_a[(size_t)(thread / DEPTH) * k + start + thread % DEPTH];
        tile_b[group][column] = from_b[(size_t)(start + group) * n + column];
        __syncthreads();
#pragma unroll
        for (int i = 0; i < DEPTH; ++i) {
            float y = tile_b[i][column];
#pragma unroll
            for (int r = 0; r < ROWS; ++r) sum[r] += tile_a[group * ROWS + r][i] * y;
        }
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < ROWS; ++r)
        c[(size_t)(blockIdx.y * TILE + group * ROWS + r) * n + blockIdx.x * TILE + column] = sum[r];
}
