// Molecular dynamics: Lennard-Jones forces from a list of NEIGHBOURS atoms per atom (stored so that a warp reads them together),
// with a cut-off radius.
extern "C" __global__ void lennard_jones(const float4* __restrict__ position, const int* __restrict__ list, float4* __restrict__ force,
                                         int atoms, int neighbours, float cutoff_squared) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= atoms) return;
    float4 me = position[i];
    float x = 0, y = 0, z = 0, energy = 0;
    for (int j = 0; j < neighbours; ++j) {
        int other = list[j * atoms + i];
        float4 at = position[other];
        float dx = me.x - at.x, dy = me.y - at.y, dz = me.z - at.z;
        float squared = dx * dx + dy * dy + dz * dz;
        if (other != i && squared < cutoff_squared) {
            float inverse = 1.0f / (squared + 0.5f), sixth = inverse * inverse * inverse;
            float strength = inverse * sixth * (48.0f * sixth - 24.0f);
            x += dx * strength;
            y += dy * strength;
            z += dz * strength;
            energy += 4.0f * sixth * (sixth - 1.0f);
        }
    }
    force[i] = make_float4(x, y, z, energy);
}
