// C = A B', FP8 (E4M3) with k running fastest in both, FP32 sums on tensor cores: one 16 x 32 tile per warp straight from global
// memory. m a multiple of 16, n of 128, k of 32.
extern "C" __global__ void __launch_bounds__(128) gemm_fp8(const unsigned int* __restrict__ a,
                                                                const unsigned int* __restrict__ b, float* __restrict__ c, int n,
                                                                int k) {
    int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, words = k / 4;
    int row = blockIdx.y * 16 + g, column = blockIdx.x * 128 + threadIdx.x / 32 * 32;
    float sum[4][4] = {};
    for (int start = 0; start < words; start += 8) {
        const unsigned int* from = a + (size_t)row * words + start + t;
        unsigned int a0 = from[0], a1 = from[8 * words], a2 = from[4], a3 = from[8 * words + 4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const unsigned int* other = b + (size_t)(column + 8 * j + g) * words + start + t;
            asm("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                "{%0, %1, %2, %3};"
                : "+f"(sum[j][0]), "+f"(sum[j][1]), "+f"(sum[j][2]), "+f"(sum[j][3])
                : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(other[0]), "r"(other[4]));
        }
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        float* to = &c[(size_t)row * n + column + 8 * j + 2 * t];
        *(float2*)to = make_float2(sum[j][0], sum[j][1]);
        *(float2*)(to + 8 * (size_t)n) = make_float2(sum[j][2], sum[j][3]);
    }
}
