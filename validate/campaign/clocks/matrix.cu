// mma.sync: dependent latency, interval with 1..8 independent accumulators, and SM rate with 4..16 warps.
// As in arithmetic.cu the slope between two lengths (64 and 192 instructions) is reported.
#include "common.cuh"

// One struct for each shape: A, B are register counts (32-bit), C the accumulator's; MACS for a whole instruction.
#define MMA(NAME, NA, NB, NC, OPS, PTX, ...)                                                    \
    struct NAME {                                                                               \
        typedef u32 R;                                                                          \
        static constexpr int A = NA, B = NB, C = NC;                                            \
        static constexpr double MACS = OPS;                                                     \
        static __device__ __forceinline__ void f(u32* c, const u32* a, const u32* b) {          \
            asm volatile(PTX : __VA_ARGS__);                                                    \
        }                                                                                       \
    };
#define C4 "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
#define C2 "+r"(c[0]), "+r"(c[1])
#define A4B2 "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])
#define A2B1 "r"(a[0]), "r"(a[1]), "r"(b[0])
#define F4(op) "mma.sync.aligned." op " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#define F2(op) "mma.sync.aligned." op " {%0,%1}, {%2,%3,%4,%5}, {%6,%7}, {%0,%1};"
#define F4S(op) "mma.sync.aligned." op " {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"

MMA(F16_F32, 4, 2, 4, 16 * 8 * 16, F4("m16n8k16.row.col.f32.f16.f16.f32"), C4 : A4B2)
MMA(F16_F16, 4, 2, 2, 16 * 8 * 16, F2("m16n8k16.row.col.f16.f16.f16.f16"), C2 : A4B2)
MMA(F16_F32_K8, 2, 1, 4, 16 * 8 * 8, F4S("m16n8k8.row.col.f32.f16.f16.f32"), C4 : A2B1)
MMA(BF16_F32, 4, 2, 4, 16 * 8 * 16, F4("m16n8k16.row.col.f32.bf16.bf16.f32"), C4 : A4B2)
MMA(TF32_F32, 4, 2, 4, 16 * 8 * 8, F4("m16n8k8.row.col.f32.tf32.tf32.f32"), C4 : A4B2)
MMA(S8_S32, 4, 2, 4, 16 * 8 * 32, F4("m16n8k32.row.col.s32.s8.s8.s32"), C4 : A4B2)
struct F64_F64 {
    typedef double R;
    static constexpr int A = 1, B = 1, C = 2;
    static constexpr double MACS = 8 * 8 * 4;
    static __device__ __forceinline__ void f(double* c, const double* a, const double* b) {
        asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1}, {%2}, {%3}, {%0,%1};" : "+d"(c[0]), "+d"(c[1]) : "d"(a[0]), "d"(b[0]));
    }
};

template <class M, int ACC, int N>
__global__ void __launch_bounds__(512) mma_chain(u64* times, typename M::R* sink, const typename M::R* in, int passes) {
    typename M::R a[M::A], b[M::B], c[ACC][M::C];
#pragma unroll
    for (int i = 0; i < M::A; i++) a[i] = in[i * 32 + threadIdx.x % 32];
#pragma unroll
    for (int i = 0; i < M::B; i++) b[i] = in[128 + i * 32 + threadIdx.x % 32];
#pragma unroll
    for (int i = 0; i < ACC * M::C; i++) c[i / M::C][i % M::C] = in[256 + i * 32 + threadIdx.x % 32];
    u64 t0 = 0, t1 = 0;
#pragma unroll 1
    for (int p = 0; p < passes; p++) {
        __syncthreads();
        t0 = now();
#pragma unroll
        for (int i = 0; i < N; i++) M::f(c[i % ACC], a, b);
        t1 = now();
    }
    keep_times(times, t0, t1);
#pragma unroll
    for (int i = 0; i < ACC * M::C; i++) sink[i * 512 + threadIdx.x] = c[i / M::C][i % M::C];
}

