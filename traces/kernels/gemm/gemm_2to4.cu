// C = A B with A 2:4 sparse on the sparse tensor cores: of every four neighbours of a row of A two are stored, `places` holds
// their 2-bit positions (32 bits per row and 32 columns). One 16 x 32 tile per warp; B is half, k running fastest.
// m a multiple of 16, n of 128, k of 32.
extern "C" __global__ void __launch_bounds__(128) gemm_2to4(const unsigned int* __restrict__ a,
                                                            const unsigned short* __restrict__ places,
                                                            const unsigned int* __restrict__ b, float* __restrict__ c, int n,
                                                            int k) {
    int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, words = k / 2;
    int row = blockIdx.y * 16 + g, column = blockIdx.x * 128 + threadIdx.x / 32 * 32;
    float sum[4][4] = {};
    for (int start = 0; start < k; start += 32) {
        const unsigned int* from = a + (size_t)row * (k / 4) + start / 4 + t;
        unsigned int a0 = from[0], a1 = from[8 * (k / 4)], a2 = from[4], a3 = from[8 * (k / 4) + 4];
        // lane 0 of a quad holds the positions of columns 0 ... 15 of rows g and g + 8, lane 1 those of columns 16 ... 31
        const unsigned short* at = places + (size_t)row * (k / 16) + start / 16 + t % 2;
        unsigned int meta = at[0] | (unsigned int)at[8 * (k / 16)] << 16;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const unsigned int* other = b + (size_t)(column + 8 * j + g) * words + start / 2 + t;
            asm("mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
                "{%8, %9, %10, %11}, {%0, %1, %2, %3}, %12, 0x0;"
                : "+f"(sum[j][0]), "+f"(sum[j][1]), "+f"(sum[j][2]), "+f"(sum[j][3])
                : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(other[0]), "r"(other[4]), "r"(other[8]), "r"(other[12]), "r"(meta));
        }
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        float* to = &c[(size_t)row * n + column + 8 * j + 2 * t];
        *(float2*)to = make_float2(sum[j][0], sum[j][1]);
        *(float2*)(to + 8 * (size_t)n) = make_float2(sum[j][2], sum[j][3]);
    }
}
