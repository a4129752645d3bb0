// Neighbourhood attention (Hassani et al., 2023) over an image: each pixel attends to the WINDOW x WINDOW pixels round it, the window
// kept inside the image; one warp per pixel, heads of 32 floats.
#define WINDOW 5
#define SIZE 32
extern "C" __global__ void neighbourhood_attention(const float* __restrict__ query, const float* __restrict__ key,
                                                   const float* __restrict__ value, float* __restrict__ out, int width, int height,
                                                   float scale) {
    int pixel = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (pixel >= width * height) return;
    int x = min(max(pixel % width - WINDOW / 2, 0), width - WINDOW), y = min(max(pixel / width - WINDOW / 2, 0), height - WINDOW);
    float q = query[pixel * SIZE + lane] * scale, mine = -1e30f;  // lane i < 25 keeps score i
#pragma unroll
    for (int i = 0; i < WINDOW * WINDOW; ++i) {
        float dot = q * key[((y + i / WINDOW) * width + x + i % WINDOW) * SIZE + lane];
        for (int offset = 16; offset > 0; offset /= 2) dot += __shfl_xor_sync(~0u, dot, offset);
        if (lane == i) mine = dot;
    }
    float largest = mine;
    for (int offset = 16; offset > 0; offset /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, offset));
    float weight = lane < WINDOW * WINDOW ? __expf(mine - largest) : 0.0f, sum = weight, result = 0.0f;
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(~0u, sum, offset);
#pragma unroll
    for (int i = 0; i < WINDOW * WINDOW; ++i)
        result += __shfl_sync(~0u, weight, i) * value[((y + i / WINDOW) * width + x + i % WINDOW) * SIZE + lane];
    out[pixel * SIZE + lane] = result / sum;
}
