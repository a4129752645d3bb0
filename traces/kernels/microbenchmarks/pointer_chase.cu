// One thread follows a cycle of indices: the latency of the memory hierarchy.
extern "C" __global__ void pointer_chase(const unsigned int* __restrict__ next, unsigned int* last, int steps) {
    unsigned int i = 0;
    for (int k = 0; k < steps; ++k) i = next[i];
    *last = i;
}
