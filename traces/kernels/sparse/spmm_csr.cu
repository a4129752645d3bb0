// C = A B, A sparse in CSR form, B dense with 64 columns, row-major: one warp per row of A, two columns per lane; 32 entries of A
// are loaded together and handed round by shuffles.
#define COLUMNS 64
extern "C" __global__ void spmm_csr(const int* __restrict__ row_start, const int* __restrict__ column, const float* __restrict__ value,
                                    const float2* __restrict__ b, float2* __restrict__ c, int rows) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    int end = row_start[row + 1];
    float2 sum = make_float2(0, 0);
    for (int start = row_start[row]; start < end; start += 32) {
        int mine = start + lane < end ? column[start + lane] : 0;
        float weight = start + lane < end ? value[start + lane] : 0.0f;
        int count = min(32, end - start);
        for (int k = 0; k < count; ++k) {
            float2 from = b[__shfl_sync(~0u, mine, k) * (COLUMNS / 2) + lane];
            float w = __shfl_sync(~0u, weight, k);
            sum.x += w * from.x;
            sum.y += w * from.y;
        }
    }
    c[row * (COLUMNS / 2) + lane] = sum;
}
