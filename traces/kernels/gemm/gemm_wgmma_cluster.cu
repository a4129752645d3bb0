// As gemm_wgmma, for clusters of two blocks, one above the other: both need the same tile of b, each loads half of it
// for both (multicast). A tile is free when the consumers of both blocks have said so.
#include "../hopper.cuh"

constexpr int TILE = 128, DEPTH = 64, STAGES = 4, HALVES = TILE * DEPTH;

extern "C" __global__ void __cluster_dims__(1, 2, 1) __launch_bounds__(384, 1)
gemm_wgmma_cluster(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, float* c, int n, int k) {
    extern __shared__ __align__(1024) half tiles[];  // STAGES times a, then b
    __shared__ __align__(8) u64 full[STAGES], empty[STAGES];
    const int row = blockIdx.y * TILE, column = blockIdx.x * TILE, steps = k / DEPTH;
    const int group = threadIdx.x / 128;
    const u32 rank = cluster_rank();
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < STAGES; ++stage) {
            barrier_init(&full[stage], 1);
            barrier_init(&empty[stage], 4);
        }
        barrier_init_fence();
    }
    cluster_arrive();
    cluster_wait();
    if (group == 0) {
        registers_release<40>();
        if (threadIdx.x == 0)
            for (int step = 0; step < steps; ++step) {
                const int stage = step % STAGES;
                barrier_wait(&empty[stage], (step / STAGES & 1) ^ 1);
                half* tile = tiles + stage * 2 * HALVES;
                barrier_expect(&full[stage], 2 * HALVES * sizeof(half));
                tile_load(tile, &a, &full[stage], step * DEPTH, row);
                tile_load_multicast(tile + HALVES + rank * HALVES / 2, &b, &full[stage], step * DEPTH,
                                    column + rank * TILE / 2, 3);
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
            if (step > 0 && threadIdx.x % 128 < 2) barrier_arrive_remote(&empty[(step - 1) % STAGES], threadIdx.x % 128);
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
    cluster_arrive();  // the other block may still signal here
    cluster_wait();
}
