// Multi-resolution hash encoding (Müller et al., "Instant Neural Graphics Primitives", 2022): features of a point in the unit cube
// are trilinear mixtures of eight entries of a hash table at each of LEVELS resolutions; one (point, level) per thread.
#include <cuda_fp16.h>
#define LEVELS 8
extern "C" __global__ void hash_grid_encoding(const float* __restrict__ position, const __half2* __restrict__ table,
                                              __half2* __restrict__ feature, int points, int entries, float growth) {
    int point = blockIdx.x * blockDim.x + threadIdx.x, level = blockIdx.y;
    if (point >= points) return;
    float scale = exp2f(level * growth) * 16.0f - 1.0f;
    float fraction[3];
    unsigned int cell[3];
#pragma unroll
    for (int d = 0; d < 3; ++d) {
        float x = fmaf(scale, position[d * points + point], 0.5f), low = floorf(x);
        cell[d] = (unsigned int)low;
        fraction[d] = x - low;
    }
    float2 sum = make_float2(0, 0);
#pragma unroll
    for (int corner = 0; corner < 8; ++corner) {
        unsigned int hash = 0, prime[3] = {1u, 2654435761u, 805459861u};
        float weight = 1.0f;
#pragma unroll
        for (int d = 0; d < 3; ++d) {
            unsigned int up = corner >> d & 1;
            hash ^= (cell[d] + up) * prime[d];
            weight *= up ? fraction[d] : 1.0f - fraction[d];
        }
        float2 value = __half22float2(table[(size_t)level * entries + (hash & (entries - 1))]);
        sum.x += weight * value.x;
        sum.y += weight * value.y;
    }
    feature[point * LEVELS + level] = __float22half2_rn(sum);
}
