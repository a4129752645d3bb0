// Convolution by image-to-window ("im2win", Lu et al., 2022), the product step: the input has been rearranged so that the 3 rows
// under a filter lie together column by column, hence a window of 3 x 3 is 9 neighbours and the next window starts 3 further.
// One row of output per block and FILTERS filters, the row of windows in shared memory. NCHW, stride 1, no padding.
#define FILTERS 4
extern "C" __global__ void convolution_im2win(const float* __restrict__ windows, const float* __restrict__ filter,
                                              float* __restrict__ out, int channels, int height, int width, int filters) {
    extern __shared__ float row[];  // 3 * width of one channel
    int y = blockIdx.x, first = blockIdx.y * FILTERS, image = blockIdx.z, x = threadIdx.x;
    int out_width = width - 2, out_height = height - 2;
    float sum[FILTERS] = {};
    for (int c = 0; c < channels; ++c) {
        const float* from = windows + (((size_t)image * channels + c) * out_height + y) * 3 * width;
        __syncthreads();
        for (int i = threadIdx.x; i < 3 * width; i += blockDim.x) row[i] = from[i];
        __syncthreads();
        if (x < out_width)
#pragma unroll
            for (int k = 0; k < 9; ++k) {
                float value = row[3 * x + k];
#pragma unroll
                for (int f = 0; f < FILTERS; ++f)  // the filter is stored column by column, too
                    sum[f] += value * filter[((size_t)(first + f) * channels + c) * 9 + k];
            }
    }
    if (x < out_width)
#pragma unroll
        for (int f = 0; f < FILTERS; ++f) out[(((size_t)image * filters + first + f) * out_height + y) * out_width + x] = sum[f];
}
