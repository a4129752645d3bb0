// Integer, float, half, double and conversion instructions, for the decoder tests.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

extern "C" __global__ void integers(int *out, const int *in, long long *wide, unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int a = in[i], b = in[i + n], c = in[i + 2 * n];
    unsigned long long w = wide[i];
    out[i] = a * b + c;
    out[i + n] = __popc(a) + __clz(b) + __ffs(c) + __brev(a);
    out[i + 2 * n] = min(max(a, b), c) + abs(a - b) + (a < b ? c : a);
    out[i + 3 * n] = (a >> (b & 31)) ^ (b << 3) ^ __funnelshift_l(a, b, c) ^ __byte_perm(a, b, c);
    out[i + 4 * n] = __mulhi(a, b) + __umulhi(b, c) + a / (b | 1) + (unsigned)c % (unsigned)(a | 3);
    out[i + 5 * n] = __dp4a(a, b, c) + __vadd4(a, b) + __sad(a, b, c);
    wide[i] = w * a + (w >> (b & 63)) + (w << 5) + (long long)b * c - w / (c | 7);
    wide[i + n] = (w > (unsigned long long)b) ? w & ~(unsigned long long)a : w | b;
    out[i + 6 * n] = min(a + b, c) + max(max(a, b), c) + __vmaxs2(a, b) + __viaddmin_s32(a, b, c);
}

extern "C" __global__ void long_integers(long long *w, const long long *in, const unsigned long long *un, int n) {
    int i = threadIdx.x;
    long long a = in[i], b = in[i + n];
    unsigned long long u = un[i], v = un[i + n];
    w[i] = min(a, b) + max(a, -99ll);
    w[i + n] = min(u, v) ^ max(u, 99ull);
    w[i + 2 * n] = llabs(a) + __popcll(u) + __clzll(a) + __ffsll(b) + __brevll(v);
    w[i + 3 * n] = (a << (b & 63)) ^ (a >> 7) ^ (u >> (v & 63)) ^ (u << 40);
    w[i + 4 * n] = a * b + __mul64hi(a, b) + __umul64hi(u, v);
    w[i + 5 * n] = (a < b ? a : 5) + (u >= v ? v : u) + (a == b) + (a & b) + (a | n) - (a ^ b) - ~b;
    w[i + 6 * n] = a * 12 + (int)b * (long long)n + (unsigned)u * (unsigned long long)(unsigned)v + a - b - n;
}

extern "C" __global__ void floats(float *out, const float *in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float a = in[i], b = in[i + n], c = in[i + 2 * n];
    out[i] = a * b + c;
    out[i + n] = a / b + sqrtf(c) + rsqrtf(a) + __fdividef(b, c);
    out[i + 2 * n] = sinf(a) + __cosf(b) + exp2f(c) + __log2f(a) + tanhf(b) + __powf(a, c);
    out[i + 3 * n] = fminf(fmaxf(a, b), c) + fabsf(a) - (a > b ? b : c);
    out[i + 4 * n] = rintf(a) + floorf(b) + truncf(c) + (float)(int)a + (float)(unsigned)b + (float)(long long)c;
    out[i + 5 * n] = __fmaf_rz(a, b, c) + __fadd_ru(a, b) + __saturatef(a * b);
    out[i + 6 * n] = isnan(a) || (a <= b && b != c) ? 1.0f : 0.5f;
}

extern "C" __global__ void doubles(double *out, const double *in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    double a = in[i], b = in[i + n], c = in[i + 2 * n];
    out[i] = a * b + c;
    out[i + n] = a / b + sqrt(c) + (a > b ? a + 1.5 : -c);
    out[i + 2 * n] = exp(a) + (double)(float)b + (double)(int)c + (double)(long long)a + floor(b);
    out[i + 3 * n] = fmin(a, b) + fabs(c) * 3.0 + (double)__double2hiint(a);
}

extern "C" __global__ void halves(__half2 *out, const __half2 *in, float *f, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    __half2 a = in[i], b = in[i + n], c = in[i + 2 * n];
    out[i] = __hfma2(a, b, c);
    out[i + n] = __hadd2(a, __hmul2(b, __float2half2_rn(3.0f)));
    out[i + 2 * n] = __hmax2(__hmin2(a, b), c);
    out[i + 3 * n] = __hgt2(a, b);
    out[i + 4 * n] = __hbgt2(a, b) ? h2exp2(c) : h2sqrt(c);
    out[i + 5 * n] = __floats2half2_rn(f[i], f[i + n]);
    f[i] = __low2float(a) + __high2float(b) + (float)__half2int_rn(a.x);
    f[i + n] = __half2float(a.x * b.y + c.x) + __half2float(__int2half_rn(i));
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void brain_floats(__nv_bfloat162 *out, const __nv_bfloat162 *in, float *f, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = __hfma2(in[i], in[i + n], in[i + 2 * n]);
    out[i + n] = __floats2bfloat162_rn(f[i], f[i + 2 * n]);
    out[i + 2 * n] = __hadd2(in[i], in[i + 3 * n]);
    out[i + 3 * n] = __hmax2(in[i], in[i + 4 * n]);
    f[i] = __bfloat162float(in[i].x) + __bfloat162float(in[i].y);
}
#endif

extern "C" __global__ void bytes(unsigned char *c, signed char *s, unsigned short *h, float *f, int n) {
    int i = threadIdx.x;
    f[i] = (float)c[i] + (float)s[i] + (float)h[i];
    c[i + n] = (unsigned char)f[i + n];
    s[i + n] = (signed char)(int)f[i + 2 * n];
    h[i + n] = (unsigned short)f[i + 3 * n];
}
