// y += A x, A sparse as (row, column, value) triples in any order: one thread and one FP32 atomic per entry.
extern "C" __global__ void spmv_coo(const int* __restrict__ row, const int* __restrict__ column, const float* __restrict__ value,
                                    const float* __restrict__ x, float* y, int entries) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < entries) atomicAdd(&y[row[i]], value[i] * x[column[i]]);
}
