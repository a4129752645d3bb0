// Streams of doubles, one element per thread; `other` lies in the L2 in place of the data. With LENGTH the threads go
// round arrays of so many elements.
#ifdef LENGTH
#define ELEMENT(i) ((i) % LENGTH)
#else
#define ELEMENT(i) (i)
#endif
#define STREAM(name, first, last, body)                                                                    \
    extern "C" __global__ void name(double* a, const double* __restrict__ b, const double* __restrict__ c, \
                                    const double* __restrict__ d, const double* other, int n) {            \
        int i = ELEMENT(threadIdx.x + blockIdx.x * blockDim.x);                                            \
        if (i < first || i >= n - last) return;                                                            \
        body;                                                                                              \
    }

STREAM(init, 0, 0, a[i] = 0.23)
STREAM(read, 0, 0, double value = b[i]; if (value == 123.0) a[i] = value)
STREAM(scale, 0, 0, a[i] = b[i] * 1.2)
STREAM(stream_triad, 0, 0, a[i] = b[i] * 1.2 + c[i])
STREAM(vector_triad, 0, 0, a[i] = b[i] * d[i] + c[i])
STREAM(stencil3, 1, 1, a[i] = 0.5 * b[i - 1] - 1.0 * b[i] + 0.5 * b[i + 1])
STREAM(stencil5, 2, 2, a[i] = 0.25 * b[i - 2] + 0.25 * b[i - 1] - 1.0 * b[i] + 0.5 * b[i + 1] + 0.5 * b[i + 2])
