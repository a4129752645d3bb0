// Modified Bessel function of the first kind, order 0: power series for small, asymptotic series for large arguments; the two
// branches and their lengths make warps diverge.
extern "C" __global__ void bessel_i0(const double* __restrict__ x, double* __restrict__ out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    double a = fabs(x[i]), term = 1.0, sum = 1.0;
    if (a < 20.0) {
        double quarter = a * a / 4.0;
        for (int k = 1; term > 1e-17 * sum; ++k) {
            term *= quarter / ((double)k * k);
            sum += term;
        }
        out[i] = sum;
    } else {
        for (int k = 1; k < 25 && fabs(term) > 1e-17; ++k) {
            double odd = 2 * k - 1;
            term *= odd * odd / (8.0 * k * a);
            sum += term;
        }
        out[i] = exp(a) / sqrt(6.283185307179586 * a) * sum;
    }
}
