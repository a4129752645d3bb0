// Flash attention forward for Hopper: a producer thread copies tiles of keys and values into rings of two by tensor
// copies; two warpgroups hold 64 query rows each, scores and output in registers, probabilities as register factors.
// Rows of 128 queries per block, 128 keys per step; heads of 64 or 128; tensors (heads, sequence, DEPTH) of halves.
#include "../hopper.cuh"

constexpr int ROWS = 128, STAGES = 2, TILE = ROWS * 64;  // a tile is 128 rows of 64 halves; heads of 128 have two

template <int DEPTH>
__device__ __forceinline__ void load_rows(half* to, const CUtensorMap* map, u64* barrier, int row, int head) {
    barrier_expect(barrier, ROWS * DEPTH * sizeof(half));
    for (int part = 0; part < DEPTH / 64; ++part) tile_load(to + part * TILE, map, barrier, part * 64, row, head);
}

template <int DEPTH>
__device__ __forceinline__ void attend(const CUtensorMap* query, const CUtensorMap* key, const CUtensorMap* value, half* out,
                                       int sequence, float scale, int causal) {
    extern __shared__ __align__(1024) half tiles[];  // queries, STAGES times keys, STAGES times values
    __shared__ __align__(8) u64 ready, full_keys[STAGES], full_values[STAGES], empty_keys[STAGES], empty_values[STAGES];
    constexpr int HALVES = ROWS * DEPTH;
    half *keys = tiles + HALVES, *values = keys + STAGES * HALVES;
    const int head = blockIdx.y, row = blockIdx.x * ROWS, group = threadIdx.x / 128;
    const int steps = causal ? blockIdx.x + 1 : sequence / ROWS;
    if (threadIdx.x == 0) {
        barrier_init(&ready, 1);
        for (int stage = 0; stage < STAGES; ++stage) {
            barrier_init(&full_keys[stage], 1);
            barrier_init(&full_values[stage], 1);
            barrier_init(&empty_keys[stage], 2);
            barrier_init(&empty_values[stage], 2);
        }
        barrier_init_fence();
    }
    __syncthreads();
    if (group == 0) {
        registers_release<24>();
        if (threadIdx.x == 0) {
            load_rows<DEPTH>(tiles, query, &ready, row, head);
            for (int step = 0; step < steps; ++step) {
                const int stage = step % STAGES, phase = (step / STAGES & 1) ^ 1;
                barrier_wait(&empty_keys[stage], phase);
                load_rows<DEPTH>(keys + stage * HALVES, key, &full_keys[stage], step * ROWS, head);
                barrier_wait(&empty_values[stage], phase);
                load_rows<DEPTH>(values + stage * HALVES, value, &full_values[stage], step * ROWS, head);
            }
        }
        return;
    }
    registers_request<240>();
    const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    const int own = row + (group - 1) * 64 + warp * 16 + lane / 4;  // and own + 8
    const u64 left = tile_descriptor(tiles + (group - 1) * 64 * 64);
    float scores[64], sums[DEPTH / 2];
    const float never = -__int_as_float(0x7f800000);
    float top[2] = {never, never}, total[2] = {0, 0};
    const float slope = scale * 1.4426950408889634f;  // exponentials of base 2
    barrier_wait(&ready, 0);
    for (int step = 0; step < steps; ++step) {
        const int stage = step % STAGES, phase = step / STAGES & 1;
        barrier_wait(&full_keys[stage], phase);
        const u64 right = tile_descriptor(keys + stage * HALVES);
        wgmma_fence();
#pragma unroll
        for (int part = 0; part < DEPTH / 16; ++part) {
            const int at = part % 4 * 2 + part / 4 * (TILE * 2 >> 4);  // 32 bytes along the rows, or the next tile
            wgmma(scores, left + at, right + at, part > 0);
        }
        wgmma_commit();
        wgmma_wait<0>();
        if (threadIdx.x % 128 == 0) barrier_arrive(&empty_keys[stage]);
        if (causal && step == steps - 1)
#pragma unroll
            for (int i = 0; i < 64; ++i)
                if (step * ROWS + i / 4 * 8 + lane % 4 * 2 + i % 2 > own + i / 2 % 2 * 8) scores[i] = never;
        float factor[2];
#pragma unroll
        for (int half_row = 0; half_row < 2; ++half_row) {
            float best = top[half_row];
#pragma unroll
            for (int i = 0; i < 64; ++i)
                if (i / 2 % 2 == half_row) best = fmaxf(best, scores[i]);
            best = fmaxf(best, __shfl_xor_sync(0xffffffff, best, 1));
            best = fmaxf(best, __shfl_xor_sync(0xffffffff, best, 2));
            factor[half_row] = exp2f((top[half_row] - best) * slope);
            top[half_row] = best;
            total[half_row] *= factor[half_row];
#pragma unroll
            for (int i = 0; i < 64; ++i)
                if (i / 2 % 2 == half_row) {
                    scores[i] = exp2f((scores[i] - best) * slope);
                    total[half_row] += scores[i];
                }
        }
        u32 weights[8][4];
#pragma unroll
        for (int i = 0; i < 32; ++i) {
            const half2 pair = __floats2half2_rn(scores[2 * i], scores[2 * i + 1]);
            weights[i / 4][i % 4] = *(const u32*)&pair;
        }
        if (step > 0)
#pragma unroll
            for (int i = 0; i < DEPTH / 2; ++i) sums[i] *= factor[i / 2 % 2];
        barrier_wait(&full_values[stage], phase);
        const u64 rows = tile_descriptor(values + stage * HALVES, TILE * sizeof(half));
        wgmma_fence();
#pragma unroll
        for (int part = 0; part < 8; ++part) wgmma<1>(sums, weights[part], rows + part * (16 * 128 >> 4), step + part > 0);
        wgmma_commit();
        wgmma_wait<0>();
        if (threadIdx.x % 128 == 0) barrier_arrive(&empty_values[stage]);
    }
#pragma unroll
    for (int half_row = 0; half_row < 2; ++half_row) {
        float whole = total[half_row];
        whole += __shfl_xor_sync(0xffffffff, whole, 1);
        whole += __shfl_xor_sync(0xffffffff, whole, 2);
        half* to = out + ((size_t)head * sequence + own + 8 * half_row) * DEPTH + lane % 4 * 2;
#pragma unroll
        for (int j = 0; j < DEPTH / 8; ++j) {
            const int i = 4 * j + 2 * half_row;
            *(half2*)(to + 8 * j) = __floats2half2_rn(sums[i] / whole, sums[i + 1] / whole);
        }
    }
}

#define ATTENTION(name, depth)                                                                                       \
    extern "C" __global__ void __launch_bounds__(384, 1)                                                             \
    name(const __grid_constant__ CUtensorMap query, const __grid_constant__ CUtensorMap key,                         \
         const __grid_constant__ CUtensorMap value, half* out, int sequence, float scale, int causal) {              \
        attend<depth>(&query, &key, &value, out, sequence, scale, causal);                                           \
    }
ATTENTION(flash_attention_wgmma_64, 64)
ATTENTION(flash_attention_wgmma_128, 128)
