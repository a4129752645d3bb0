// Resizes an image of bytes, four channels per pixel, by bilinear interpolation with aligned pixel centres and rounding.
extern "C" __global__ void bilinear_resize(const uchar4* __restrict__ in, uchar4* __restrict__ out, int in_width, int in_height,
                                           int out_width, int out_height) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= out_width || y >= out_height) return;
    float sx = fminf(fmaxf((x + 0.5f) * in_width / out_width - 0.5f, 0.0f), in_width - 1.0f);
    float sy = fminf(fmaxf((y + 0.5f) * in_height / out_height - 0.5f, 0.0f), in_height - 1.0f);
    int x0 = (int)sx, y0 = (int)sy, x1 = min(x0 + 1, in_width - 1), y1 = min(y0 + 1, in_height - 1);
    float fx = sx - x0, fy = sy - y0;
    uchar4 a = in[y0 * in_width + x0], b = in[y0 * in_width + x1], c = in[y1 * in_width + x0], d = in[y1 * in_width + x1];
    auto mix = [&](unsigned char p, unsigned char q, unsigned char r, unsigned char s) {
        return (unsigned char)__float2int_rn((p * (1 - fx) + q * fx) * (1 - fy) + (r * (1 - fx) + s * fx) * fy);
    };
    out[y * out_width + x] = make_uchar4(mix(a.x, b.x, c.x, d.x), mix(a.y, b.y, c.y, d.y), mix(a.z, b.z, c.z, d.z), mix(a.w, b.w, c.w, d.w));
}
