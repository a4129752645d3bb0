// Each thread sorts its own row by recursive quicksort: device function calls, a stack in local memory, divergence.
__device__ __noinline__ void quicksort(int* keys, int low, int high) {
    if (low >= high) return;
    int pivot = keys[(low + high) / 2], i = low, j = high;
    while (i <= j) {
        while (keys[i] < pivot) ++i;
        while (keys[j] > pivot) --j;
        if (i <= j) {
            int swapped = keys[i];
            keys[i++] = keys[j];
            keys[j--] = swapped;
        }
    }
    quicksort(keys, low, j);
    quicksort(keys, i, high);
}
extern "C" __global__ void quicksort_recursive(int* keys, int rows, int length) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row < rows) quicksort(keys + row * length, 0, length - 1);
}
