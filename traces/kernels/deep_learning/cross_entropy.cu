// Loss and gradient of softmax cross-entropy, one block per row of logits: gradient = softmax - one-hot of the label.
#define WARPS 4
__device__ float block_reduce(float value, bool maximum, float* scratch) {
    for (int offset = 16; offset > 0; offset /= 2) {
        float other = __shfl_xor_sync(~0u, value, offset);
        value = maximum ? fmaxf(value, other) : value + other;
    }
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
    __syncthreads();
    value = scratch[0];
    for (int w = 1; w < WARPS; ++w) value = maximum ? fmaxf(value, scratch[w]) : value + scratch[w];
    return value;
}
extern "C" __global__ void __launch_bounds__(32 * WARPS) cross_entropy(const float* __restrict__ logits, const int* __restrict__ label,
                                                                       float* __restrict__ loss, float* __restrict__ gradient,
                                                                       int classes) {
    __shared__ float scratch[WARPS];
    const float* from = logits + (size_t)blockIdx.x * classes;
    float largest = -1e30f, sum = 0.0f;
    for (int i = threadIdx.x; i < classes; i += 32 * WARPS) largest = fmaxf(largest, from[i]);
    largest = block_reduce(largest, true, scratch);
    for (int i = threadIdx.x; i < classes; i += 32 * WARPS) sum += expf(from[i] - largest);
    sum = block_reduce(sum, false, scratch);
    int right = label[blockIdx.x];
    for (int i = threadIdx.x; i < classes; i += 32 * WARPS)
        gradient[(size_t)blockIdx.x * classes + i] = expf(from[i] - largest) / sum - (i == right);
    if (threadIdx.x == 0) loss[blockIdx.x] = logf(sum) + largest - from[right];
}
