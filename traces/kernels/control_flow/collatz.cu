// Steps of the Collatz sequence until 1 for consecutive numbers: loops of very different length within a warp, 64-bit integers.
extern "C" __global__ void collatz(int* __restrict__ steps, long long first, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned long long x = first + i;
    int count = 0;
    while (x != 1) {
        x = x & 1 ? 3 * x + 1 : x / 2;
        ++count;
    }
    steps[i] = count;
}
