// Every SM reads the same set of LOADS x THREADS elements again and again, one block each: bandwidth of the L1, and of the
// L2 where the set is larger. With two ARRAYS the elements are multiplied in pairs. `zero` keeps the compiler from reading
// once only.
extern "C" __global__ void cache(const ELEMENT* data, ELEMENT* out, int zero, int turns) {
    ELEMENT sum = 0;
    data += threadIdx.x;
#pragma unroll OUTER
    for (int k = 0; k < turns; ++k) {
        data += zero;
#pragma unroll(LOADS >= 64 ? 32 : LOADS)
        for (int i = 0; i < LOADS; ++i) sum += data[i * THREADS] * (ARRAYS > 1 ? data[(LOADS + i) * THREADS] : ELEMENT(1));
        sum *= ELEMENT(1.3);
    }
    if (sum == ELEMENT(1233)) out[threadIdx.x] += sum;
}
