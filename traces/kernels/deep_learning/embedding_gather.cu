// Sums the embeddings of the tokens of each bag (EmbeddingBag): one warp per bag, rows of 128 floats gathered whole.
extern "C" __global__ void embedding_gather(const float4* __restrict__ table, const int* __restrict__ token,
                                            float4* __restrict__ out, int bags, int per_bag) {
    int bag = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (bag >= bags) return;
    float4 sum = make_float4(0, 0, 0, 0);
    for (int i = 0; i < per_bag; ++i) {
        float4 row = table[(size_t)token[bag * per_bag + i] * 32 + lane];
        sum.x += row.x;
        sum.y += row.y;
        sum.z += row.z;
        sum.w += row.w;
    }
    out[bag * 32 + lane] = sum;
}
