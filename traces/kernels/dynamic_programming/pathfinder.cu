// Cheapest paths through a grid row by row (as Rodinia's pathfinder): a block keeps a segment of the row with a halo of one cell per
// row and advances `rows` rows in shared memory.
extern "C" __global__ void pathfinder(const int* __restrict__ wall, const int* __restrict__ source, int* __restrict__ result,
                                      int columns, int rows) {
    extern __shared__ int row[];
    int inner = blockDim.x - 2 * rows, x = blockIdx.x * inner + threadIdx.x - rows, thread = threadIdx.x;
    bool inside = x >= 0 && x < columns;
    int west = x > 0 ? thread - 1 : thread, east = x < columns - 1 ? thread + 1 : thread;
    row[thread] = inside ? source[x] : 0;
    for (int i = 0; i < rows; ++i) {
        __syncthreads();
        bool valid = inside && thread > i && thread < blockDim.x - 1 - i;
        int best = 0;
        if (valid) best = min(row[thread], min(row[west], row[east])) + wall[(size_t)i * columns + x];
        __syncthreads();
        if (valid) row[thread] = best;
    }
    if (inside && thread >= rows && thread < blockDim.x - rows) result[x] = row[thread];
}
