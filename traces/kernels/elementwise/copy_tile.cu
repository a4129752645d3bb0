// Scale a matrix tile by tile: tensor copy into shared memory, multiply, tensor copy back. Tiles may hang over the edge.
#include "../hopper.cuh"

constexpr int ROWS = 32, COLUMNS = 64;

extern "C" __global__ void copy_tile(const __grid_constant__ CUtensorMap to, const __grid_constant__ CUtensorMap from,
                                     float factor) {
    __shared__ __align__(128) float tile[ROWS * COLUMNS];
    __shared__ __align__(8) u64 full;
    const int x = blockIdx.x * COLUMNS, y = blockIdx.y * ROWS;
    if (threadIdx.x == 0) {
        barrier_init(&full, 1);
        proxy_fence();
        barrier_expect(&full, sizeof(tile));
        tile_load(tile, &from, &full, x, y);
    }
    __syncthreads();
    barrier_wait(&full, 0);
    for (int i = threadIdx.x; i < ROWS * COLUMNS; i += blockDim.x) tile[i] *= factor;
    proxy_fence();
    __syncthreads();
    if (threadIdx.x == 0) {
        tile_store(&to, tile, x, y);
        store_commit();
        store_wait();
    }
}
