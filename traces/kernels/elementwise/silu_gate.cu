// SwiGLU of a transformer's feed-forward layer: out = gate / (1 + exp(-gate)) * up, in half precision.
#include <cuda_fp16.h>
extern "C" __global__ void silu_gate(const __half2* __restrict__ gate, const __half2* __restrict__ up,
                                     __half2* __restrict__ out, int pairs) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= pairs) return;
    float2 g = __half22float2(gate[i]), u = __half22float2(up[i]);
    float x = g.x / (1.0f + __expf(-g.x)) * u.x, y = g.y / (1.0f + __expf(-g.y)) * u.y;
    out[i] = __floats2half2_rn(x, y);
}
