// Small fully fused network (as in tiny-cuda-nn): LAYERS hidden layers of 64 halves without bias, rectified; activations of 64 rows
// stay in shared memory, a warp owns 16 rows, weights come from the cache in [input][output] order. rows a multiple of 64.
#include "../tensor_core.cuh"
#define WIDTH 64
#define PAD 8
extern "C" __global__ void __launch_bounds__(128) fused_mlp(const __half* __restrict__ in, const __half* __restrict__ weight,
                                                            __half* __restrict__ out, int layers) {
    __shared__ __align__(16) __half state[64][WIDTH + PAD], tile[WIDTH][WIDTH + PAD];
    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    size_t first = (size_t)blockIdx.x * 64 * WIDTH;
    for (int i = thread; i < 64 * WIDTH / 8; i += 128) *(uint4*)&state[i / 8][i % 8 * 8] = *(const uint4*)&in[first + i * 8];
    for (int layer = 0; layer < layers; ++layer) {
        __syncthreads();
        for (int i = thread; i < WIDTH * WIDTH / 8; i += 128)
            *(uint4*)&tile[i / 8][i % 8 * 8] = *(const uint4*)&weight[layer * WIDTH * WIDTH + i * 8];
        __syncthreads();
        float sum[8][4] = {};
#pragma unroll
        for (int depth = 0; depth < WIDTH; depth += 16) {
            unsigned int x[4];
            load_matrix(x, &state[warp * 16 + lane % 16][depth + lane / 16 * 8]);
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                unsigned int y[4];
                load_matrix_transposed(y, &tile[depth + lane % 16][j * 16 + lane / 16 * 8]);
                mma(sum[2 * j], x, y[0], y[1]);
                mma(sum[2 * j + 1], x, y[2], y[3]);
            }
        }
        __syncwarp();
#pragma unroll
        for (int j = 0; j < 8; ++j)
#pragma unroll
            for (int half = 0; half < 2; ++half)
                *(__half2*)&state[warp * 16 + lane / 4 + 8 * half][8 * j + lane % 4 * 2] =
                    __floats2half2_rn(fmaxf(sum[j][2 * half], 0.0f), fmaxf(sum[j][2 * half + 1], 0.0f));
    }
    __syncthreads();
    for (int i = thread; i < 64 * WIDTH / 8; i += 128) *(uint4*)&out[first + i * 8] = *(const uint4*)&state[i / 8][i % 8 * 8];
}
