// Loads, stores, atomics, asynchronous copies and warp exchange, for the decoder tests.
#include <cuda_fp16.h>

__constant__ float coefficients[64];
__constant__ int4 quads[16];
__device__ float accumulator[256];
__device__ int start_value = 7;

extern "C" __global__ void widths(float4 *q, double2 *d, float2 *p, unsigned char *c, short *s, const float4 *__restrict__ r, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float4 v = q[i], w = __ldg(r + i);
    v.x += w.y + coefficients[i & 63] + quads[i & 15].z + start_value;
    q[i + n] = v;
    d[i + n] = d[i];
    p[i + n] = make_float2(p[i].y, v.w);
    c[i + n] = c[i] + s[i];
    s[i + n] = s[i] - c[i + 1];
    accumulator[i & 255] = __ldcg((float *)q + i) + __ldcs((float *)q + i + 1) + __ldcv((float *)q + i + 2);
    __stcs((float *)q + 5 * i, v.z);
    __stwt((float *)q + 6 * i, v.y);
}

extern "C" __global__ void shared_widths(float4 *q, double *d, int n) {
    __shared__ float4 tile[128];
    extern __shared__ double column[];
    int i = threadIdx.x;
    tile[i] = q[i];
    column[i] = d[i];
    __syncthreads();
    float4 v = tile[(i * 7) & 127];
    ((unsigned char *)tile)[i] = (unsigned char)i;
    __syncthreads();
    d[i + n] = column[127 - i] + ((float *)tile)[i * 3 & 511] + ((short *)tile)[i];
    q[i + n] = v;
}

extern "C" __global__ void atomics(int *a, unsigned long long *w, float *f, double *d, __half2 *h, int n) {
    __shared__ int bins[256];
    __shared__ float sums[32];
    int i = threadIdx.x;
    bins[i & 255] = 0;
    sums[i & 31] = 0;
    __syncthreads();
    atomicAdd(&bins[a[i] & 255], 1);
    atomicAdd(&sums[i & 31], f[i]);
    int old = atomicMax(&bins[a[i + 1] & 255], i);
    unsigned long long wold = atomicAdd(w + i, 3ull) + atomicCAS(w + 1, 5ull, 7ull);
    __syncthreads();
    atomicAdd(a, bins[i & 255]);
    atomicAdd(f + n, sums[i & 31]);
    atomicAdd(d, 2.0);
    atomicAdd(h, h[1]);
    a[i + n] = old + atomicExch(a + 3, i) + atomicCAS(a + 4, i, old) + atomicInc((unsigned *)a + 5, 9);
    w[i + n] = wold + atomicMin(w + 2, wold) + atomicXor(w + 3, wold);
    f[i + 2 * n] = atomicAdd(f + 7, 1.5f) + atomicAdd_block(f + 9, 1.0f);
    __threadfence();
    __threadfence_block();
    __threadfence_system();
}

extern "C" __global__ void vector_atomics(float4 *f, float2 *g, __half *h, unsigned long long *q, int *p) {
    int i = threadIdx.x;
    atomicAdd(h + i, h[i + 1]);
#if __CUDA_ARCH__ >= 900
    f[i + 100] = atomicAdd(f + i, f[i + 9]);
    atomicAdd(g + i, g[i + 9]);
    atomicAdd(f + i + 4, f[i + 9]);
    asm volatile("red.global.add.noftz.v4.f16x2 [%0], {%1,%2,%3,%4};" ::"l"(p), "r"(p[1]), "r"(p[2]), "r"(p[3]), "r"(p[4]));
    asm volatile("red.global.add.noftz.v2.bf16x2 [%0], {%1,%2};" ::"l"(p + 8), "r"(p[1]), "r"(p[2]));
    asm volatile("{ .reg .b128 a, b, c; mov.b128 a, {%1,%2}; mov.b128 b, {%2,%1}; atom.global.cas.b128 c, [%0], a, b; }" ::"l"(q), "l"(q[3]), "l"(q[4]));
#endif
#if __CUDA_ARCH__ >= 1000
    asm volatile("{ .reg .b64 t<4>; ld.global.v4.b64 {t0,t1,t2,t3}, [%0]; st.global.v4.b64 [%0+64], {t0,t1,t2,t3}; }" ::"l"(q));
    asm volatile("{ .reg .b64 x, y, w; ld.global.b64 x, [%0]; ld.global.b64 y, [%0+8]; fma.rn.f32x2 w, x, y, x;"
                 " add.rn.f32x2 w, w, y; mul.rn.f32x2 w, w, x; st.global.b64 [%0+16], w; }" ::"l"(q + 20));
#endif
}

