// C = A B on tensor cores with A unstructured sparse, stored as a bitmap: every 8 x 8 tile of A is a 64-bit mask of its non-zero
// elements and its first value's index; a lane finds its two elements by counting the bits before them, so that A moves
// compressed and is made dense in registers only (as SpInfer does, EuroSys 2025). B is half, k running fastest. A warp makes
// 16 x 32 of C. m a multiple of 16, n of 128, k of 16.
#include "../tensor_core.cuh"
__device__ __forceinline__ unsigned int pair(unsigned long long mask, const __half* values, int bit) {
    int before = __popcll(mask & ((1ull << bit) - 1));
    bool first = mask >> bit & 1, second = mask >> bit & 2;
    __half zero = __ushort_as_half(0);
    __half2 both = __halves2half2(first ? values[before] : zero, second ? values[before + first] : zero);
    return *(unsigned int*)&both;
}
extern "C" __global__ void __launch_bounds__(128) spmm_bitmap_mma(const unsigned long long* __restrict__ mask,
                                                                  const int* __restrict__ start, const __half* __restrict__ value,
                                                                  const unsigned int* __restrict__ b, float* __restrict__ c, int n,
                                                                  int k) {
    int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, tiles = k / 8, words = k / 2;
    int row = blockIdx.y * 16 + g, column = blockIdx.x * 128 + threadIdx.x / 32 * 32, bit = g * 8 + 2 * t;
    float sum[4][4] = {};
    for (int tile = 0; tile < tiles; tile += 2) {
        unsigned int a[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {  // upper left, lower left, upper right, lower right
            int at = (blockIdx.y * 2 + i % 2) * tiles + tile + i / 2;
            a[i] = pair(mask[at], value + start[at], bit);
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const unsigned int* other = b + (size_t)(column + 8 * j + g) * words + tile * 4 + t;
            mma(sum[j], a, other[0], other[4]);
        }
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        float* to = &c[(size_t)row * n + column + 8 * j + 2 * t];
        *(float2*)to = make_float2(sum[j][0], sum[j][1]);
        *(float2*)(to + 8 * (size_t)n) = make_float2(sum[j][2], sum[j][3]);
    }
}
