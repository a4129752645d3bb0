// Gravitational accelerations of n bodies (position, mass) on each other, tiles of bodies in shared memory, softened.
#define TILE 128
extern "C" __global__ void __launch_bounds__(TILE) nbody(const float4* __restrict__ body, float4* __restrict__ acceleration, int n,
                                                         float softening) {
    __shared__ float4 tile[TILE];
    int i = blockIdx.x * TILE + threadIdx.x;
    float4 me = i < n ? body[i] : make_float4(0, 0, 0, 0);
    float x = 0, y = 0, z = 0;
    for (int start = 0; start < n; start += TILE) {
        tile[threadIdx.x] = start + threadIdx.x < n ? body[start + threadIdx.x] : make_float4(0, 0, 0, 0);
        __syncthreads();
#pragma unroll 8
        for (int j = 0; j < TILE; ++j) {
            float4 other = tile[j];
            float dx = other.x - me.x, dy = other.y - me.y, dz = other.z - me.z;
            float inverse = rsqrtf(dx * dx + dy * dy + dz * dz + softening);
            float strength = other.w * inverse * inverse * inverse;
            x += dx * strength;
            y += dy * strength;
            z += dz * strength;
        }
        __syncthreads();
    }
    if (i < n) acceleration[i] = make_float4(x, y, z, 0);
}
