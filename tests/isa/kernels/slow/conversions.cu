// Conversions between all number formats.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

extern "C" __global__ void eight_bits(__nv_fp8x2_e4m3 *a, __half2 *h, float2 *f, __nv_fp8_e5m2 *e) {
    int i = threadIdx.x;
    h[i] = __half2(a[i]);
    a[i + 9] = __nv_fp8x2_e4m3(f[i]);
    e[i] = __nv_fp8_e5m2(f[i].x);
    f[i + 5].x = float(e[i + 3]);
}

extern "C" __global__ void sixteen_bits(__half *h, __nv_bfloat16 *b, int *p, short *s, unsigned char *u, long long *l, double *d) {
    int i = threadIdx.x;
    h[i] = hexp(h[i]) + hlog2(h[i]) + hsin(h[i]) + hrcp(h[i]);
    b[i] = hsqrt(b[i]) / b[i + 1] + hexp2(b[i]);
    p[i] = __half2int_rz(h[i]) + __bfloat162int_rd(b[i]);
    h[i + 1] = __ll2half_rn(l[i]);
    s[i] = __half2short_rn(h[i]);
    u[i] = __half2uchar_rz(h[i]);
    d[i] = (double)h[i];
    h[i + 6] = __double2half(d[i + 4]);
    l[i] = __half2ll_rn(h[i]);
    h[i + 9] = __hmax_nan(h[i], h[i + 1]);
    p[i + 4] = __heq(h[i], h[i + 3]) + __hisnan(h[i]);
    h[i + 12] = hrint(h[i]);
    h[i + 13] = hceil(h[i]);
}

extern "C" __global__ void wide(float *f, double *d, int *i, unsigned *u, long long *l, unsigned long long *v, short *s, signed char *c) {
    int t = threadIdx.x;
    d[t] = l[t], d[t + 1] = v[t], f[t] = l[t + 1], f[t + 1] = v[t + 1];
    l[t + 2] = f[t + 2], v[t + 3] = d[t + 4], i[t] = d[t + 5], u[t] = f[t + 6], s[t] = f[t + 7], c[t] = d[t + 8];
    f[t + 9] = d[t + 9], d[t + 10] = f[t + 10], f[t + 11] = c[t + 3], d[t + 12] = s[t + 3], d[t + 13] = u[t + 3];
    i[t + 9] = __float2int_ru(f[t]), l[t + 8] = __double2ll_rd(d[t]);
    f[t + 30] = floorf(f[t]) + ceilf(f[t]), d[t + 31] = trunc(d[t]);
}
