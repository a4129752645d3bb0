// Warpgroup matrix instructions back to back, in groups of `rounds` committed together: throughput and latency by width.
// Factors are whatever the tiles hold, one of them per block; sums go to `out` (blocks x 128 threads x N / 2).
#include "../hopper.cuh"

template <int N, bool CHAIN, bool FROM_REGISTERS>
__device__ __forceinline__ void multiply(const half* a, const half* b, float* out, int rounds) {
    extern __shared__ __align__(1024) half tiles[];  // 64 and N rows of 64
    for (int i = threadIdx.x; i < 64 * 64; i += blockDim.x) tiles[i] = a[i];
    for (int i = threadIdx.x; i < N * 64; i += blockDim.x) tiles[64 * 64 + i] = b[i];
    proxy_fence();
    __syncthreads();
    const u64 left = tile_descriptor(tiles), right = tile_descriptor(tiles + 64 * 64);
    float sums[N / 2];
    u32 rows[4];
#pragma unroll
    for (int i = 0; i < N / 2; ++i) sums[i] = 0;
    if constexpr (FROM_REGISTERS)
        for (int i = 0; i < 4; ++i) rows[i] = ((const u32*)tiles)[threadIdx.x * 4 + i];
    wgmma_fence();
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
#pragma unroll
        for (int part = 0; part < 4; ++part)
            if constexpr (FROM_REGISTERS) wgmma(sums, rows, right + 2 * part);
            else wgmma(sums, left + 2 * part, right + 2 * part);
        if constexpr (CHAIN) {
            wgmma_commit();
            wgmma_wait<0>();
        }
    }
    wgmma_commit();
    wgmma_wait<0>();
    out += (size_t)(blockIdx.x * 128 + threadIdx.x) * (N / 2);
#pragma unroll
    for (int i = 0; i < N / 2; ++i) out[i] = sums[i];
}

#define RATE(name, n, chain, registers)                                                                       \
    extern "C" __global__ void __launch_bounds__(128) name(const half* a, const half* b, float* out, int rounds) { \
        multiply<n, chain, registers>(a, b, out, rounds);                                                     \
    }
RATE(wgmma_rate_16, 16, false, false)
RATE(wgmma_rate_64, 64, false, false)
RATE(wgmma_rate_128, 128, false, false)
RATE(wgmma_rate_256, 256, false, false)
RATE(wgmma_chain_128, 128, true, false)
RATE(wgmma_registers_128, 128, false, true)
