// Smith-Waterman scores with affine gaps of one query against many sequences: a warp holds 32 rows of the table in registers, one
// per lane, and walks the anti-diagonals; the row above comes by shuffle. Query of at most 32 residues.
extern "C" __global__ void smith_waterman(const unsigned char* __restrict__ query, const unsigned char* __restrict__ sequence,
                                          int* __restrict__ score, int query_length, int length, int count, int match, int mismatch,
                                          int open, int extend) {
    int warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (warp >= count) return;
    const unsigned char* target = sequence + (size_t)warp * length;
    int mine = lane < query_length ? query[lane] : -1;
    int h = 0, e = 0, f = 0, diagonal = 0, best = 0;  // h, e of the column before, f of the row above; 0: no gap to extend
    for (int step = 0; step < length + query_length - 1; ++step) {
        int above_h = __shfl_up_sync(~0u, h, 1), above_f = __shfl_up_sync(~0u, f, 1);
        if (lane == 0) above_h = above_f = 0;
        int column = step - lane;
        if (column >= 0 && column < length && lane < query_length) {
            e = max(e - extend, h - open);
            f = max(above_f - extend, above_h - open);
            h = max(max(0, diagonal + (target[column] == mine ? match : -mismatch)), max(e, f));
            best = max(best, h);
        }
        diagonal = above_h;
    }
    for (int offset = 16; offset > 0; offset /= 2) best = max(best, __shfl_xor_sync(~0u, best, offset));
    if (lane == 0) score[warp] = best;
}
