// FP64: each thread integrates 4 / (1 + x^2) over its part of [0, 1] by the midpoint rule.
extern "C" __global__ void double_quadrature(double* partial, int steps, int total) {
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    double sum = 0.0, width = 1.0 / total;
    for (int k = 0; k < steps; ++k) {
        double x = ((double)thread * steps + k + 0.5) * width;
        sum += 4.0 / (1.0 + x * x);
    }
    partial[thread] = sum * width;
}
