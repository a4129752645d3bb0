// One generation of Conway's game of life on a torus, 32 cells per word: neighbours are added bit-parallel with full adders.
__device__ __forceinline__ void add(unsigned int& ones, unsigned int& twos, unsigned int& fours, unsigned int bit) {
    unsigned int carry = ones & bit;
    ones ^= bit;
    unsigned int carry2 = twos & carry;
    twos ^= carry;
    fours |= carry2;  // four or more is all that counts
}
extern "C" __global__ void game_of_life(const unsigned int* __restrict__ in, unsigned int* __restrict__ out, int words, int height) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= words || y >= height) return;
    unsigned int ones = 0, twos = 0, fours = 0, alive = 0;
#pragma unroll
    for (int dy = -1; dy <= 1; ++dy) {
        const unsigned int* row = in + (y + dy + height) % height * words;
        unsigned int here = row[x], before = row[(x + words - 1) % words], after = row[(x + 1) % words];
        add(ones, twos, fours, __funnelshift_l(before, here, 1));
        add(ones, twos, fours, __funnelshift_r(here, after, 1));
        if (dy == 0) alive = here;
        else add(ones, twos, fours, here);
    }
    out[y * words + x] = ~fours & twos & (ones | alive);
}
