// One step of k-means: each thread finds the nearest of the centres (in shared memory) of its point, then adds the point to
// the sums of that centre by shared and finally global atomics. Coordinates lie one after the other: x of all points, y ...
#define DIMENSIONS 4
#define MAX_CENTRES 32
extern "C" __global__ void kmeans_step(const float* __restrict__ point, const float* __restrict__ centre, int* __restrict__ label,
                                       float* sum, int* count, int n, int centres) {
    __shared__ float shared_centre[MAX_CENTRES * DIMENSIONS], shared_sum[MAX_CENTRES * DIMENSIONS];
    __shared__ int shared_count[MAX_CENTRES];
    for (int i = threadIdx.x; i < centres * DIMENSIONS; i += blockDim.x) {
        shared_centre[i] = centre[i];
        shared_sum[i] = 0.0f;
        if (i < centres) shared_count[i] = 0;
    }
    __syncthreads();
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        float x[DIMENSIONS], nearest = 3e38f;
        int best = 0;
#pragma unroll
        for (int d = 0; d < DIMENSIONS; ++d) x[d] = point[d * n + i];
        for (int c = 0; c < centres; ++c) {
            float distance = 0.0f;
#pragma unroll
            for (int d = 0; d < DIMENSIONS; ++d) {
                float difference = x[d] - shared_centre[c * DIMENSIONS + d];
                distance += difference * difference;
            }
            if (distance < nearest) {
                nearest = distance;
                best = c;
            }
        }
        label[i] = best;
#pragma unroll
        for (int d = 0; d < DIMENSIONS; ++d) atomicAdd(&shared_sum[best * DIMENSIONS + d], x[d]);
        atomicAdd(&shared_count[best], 1);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < centres * DIMENSIONS; i += blockDim.x) {
        atomicAdd(&sum[i], shared_sum[i]);
        if (i < centres) atomicAdd(&count[i], shared_count[i]);
    }
}
