// Needleman-Wunsch as in Rodinia: one anti-diagonal of tiles of the score table, each block fills its TILE x TILE tile in shared
// memory along the tile's own anti-diagonals. The table has a border row and column; launch `diagonal` + 1 blocks (upper half).
#define TILE 16
extern "C" __global__ void __launch_bounds__(TILE) needleman_wunsch(const int* __restrict__ similarity, int* table, int columns,
                                                                    int penalty, int diagonal) {
    __shared__ int score[TILE + 1][TILE + 1], matching[TILE][TILE];
    int thread = threadIdx.x, tile_x = blockIdx.x, tile_y = diagonal - blockIdx.x;
    int* corner = table + (size_t)tile_y * TILE * columns + tile_x * TILE;
    const int* own = similarity + (size_t)(tile_y * TILE + 1) * columns + tile_x * TILE + 1;
    for (int y = 0; y < TILE; ++y) matching[y][thread] = own[(size_t)y * columns + thread];
    if (thread == 0) score[0][0] = corner[0];
    score[0][thread + 1] = corner[thread + 1];
    score[thread + 1][0] = corner[(size_t)(thread + 1) * columns];
    __syncthreads();
    for (int d = 0; d < 2 * TILE - 1; ++d) {
        int x = thread + 1, y = d - thread + 1;
        if (y >= 1 && y <= TILE)
            score[y][x] = max(score[y - 1][x - 1] + matching[y - 1][x - 1], max(score[y][x - 1], score[y - 1][x]) - penalty);
        __syncthreads();
    }
    for (int y = 1; y <= TILE; ++y) corner[(size_t)y * columns + thread + 1] = score[y][thread + 1];
}
