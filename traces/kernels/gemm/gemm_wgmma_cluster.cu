// See gemm_wgmma.cuh.
#include "gemm_wgmma.cuh"

extern "C" __global__ void __cluster_dims__(1, 2, 1) __launch_bounds__(384, 1)
gemm_wgmma_cluster(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, float* c, int n, int k) {
    gemm_wgmma_tile<2>(&a, &b, c, n, k);
}
