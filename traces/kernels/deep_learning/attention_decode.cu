// Attention of one new token per sequence to its cache of keys and values (paged: pages of 16 tokens in any order): one block per
// sequence and head, scores in shared memory, one warp per key. Heads of 64 halves.
#include <cuda_fp16.h>
#define SIZE 64
#define PAGE 16
#define WARPS 4
extern "C" __global__ void __launch_bounds__(32 * WARPS) attention_decode(const __half2* __restrict__ query,
                                                                          const __half2* __restrict__ key,
                                                                          const __half2* __restrict__ value,
                                                                          const int* __restrict__ page, float* __restrict__ out,
                                                                          int heads, int tokens, float scale) {
    extern __shared__ float score[];
    __shared__ float scratch[WARPS], mixed[WARPS][SIZE];
    int head = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int* pages = page + blockIdx.y * (tokens / PAGE);
    float2 q = __half22float2(query[(blockIdx.y * heads + head) * (SIZE / 2) + lane]);
    float largest = -1e30f;
    for (int i = warp; i < tokens; i += WARPS) {
        size_t at = (((size_t)pages[i / PAGE] * PAGE + i % PAGE) * heads + head) * (SIZE / 2) + lane;
        float2 k = __half22float2(key[at]);
        float dot = q.x * k.x + q.y * k.y;
        for (int offset = 16; offset > 0; offset /= 2) dot += __shfl_xor_sync(~0u, dot, offset);
        if (lane == 0) score[i] = dot * scale;
        largest = fmaxf(largest, dot * scale);
    }
    if (lane == 0) scratch[warp] = largest;
    __syncthreads();
    for (int w = 0; w < WARPS; ++w) largest = fmaxf(largest, scratch[w]);
    float sum = 0.0f;
    float2 mine = make_float2(0, 0);
    for (int i = warp; i < tokens; i += WARPS) {
        size_t at = (((size_t)pages[i / PAGE] * PAGE + i % PAGE) * heads + head) * (SIZE / 2) + lane;
        float weight = __expf(score[i] - largest);
        float2 v = __half22float2(value[at]);
        sum += weight;
        mine.x += weight * v.x;
        mine.y += weight * v.y;
    }
    __syncthreads();
    if (lane == 0) scratch[warp] = sum;
    mixed[warp][2 * lane] = mine.x;
    mixed[warp][2 * lane + 1] = mine.y;
    __syncthreads();
    if (threadIdx.x < SIZE) {
        float total = 0.0f, result = 0.0f;
        for (int w = 0; w < WARPS; ++w) {
            total += scratch[w];
            result += mixed[w][threadIdx.x];
        }
        out[((size_t)blockIdx.y * heads + head) * SIZE + threadIdx.x] = result / total;
    }
}
