// C = A B, row-major m x k and k x n; m a multiple of 128, n of 64, k of 8.
// A block makes 128 x 64 of C with 128 threads, 8 x 8 each; slices of 8 along k, double-buffered in shared memory.
#define TILE_M 128
#define TILE_N 64
#define TILE_K 8
#define PADDING 4  // spreads the eight k of a warp's stores over the banks
extern "C" __global__ void __launch_bounds__(128, 4) sgemm_register_tiled(
    const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int n, int k) {
    __shared__ __align__(16) float tile_a[2][TILE_K][TILE_M + PADDING];
    __shared__ __align__(16) float tile_b[2][TILE_K][TILE_N];
    int thread = threadIdx.x;
    // Rows row + 0..3 and row + 64..67, columns column + 0..3 and + 32..35. Lanes i and i ^ 1 share their rows, lanes i and
    // i ^ 2 their columns: then two phases of a 128-bit shared load go as one.
    int row = ((thread >> 5) * 4 + (thread >> 3 & 2) + (thread >> 1 & 1)) * 4;
    int column = ((thread >> 1 & 6) + (thread & 1)) * 4;
    // A warp reads 8 of k in 4 rows: whole sectors.
    const float* from_a = a + (size_t)(blockIdx.y * TILE_M + (thread >> 3)) * k + (thread & 7);
    const float* from_b = b + (size_t)(thread >> 4) * n + blockIdx.x * TILE_N + (thread & 15) * 4;
    float sum[8][8] = {};
    float column_of_a[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) column_of_a[i] = from_a[(size_t)(16 * i) * k];
    float4 row_of_b = *(const float4*)from_b;
    int buffer = 0;
    for (int start = 0; start < k; start += TILE_K) {
#pragma unroll
        for (int i = 0; i < 8; ++i) tile_a[buffer][thread & 7][(thread >> 3) + 16 * i] = column_of_a[i];
        *(float4*)&tile_b[buffer][thread >> 4][(thread & 15) * 4] = row_of_b;
        __syncthreads();
        if (start + TILE_K < k) {
            from_a += TILE_K;
            from_b += (size_t)TILE_K * n;
#pragma unroll
            for (int i = 0; i < 8; ++i) column_of_a[i] = from_a[(size_t)(16 * i) * k];
            row_of_b = *(const float4*)from_b;
        }
        float x[2][8], y[2][8];
#pragma unroll
        for (int i = -1; i < TILE_K; ++i) {
            if (i + 1 < TILE_K) {
                int next = (i + 1) & 1;
                *(float4*)&x[next][0] = *(float4*)&tile_a[buffer][i + 1][row];
                *(float4*)&x[next][4] = *(float4*)&tile_a[buffer][i + 1][row + 64];
                *(float4*)&y[next][0] = *(float4*)&tile_b[buffer][i + 1][column];
                *(float4*)&y[next][4] = *(float4*)&tile_b[buffer][i + 1][column + 32];
            }
            if (i < 0) continue;
#pragma unroll
            for (int r = 0; r < 8; ++r)
#pragma unroll
                for (int s = 0; s < 8; ++s) sum[r][s] += x[i & 1][r] * y[i & 1][s];
        }
        buffer ^= 1;  // the next slice goes to the other buffer: one barrier per slice is enough
    }
#pragma unroll
    for (int r = 0; r < 8; ++r) {
        float* to = c + (size_t)(blockIdx.y * TILE_M + row + (r & 3) + (r >> 2) * 64) * n + blockIdx.x * TILE_N + column;
        *(float4*)to = make_float4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
        *(float4*)(to + 32) = make_float4(sum[r][4], sum[r][5], sum[r][6], sum[r][7]);
    }
}
