// A chain of byte offsets through WORDS words of constant memory.
__constant__ int table[WORDS];

extern "C" __global__ void constants(int* out, int steps) {
    int at = 0;
#pragma unroll 16
    for (int k = 0; k < steps; ++k) at = *(const int*)((const char*)table + at);
    out[threadIdx.x] = at;
}
