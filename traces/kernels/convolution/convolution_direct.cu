// Direct convolution of images in NCHW order, 3 x 3 filters, stride 1, no padding: a thread makes one pixel of FILTERS output
// channels; filters pass through shared memory one input channel at a time.
#define FILTERS 4
extern "C" __global__ void convolution_direct(const float* __restrict__ in, const float* __restrict__ filter, float* __restrict__ out,
                                              int channels, int height, int width, int filters) {
    __shared__ float weights[FILTERS * 9];
    int out_width = width - 2, out_height = height - 2, pixel = blockIdx.x * blockDim.x + threadIdx.x;
    int image = blockIdx.z, first = blockIdx.y * FILTERS;
    int y = pixel / out_width, x = pixel % out_width;
    bool live = y < out_height;
    float sum[FILTERS] = {};
    for (int c = 0; c < channels; ++c) {
        __syncthreads();
        for (int i = threadIdx.x; i < FILTERS * 9; i += blockDim.x)
            weights[i] = filter[((first + i / 9) * channels + c) * 9 + i % 9];
        __syncthreads();
        const float* from = in + ((size_t)(image * channels + c) * height + y) * width + x;
        if (live)
#pragma unroll
            for (int k = 0; k < 9; ++k) {
                float value = from[k / 3 * width + k % 3];
#pragma unroll
                for (int f = 0; f < FILTERS; ++f) sum[f] += value * weights[f * 9 + k];
            }
    }
    if (live)
#pragma unroll
        for (int f = 0; f < FILTERS; ++f) out[(((size_t)image * filters + first + f) * out_height + y) * out_width + x] = sum[f];
}
