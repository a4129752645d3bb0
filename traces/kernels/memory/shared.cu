// One warp, one access to shared memory at the byte offsets it is given.
extern __shared__ uint4 space[];

__device__ unsigned place(const int* offset) {
    return (unsigned)__cvta_generic_to_shared(space) + offset[threadIdx.x];
}

extern "C" __global__ void load4(const int* offset, uint4* out) {
    unsigned x;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(x) : "r"(place(offset)));
    out[threadIdx.x].x = x;
}

extern "C" __global__ void load8(const int* offset, uint4* out) {
    unsigned x, y;
    asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(x), "=r"(y) : "r"(place(offset)));
    out[threadIdx.x].x = x + y;
}

extern "C" __global__ void load16(const int* offset, uint4* out) {
    uint4 v;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(place(offset)));
    out[threadIdx.x] = v;
}

extern "C" __global__ void store4(const int* offset, uint4* out) {
    asm volatile("st.shared.u32 [%0], %1;" : : "r"(place(offset)), "r"(threadIdx.x));
}

extern "C" __global__ void store8(const int* offset, uint4* out) {
    asm volatile("st.shared.v2.u32 [%0], {%1, %1};" : : "r"(place(offset)), "r"(threadIdx.x));
}

extern "C" __global__ void store16(const int* offset, uint4* out) {
    asm volatile("st.shared.v4.u32 [%0], {%1, %1, %1, %1};" : : "r"(place(offset)), "r"(threadIdx.x));
}
