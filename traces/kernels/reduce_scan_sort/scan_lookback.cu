// Inclusive prefix sum of n integers in one pass: every block adds its tile, publishes the sum and looks back at the
// blocks before it until one knows its whole prefix (Merrill and Garland, "Single-pass Parallel Prefix Scan with
// Decoupled Look-back", 2016). Blocks take tiles in the order in which they start, so a block that waits is never first.
#define ITEMS 4
#define EMPTY 0ull
#define PARTIAL 1ull
#define PREFIX 2ull
__device__ int warp_scan(int value, int lane) {
#pragma unroll
    for (int offset = 1; offset < 32; offset *= 2) {
        int other = __shfl_up_sync(~0u, value, offset);
        if (lane >= offset) value += other;
    }
    return value;
}
extern "C" __global__ void scan_lookback(const int4* __restrict__ in, int4* __restrict__ out,
                                         volatile unsigned long long* status, unsigned int* ticket, int vectors) {
    __shared__ int warp_sums[32];
    __shared__ int shared_tile, shared_prefix;
    if (threadIdx.x == 0) shared_tile = atomicAdd(ticket, 1u);
    __syncthreads();
    int tile = shared_tile, lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    int at = tile * blockDim.x + threadIdx.x;
    int4 v = at < vectors ? in[at] : make_int4(0, 0, 0, 0);
    v.y += v.x;
    v.z += v.y;
    v.w += v.z;
    int inclusive = warp_scan(v.w, lane);
    if (lane == 31) warp_sums[warp] = inclusive;
    __syncthreads();
    if (warp == 0) {
        int sums = warp_scan(lane < warps ? warp_sums[lane] : 0, lane);
        warp_sums[lane] = sums;
        int aggregate = __shfl_sync(~0u, sums, warps - 1);
        if (lane == 0) {
            status[tile] = (tile == 0 ? PREFIX : PARTIAL) << 32 | (unsigned int)aggregate;
            int prefix = 0;
            for (int before = tile - 1; before >= 0; --before) {
                unsigned long long word;
                do word = status[before];
                while (word >> 32 == EMPTY);
                prefix += (int)word;
                if (word >> 32 == PREFIX) break;
            }
            if (tile > 0) status[tile] = PREFIX << 32 | (unsigned int)(prefix + aggregate);
            shared_prefix = prefix;
        }
    }
    __syncthreads();
    int base = shared_prefix + (warp > 0 ? warp_sums[warp - 1] : 0) + inclusive - v.w;
    if (at < vectors) out[at] = make_int4(base + v.x, base + v.y, base + v.z, base + v.w);
}
