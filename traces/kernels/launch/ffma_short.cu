// A chain of 20 dependent FFMA, from a constant that the compiler must not fold.
extern "C" __global__ void ffma_short() {
    float value;
    asm("mov.f32 %0, 0f404004EA;" : "=f"(value));
#pragma unroll
    for (int k = 0; k < 20; k++) value = value * 2.0002f + 3.0003f;
    if (value == 0.0f) __trap();  // never: keeps the chain alive without a store
}
