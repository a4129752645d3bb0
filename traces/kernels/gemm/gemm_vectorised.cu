// C = A B, row-major; m, n multiples of 64, k of 16. 64 x 64 tiles, 4 x 4 results per thread, all loads and stores of 16
// bytes; A is transposed on its way into shared memory so that a thread's four rows lie side by side.
#define TILE 64
#define DEPTH 16
extern "C" __global__ void __launch_bounds__(256) gemm_vectorised(const float* __restrict__ a, const float* __restrict__ b,
                                                                  float* __restrict__ c, int n, int k) {
    __shared__ __align__(16) float tile_a[DEPTH][TILE + 4];
    __shared__ __align__(16) float tile_b[DEPTH][TILE];
    int thread = threadIdx.x, row = thread / 16 * 4, column = thread % 16 * 4;
    const float* from_a = a + (size_t)(blockIdx.y * TILE + thread / 4) * k + thread % 4 * 4;
    const float* from_b = b + (size_t)(thread / 16) * n + blockIdx.x * TILE + column;
    float sum[4][4] = {};
    for (int start = 0; start < k; start += DEPTH) {
        float4 x = *(const float4*)(from_a + start), y = *(const float4*)(from_b + (size_t)start * n);
        __syncthreads();
        tile_a[thread % 4 * 4][thread / 4] = x.x;
        tile_a[thread % 4 * 4 + 1][thread / 4] = x.y;
        tile_a[thread % 4 * 4 + 2][thread / 4] = x.z;
        tile_a[thread % 4 * 4 + 3][thread / 4] = x.w;
        *(float4*)&tile_b[thread / 16][column] = y;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < DEPTH; ++i) {
            float4 u = *(float4*)&tile_a[i][row], v = *(float4*)&tile_b[i][column];
            float us[4] = {u.x, u.y, u.z, u.w}, vs[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
            for (int r = 0; r < 4; ++r)
#pragma unroll
                for (int s = 0; s < 4; ++s) sum[r][s] += us[r] * vs[s];
        }
    }
#pragma unroll
    for (int r = 0; r < 4; ++r)
        *(float4*)&c[(size_t)(blockIdx.y * TILE + row + r) * n + blockIdx.x * TILE + column] =
            make_float4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
}
