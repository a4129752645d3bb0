// Lower Cholesky factors of many SIZE x SIZE matrices, one block of SIZE threads each, in shared memory, right-looking.
#define SIZE 32
extern "C" __global__ void cholesky_batched(const float* __restrict__ in, float* __restrict__ out) {
    __shared__ float a[SIZE][SIZE + 1];
    const float* from = in + blockIdx.x * SIZE * SIZE;
    float* to = out + blockIdx.x * SIZE * SIZE;
    int row = threadIdx.x;
    for (int i = 0; i < SIZE; ++i) a[i][row] = from[i * SIZE + row];
    for (int k = 0; k < SIZE; ++k) {
        __syncthreads();
        float pivot = sqrtf(a[k][k]);
        __syncthreads();
        if (row == k) a[k][k] = pivot;
        if (row > k) a[row][k] /= pivot;
        __syncthreads();
        if (row > k)
            for (int j = k + 1; j <= row; ++j) a[row][j] -= a[row][k] * a[j][k];
    }
    __syncthreads();
    for (int i = 0; i < SIZE; ++i) to[i * SIZE + row] = row <= i ? a[i][row] : 0.0f;
}
