// One thread follows a chain of pointers: the latency of the memory hierarchy by working set.
//
// A node is two words: the address of the next node, and of the one 32 further on. Before the measured part a whole warp
// goes round the chain, lane i from the i-th node on, so that the caches hold what a long chase would leave in them.
// Lane 0 ends where the measured part goes on.
extern "C" __global__ void chase(const long long* chain, const long long* start, long long* out, int warm, int steps) {
    const long long* p = (const long long*)start[threadIdx.x];
#pragma unroll 1
    for (int k = 0; k < warm; ++k) p = (const long long*)p[1];
    if (threadIdx.x) return;
#pragma unroll 1
    for (int k = 0; k < steps; k += 32) {
#pragma unroll
        for (int u = 0; u < 32; ++u) p = (const long long*)*p;
    }
    out[0] = (long long)p;
}
