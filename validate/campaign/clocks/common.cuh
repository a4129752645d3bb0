// Shared by every micro-benchmark file: error checks, CSV rows, the list of cases, device clocks.
#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

typedef uint32_t u32;
typedef uint64_t u64;

// A CUDA call that fails ends the case it is in, never the program: main() catches this.
struct CudaError : std::runtime_error {
    cudaError_t code;
    CudaError(cudaError_t c, const char* what, int line)
        : std::runtime_error(std::string(cudaGetErrorName(c)) + " at line " + std::to_string(line) + ": " + what), code(c) {}
};
inline void cuda_check(cudaError_t c, const char* what, int line) {
    if (c != cudaSuccess) {
        cudaGetLastError();
        throw CudaError(c, what, line);
    }
}
#define CK(call) cuda_check((call), #call, __LINE__)
#define CK_LAUNCH() CK(cudaGetLastError())

struct Case {
    const char* name;
    void (*run)();
};
std::vector<Case>& all_cases();  // in main.cu
struct Registrar {
    Registrar(const char* name, void (*run)()) { all_cases().push_back({name, run}); }
};
#define CASE(name)                                        \
    static void case_##name();                            \
    static Registrar registrar_##name(#name, case_##name); \
    static void case_##name()

// One CSV row from repeated samples; value is the median. Commas in the texts become semicolons.
void row(const std::string& name, const std::string& parameter, const char* unit, std::vector<double> samples, const std::string& notes = "");
std::string fmt(const char* format, ...) __attribute__((format(printf, 1, 2)));
const cudaDeviceProp& props();
int sm_count();

// Device memory that frees itself also when a case ends by an exception.
template <class T>
struct Buffer {
    T* p = nullptr;
    size_t n;
    explicit Buffer(size_t count) : n(count) { CK(cudaMalloc((void**)&p, count * sizeof(T))); }
    ~Buffer() { cudaFree(p); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    void zero() { CK(cudaMemset(p, 0, n * sizeof(T))); }
    std::vector<T> host(size_t count) const {
        std::vector<T> h(count);
        CK(cudaMemcpy(h.data(), p, count * sizeof(T), cudaMemcpyDeviceToHost));
        return h;
    }
    void set(const std::vector<T>& h) { CK(cudaMemcpy(p, h.data(), h.size() * sizeof(T), cudaMemcpyHostToDevice)); }
};

struct EventPair {
    cudaEvent_t a, b;
    EventPair() {
        CK(cudaEventCreate(&a));
        CK(cudaEventCreate(&b));
    }
    ~EventPair() {
        cudaEventDestroy(a);
        cudaEventDestroy(b);
    }
    void start() { CK(cudaEventRecord(a)); }
    double stop_ns() {
        CK(cudaEventRecord(b));
        CK(cudaEventSynchronize(b));
        float ms = 0;
        CK(cudaEventElapsedTime(&ms, a, b));
        return ms * 1e6;
    }
};

// ---- device side -------------------------------------------------------------------------------------------
__device__ __forceinline__ u64 now() {
    u64 t;
    asm volatile("mov.u64 %0, %%clock64;" : "=l"(t)::"memory");
    return t;
}
__device__ __forceinline__ u64 global_ns() {
    u64 t;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t)::"memory");
    return t;
}
__device__ __forceinline__ u32 sm_id() {
    u32 s;
    asm volatile("mov.u32 %0, %%smid;" : "=r"(s));
    return s;
}
__device__ __forceinline__ u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// Every timed kernel leaves (start, end) of each warp in times[2*warp], of block 0 only.
__device__ __forceinline__ void keep_times(u64* times, u64 t0, u64 t1) {
    if (blockIdx.x == 0 && threadIdx.x % 32 == 0) {
        times[2 * (threadIdx.x / 32)] = t0;
        times[2 * (threadIdx.x / 32) + 1] = t1;
    }
}

// ---- host side: cycles between the first start and the last end of a block's warps -------------------------
inline double span(const Buffer<u64>& times, int warps) {
    std::vector<u64> t = times.host(2 * warps);
    u64 first = t[0], last = t[1];
    for (int w = 1; w < warps; w++) {
        first = std::min(first, t[2 * w]);
        last = std::max(last, t[2 * w + 1]);
    }
    return double(last - first);
}