extern "C" __global__ void warp_exchange(int *a, unsigned long long *w, int n) {
    int i = threadIdx.x, v = a[i];
    v += __shfl_down_sync(~0u, v, 16);
    v += __shfl_xor_sync(~0u, v, 4);
    v += __shfl_up_sync(~0u, v, 1, 8);
    v += __shfl_sync(~0u, v, a[i + n] & 31);
    int p = v > 3;
    unsigned ballot = __ballot_sync(~0u, p), all = __all_sync(~0u, p), any = __any_sync(~0u, v < 9);
    unsigned match = __match_any_sync(~0u, v);
    int same;
    unsigned everyone = __match_all_sync(~0u, w[i], &same);
    a[i + 2 * n] = v + ballot + all + any + match + everyone + same + __activemask() + __syncthreads_count(p);
    a[i + 3 * n] = __syncthreads_or(p) + __syncthreads_and(v == 2);
    if (v & 1) {
        __syncwarp();
        a[i + 4 * n] = clock() + (int)clock64();
    }
#if __CUDA_ARCH__ >= 800
    a[i + 5 * n] = __reduce_add_sync(~0u, v) + __reduce_max_sync(~0u, v) + __reduce_or_sync(~0u, (unsigned)v);
#endif
}

extern "C" __global__ void __launch_bounds__(128) local_array(int *a, int n) {
    int v[64];
    for (int k = 0; k < 64; k++) v[k] = a[k * n + threadIdx.x];
    for (int k = 0; k < n; k++) v[a[k] & 63] += v[a[k + 1] & 63];
    int4 *q = (int4 *)v;
    ((int4 *)a)[threadIdx.x] = q[a[n] & 15];
}

extern "C" __global__ void generic_pointer(int *a, int select) {
    __shared__ int s[64];
    s[threadIdx.x] = a[threadIdx.x];
    __syncthreads();
    int *p = select ? s : a;
    p[threadIdx.x ^ 1] = p[threadIdx.x] + 1;
    atomicAdd(p + 3, 2);
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void asynchronous_copy(float4 *out, const float4 *in, int n) {
    __shared__ float4 stage[2][128];
    unsigned at = (unsigned)__cvta_generic_to_shared(&stage[0][threadIdx.x]);
    const float4 *from = in + threadIdx.x;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at), "l"(from));
    asm volatile("cp.async.commit_group;");
    for (int k = 1; k < n; k++) {
        unsigned next = at + (k & 1) * 128 * 16;
        asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(next), "l"(from + k * 128));
        asm volatile("cp.async.commit_group;");
        asm volatile("cp.async.wait_group 1;");
        __syncthreads();
        out[threadIdx.x + k * 128] = stage[(k - 1) & 1][127 - threadIdx.x];
        __syncthreads();
    }
    asm volatile("cp.async.wait_all;");
}
#endif

extern "C" __global__ void textures(cudaTextureObject_t t, cudaSurfaceObject_t s, float4 *out, int n) {
    int i = threadIdx.x;
    out[i] = tex2D<float4>(t, i * 0.5f, 0.25f);
    out[i].x += tex1Dfetch<float>(t, i) + tex2DLod<float>(t, 1.f, i * .1f, 2.f);
    float v;
    surf2Dread(&v, s, i * 4, 1);
    surf2Dwrite(v + 1, s, i * 4, 2);
}
