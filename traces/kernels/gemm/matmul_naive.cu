// C = A B, row-major n x n, one element of C per thread, no shared memory.
extern "C" __global__ void matmul_naive(const float* __restrict__ a, const float* __restrict__ b, float* c, int n) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= n || column >= n) return;
    float sum = 0.0f;
    for (int k = 0; k < n; ++k) sum += a[row * n + k] * b[k * n + column];
    c[row * n + column] = sum;
}
