// y = A x, A row-major m x n with n a multiple of 4: one warp per row, 16 bytes per lane and load.
extern "C" __global__ void gemv(const float4* __restrict__ a, const float4* __restrict__ x, float* __restrict__ y, int m,
                                int vectors) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= m) return;
    float sum = 0.0f;
    for (int i = lane; i < vectors; i += 32) {
        float4 u = a[(size_t)row * vectors + i], v = x[i];
        sum += u.x * v.x + u.y * v.y + u.z * v.z + u.w * v.w;
    }
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(~0u, sum, offset);
    if (lane == 0) y[row] = sum;
}
