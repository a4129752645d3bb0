// Binomial smoothing (1 2 1) x (1 2 1) / 16 of a tile with halo in shared memory, wrap-around borders.
#define TILE 16
extern "C" __global__ void __launch_bounds__(TILE * TILE) stencil_9point(const float* __restrict__ in, float* __restrict__ out,
                                                                         int width, int height) {
    __shared__ float tile[TILE + 2][TILE + 2];
    int thread = threadIdx.y * TILE + threadIdx.x;
    for (int i = thread; i < (TILE + 2) * (TILE + 2); i += TILE * TILE) {
        int x = (blockIdx.x * TILE + i % (TILE + 2) + width - 1) % width;
        int y = (blockIdx.y * TILE + i / (TILE + 2) + height - 1) % height;
        tile[i / (TILE + 2)][i % (TILE + 2)] = in[y * width + x];
    }
    __syncthreads();
    int x = blockIdx.x * TILE + threadIdx.x, y = blockIdx.y * TILE + threadIdx.y;
    if (x >= width || y >= height) return;
    float sum = 0.0f;
#pragma unroll
    for (int dy = 0; dy < 3; ++dy)
#pragma unroll
        for (int dx = 0; dx < 3; ++dx)
            sum += (dy == 1 ? 2.0f : 1.0f) * (dx == 1 ? 2.0f : 1.0f) * tile[threadIdx.y + dy][threadIdx.x + dx];
    out[y * width + x] = sum / 16.0f;
}
