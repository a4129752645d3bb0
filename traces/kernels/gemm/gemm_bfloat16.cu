// C = A B', bfloat16 with FP32 sums: see gemm_direct. m a multiple of 16, n of 128, k of 16.
#include "gemm_direct.cuh"
extern "C" __global__ void __launch_bounds__(128) gemm_bfloat16(const unsigned int* __restrict__ a,
                                                                const unsigned int* __restrict__ b, float* __restrict__ c, int n,
                                                                int k) {
    auto multiply = [](float (&c)[4], const unsigned int (&a)[4], unsigned int b0, unsigned int b1) {
        asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
            "{%0, %1, %2, %3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    };
    gemm_direct<float>(a, b, k / 2, multiply, StoreFloats{c, n});
}
