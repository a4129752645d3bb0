// Forward FFT of SIZE complex points per block, radix 4, Stockham order: a thread holds four points in registers and exchanges
// them through shared memory after each of the five passes.
#define SIZE 1024
__device__ float2 add(float2 a, float2 b) { return make_float2(a.x + b.x, a.y + b.y); }
__device__ float2 subtract(float2 a, float2 b) { return make_float2(a.x - b.x, a.y - b.y); }
__device__ float2 multiply(float2 a, float2 b) { return make_float2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); }
extern "C" __global__ void __launch_bounds__(SIZE / 4) fft_radix4(const float2* __restrict__ in, float2* __restrict__ out) {
    __shared__ float real[SIZE], imaginary[SIZE];
    int thread = threadIdx.x;
    float2 v[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) v[i] = in[blockIdx.x * SIZE + thread + i * SIZE / 4];
#pragma unroll
    for (int span = 1; span < SIZE; span *= 4) {
        int k = thread & (span - 1);
#pragma unroll
        for (int i = 1; i < 4; ++i) {
            float2 w;
            __sincosf(-6.283185307f * i * k / (4 * span), &w.y, &w.x);
            v[i] = multiply(v[i], w);
        }
        float2 a = add(v[0], v[2]), b = subtract(v[0], v[2]), c = add(v[1], v[3]), d = subtract(v[1], v[3]);
        d = make_float2(d.y, -d.x);  // times -i
        v[0] = add(a, c);
        v[1] = add(b, d);
        v[2] = subtract(a, c);
        v[3] = subtract(b, d);
        int to = (thread - k) * 4 + k;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            real[to + i * span] = v[i].x;
            imaginary[to + i * span] = v[i].y;
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 4; ++i) v[i] = make_float2(real[thread + i * SIZE / 4], imaginary[thread + i * SIZE / 4]);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) out[blockIdx.x * SIZE + thread + i * SIZE / 4] = v[i];
}
