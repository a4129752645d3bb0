// Copy through shared memory by bulk copies: each block moves CHUNK bytes at a time, STAGES of them under way.
#include "../hopper.cuh"

constexpr int CHUNK = 4096, STAGES = 4;

extern "C" __global__ void copy_bulk(char* to, const char* from, int chunks) {
    __shared__ __align__(128) char buffer[STAGES][CHUNK];
    __shared__ __align__(8) u64 full[STAGES];
    if (threadIdx.x != 0) return;
    for (int stage = 0; stage < STAGES; ++stage) barrier_init(&full[stage], 1);
    proxy_fence();
    const int mine = (chunks - (int)blockIdx.x + (int)gridDim.x - 1) / (int)gridDim.x;
    for (int at = 0; at < mine + STAGES - 1; ++at) {
        if (at < mine) {  // request chunk `at`
            const int stage = at % STAGES;
            if (at >= STAGES) store_wait();  // what the buffer held has been read
            barrier_expect(&full[stage], CHUNK);
            bulk_load(buffer[stage], from + ((size_t)at * gridDim.x + blockIdx.x) * CHUNK, CHUNK, &full[stage]);
        }
        const int done = at - (STAGES - 1);
        if (done < 0 || done >= mine) continue;
        barrier_wait(&full[done % STAGES], done / STAGES & 1);
        bulk_store(to + ((size_t)done * gridDim.x + blockIdx.x) * CHUNK, buffer[done % STAGES], CHUNK);
        store_commit();
    }
    store_wait();
}
