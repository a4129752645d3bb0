// y = alpha x + y in bfloat16, two elements per instruction.
#include <cuda_bf16.h>
extern "C" __global__ void axpy_bfloat16(float alpha, const __nv_bfloat162* __restrict__ x,
                                         __nv_bfloat162* __restrict__ y, int pairs) {
    __nv_bfloat162 factor = __float2bfloat162_rn(alpha);
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < pairs; i += gridDim.x * blockDim.x)
        y[i] = __hfma2(factor, x[i], y[i]);
}
