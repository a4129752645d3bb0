// Depthwise 3 x 3 convolution, NHWC with four channels per thread as one vector, stride 1, zero padding.
extern "C" __global__ void convolution_depthwise(const float4* __restrict__ in, const float4* __restrict__ filter,
                                                 float4* __restrict__ out, int channels, int height, int width) {
    int vectors = channels / 4, v = threadIdx.x, x = blockIdx.x * blockDim.y + threadIdx.y, y = blockIdx.y, image = blockIdx.z;
    if (x >= width) return;
    float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll
    for (int dy = -1; dy <= 1; ++dy)
#pragma unroll
        for (int dx = -1; dx <= 1; ++dx) {
            int sy = y + dy, sx = x + dx;
            if (sy < 0 || sy >= height || sx < 0 || sx >= width) continue;
            float4 value = in[(((size_t)image * height + sy) * width + sx) * vectors + v];
            float4 weight = filter[((dy + 1) * 3 + dx + 1) * vectors + v];
            sum.x += value.x * weight.x;
            sum.y += value.y * weight.y;
            sum.z += value.z * weight.z;
            sum.w += value.w * weight.w;
        }
    out[(((size_t)image * height + y) * width + x) * vectors + v] = sum;
}
