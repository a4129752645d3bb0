// One step of the lattice Boltzmann method, two dimensions, nine velocities, single relaxation time, pulled from a periodic
// lattice; distributions lie one after the other so that a warp reads neighbours together.
__constant__ int cx[9] = {0, 1, 0, -1, 0, 1, -1, -1, 1};
__constant__ int cy[9] = {0, 0, 1, 0, -1, 1, 1, -1, -1};
__constant__ float weight[9] = {4.f / 9, 1.f / 9, 1.f / 9, 1.f / 9, 1.f / 9, 1.f / 36, 1.f / 36, 1.f / 36, 1.f / 36};
extern "C" __global__ void lbm_d2q9(const float* __restrict__ in, float* __restrict__ out, int width, int height, float omega) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x >= width) return;
    int cells = width * height;
    float f[9], density = 0.0f, ux = 0.0f, uy = 0.0f;
#pragma unroll
    for (int q = 0; q < 9; ++q) {
        int from_x = (x - cx[q] + width) % width, from_y = (y - cy[q] + height) % height;
        f[q] = in[q * cells + from_y * width + from_x];
        density += f[q];
        ux += cx[q] * f[q];
        uy += cy[q] * f[q];
    }
    ux /= density;
    uy /= density;
    float square = 1.5f * (ux * ux + uy * uy);
#pragma unroll
    for (int q = 0; q < 9; ++q) {
        float along = 3.0f * (cx[q] * ux + cy[q] * uy);
        float equilibrium = weight[q] * density * (1.0f + along + 0.5f * along * along - square);
        out[q * cells + y * width + x] = f[q] + omega * (equilibrium - f[q]);
    }
}
