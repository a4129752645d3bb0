// C = A B with FP32 inputs rounded to TF32 on tensor cores: 32 x 64 tiles, four warps of 16 x 32. m a multiple of 32, n of 64,
// k of 16.
#define DEPTH 16
__device__ __forceinline__ unsigned int tf32(float x) {
    unsigned int bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}
extern "C" __global__ void __launch_bounds__(128) gemm_tf32(const float* __restrict__ a, const float* __restrict__ b,
                                                            float* __restrict__ c, int n, int k) {
    __shared__ unsigned int tile_a[32][DEPTH + 4], tile_b[DEPTH][64 + 8];
    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32, g = lane / 4, t = lane % 4;
    int row = warp / 2 * 16 + g, column = warp % 2 * 32;
    float sum[4][4] = {};
    for (int start = 0; start < k; start += DEPTH) {
        for (int i = thread; i < 32 * DEPTH; i += 128)
            tile_a[i / DEPTH][i % DEPTH] = tf32(a[(size_t)(blockIdx.y * 32 + i / DEPTH) * k + start + i % DEPTH]);
        for (int i = thread; i < DEPTH * 64; i += 128)
            tile_b[i / 64][i % 64] = tf32(b[(size_t)(start + i / 64) * n + blockIdx.x * 64 + i % 64]);
        __syncthreads();
#pragma unroll
        for (int depth = 0; depth < DEPTH; depth += 8) {
            unsigned int a0 = tile_a[row][depth + t], a1 = tile_a[row + 8][depth + t];
            unsigned int a2 = tile_a[row][depth + t + 4], a3 = tile_a[row + 8][depth + t + 4];
#pragma unroll
            for (int j = 0; j < 4; ++j)
                asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                    "{%0, %1, %2, %3};"
                    : "+f"(sum[j][0]), "+f"(sum[j][1]), "+f"(sum[j][2]), "+f"(sum[j][3])
                    : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(tile_b[depth + t][column + 8 * j + g]),
                      "r"(tile_b[depth + t + 4][column + 8 * j + g]));
        }
        __syncthreads();
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        float* to = &c[(size_t)(blockIdx.y * 32 + row) * n + blockIdx.x * 64 + column + 8 * j + 2 * t];
        *(float2*)to = make_float2(sum[j][0], sum[j][1]);
        *(float2*)(to + 8 * (size_t)n) = make_float2(sum[j][2], sum[j][3]);
    }
}
