// ChaCha20 key stream (RFC 8439) added to the input: one 64-byte block per thread, all state in registers.
__device__ __forceinline__ void quarter(unsigned int& a, unsigned int& b, unsigned int& c, unsigned int& d) {
    a += b; d ^= a; d = __funnelshift_l(d, d, 16);
    c += d; b ^= c; b = __funnelshift_l(b, b, 12);
    a += b; d ^= a; d = __funnelshift_l(d, d, 8);
    c += d; b ^= c; b = __funnelshift_l(b, b, 7);
}
extern "C" __global__ void chacha20(const uint4* __restrict__ in, uint4* __restrict__ out, const unsigned int* __restrict__ key,
                                    const unsigned int* __restrict__ nonce, int blocks) {
    int block = blockIdx.x * blockDim.x + threadIdx.x;
    if (block >= blocks) return;
    unsigned int first[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}, x[16];
#pragma unroll
    for (int i = 0; i < 8; ++i) first[4 + i] = key[i];
    first[12] = block + 1;
#pragma unroll
    for (int i = 0; i < 3; ++i) first[13 + i] = nonce[i];
#pragma unroll
    for (int i = 0; i < 16; ++i) x[i] = first[i];
#pragma unroll 1
    for (int round = 0; round < 10; ++round) {
#pragma unroll
        for (int i = 0; i < 4; ++i) quarter(x[i], x[4 + i], x[8 + i], x[12 + i]);
#pragma unroll
        for (int i = 0; i < 4; ++i) quarter(x[i], x[4 + (i + 1) % 4], x[8 + (i + 2) % 4], x[12 + (i + 3) % 4]);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        uint4 plain = in[block * 4 + i];
        out[block * 4 + i] = make_uint4(plain.x ^ (x[4 * i] + first[4 * i]), plain.y ^ (x[4 * i + 1] + first[4 * i + 1]),
                                        plain.z ^ (x[4 * i + 2] + first[4 * i + 2]), plain.w ^ (x[4 * i + 3] + first[4 * i + 3]));
    }
}
