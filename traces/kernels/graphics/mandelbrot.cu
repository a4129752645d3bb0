// Iterations until points of the plane escape: uneven loops, so warps diverge.
extern "C" __global__ void mandelbrot(int* __restrict__ count, int width, int height, int limit) {
    int px = blockIdx.x * blockDim.x + threadIdx.x, py = blockIdx.y * blockDim.y + threadIdx.y;
    if (px >= width || py >= height) return;
    float cx = -2.0f + 3.0f * px / width, cy = -1.5f + 3.0f * py / height, x = 0.0f, y = 0.0f;
    int k = 0;
    // each product rounded by itself, so that the count does not depend on how a compiler contracts
    for (float xx = 0.0f, yy = 0.0f; k < limit && __fadd_rn(xx, yy) <= 4.0f; ++k) {
        y = __fadd_rn(__fmul_rn(__fadd_rn(x, x), y), cy);
        x = __fadd_rn(__fsub_rn(xx, yy), cx);
        xx = __fmul_rn(x, x);
        yy = __fmul_rn(y, y);
    }
    count[py * width + px] = k;
}
