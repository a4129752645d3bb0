// y = A x, A sparse in CSR form, one warp per row.
extern "C" __global__ void spmv_csr(const int* __restrict__ row_start, const int* __restrict__ column,
                                    const float* __restrict__ value, const float* __restrict__ x, float* y, int rows) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int lane = threadIdx.x % 32;
    if (row >= rows) return;
    float sum = 0.0f;
    for (int k = row_start[row] + lane; k < row_start[row + 1]; k += 32) sum += value[k] * x[column[k]];
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    if (lane == 0) y[row] = sum;
}
