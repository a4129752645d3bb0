// A stack machine: every thread runs the same byte code on its own input through a switch of twelve cases (an indirect branch),
// stack in local memory. Data-dependent jumps make warps diverge.
extern "C" __global__ void bytecode_interpreter(const int2* __restrict__ code, const int* __restrict__ input, int* __restrict__ result,
                                                int length, int threads, int limit) {
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= threads) return;
    int stack[16], top = 0, pc = 0;
    unsigned int x = input[thread], accumulator = 0;
    for (int i = 0; i < 16; ++i) stack[i] = 0;
    for (int step = 0; step < limit && pc < length; ++step) {
        int2 word = code[pc++];
        int operand = word.y;
        switch (word.x) {
            case 0: accumulator += operand; break;
            case 1: accumulator *= 2 * operand + 1; break;
            case 2: accumulator ^= x; break;
            case 3: x = x * 1664525u + 1013904223u; break;
            case 4: stack[top++ & 15] = accumulator; break;
            case 5: accumulator += stack[--top & 15]; break;
            case 6: accumulator = __brev(accumulator); break;
            case 7: accumulator = accumulator << (operand & 31) | accumulator >> (-operand & 31); break;
            case 8: if (accumulator & 1) pc += operand & 7; break;
            case 9: if ((int)x < 0) accumulator = ~accumulator; break;
            case 10: accumulator = __popc(accumulator) + x; break;
            default: x ^= accumulator >> 5; break;
        }
    }
    result[thread] = accumulator;
}
