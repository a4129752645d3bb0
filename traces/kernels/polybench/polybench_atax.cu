// PolyBench ATAX: tmp = A x (one row per thread), then y = A^T tmp (one column per thread); sums in global memory.
extern "C" __global__ void polybench_atax_rows(int nx, int ny, float* a, float* x, float* tmp) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < nx) {
        for (int j = 0; j < ny; j++) tmp[i] += a[i * ny + j] * x[j];
    }
}

extern "C" __global__ void polybench_atax_columns(int nx, int ny, float* a, float* y, float* tmp) {
    int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j < ny) {
        for (int i = 0; i < nx; i++) y[j] += a[i * ny + j] * tmp[i];
    }
}
