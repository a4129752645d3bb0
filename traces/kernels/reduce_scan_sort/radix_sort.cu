// Each block sorts its tile of keys, least significant digit first: 4 bits per pass. A key's place is the number of keys
// with a smaller digit plus its rank among equal digits; ranks within a warp come from __match_any_sync.
#define DIGITS 16
#define MAX_WARPS 8
extern "C" __global__ void radix_sort(unsigned int* keys) {
    extern __shared__ unsigned int tile[];
    __shared__ unsigned int count[MAX_WARPS][DIGITS];
    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32, warps = blockDim.x / 32;
    unsigned int key = keys[blockIdx.x * blockDim.x + thread];
    for (int shift = 0; shift < 32; shift += 4) {
        unsigned int digit = key >> shift & (DIGITS - 1);
        for (int i = thread; i < MAX_WARPS * DIGITS; i += blockDim.x) (&count[0][0])[i] = 0;
        __syncthreads();
        unsigned int peers = __match_any_sync(~0u, digit);
        unsigned int rank = __popc(peers & ((1u << lane) - 1));
        if (rank == 0) count[warp][digit] = __popc(peers);
        __syncthreads();
        if (thread < DIGITS) {  // exclusive prefix over digits, then over warps
            unsigned int total = 0;
            for (int w = 0; w < warps; ++w) {
                unsigned int c = count[w][thread];
                count[w][thread] = total;
                total += c;
            }
            unsigned int start = total;
            for (int offset = 1; offset < DIGITS; offset *= 2) {
                unsigned int other = __shfl_up_sync(0xffffu, start, offset);
                if (thread >= offset) start += other;
            }
            start -= total;
            for (int w = 0; w < warps; ++w) count[w][thread] += start;
        }
        __syncthreads();
        tile[count[warp][digit] + rank] = key;
        __syncthreads();
        key = tile[thread];
    }
    keys[blockIdx.x * blockDim.x + thread] = key;
}
