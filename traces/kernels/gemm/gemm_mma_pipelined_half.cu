// gemm_mma_pipelined with half output, which leaves through shared memory in whole rows of the tile.
#define HALF_OUTPUT 1
#include "gemm_mma_pipelined.cu"
