// C = A B with half inputs and FP32 sums through nvcuda::wmma, fragments straight from global memory: one 16 x 16 tile of C
// per warp, four warps per block. m a multiple of 32, n of 32, k of 16.
#include <mma.h>
using namespace nvcuda;
extern "C" __global__ void gemm_wmma(const __half* __restrict__ a, const __half* __restrict__ b, float* __restrict__ c, int n,
                                     int k) {
    int warp = threadIdx.x / 32;
    int row = blockIdx.y * 32 + warp / 2 * 16, column = blockIdx.x * 32 + warp % 2 * 16;
    wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> x;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::row_major> y;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
    wmma::fill_fragment(sum, 0.0f);
    for (int start = 0; start < k; start += 16) {
        wmma::load_matrix_sync(x, a + (size_t)row * k + start, k);
        wmma::load_matrix_sync(y, b + (size_t)start * n + column, n);
        wmma::mma_sync(sum, x, y, sum);
    }
    wmma::store_matrix_sync(c + (size_t)row * n + column, sum, n, wmma::mem_row_major);
}
