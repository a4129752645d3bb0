// Eight loads per turn that hit the L1, by lane pattern: how many cycles a warp load takes. ELEMENT is float or double.
// `zero` keeps the compiler from moving the loads out of the loop; offsets are multiples of 16 or 32 bytes.
template <typename T>
__device__ void loads(const T* at, T* out, int zero, int turns) {
    T sum = 0;
#pragma unroll 1
    for (int k = 0; k < turns; ++k) {
        at += zero;
        sum += at[0] * at[4];
        sum += at[8] * at[12];
        sum += at[20] * at[16];
        sum += at[24] * at[28];
    }
    if (sum == T(123123.23)) out[threadIdx.x] = sum;
}

// Lane i of 64 reads element i * stride.
extern "C" __global__ void stride(const ELEMENT* data, ELEMENT* out, int zero, int stride, int turns) {
    loads(data + (threadIdx.x % 64) * stride, out, zero, turns);
}

// The block is `width` elements wide: rows of a matrix, `pitch` elements apart, up to 32 of them.
extern "C" __global__ void block(const ELEMENT* data, ELEMENT* out, int zero, int width, int pitch, int turns) {
    int column = threadIdx.x % width % 64, row = threadIdx.x / width % 32;
    loads(data + column + (row + 1) * pitch, out, zero, turns);
}
