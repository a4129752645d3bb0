// Rotary position embedding: pairs (i, i + SIZE / 2) of each head turn by position * base^(-2 i / SIZE); half precision.
#include <cuda_fp16.h>
#define SIZE 64
extern "C" __global__ void rope(__half* x, const int* __restrict__ position, int tokens, int heads) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    int i = at % (SIZE / 2), head = at / (SIZE / 2) % heads, token = at / (SIZE / 2) / heads;
    if (token >= tokens) return;
    float angle = position[token] * exp2f(i * (-13.287712f * 2.0f / SIZE));  // log2 of the base 10000
    float sine, cosine;
    sincosf(angle, &sine, &cosine);
    __half* pair = x + ((size_t)token * heads + head) * SIZE + i;
    float a = __half2float(pair[0]), b = __half2float(pair[SIZE / 2]);
    pair[0] = __float2half_rn(a * cosine - b * sine);
    pair[SIZE / 2] = __float2half_rn(a * sine + b * cosine);
}
