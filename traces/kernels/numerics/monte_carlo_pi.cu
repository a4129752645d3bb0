// Counts random points within the quarter circle: two points per Philox call, exact integer test, one atomic per warp.
#include "philox.cuh"
extern "C" __global__ void monte_carlo_pi(unsigned long long* hits, int rounds, unsigned int seed) {
    unsigned int thread = blockIdx.x * blockDim.x + threadIdx.x;
    int inside = 0;
    for (int i = 0; i < rounds; ++i) {
        uint4 r = philox(make_uint4(i, thread, 0, 0), seed, 0);
        unsigned long long x = r.x >> 1, y = r.y >> 1, z = r.z >> 1, w = r.w >> 1;  // 31 bits: squares add up within 64
        inside += x * x + y * y < 1ull << 62;
        inside += z * z + w * w < 1ull << 62;
    }
    for (int offset = 16; offset > 0; offset /= 2) inside += __shfl_xor_sync(~0u, inside, offset);
    if (threadIdx.x % 32 == 0) atomicAdd(hits, (unsigned long long)inside);
}
