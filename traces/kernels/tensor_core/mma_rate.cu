// Chains of mma.sync in registers, CHAINS of them independent: latency with one, rate with several and enough warps.
// All factors are equal, so that each product adds the same number to every accumulator.
#include "../tensor_core.cuh"

#if __CUDA_ARCH__ >= 800
// 16-bit accumulators: c0 row g, c1 row g + 8, columns 2t and 2t + 1.
__device__ __forceinline__ void mma(unsigned int (&c)[2], const unsigned int (&a)[4], unsigned int b0, unsigned int b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0, %1}, {%2, %3, %4, %5}, {%6, %7}, {%0, %1};"
        : "+r"(c[0]), "+r"(c[1]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif

template <int CHAINS, int REGISTERS, class T>
__device__ __forceinline__ void chains(T* out, unsigned int factor, int iterations) {
    T c[CHAINS][REGISTERS];
#pragma unroll
    for (int chain = 0; chain < CHAINS; ++chain)
#pragma unroll
        for (int i = 0; i < REGISTERS; ++i) c[chain][i] = (T)0;
    unsigned int a[4] = {factor, factor, factor, factor};
    for (int n = 0; n < iterations; ++n) {
#pragma unroll
        for (int step = 0; step < 32; ++step) mma(c[step % CHAINS], a, factor, factor);
    }
    T* mine = out + (blockIdx.x * blockDim.x + threadIdx.x) * (CHAINS * REGISTERS);
#pragma unroll
    for (int i = 0; i < CHAINS * REGISTERS; ++i) mine[i] = c[i / REGISTERS][i % REGISTERS];
}

extern "C" __global__ void mma_chain(float* out, unsigned int factor, int iterations) {
    chains<1, 4>(out, factor, iterations);
}
extern "C" __global__ void mma_rate(float* out, unsigned int factor, int iterations) {
    chains<4, 4>(out, factor, iterations);
}
#if __CUDA_ARCH__ >= 800
extern "C" __global__ void mma_rate_half(unsigned int* out, unsigned int factor, int iterations) {
    chains<4, 2>(out, factor, iterations);
}
extern "C" __global__ void mma_rate_int8(int* out, unsigned int factor, int iterations) {
    chains<4, 4>(out, factor, iterations);
}
#endif
