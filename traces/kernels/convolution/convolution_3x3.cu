// 3 x 3 convolution of an image with zero padding; weights in constant memory by value.
struct Weights { float w[9]; };
extern "C" __global__ void convolution_3x3(const float* __restrict__ in, float* __restrict__ out, int width, int height,
                                           Weights weights) {
    int x = blockIdx.x * blockDim.x + threadIdx.x;
    int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    float sum = 0.0f;
    for (int dy = -1; dy <= 1; ++dy)
        for (int dx = -1; dx <= 1; ++dx) {
            int sx = x + dx, sy = y + dy;
            if (sx >= 0 && sx < width && sy >= 0 && sy < height)
                sum += weights.w[(dy + 1) * 3 + dx + 1] * in[sy * width + sx];
        }
    out[y * width + x] = sum;
}
