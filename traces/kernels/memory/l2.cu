// Blocks of 1024 threads read chunks of LOADS x 1024 doubles in turn from a set of `chunks`: bandwidth of the L2.
extern "C" __global__ void l2(const double* data, double* out, int chunks) {
    double sum = 0;
    int chunk = blockIdx.x % chunks;
#pragma unroll
    for (int i = 0; i < LOADS; ++i) sum += data[(chunks * i + chunk) * 1024 + threadIdx.x];
    sum *= 1.3;
    if (threadIdx.x > 1233 || sum == 23.12) out[threadIdx.x] += sum;
}
