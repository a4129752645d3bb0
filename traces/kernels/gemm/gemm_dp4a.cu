// C = A B', both of signed bytes with k running fastest, in 32-bit integers: four products per instruction, no tensor cores.
// m, n multiples of 32, k of 32.
#define TILE 32
#define WORDS 8
extern "C" __global__ void __launch_bounds__(256) gemm_dp4a(const int* __restrict__ a, const int* __restrict__ b,
                                                            int* __restrict__ c, int n, int k) {
    __shared__ int tile_a[TILE][WORDS + 1], tile_b[TILE][WORDS + 1];
    int thread = threadIdx.x, words = k / 4, column = thread % 32, row = thread / 32;
    int sum[4] = {};
    for (int start = 0; start < words; start += WORDS) {
        tile_a[thread / WORDS][thread % WORDS] = a[(size_t)(blockIdx.y * TILE + thread / WORDS) * words + start + thread % WORDS];
        tile_b[thread / WORDS][thread % WORDS] = b[(size_t)(blockIdx.x * TILE + thread / WORDS) * words + start + thread % WORDS];
        __syncthreads();
#pragma unroll
        for (int i = 0; i < WORDS; ++i)
#pragma unroll
            for (int r = 0; r < 4; ++r) sum[r] = __dp4a(tile_a[row + 8 * r][i], tile_b[column][i], sum[r]);
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < 4; ++r) c[(size_t)(blockIdx.y * TILE + row + 8 * r) * n + blockIdx.x * TILE + column] = sum[r];
}
