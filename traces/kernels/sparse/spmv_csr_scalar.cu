// y = A x, A sparse in CSR form, one thread per row: uneven loops, neighbouring threads read far apart.
extern "C" __global__ void spmv_csr_scalar(const int* __restrict__ row_start, const int* __restrict__ column,
                                           const float* __restrict__ value, const float* __restrict__ x, float* y, int rows) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    float sum = 0.0f;
    for (int k = row_start[row]; k < row_start[row + 1]; ++k) sum += value[k] * x[column[k]];
    y[row] = sum;
}
