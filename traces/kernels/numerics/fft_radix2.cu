// Forward FFT of SIZE complex points per block, radix 2, Stockham order (no bit reversal) between two halves of shared memory.
#define SIZE 512
extern "C" __global__ void __launch_bounds__(SIZE / 2) fft_radix2(const float2* __restrict__ in, float2* __restrict__ out) {
    __shared__ float2 tile[2][SIZE];
    int thread = threadIdx.x;
    const float2* from = in + blockIdx.x * SIZE;
    tile[0][thread] = from[thread];
    tile[0][thread + SIZE / 2] = from[thread + SIZE / 2];
    int side = 0;
    for (int span = 1; span < SIZE; span *= 2) {
        __syncthreads();
        int k = thread & (span - 1);
        float2 a = tile[side][thread], b = tile[side][thread + SIZE / 2], w;
        sincospif(-(float)k / span, &w.y, &w.x);
        float2 c = make_float2(b.x * w.x - b.y * w.y, b.x * w.y + b.y * w.x);
        int to = 2 * thread - k;
        side ^= 1;
        tile[side][to] = make_float2(a.x + c.x, a.y + c.y);
        tile[side][to + span] = make_float2(a.x - c.x, a.y - c.y);
    }
    __syncthreads();
    float2* target = out + blockIdx.x * SIZE;
    target[thread] = tile[side][thread];
    target[thread + SIZE / 2] = tile[side][thread + SIZE / 2];
}
