// The k largest of each row with their places, one warp per row of COLUMNS elements held in registers: k rounds of a warp
// maximum (an order-keeping integer image of the float above, the inverted place below: ties go to the first).
#define COLUMNS 256
#define ITEMS (COLUMNS / 32)
extern "C" __global__ void top_k(const float* __restrict__ in, float* value, int* place, int rows, int k) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    unsigned long long key[ITEMS];
#pragma unroll
    for (int j = 0; j < ITEMS; ++j) {
        unsigned int bits = __float_as_uint(in[row * COLUMNS + j * 32 + lane]);
        bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
        key[j] = (unsigned long long)bits << 32 | (unsigned int)~(j * 32 + lane);
    }
    for (int round = 0; round < k; ++round) {
        unsigned long long best = 0;
#pragma unroll
        for (int j = 0; j < ITEMS; ++j) best = max(best, key[j]);
        for (int offset = 16; offset > 0; offset /= 2) best = max(best, __shfl_xor_sync(~0u, best, offset));
#pragma unroll
        for (int j = 0; j < ITEMS; ++j)
            if (key[j] == best) key[j] = 0;
        if (lane == 0) {
            unsigned int bits = (unsigned int)(best >> 32);
            value[row * k + round] = __uint_as_float(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits);
            place[row * k + round] = ~(unsigned int)best;
        }
    }
}
