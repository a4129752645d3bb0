// CRC-32 (polynomial 0xEDB88320) of equal records, one per thread: four bytes per step with four tables of 256 words, which each
// block computes in shared memory.
extern "C" __global__ void crc32(const unsigned int* __restrict__ words, unsigned int* __restrict__ crc, int records, int length) {
    __shared__ unsigned int table[4][256];
    for (int i = threadIdx.x; i < 256; i += blockDim.x) {
        unsigned int c = i;
        for (int bit = 0; bit < 8; ++bit) c = c & 1 ? c >> 1 ^ 0xEDB88320u : c >> 1;
        table[0][i] = c;
    }
    for (int k = 1; k < 4; ++k) {
        __syncthreads();
        for (int i = threadIdx.x; i < 256; i += blockDim.x) table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
    }
    __syncthreads();
    int record = blockIdx.x * blockDim.x + threadIdx.x;
    if (record >= records) return;
    unsigned int c = ~0u;
    for (int i = 0; i < length; ++i) {
        c ^= words[i * records + record];  // word i of all records lie together
        c = table[3][c & 255] ^ table[2][c >> 8 & 255] ^ table[1][c >> 16 & 255] ^ table[0][c >> 24];
    }
    crc[record] = ~c;
}
