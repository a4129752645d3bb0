// Every mma.sync shape that the target compiles, ldmatrix and stmatrix, for the decoder tests.
#define MMA4(name, op, A, B, type, letter)                                                                             \
    extern "C" __global__ void name(unsigned *x, type *y) {                                                            \
        unsigned a[4], b[2];                                                                                           \
        type c[4];                                                                                                     \
        for (int k = 0; k < 4; k++) a[k] = x[threadIdx.x + 32 * k], c[k] = y[threadIdx.x + 32 * k];                    \
        for (int k = 0; k < 2; k++) b[k] = x[threadIdx.x + 32 * (k + 4)];                                              \
        asm volatile("mma.sync.aligned." op " {%0,%1,%2,%3}, " A ", " B ", {%0,%1,%2,%3};"                             \
                     : "+" letter(c[0]), "+" letter(c[1]), "+" letter(c[2]), "+" letter(c[3])                          \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                              \
        for (int k = 0; k < 4; k++) y[threadIdx.x + 32 * k] = c[k];                                                    \
    }
#define MMA2(name, op, A, B, type, letter)                                                                             \
    extern "C" __global__ void name(unsigned *x, type *y) {                                                            \
        unsigned a[4], b[2];                                                                                           \
        type c[2];                                                                                                     \
        for (int k = 0; k < 4; k++) a[k] = x[threadIdx.x + 32 * k];                                                    \
        for (int k = 0; k < 2; k++) b[k] = x[threadIdx.x + 32 * (k + 4)], c[k] = y[threadIdx.x + 32 * k];              \
        asm volatile("mma.sync.aligned." op " {%0,%1}, " A ", " B ", {%0,%1};"                                         \
                     : "+" letter(c[0]), "+" letter(c[1])                                                              \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                              \
        for (int k = 0; k < 2; k++) y[threadIdx.x + 32 * k] = c[k];                                                    \
    }

MMA4(hmma_1688_f32, "m16n8k8.row.col.f32.f16.f16.f32", "{%4,%5}", "{%8}", float, "f")
MMA2(hmma_1688_f16, "m16n8k8.row.col.f16.f16.f16.f16", "{%2,%3}", "{%6}", unsigned, "r")
MMA2(imma_8816_s8, "m8n8k16.row.col.s32.s8.s8.s32", "{%2}", "{%6}", int, "r")
MMA2(imma_8832_s4, "m8n8k32.row.col.s32.s4.s4.s32", "{%2}", "{%6}", int, "r")
#if __CUDA_ARCH__ >= 800
MMA4(hmma_16816_f32, "m16n8k16.row.col.f32.f16.f16.f32", "{%4,%5,%6,%7}", "{%8,%9}", float, "f")
MMA2(hmma_16816_f16, "m16n8k16.row.col.f16.f16.f16.f16", "{%2,%3,%4,%5}", "{%6,%7}", unsigned, "r")
MMA4(hmma_16816_bf16, "m16n8k16.row.col.f32.bf16.bf16.f32", "{%4,%5,%6,%7}", "{%8,%9}", float, "f")
MMA4(hmma_1688_tf32, "m16n8k8.row.col.f32.tf32.tf32.f32", "{%4,%5,%6,%7}", "{%8,%9}", float, "f")
MMA4(hmma_1684_tf32, "m16n8k4.row.col.f32.tf32.tf32.f32", "{%4,%5}", "{%8}", float, "f")
MMA4(imma_16832_s8, "m16n8k32.row.col.s32.s8.u8.s32", "{%4,%5,%6,%7}", "{%8,%9}", int, "r")
MMA4(imma_16816_s8, "m16n8k16.row.col.s32.s8.s8.s32", "{%4,%5}", "{%8}", int, "r")
MMA4(imma_16864_s4, "m16n8k64.row.col.s32.s4.s4.s32", "{%4,%5,%6,%7}", "{%8,%9}", int, "r")
MMA4(bmma_168256, "m16n8k256.row.col.s32.b1.b1.s32.and.popc", "{%4,%5,%6,%7}", "{%8,%9}", int, "r")

extern "C" __global__ void dmma_884(double *x) {
    double a = x[threadIdx.x], b = x[threadIdx.x + 32], c = x[threadIdx.x + 64], d = x[threadIdx.x + 96];
    for (int k = 0; k < 4; k++)
        asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1}, {%2}, {%3}, {%0,%1};" : "+d"(c), "+d"(d) : "d"(a), "d"(b));
    x[threadIdx.x] = c + d;
}

extern "C" __global__ void hmma_sparse(unsigned *x, float *y) {
    unsigned a[4], b[4], e = x[threadIdx.x + 999];
    float c[4];
    for (int k = 0; k < 4; k++) a[k] = x[threadIdx.x + 32 * k], b[k] = x[threadIdx.x + 32 * k + 128], c[k] = y[threadIdx.x + 32 * k];
    asm volatile("mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9,%10,%11}, {%0,%1,%2,%3}, %12, 0x0;"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(e));
    for (int k = 0; k < 4; k++) y[threadIdx.x + 32 * k] = c[k];
}
#endif
#if __CUDA_ARCH__ == 890 || __CUDA_ARCH__ >= 1000
MMA4(qmma_16832_f32, "m16n8k32.row.col.f32.e4m3.e5m2.f32", "{%4,%5,%6,%7}", "{%8,%9}", float, "f")
#endif

extern "C" __global__ void matrix_loads(unsigned *x, int n) {
    __shared__ __align__(16) unsigned s[1024];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    unsigned at = (unsigned)__cvta_generic_to_shared(s + (threadIdx.x & 31) * 4 + n), r[7];
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(r[4]), "=r"(r[5]) : "r"(at + 512));
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r[6]) : "r"(at + 1024));
#if __CUDA_ARCH__ >= 900
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(at + 2048), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]));
    asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0], {%1,%2};" ::"r"(at + 2560), "r"(r[4]), "r"(r[5]));
#endif
    for (int k = 0; k < 7; k++) x[threadIdx.x + 32 * k] = r[k];
}
