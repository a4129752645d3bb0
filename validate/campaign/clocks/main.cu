// The program around the cases: lists them, runs the named ones (or all), prints CSV rows on stdout.
//   clocks --list            names of the cases, in order
//   clocks --device          properties of the device as JSON
//   clocks [case ...]        run these; with no name, all
// "# begin X" and "# end X" lines let a supervisor see a hang. Exit status 3: the CUDA context is lost
// (a sticky error), the cases after the last "# begin" were not run.
#include "common.cuh"

#include <cstdarg>

std::vector<Case>& all_cases() {
    static std::vector<Case> cases;
    return cases;
}

static std::string clean(std::string s) {
    for (char& c : s)
        if (c == ',' || c == '\n' || c == '"') c = ';';
    return s;
}

void row(const std::string& name, const std::string& parameter, const char* unit, std::vector<double> v, const std::string& notes) {
    if (v.empty()) return;
    std::sort(v.begin(), v.end());
    double median = v.size() % 2 ? v[v.size() / 2] : 0.5 * (v[v.size() / 2 - 1] + v[v.size() / 2]);
    printf("%s,%s,%.6g,%s,%zu,%.6g,%.6g,%.6g,%s\n", name.c_str(), clean(parameter).c_str(), median, unit, v.size(), v.front(), median, v.back(),
           clean(notes).c_str());
}

std::string fmt(const char* format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return text;
}

const cudaDeviceProp& props() {
    static cudaDeviceProp p;
    static bool read = false;
    if (!read) {
        CK(cudaGetDeviceProperties(&p, 0));
        read = true;
    }
    return p;
}
int sm_count() { return props().multiProcessorCount; }

// SM clock from clock64 against %globaltimer over about 20 ms of one warp: first and last case of a full run.
__global__ void clock_ratio(u64* out, u64 wait_ns) {
    u64 g0 = global_ns(), c0 = now(), g1;
    do g1 = global_ns();
    while (g1 - g0 < wait_ns);
    out[0] = g1 - g0;
    out[1] = now() - c0;
}
static void sm_clock(const char* when) {
    Buffer<u64> out(2);
    std::vector<double> mhz;
    for (int i = 0; i < 5; i++) {
        clock_ratio<<<1, 1>>>(out.p, 20000000);
        CK_LAUNCH();
        std::vector<u64> h = out.host(2);
        mhz.push_back(1e3 * h[1] / h[0]);
    }
    row("sm_clock", when, "MHz", mhz, "clock64 / globaltimer over 20 ms");
}

__global__ void timer_steps(u64* out, int n) {
    u64 last = global_ns();
    for (int i = 0; i < n; i++) {
        u64 g;
        do g = global_ns();
        while (g == last);
        out[i] = g - last;
        last = g;
    }
}

static int print_device() {
    cudaDeviceProp p;
    int driver = 0, runtime = 0, clock = 0, memory_clock = 0;
    if (cudaGetDeviceProperties(&p, 0) != cudaSuccess) return 2;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    cudaDeviceGetAttribute(&clock, cudaDevAttrClockRate, 0);
    cudaDeviceGetAttribute(&memory_clock, cudaDevAttrMemoryClockRate, 0);
    printf("{\n");
    printf("  \"name\": \"%s\",\n", p.name);
#define FIELD(f) printf("  \"" #f "\": %lld,\n", (long long)p.f)
    FIELD(major);
    FIELD(minor);
    FIELD(multiProcessorCount);
    FIELD(totalGlobalMem);
    FIELD(l2CacheSize);
    FIELD(persistingL2CacheMaxSize);
    FIELD(memoryBusWidth);
    FIELD(sharedMemPerBlock);
    FIELD(sharedMemPerBlockOptin);
    FIELD(sharedMemPerMultiprocessor);
    FIELD(reservedSharedMemPerBlock);
    FIELD(regsPerBlock);
    FIELD(regsPerMultiprocessor);
    FIELD(maxThreadsPerBlock);
    FIELD(maxThreadsPerMultiProcessor);
    FIELD(maxBlocksPerMultiProcessor);
    FIELD(totalConstMem);
    FIELD(warpSize);
    FIELD(asyncEngineCount);
    FIELD(concurrentKernels);
    FIELD(ECCEnabled);
    FIELD(globalL1CacheSupported);
#undef FIELD
    printf("  \"clock_khz\": %d,\n  \"memory_clock_khz\": %d,\n", clock, memory_clock);
    printf("  \"driver_version\": %d,\n  \"runtime_version\": %d\n}\n", driver, runtime);
    return 0;
}

int main(int argc, char** argv) {
    setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
    std::vector<std::string> wanted(argv + 1, argv + argc);
    if (wanted.size() == 1 && wanted[0] == "--list") {
        for (const Case& c : all_cases()) printf("%s\n", c.name);
        return 0;
    }
    if (wanted.size() == 1 && wanted[0] == "--device") return print_device();
    printf("case,parameter,value,unit,repeats,min,median,max,notes\n");
    try {
        CK(cudaSetDevice(0));
        CK(cudaFree(nullptr));
        sm_clock("start");
        Buffer<u64> steps(64);
        timer_steps<<<1, 1>>>(steps.p, 64);
        CK_LAUNCH();
        std::vector<double> v;
        for (u64 s : steps.host(64)) v.push_back(double(s));
        row("globaltimer", "step", "ns", v, "increments of %globaltimer as seen by one thread");
    } catch (const std::exception& e) {
        printf("setup,,0,error,0,0,0,0,%s\n", clean(e.what()).c_str());
        return 2;
    }
    for (const Case& c : all_cases()) {
        if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), c.name) == wanted.end()) continue;
        printf("# begin %s\n", c.name);
        try {
            c.run();
            CK(cudaDeviceSynchronize());
        } catch (const std::exception& e) {
            printf("%s,,0,error,0,0,0,0,%s\n", c.name, clean(e.what()).c_str());
        }
        cudaGetLastError();
        cudaError_t state = cudaDeviceSynchronize();  // a sticky error stays: nothing more can run in this process
        printf("# end %s\n", c.name);
        if (state != cudaSuccess) {
            printf("%s,,0,error,0,0,0,0,context lost: %s\n", c.name, cudaGetErrorName(state));
            return 3;
        }
    }
    try {
        sm_clock("end");
    } catch (const std::exception&) {
        return 3;
    }
    return 0;
}
