// See gemm_wgmma.cuh.
#include "gemm_wgmma.cuh"

extern "C" __global__ void __launch_bounds__(384, 1)
gemm_wgmma(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, float* c, int n, int k) {
    gemm_wgmma_tile<1>(&a, &b, c, n, k);
}
