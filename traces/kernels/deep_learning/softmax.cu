// Row softmax, one warp per row: maximum, exponential, sum, division.
extern "C" __global__ void softmax(const float* __restrict__ in, float* __restrict__ out, int rows, int columns) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int lane = threadIdx.x % 32;
    if (row >= rows) return;
    const float* source = in + (long long)row * columns;
    float* target = out + (long long)row * columns;
    float largest = -3.402823466e38f;
    for (int i = lane; i < columns; i += 32) largest = fmaxf(largest, source[i]);
    for (int offset = 16; offset > 0; offset /= 2) largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, offset));
    float sum = 0.0f;
    for (int i = lane; i < columns; i += 32) sum += __expf(source[i] - largest);
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    for (int i = lane; i < columns; i += 32) target[i] = __expf(source[i] - largest) / sum;
}
