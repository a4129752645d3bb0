// Warp-specialised matrix product: c (m x n, float) = a (m x k) b' (b n x k), halves. A tile of 128 x 128 per block; one
// producer thread fills a ring of STAGES tiles of 64 columns by tensor copies, two warpgroups multiply 64 rows each. In a
// cluster of two blocks, one above the other, both need the same tile of b: each loads half of it for both (multicast), and a
// tile is free when the consumers of both blocks have said so.
#pragma once
#include "../hopper.cuh"

constexpr int TILE = 128, DEPTH = 64, STAGES = 4, HALVES = TILE * DEPTH;

template <int BLOCKS>  // of a cluster, 1 = none
__device__ __forceinline__ void gemm_wgmma_tile(const CUtensorMap* a, const CUtensorMap* b, float* c, int n, int k) {
    extern __shared__ __align__(1024) half tiles[];  // STAGES times a, then b
    __shared__ __align__(8) u64 full[STAGES], empty[STAGES];
    const int row = blockIdx.y * TILE, column = blockIdx.x * TILE, steps = k / DEPTH;
    const int group = threadIdx.x / 128;
    const u32 rank = BLOCKS > 1 ? cluster_rank() : 0;
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < STAGES; ++stage) {
            barrier_init(&full[stage], 1);
            barrier_init(&empty[stage], 2 * BLOCKS);
        }
        barrier_init_fence();
    }
    if (BLOCKS > 1) {
        cluster_arrive();
        cluster_wait();
    } else {
        __syncthreads();
    }
    if (group == 0) {
        registers_release<40>();
        if (threadIdx.x == 0)
            for (int step = 0; step < steps; ++step) {
                const int stage = step % STAGES;
                barrier_wait(&empty[stage], (step / STAGES & 1) ^ 1);
                half* tile = tiles + stage * 2 * HALVES;
                barrier_expect(&full[stage], 2 * HALVES * sizeof(half));
                tile_load(tile, a, &full[stage], step * DEPTH, row);
                if (BLOCKS > 1)
                    tile_load_multicast(tile + HALVES + rank * HALVES / BLOCKS, b, &full[stage], step * DEPTH,
                                        column + rank * TILE / BLOCKS, (1 << BLOCKS) - 1);
                else
                    tile_load(tile + HALVES, b, &full[stage], step * DEPTH, column);
            }
    } else {
        registers_request<232>();
        float sums[64];
        for (int step = 0; step < steps; ++step) {
            const int stage = step % STAGES;
            barrier_wait(&full[stage], step / STAGES & 1);
            const half* tile = tiles + stage * 2 * HALVES;
            const u64 left = tile_descriptor(tile + (group - 1) * 64 * DEPTH), right = tile_descriptor(tile + HALVES);
            wgmma_fence();
#pragma unroll
            for (int part = 0; part < DEPTH / 16; ++part)
                wgmma(sums, left + 2 * part, right + 2 * part, step + part > 0);
            wgmma_commit();
            wgmma_wait<1>();  // the tile before this one is free
            const int other = threadIdx.x % 128;
            if (step > 0 && other < BLOCKS) {
                if (BLOCKS > 1) barrier_arrive_remote(&empty[(step - 1) % STAGES], other);
                else barrier_arrive(&empty[(step - 1) % STAGES]);
            }
        }
        wgmma_wait<0>();
        const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
        float* out = c + (size_t)(row + (group - 1) * 64 + warp * 16 + lane / 4) * n + column + lane % 4 * 2;
#pragma unroll
        for (int j = 0; j < 16; ++j) {
            *(float2*)(out + 8 * j) = make_float2(sums[4 * j], sums[4 * j + 1]);
            *(float2*)(out + 8 * n + 8 * j) = make_float2(sums[4 * j + 2], sums[4 * j + 3]);
        }
    }
    if (BLOCKS > 1) {  // the other block may still signal here
        cluster_arrive();
        cluster_wait();
    }
}
