// Price of an Asian option (mean over the path) by Monte Carlo: Philox, Box-Muller normals, one path per thread.
#include "philox.cuh"
extern "C" __global__ void monte_carlo_option(float* __restrict__ payoff, int steps, float drift, float spread, float strike) {
    unsigned int path = blockIdx.x * blockDim.x + threadIdx.x;
    float logarithm = 0.0f, sum = 0.0f;
    for (int step = 0; step < steps; step += 2) {
        uint4 r = philox(make_uint4(step, path, 0, 0), 42, 0);
        float u = (r.x + 0.5f) * 2.3283064e-10f, angle = r.y * 2.3283064e-10f * 2.0f;
        float radius = sqrtf(-2.0f * logf(u)), sine, cosine;
        sincospif(angle, &sine, &cosine);
        logarithm += drift + spread * radius * cosine;
        sum += expf(logarithm);
        logarithm += drift + spread * radius * sine;
        sum += expf(logarithm);
    }
    payoff[path] = fmaxf(sum / steps - strike, 0.0f);
}