template <class M, int ACC>
static void mma_measure(const char* name, int warps) {
    Buffer<u64> times(64);
    Buffer<typename M::R> sink(512 * ACC * M::C), in(256 + 32 * ACC * M::C);
    in.zero();
    std::vector<double> cycles, rate;
    for (int i = 0; i < 9; i++) {
        mma_chain<M, ACC, 64><<<1, 32 * warps>>>(times.p, sink.p, in.p, 3);
        CK_LAUNCH();
        double s = span(times, warps);
        mma_chain<M, ACC, 192><<<1, 32 * warps>>>(times.p, sink.p, in.p, 3);
        CK_LAUNCH();
        double c = span(times, warps) - s;
        cycles.push_back(c / 128);
        rate.push_back(M::MACS * warps * 128 / std::max(c, 1.0));
    }
    std::string p = fmt("accumulators=%d;warps=%d", ACC, warps);
    row(std::string("mma_") + name, p, "cycles/mma", cycles, "per warp; operands zero");
    row(std::string("mma_") + name, p, "MAC/cycle/SM", rate, "one block on one SM");
}

template <class M>
static void mma_full(const char* name) {
    mma_measure<M, 1>(name, 1);
    mma_measure<M, 2>(name, 1);
    mma_measure<M, 3>(name, 1);
    mma_measure<M, 4>(name, 1);
    mma_measure<M, 8>(name, 1);
    mma_measure<M, 1>(name, 4);
    mma_measure<M, 2>(name, 4);
    for (int warps : {2, 4, 8, 16}) mma_measure<M, 8>(name, warps);
    for (int warps : {8, 16}) mma_measure<M, 1>(name, warps);
}

CASE(mma_f16) {
    mma_full<F16_F32>("m16n8k16_f16_f32");
    mma_full<F16_F16>("m16n8k16_f16_f16");
    mma_full<F16_F32_K8>("m16n8k8_f16_f32");
}
CASE(mma_bf16) { mma_full<BF16_F32>("m16n8k16_bf16_f32"); }
CASE(mma_tf32) { mma_full<TF32_F32>("m16n8k8_tf32_f32"); }
CASE(mma_s8) { mma_full<S8_S32>("m16n8k32_s8_s32"); }
CASE(mma_f64) { mma_full<F64_F64>("m8n8k4_f64_f64"); }

// The result of one mma as the A operand of the next: latency through the multiplicand.
template <int N>
__global__ void mma_through_a(u64* times, u32* sink, const u32* in, int passes) {
    u32 a[4], b[2] = {in[128 + threadIdx.x], in[160 + threadIdx.x]}, zero[4];
#pragma unroll
    for (int i = 0; i < 4; i++) a[i] = in[i * 32 + threadIdx.x], zero[i] = in[256 + i * 32 + threadIdx.x];
    u64 t0 = 0, t1 = 0;
#pragma unroll 1
    for (int p = 0; p < passes; p++) {
        t0 = now();
#pragma unroll
        for (int i = 0; i < N; i++) {
            u32 d[4];
            asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
                         : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(zero[0]), "r"(zero[1]), "r"(zero[2]), "r"(zero[3]));
            a[0] = d[0], a[1] = d[1], a[2] = d[2], a[3] = d[3];
        }
        t1 = now();
    }
    keep_times(times, t0, t1);
    sink[threadIdx.x] = a[0] ^ a[1] ^ a[2] ^ a[3];
}
CASE(mma_operand_a) {
    Buffer<u64> times(64);
    Buffer<u32> sink(32), in(512);
    in.zero();
    std::vector<double> v;
    for (int i = 0; i < 9; i++) {
        mma_through_a<64><<<1, 32>>>(times.p, sink.p, in.p, 3);
        CK_LAUNCH();
        double s = span(times, 1);
        mma_through_a<192><<<1, 32>>>(times.p, sink.p, in.p, 3);
        CK_LAUNCH();
        v.push_back((span(times, 1) - s) / 128);
    }
    row("mma_m16n8k16_f16_f32", "chain=through A;warps=1", "cycles/mma", v, "result of one is the A operand of the next");
}
