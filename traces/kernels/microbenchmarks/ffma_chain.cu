// A chain of dependent fused multiply-adds per thread: the fixed latency of the FP32 pipe.
extern "C" __global__ void ffma_chain(float* out, float a, float b, int iterations) {
    float x = (float)(blockIdx.x * blockDim.x + threadIdx.x);
    for (int i = 0; i < iterations; ++i) {
#pragma unroll
        for (int j = 0; j < 16; ++j) x = fmaf(x, a, b);
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = x;
}
