// Keeps the positive elements: ballot within a warp, one atomic per warp for the place of its survivors.
extern "C" __global__ void stream_compaction(const int* __restrict__ in, int* out, unsigned int* count, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
    int value = i < n ? in[i] : 0;
    unsigned int keep = __ballot_sync(~0u, value > 0);
    unsigned int start = 0;
    if (lane == 0 && keep) start = atomicAdd(count, __popc(keep));
    start = __shfl_sync(~0u, start, 0);
    if (value > 0) out[start + __popc(keep & ((1u << lane) - 1))] = value;
}
