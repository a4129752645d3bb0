// Pointwise half of an LSTM step: gates (input, forget, candidate, output) have been multiplied already; new cell and hidden state.
__device__ float sigmoid(float x) { return 1.0f / (1.0f + __expf(-x)); }
extern "C" __global__ void lstm_cell(const float* __restrict__ gates, const float* __restrict__ bias, float* cell, float* __restrict__ hidden,
                                     int batch, int size) {
    int at = blockIdx.x * blockDim.x + threadIdx.x, row = at / size, i = at % size;
    if (row >= batch) return;
    const float* g = gates + (size_t)row * 4 * size;
    float input = sigmoid(g[i] + bias[i]), forget = sigmoid(g[size + i] + bias[size + i]);
    float candidate = tanhf(g[2 * size + i] + bias[2 * size + i]), output = sigmoid(g[3 * size + i] + bias[3 * size + i]);
    float c = forget * cell[at] + input * candidate;
    cell[at] = c;
    hidden[at] = output * tanhf(c);
}
