// Row pass of a separable convolution, radius 8, zero padding: a block loads its row segment with halo into shared memory, every
// thread makes four results. Weights in constant memory by value.
#define RADIUS 8
#define THREADS 64
#define RESULTS 4
#define SPAN (THREADS * RESULTS)
struct Weights { float w[2 * RADIUS + 1]; };
extern "C" __global__ void __launch_bounds__(THREADS) convolution_separable(const float* __restrict__ in, float* __restrict__ out,
                                                                            int width, Weights weights) {
    __shared__ float row[SPAN + 2 * RADIUS];
    int first = blockIdx.x * SPAN - RADIUS;
    const float* from = in + (size_t)blockIdx.y * width;
    for (int i = threadIdx.x; i < SPAN + 2 * RADIUS; i += THREADS) {
        int x = first + i;
        row[i] = x >= 0 && x < width ? from[x] : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int r = 0; r < RESULTS; ++r) {
        int x = threadIdx.x + r * THREADS;
        float sum = 0.0f;
#pragma unroll
        for (int k = 0; k <= 2 * RADIUS; ++k) sum += weights.w[k] * row[x + k];
        if (first + RADIUS + x < width) out[(size_t)blockIdx.y * width + first + RADIUS + x] = sum;
    }
}
