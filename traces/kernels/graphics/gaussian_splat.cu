// Rasterises two-dimensional Gaussians (3D Gaussian splatting, Kerbl et al., 2023, the blending step): a block owns a tile of
// 16 x 16 pixels and its list of splats sorted by depth; batches of splats pass through shared memory, a pixel stops when it is
// nearly opaque, the block when all its pixels are.
#define TILE 16
#define BATCH 256
extern "C" __global__ void __launch_bounds__(TILE * TILE) gaussian_splat(const int* __restrict__ tile_start,
                                                                         const int* __restrict__ splat,
                                                                         const float2* __restrict__ centre,
                                                                         const float4* __restrict__ conic_opacity,
                                                                         const float* __restrict__ colour, float* __restrict__ image,
                                                                         int width, int height) {
    __shared__ float2 shared_centre[BATCH];
    __shared__ float4 shared_conic[BATCH];
    __shared__ int shared_splat[BATCH];
    int thread = threadIdx.y * TILE + threadIdx.x, tile = blockIdx.y * gridDim.x + blockIdx.x;
    int px = blockIdx.x * TILE + threadIdx.x, py = blockIdx.y * TILE + threadIdx.y;
    bool inside = px < width && py < height, done = !inside;
    float left = 1.0f, red = 0.0f, green = 0.0f, blue = 0.0f;
    int end = tile_start[tile + 1];
    for (int start = tile_start[tile]; start < end; start += BATCH) {
        if (__syncthreads_count(done) == TILE * TILE) break;
        if (start + thread < end) {
            int id = splat[start + thread];
            shared_splat[thread] = id;
            shared_centre[thread] = centre[id];
            shared_conic[thread] = conic_opacity[id];
        }
        __syncthreads();
        for (int j = 0; !done && j < min(BATCH, end - start); ++j) {
            float dx = shared_centre[j].x - px, dy = shared_centre[j].y - py;
            float4 c = shared_conic[j];
            float power = -0.5f * (c.x * dx * dx + c.z * dy * dy) - c.y * dx * dy;
            if (power > 0.0f) continue;
            float alpha = fminf(0.99f, c.w * __expf(power));
            if (alpha < 1.0f / 255.0f) continue;
            float rest = left * (1.0f - alpha);
            if (rest < 0.0001f) {
                done = true;
                continue;
            }
            const float* from = colour + 3 * shared_splat[j];
            red += from[0] * alpha * left;
            green += from[1] * alpha * left;
            blue += from[2] * alpha * left;
            left = rest;
        }
    }
    if (!inside) return;
    image[py * width + px] = red;
    image[(height + py) * width + px] = green;
    image[(2 * height + py) * width + px] = blue;
}
