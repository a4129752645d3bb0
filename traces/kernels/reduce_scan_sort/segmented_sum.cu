// Sums of runs of equal, ascending keys: segmented warp scan over (key, value), one atomic per run and warp.
extern "C" __global__ void segmented_sum(const int* __restrict__ key, const float* __restrict__ value, float* sum, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
    int mine = i < n ? key[i] : -1;
    float total = i < n ? value[i] : 0.0f;
    for (int offset = 1; offset < 32; offset *= 2) {
        int other_key = __shfl_up_sync(~0u, mine, offset);
        float other = __shfl_up_sync(~0u, total, offset);
        if (lane >= offset && other_key == mine) total += other;
    }
    int next = __shfl_down_sync(~0u, mine, 1);
    if (mine >= 0 && (lane == 31 || next != mine)) atomicAdd(&sum[mine], total);
}
