// One Jacobi step of the three-dimensional heat equation: a block marches along z with three planes in registers and the middle
// one in shared memory. The border is copied. width a multiple of 32, height of 8.
#define X 32
#define Y 8
extern "C" __global__ void __launch_bounds__(X * Y) stencil_7point(const float* __restrict__ in, float* __restrict__ out, int width,
                                                                   int height, int depth, float centre, float side) {
    __shared__ float plane[Y + 2][X + 2];
    int tx = threadIdx.x + 1, ty = threadIdx.y + 1, x = blockIdx.x * X + threadIdx.x, y = blockIdx.y * Y + threadIdx.y;
    int stride = width * height, at = y * width + x;
    bool border = x == 0 || y == 0 || x == width - 1 || y == height - 1;
    float below = in[at], here = in[at + stride];
    out[at] = below;
    for (int z = 1; z < depth - 1; ++z) {
        at += stride;
        float above = in[at + stride];
        plane[ty][tx] = here;
        if (threadIdx.x == 0 && x > 0) plane[ty][0] = in[at - 1];
        if (threadIdx.x == X - 1 && x < width - 1) plane[ty][X + 1] = in[at + 1];
        if (threadIdx.y == 0 && y > 0) plane[0][tx] = in[at - width];
        if (threadIdx.y == Y - 1 && y < height - 1) plane[Y + 1][tx] = in[at + width];
        __syncthreads();
        out[at] = border ? here
                         : centre * here + side * (below + above + plane[ty][tx - 1] + plane[ty][tx + 1] + plane[ty - 1][tx] +
                                                   plane[ty + 1][tx]);
        __syncthreads();
        below = here;
        here = above;
    }
    out[at + stride] = here;
}
