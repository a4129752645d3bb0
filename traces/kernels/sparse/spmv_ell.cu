// y = A x, A sparse in ELLPACK form (every row padded to `width` entries, entry i of all rows together), one thread per row.
extern "C" __global__ void spmv_ell(const int* __restrict__ column, const double* __restrict__ value, const double* __restrict__ x,
                                    double* __restrict__ y, int rows, int width) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    double sum = 0.0;
    for (int i = 0; i < width; ++i) {
        int c = column[i * rows + row];
        if (c >= 0) sum += value[i * rows + row] * __ldg(&x[c]);
    }
    y[row] = sum;
}
