// Layer normalisation of rows with scale and shift: one warp per row, sums of x and of squared distances in two passes over
// registers. columns a multiple of 128, at most 1024.
#define MAX_VECTORS 8
extern "C" __global__ void layernorm(const float4* __restrict__ in, const float4* __restrict__ scale, const float4* __restrict__ shift,
                                     float4* __restrict__ out, int rows, int columns, float epsilon) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32, vectors = columns / 128;
    if (row >= rows) return;
    float4 x[MAX_VECTORS];
    float sum = 0.0f, squares = 0.0f;
#pragma unroll
    for (int i = 0; i < MAX_VECTORS; ++i)
        if (i < vectors) {
            x[i] = in[((size_t)row * vectors + i) * 32 + lane];
            sum += x[i].x + x[i].y + x[i].z + x[i].w;
        }
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(~0u, sum, offset);
    float mean = sum / columns;
#pragma unroll
    for (int i = 0; i < MAX_VECTORS; ++i)
        if (i < vectors) {
            float a = x[i].x - mean, b = x[i].y - mean, c = x[i].z - mean, d = x[i].w - mean;
            squares += a * a + b * b + c * c + d * d;
        }
    for (int offset = 16; offset > 0; offset /= 2) squares += __shfl_xor_sync(~0u, squares, offset);
    float factor = rsqrtf(squares / columns + epsilon);
#pragma unroll
    for (int i = 0; i < MAX_VECTORS; ++i)
        if (i < vectors) {
            float4 g = scale[i * 32 + lane], b = shift[i * 32 + lane];
            out[((size_t)row * vectors + i) * 32 + lane] =
                make_float4((x[i].x - mean) * factor * g.x + b.x, (x[i].y - mean) * factor * g.y + b.y,
                            (x[i].z - mean) * factor * g.z + b.z, (x[i].w - mean) * factor * g.w + b.w);
        }
}
