// Speckle-reducing anisotropic diffusion (Yu and Acton, 2002), first half: directional differences and the diffusion
// coefficient of every pixel; borders repeat the edge.
extern "C" __global__ void srad(const float* __restrict__ image, float* __restrict__ north, float* __restrict__ south,
                                float* __restrict__ west, float* __restrict__ east, float* __restrict__ coefficient, int width,
                                int height, float q0_squared) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    int i = y * width + x;
    float here = image[i];
    float dn = image[max(y - 1, 0) * width + x] - here, ds = image[min(y + 1, height - 1) * width + x] - here;
    float dw = image[y * width + max(x - 1, 0)] - here, de = image[y * width + min(x + 1, width - 1)] - here;
    float gradient = (dn * dn + ds * ds + dw * dw + de * de) / (here * here);
    float laplacian = (dn + ds + dw + de) / here;
    float numerator = 0.5f * gradient - 0.0625f * laplacian * laplacian, denominator = 1.0f + 0.25f * laplacian;
    float q_squared = numerator / (denominator * denominator);
    float c = 1.0f / (1.0f + (q_squared - q0_squared) / (q0_squared * (1.0f + q0_squared)));
    north[i] = dn;
    south[i] = ds;
    west[i] = dw;
    east[i] = de;
    coefficient[i] = fminf(fmaxf(c, 0.0f), 1.0f);
}
