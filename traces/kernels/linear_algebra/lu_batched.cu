// LU factors (Doolittle, no pivoting) of many SIZE x SIZE matrices in registers: lane j of a warp holds column j of one
// matrix, multipliers travel by shuffles.
#define SIZE 16
extern "C" __global__ void lu_batched(float* matrices, int batch) {
    int matrix = (blockIdx.x * blockDim.x + threadIdx.x) / SIZE, column = threadIdx.x % SIZE;
    bool live = matrix < batch;
    float* from = matrices + (size_t)(live ? matrix : 0) * SIZE * SIZE;
    float a[SIZE];
#pragma unroll
    for (int i = 0; i < SIZE; ++i) a[i] = from[i * SIZE + column];
#pragma unroll
    for (int k = 0; k < SIZE; ++k) {
        float pivot = __shfl_sync(~0u, a[k], k, SIZE);
        float inverse = 1.0f / pivot;
#pragma unroll
        for (int i = k + 1; i < SIZE; ++i) {
            float factor = __shfl_sync(~0u, a[i], k, SIZE) * inverse;
            if (column > k) a[i] -= factor * a[k];
            else if (column == k) a[i] = factor;
        }
    }
    if (live)
#pragma unroll
        for (int i = 0; i < SIZE; ++i) from[i * SIZE + column] = a[i];
}
