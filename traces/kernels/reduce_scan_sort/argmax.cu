// Place and value of the largest of n floats: one 64-bit key per thread, blocks meet in an atomic maximum.
__device__ unsigned long long larger(unsigned long long a, unsigned long long b) { return a > b ? a : b; }
extern "C" __global__ void argmax(const float* __restrict__ in, unsigned long long* best, int n) {
    __shared__ unsigned long long warp_best[32];
    unsigned long long key = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        unsigned int bits = __float_as_uint(in[i]);
        bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;  // keeps the order of floats
        key = larger(key, (unsigned long long)bits << 32 | (unsigned int)~i);  // of equal ones the first
    }
    for (int offset = 16; offset > 0; offset /= 2) key = larger(key, __shfl_down_sync(~0u, key, offset));
    if (threadIdx.x % 32 == 0) warp_best[threadIdx.x / 32] = key;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int w = 1; w < blockDim.x / 32; ++w) key = larger(key, warp_best[w]);
        atomicMax(best, key);
    }
}
