// AES-128 in counter mode (FIPS 197): one block of 16 bytes per thread. The table of S-box times MixColumns column lies in shared
// memory (byte-indexed: bank conflicts by the data), its other three columns are rotations of it.
extern "C" __global__ void aes128(const uint4* __restrict__ in, uint4* __restrict__ out, const unsigned int* __restrict__ table,
                                  const unsigned char* __restrict__ sbox, const unsigned int* __restrict__ round_key, int blocks) {
    __shared__ unsigned int t[256];
    __shared__ unsigned char s[256];
    for (int i = threadIdx.x; i < 256; i += blockDim.x) {
        t[i] = table[i];
        s[i] = sbox[i];
    }
    __syncthreads();
    int block = blockIdx.x * blockDim.x + threadIdx.x;
    if (block >= blocks) return;
    unsigned int x[4] = {round_key[0], round_key[1], round_key[2], round_key[3] ^ __byte_perm(block, 0, 0x0123)}, y[4];
    for (int round = 1; round < 10; ++round) {
#pragma unroll
        for (int c = 0; c < 4; ++c) {
            unsigned int b1 = t[x[(c + 1) % 4] >> 8 & 255], b2 = t[x[(c + 2) % 4] >> 16 & 255], b3 = t[x[(c + 3) % 4] >> 24];
            y[c] = t[x[c] & 255] ^ __funnelshift_l(b1, b1, 8) ^ __funnelshift_l(b2, b2, 16) ^ __funnelshift_l(b3, b3, 24) ^
                   round_key[4 * round + c];
        }
#pragma unroll
        for (int c = 0; c < 4; ++c) x[c] = y[c];
    }
#pragma unroll
    for (int c = 0; c < 4; ++c)
        y[c] = round_key[40 + c] ^ (s[x[c] & 255] | s[x[(c + 1) % 4] >> 8 & 255] << 8 | s[x[(c + 2) % 4] >> 16 & 255] << 16 |
                                    (unsigned int)s[x[(c + 3) % 4] >> 24] << 24);
    uint4 plain = in[block];
    out[block] = make_uint4(plain.x ^ y[0], plain.y ^ y[1], plain.z ^ y[2], plain.w ^ y[3]);
}
