// Black-Scholes prices of European call and put options, one option per thread.
__device__ float normal_distribution(float d) { return 0.5f * erfcf(-0.7071067812f * d); }
extern "C" __global__ void black_scholes(const float* __restrict__ stock, const float* __restrict__ strike,
                                         const float* __restrict__ years, float* __restrict__ call, float* __restrict__ put,
                                         float rate, float volatility, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float root = volatility * sqrtf(years[i]);
    float d1 = (logf(stock[i] / strike[i]) + (rate + 0.5f * volatility * volatility) * years[i]) / root;
    float discounted = strike[i] * expf(-rate * years[i]);
    float value = stock[i] * normal_distribution(d1) - discounted * normal_distribution(d1 - root);
    call[i] = value;
    put[i] = value - stock[i] + discounted;
}
