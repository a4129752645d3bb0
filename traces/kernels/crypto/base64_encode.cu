// Base64 (RFC 4648): 12 bytes to 16 characters per thread; the alphabet by arithmetic instead of a table.
__device__ unsigned int character(unsigned int v) {
    if (v < 26) return v + 'A';
    if (v < 52) return v - 26 + 'a';
    if (v < 62) return v - 52 + '0';
    return v == 62 ? '+' : '/';
}
extern "C" __global__ void base64_encode(const unsigned int* __restrict__ in, uint4* __restrict__ out, int groups) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= groups) return;
    unsigned int w[3] = {in[3 * i], in[3 * i + 1], in[3 * i + 2]}, packed[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        int byte = 3 * k;  // three bytes, the first one highest
        unsigned int low = w[byte / 4], high = byte / 4 < 2 ? w[byte / 4 + 1] : 0;
        unsigned int three = __byte_perm(__funnelshift_r(low, high, byte % 4 * 8), 0, 0x4012);
        packed[k] = character(three >> 18) | character(three >> 12 & 63) << 8 | character(three >> 6 & 63) << 16 |
                    character(three & 63) << 24;
    }
    out[i] = make_uint4(packed[0], packed[1], packed[2], packed[3]);
}
