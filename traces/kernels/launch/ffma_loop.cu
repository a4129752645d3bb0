// A chain of dependent FFMA, 128 per loop turn.
extern "C" __global__ void ffma_loop(int turns) {
    float value = 0.0f;
    for (int turn = 0; turn < turns; turn++) {
#pragma unroll
        for (int k = 0; k < 128; k++) value = value * 2.0002f + 3.0003f;
    }
    if (value == 0.0f) __trap();  // never: keeps the chain alive without a store
}
