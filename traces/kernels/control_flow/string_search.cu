// Counts the occurrences of a pattern in a text (Horspool): each thread scans its own stretch and skips by a table in shared memory.
extern "C" __global__ void string_search(const unsigned char* __restrict__ text, const unsigned char* __restrict__ pattern,
                                         unsigned int* count, int length, int pattern_length, int stretch) {
    __shared__ int skip[256];
    for (int i = threadIdx.x; i < 256; i += blockDim.x) {
        int distance = pattern_length;
        for (int k = 0; k < pattern_length - 1; ++k)
            if (pattern[k] == i) distance = pattern_length - 1 - k;
        skip[i] = distance;
    }
    __syncthreads();
    int thread = blockIdx.x * blockDim.x + threadIdx.x, at = thread * stretch;
    int end = min(at + stretch, length - pattern_length + 1);
    unsigned int found = 0;
    while (at < end) {
        int k = pattern_length - 1;
        while (k >= 0 && text[at + k] == pattern[k]) --k;
        found += k < 0;
        at += skip[text[at + pattern_length - 1]];
    }
    if (found) atomicAdd(count, found);
}
