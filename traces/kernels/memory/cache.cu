// Every SM reads the same LOADS x 256 floats again and again, one block of 256 threads each: bandwidth of the L1, and of
// the L2 where the set is larger. `zero` keeps the compiler from reading once only.
extern "C" __global__ void cache(const float* data, float* out, int zero, int turns) {
    float sum = 0;
    data += threadIdx.x;
#pragma unroll(LOADS > 32 ? 1 : 32 / LOADS)
    for (int k = 0; k < turns; ++k) {
        data += zero;
#pragma unroll(LOADS >= 64 ? 32 : LOADS)
        for (int i = 0; i < LOADS; ++i) sum += data[i * 256];
        sum *= 1.3f;
    }
    if (sum == 1233.0f) out[threadIdx.x] += sum;
}
