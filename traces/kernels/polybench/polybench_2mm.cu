// PolyBench 2MM: c += a b, then e += c d; accumulators in global memory. One kernel, launched twice.
extern "C" __global__ void polybench_2mm(int ni, int nj, int nk, float* a, float* b, float* c) {
    int j = blockIdx.x * blockDim.x + threadIdx.x;
    int i = blockIdx.y * blockDim.y + threadIdx.y;
    if (i < ni && j < nj) {
        for (int k = 0; k < nk; k++) c[i * nj + j] += a[i * nk + k] * b[k * nj + j];
    }
}
