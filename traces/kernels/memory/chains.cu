// Chains of dependent accesses of one warp, `threads` lanes of which take part. `offset` is zero for every lane; it comes
// from memory so that the compiler does not see that the lanes' addresses are equal, and combine the atomics of a warp.

extern "C" __global__ void shared_load(const unsigned* offset, unsigned* out, int threads, int steps) {
    __shared__ unsigned word[32];
    unsigned at = (unsigned)__cvta_generic_to_shared(word) + offset[threadIdx.x];
    word[threadIdx.x] = at;
    __syncwarp();
    if (threadIdx.x >= threads) return;
#pragma unroll 16
    for (int k = 0; k < steps; ++k) asm volatile("ld.shared.u32 %0, [%0];" : "+r"(at));
    out[threadIdx.x] = at;
}

extern "C" __global__ void shared_atomic(const unsigned* offset, unsigned* out, int threads, int steps) {
    __shared__ unsigned word[32];
    unsigned at = (unsigned)__cvta_generic_to_shared(word) + offset[threadIdx.x], value = 0;
    word[threadIdx.x] = 0;
    __syncwarp();
    if (threadIdx.x >= threads) return;
#pragma unroll 16
    for (int k = 0; k < steps; ++k) asm volatile("atom.shared.add.u32 %0, [%1], %0;" : "+r"(value) : "r"(at));
    out[threadIdx.x] = value;
}

extern "C" __global__ void global_atomic(const unsigned* offset, unsigned* out, int threads, int steps) {
    unsigned *at = out + 32 + offset[threadIdx.x], value = 0;
    if (threadIdx.x >= threads) return;
#pragma unroll 16
    for (int k = 0; k < steps; ++k) asm volatile("atom.global.add.u32 %0, [%1], %0;" : "+r"(value) : "l"(at));
    out[threadIdx.x] = value;
}
