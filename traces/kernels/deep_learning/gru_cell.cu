// A whole GRU step for one sequence per block: three matrix-vector products with the hidden state in shared memory, then the gates.
// Weights are [gate][input][output]; one thread per hidden unit, SIZE of them.
#define SIZE 64
__device__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
extern "C" __global__ void __launch_bounds__(SIZE) gru_cell(const float* __restrict__ x, const float* __restrict__ input_weight,
                                                            const float* __restrict__ hidden_weight, float* __restrict__ hidden) {
    __shared__ float shared_x[SIZE], shared_h[SIZE];
    int i = threadIdx.x, at = blockIdx.x * SIZE + i;
    shared_x[i] = x[at];
    shared_h[i] = hidden[at];
    __syncthreads();
    float from_x[3] = {}, from_h[3] = {};
    for (int k = 0; k < SIZE; ++k)
#pragma unroll
        for (int gate = 0; gate < 3; ++gate) {
            from_x[gate] += input_weight[(gate * SIZE + k) * SIZE + i] * shared_x[k];
            from_h[gate] += hidden_weight[(gate * SIZE + k) * SIZE + i] * shared_h[k];
        }
    float reset = sigmoid(from_x[0] + from_h[0]), update = sigmoid(from_x[1] + from_h[1]);
    float candidate = tanhf(from_x[2] + reset * from_h[2]);
    hidden[at] = (1.0f - update) * candidate + update * shared_h[i];
}
