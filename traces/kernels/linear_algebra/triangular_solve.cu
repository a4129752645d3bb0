// Solves L X = B in place, L lower triangular SIZE x SIZE in shared memory, one right-hand side per thread in registers.
#define SIZE 32
extern "C" __global__ void triangular_solve(const double* __restrict__ l, double* b, int columns) {
    __shared__ double tile[SIZE][SIZE];
    for (int i = threadIdx.x; i < SIZE * SIZE; i += blockDim.x) tile[i / SIZE][i % SIZE] = l[i];
    __syncthreads();
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    double x[SIZE];
#pragma unroll
    for (int i = 0; i < SIZE; ++i) {
        double sum = b[i * columns + column];
#pragma unroll
        for (int j = 0; j < i; ++j) sum -= tile[i][j] * x[j];
        x[i] = sum / tile[i][i];
        b[i * columns + column] = x[i];
    }
}
