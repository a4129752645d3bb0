// Calls, recursion, indirect branches, divergence and barriers, for the decoder tests.
extern "C" __device__ __noinline__ int fibonacci(int a) { return a < 2 ? a : fibonacci(a - 1) + fibonacci(a - 2); }
__device__ __noinline__ double square(double x) { return x * x + 1; }
__device__ __noinline__ double cube(double x) { return x * x * x; }
__device__ double (*table[2])(double) = {square, cube};

extern "C" __global__ void calls(double *d, int *q, int n) {
    int i = threadIdx.x;
    d[i] = 1.0 / d[i] + square(d[i]) + table[n & 1](d[i + 1]);
    q[i] = fibonacci(i);
}

extern "C" __global__ void switches(int *q, float *f, int n) {
    int i = threadIdx.x, v = q[i];
    for (int k = 0; k < n; k++) {
        switch (q[i + k] & 15) {
        case 0: v = v * 3 + k; break;
        case 1: v ^= q[v & 63]; break;
        case 2: v = (int)sqrtf((float)v); break;
        case 3: q[1] = v; break;
        case 4: v -= 9; q[i + 7] = v; break;
        case 5: v = v / (k + 2); break;
        case 6: q[i] += 3; break;
        case 7: f[i] = f[i + 1] / f[k]; break;
        case 8: v = __popc(v); break;
        case 9: return;
        default: v += 1;
        }
    }
    q[i] = v;
}

extern "C" __global__ void __launch_bounds__(256) named_barriers(int *q) {
    __shared__ int s[256];
    int i = threadIdx.x;
    s[i] = q[i];
    if (i < 128) asm volatile("bar.sync 1, 128;");
    else asm volatile("bar.arrive 2, 256;");
    if (i < 128) asm volatile("bar.sync 2, 256;");
    asm volatile("bar.sync %0, 256;" ::"r"(q[0] & 15));
    q[i] = s[255 - i];
    __nanosleep(100);
}

extern "C" __global__ void divergent_loop(int *q, int n) {
    int i = threadIdx.x, v = q[i];
    while (v != 1 && n-- > 0) {
        if (v & 1) v = 3 * v + 1;
        else v >>= 1;
        if (v == 4) break;
        if (v > 1000) v = __shfl_sync(__activemask(), v, 0);
        __syncwarp(0x0000ffff << (i & 16));
    }
    q[i] = v;
}
