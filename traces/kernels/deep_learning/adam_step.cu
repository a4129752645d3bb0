// One step of the Adam optimiser in place: two running moments and the parameters, four per thread.
__device__ void update(float& parameter, float& first, float& second, float gradient, float rate, float b1, float b2, float c1, float c2) {
    first = b1 * first + (1.0f - b1) * gradient;
    second = b2 * second + (1.0f - b2) * gradient * gradient;
    parameter -= rate * (first / c1) / (sqrtf(second / c2) + 1e-8f);
}
extern "C" __global__ void adam_step(float4* parameter, float4* first, float4* second, const float4* __restrict__ gradient, int vectors,
                                     float rate, float b1, float b2, int step) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= vectors) return;
    float c1 = 1.0f - powf(b1, step), c2 = 1.0f - powf(b2, step);
    float4 p = parameter[i], m = first[i], v = second[i], g = gradient[i];
    update(p.x, m.x, v.x, g.x, rate, b1, b2, c1, c2);
    update(p.y, m.y, v.y, g.y, rate, b1, b2, c1, c2);
    update(p.z, m.z, v.z, g.z, rate, b1, b2, c1, c2);
    update(p.w, m.w, v.w, g.w, rate, b1, b2, c1, c2);
    parameter[i] = p;
    first[i] = m;
    second[i] = v;
}
