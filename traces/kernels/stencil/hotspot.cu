// Processor temperature (the equation of Rodinia's hotspot): a tile with a halo of STEPS cells advances STEPS time steps in
// shared memory before it is written; cells beyond the border repeat the edge.
#define TILE 16
#define STEPS 2
#define INNER (TILE - 2 * STEPS)
extern "C" __global__ void __launch_bounds__(TILE * TILE) hotspot(const float* __restrict__ temperature, const float* __restrict__ power,
                                                                  float* __restrict__ out, int width, int height, float cx, float cy,
                                                                  float cz, float ambient, float step) {
    __shared__ float now[TILE][TILE];
    int tx = threadIdx.x, ty = threadIdx.y;
    int x = blockIdx.x * INNER + tx - STEPS, y = blockIdx.y * INNER + ty - STEPS;
    bool inside = x >= 0 && x < width && y >= 0 && y < height;
    float heat = 0.0f;
    if (inside) {
        now[ty][tx] = temperature[y * width + x];
        heat = power[y * width + x];
    }
    int west = x > 0 ? tx - 1 : tx, east = x < width - 1 ? tx + 1 : tx;
    int north = y > 0 ? ty - 1 : ty, south = y < height - 1 ? ty + 1 : ty;
    for (int k = 1; k <= STEPS; ++k) {
        __syncthreads();
        bool valid = inside && tx >= k && tx < TILE - k && ty >= k && ty < TILE - k;
        float next = 0.0f;
        if (valid) {
            float t = now[ty][tx];
            next = t + step * (heat + (now[south][tx] + now[north][tx] - 2.0f * t) * cy +
                               (now[ty][east] + now[ty][west] - 2.0f * t) * cx + (ambient - t) * cz);
        }
        __syncthreads();
        if (valid) now[ty][tx] = next;
    }
    if (inside && tx >= STEPS && tx < TILE - STEPS && ty >= STEPS && ty < TILE - STEPS) out[y * width + x] = now[ty][tx];
}
