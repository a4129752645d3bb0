// Ten independent chains of multiply-adds s = a - s * b per thread, all of them in registers: peak FP32 rate as far as
// the register file can feed it (the experiment of SHOC MaxFlops, Danalis et al., GPGPU 2010). Every chain has its own
// a and b, so no instruction reads a register that the one before it has read. For sm_86 the compiler spreads the reads of
// ten chains evenly over both register banks: 1.5 per bank and instruction.
#define CHAINS 10
#define UNROLL 64
extern "C" __global__ void maxflops(const float* __restrict__ in, float* out, int iterations) {
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    float x = in[2 * thread], y = in[2 * thread + 1], a[CHAINS], b[CHAINS], s[CHAINS];
#pragma unroll
    for (int j = 0; j < CHAINS; ++j) {
        a[j] = x + 0.0625f * j;
        b[j] = y - 0.015625f * j;
        s[j] = x * y + 0.125f * j;
    }
#pragma unroll 1
    for (int i = 0; i < iterations; ++i) {
#pragma unroll
        for (int u = 0; u < UNROLL; ++u)
#pragma unroll
            for (int j = 0; j < CHAINS; ++j) s[j] = a[j] - s[j] * b[j];
    }
    float total = 0.0f;
#pragma unroll
    for (int j = 0; j < CHAINS; ++j) total += s[j];
    out[thread] = total;
}
