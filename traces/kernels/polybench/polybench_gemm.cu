// PolyBench GEMM: c = alpha a b + beta c, the accumulator being the element in global memory.
extern "C" __global__ void polybench_gemm(
    int ni, int nj, int nk, float alpha, float beta, float* a, float* b, float* c) {
    int j = blockIdx.x * blockDim.x + threadIdx.x;
    int i = blockIdx.y * blockDim.y + threadIdx.y;
    if (i < ni && j < nj) {
        c[i * nj + j] *= beta;
        for (int k = 0; k < nk; k++) c[i * nj + j] += alpha * a[i * nk + k] * b[k * nj + j];
    }
}
