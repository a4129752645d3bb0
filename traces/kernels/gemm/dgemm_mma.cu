// C = A B in FP64 on tensor cores: 32 x 32 tiles, four warps of 16 x 16. m, n multiples of 32, k of 16.
#define TILE 32
#define DEPTH 16
extern "C" __global__ void __launch_bounds__(128) dgemm_mma(const double* __restrict__ a, const double* __restrict__ b,
                                                            double* __restrict__ c, int n, int k) {
    __shared__ double tile_a[TILE][DEPTH + 4], tile_b[DEPTH][TILE + 4];
    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32, g = lane / 4, t = lane % 4;
    int row = warp / 2 * 16, column = warp % 2 * 16;
    double sum[2][2][2] = {};
    for (int start = 0; start < k; start += DEPTH) {
        for (int i = thread; i < TILE * DEPTH; i += 128) {
            tile_a[i / DEPTH][i % DEPTH] = a[(size_t)(blockIdx.y * TILE + i / DEPTH) * k + start + i % DEPTH];
            tile_b[i / TILE][i % TILE] = b[(size_t)(start + i / TILE) * n + blockIdx.x * TILE + i % TILE];
        }
        __syncthreads();
#pragma unroll
        for (int depth = 0; depth < DEPTH; depth += 4)
#pragma unroll
            for (int i = 0; i < 2; ++i)
#pragma unroll
                for (int j = 0; j < 2; ++j)
                    asm("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, {%0, %1};"
                        : "+d"(sum[i][j][0]), "+d"(sum[i][j][1])
                        : "d"(tile_a[row + 8 * i + g][depth + t]), "d"(tile_b[depth + t][column + 8 * j + g]));
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 2; ++j)
            *(double2*)&c[(size_t)(blockIdx.y * TILE + row + 8 * i + g) * n + blockIdx.x * TILE + column + 8 * j + 2 * t] =
                make_double2(sum[i][j][0], sum[i][j][1]);
}
