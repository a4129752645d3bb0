// Runs kernels from cubins and times them: the native half of `python -m validate.campaign`.
//
//   runner [--cupti LIBRARY] [--once]      job files by name on standard input, one a line
//
// A job file (written by validate/campaign/jobs.py) holds lines of a key and its values:
//   cubin PATH | kernel NAME | grid X Y Z | block X Y Z | shared BYTES | stack BYTES | repeats N | data PATH
//   output PATH | cooperative 0 or 1 | cluster X Y Z | buffer BYTES IS_OUTPUT
// and, in the order of the kernel's parameters,
//   value HEX | pointer BUFFER | map BUFFER TYPE ELEMENT_BYTES SWIZZLE_BYTES RANK SIZE... BOX...   (a tensor map)
// `data` holds the initial bytes of the buffers one after the other; the output buffers are written to `output` in the
// same way after a first launch. Answers, a line each, the last of a job is `done` or `error TEXT`:
//   attributes REGISTERS SHARED LOCAL BLOCKS_PER_SM
//   time METHOD CACHES COUNT MEDIAN_NS MIN_NS MAX_NS CLOCK_MHZ
//   launched                               (--once: one launch, for a profiler around this program)
// METHOD is cupti (start to end of the kernel as the activity interface of CUPTI reports it, which is what Nsight Systems
// shows) or events (two events around the launch, their own cost included). CACHES is copied: every buffer has
// just been copied from the host, in the order of the parameters; or flushed: the L2 holds other clean lines.
// Exit status 3: the context is lost, a new process must go on.
#include <cuda.h>
#include <cuda_runtime.h>
#include <dlfcn.h>
#if __has_include(<cupti_activity.h>)
#include <cupti_activity.h>
#define HAVE_CUPTI 1
#endif

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

typedef unsigned long long u64;

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};
static void check(cudaError_t code, const char* what) {
    if (code != cudaSuccess) throw Failure(std::string(what) + ": " + cudaGetErrorName(code));
}
#define CK(call) check((call), #call)

// The driver's entry points by name: no import library is needed to link.
struct Driver {
    CUresult (*module_load)(CUmodule*, const char*);
    CUresult (*module_unload)(CUmodule);
    CUresult (*get_function)(CUfunction*, CUmodule, const char*);
    CUresult (*launch)(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void**, void**);
    CUresult (*set_attribute)(CUfunction, CUfunction_attribute, int);
    CUresult (*get_attribute)(int*, CUfunction_attribute, CUfunction);
    CUresult (*occupancy)(int*, CUfunction, int, size_t);
    CUresult (*error_name)(CUresult, const char**);
    // absent in drivers before 11.8 and 12.0
    CUresult (*launch_extended)(const CUlaunchConfig*, CUfunction, void**, void**) = nullptr;
    CUresult (*encode_map)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*, const cuuint32_t*, const cuuint32_t*,
                           CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill) = nullptr;
    template <class F>
    void find(void* library, F& entry, const char* name) {
        entry = (F)dlsym(library, name);
        if (!entry) throw Failure(std::string("libcuda has no ") + name);
    }
    Driver() {
        void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
        if (!library) throw Failure("libcuda.so.1 cannot be loaded: is the NVIDIA driver installed?");
        find(library, module_load, "cuModuleLoad");
        find(library, module_unload, "cuModuleUnload");
        find(library, get_function, "cuModuleGetFunction");
        find(library, launch, "cuLaunchKernel");
        find(library, set_attribute, "cuFuncSetAttribute");
        find(library, get_attribute, "cuFuncGetAttribute");
        find(library, occupancy, "cuOccupancyMaxActiveBlocksPerMultiprocessor");
        find(library, error_name, "cuGetErrorName");
        launch_extended = (decltype(launch_extended))dlsym(library, "cuLaunchKernelEx");
        encode_map = (decltype(encode_map))dlsym(library, "cuTensorMapEncodeTiled");
    }
    void check(CUresult code, const char* what) const {
        if (code == CUDA_SUCCESS) return;
        const char* name = nullptr;
        error_name(code, &name);
        throw Failure(std::string(what) + ": " + (name ? name : "unknown error"));
    }
};

// ---- activity records --------------------------------------------------------------------------------------
// Durations of the kernels that ran since `begin`. Start, end and name of a kernel record lie at the same place in every
// version of the record since the fourth (CUDA 9).
class Activity {
  public:
#ifdef HAVE_CUPTI
    bool load(const char* path) {
        void* library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
        if (!library) return false;
        enable_ = (decltype(enable_))dlsym(library, "cuptiActivityEnable");
        disable_ = (decltype(disable_))dlsym(library, "cuptiActivityDisable");
        flush_ = (decltype(flush_))dlsym(library, "cuptiActivityFlushAll");
        next_ = (decltype(next_))dlsym(library, "cuptiActivityGetNextRecord");
        auto callbacks = (decltype(&cuptiActivityRegisterCallbacks))dlsym(library, "cuptiActivityRegisterCallbacks");
        if (!enable_ || !disable_ || !flush_ || !next_ || !callbacks) return false;
        return callbacks(allocate, complete) == CUPTI_SUCCESS;
    }
    bool begin() {
        found_.clear();
        return enable_ && enable_(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) == CUPTI_SUCCESS;
    }
    std::vector<double> end(const std::string& kernel) {
        flush_(1);
        disable_(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
        std::vector<double> durations;
        for (auto& [name, ns] : found_)
            if (name == kernel && ns > 0) durations.push_back(ns);
        return durations;
    }

  private:
    static void CUPTIAPI allocate(uint8_t** buffer, size_t* size, size_t* records) {
        *size = 1 << 20;
        *buffer = (uint8_t*)aligned_alloc(64, *size);
        *records = 0;
    }
    static void CUPTIAPI complete(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid) {
        CUpti_Activity* record = nullptr;
        while (next_(buffer, valid, &record) == CUPTI_SUCCESS)
            if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL || record->kind == CUPTI_ACTIVITY_KIND_KERNEL) {
                auto* kernel = (const CUpti_ActivityKernel4*)record;
                found_.emplace_back(kernel->name ? kernel->name : "", double(kernel->end) - double(kernel->start));
            }
        free(buffer);
    }
    static inline std::vector<std::pair<std::string, double>> found_;
    static inline decltype(&cuptiActivityEnable) enable_ = nullptr;
    static inline decltype(&cuptiActivityDisable) disable_ = nullptr;
    static inline decltype(&cuptiActivityFlushAll) flush_ = nullptr;
    static inline decltype(&cuptiActivityGetNextRecord) next_ = nullptr;
#else
    bool load(const char*) { return false; }
    bool begin() { return false; }
    std::vector<double> end(const std::string&) { return {}; }
#endif
};

// ---- kernels of our own ------------------------------------------------------------------------------------
__device__ u64 global_ns() {
    u64 t;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t)::"memory");
    return t;
}
// Keeps the stream busy while the host queues what is to be timed, and reads the SM clock meanwhile.
__global__ void kit_spin(u64* out, u64 wait_ns) {
    u64 began = global_ns(), clock = clock64(), ns;
    do ns = global_ns() - began;
    while (ns < wait_ns);
    out[0] = ns;
    out[1] = clock64() - clock;
}
__global__ void kit_read(const uint4* from, size_t count, uint4* sink) {
    uint4 x = {};
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < count; i += (size_t)gridDim.x * blockDim.x) {
        uint4 v = __ldcg(from + i);
        x.x ^= v.x ^ v.y ^ v.z ^ v.w;
    }
    if (x.x == 0x12345678u) *sink = x;
}

// ---- jobs --------------------------------------------------------------------------------------------------
struct Buffer {
    size_t bytes;
    bool output;
    void* device = nullptr;
};
struct Parameter {  // a value, or what is made of the address of a buffer
    int buffer = -1;
    std::vector<uint8_t> value;
    bool map = false;
    int type = 0, element_bytes = 0, swizzle = 0;
    std::vector<cuuint64_t> size;
    std::vector<cuuint32_t> box;
    CUtensorMap encoded;
};
struct Job {
    std::string cubin, kernel, data, output;
    unsigned grid[3] = {1, 1, 1}, block[3] = {1, 1, 1}, cluster[3] = {0, 1, 1}, shared = 0;
    bool cooperative = false;
    size_t stack = 0;
    int repeats = 15;
    std::vector<Buffer> buffers;
    std::vector<Parameter> parameters;
};

static Job read_job(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw Failure("cannot read " + path);
    Job job;
    std::string line, key;
    while (std::getline(file, line)) {
        std::istringstream in(line);
        in >> key;
        if (key == "cubin") in >> job.cubin;
        else if (key == "kernel") in >> job.kernel;
        else if (key == "data") in >> job.data;
        else if (key == "output") in >> job.output;
        else if (key == "grid") in >> job.grid[0] >> job.grid[1] >> job.grid[2];
        else if (key == "block") in >> job.block[0] >> job.block[1] >> job.block[2];
        else if (key == "shared") in >> job.shared;
        else if (key == "stack") in >> job.stack;
        else if (key == "repeats") in >> job.repeats;
        else if (key == "cooperative") in >> job.cooperative;
        else if (key == "cluster") in >> job.cluster[0] >> job.cluster[1] >> job.cluster[2];
        else if (key == "buffer") {
            Buffer b{};
            in >> b.bytes >> b.output;
            job.buffers.push_back(b);
        } else if (key == "pointer") {
            Parameter p;
            in >> p.buffer;
            job.parameters.push_back(p);
        } else if (key == "map") {
            Parameter p;
            size_t rank = 0;
            in >> p.buffer >> p.type >> p.element_bytes >> p.swizzle >> rank;
            p.map = true;
            p.size.resize(rank);
            p.box.resize(rank);
            for (auto& n : p.size) in >> n;
            for (auto& n : p.box) in >> n;
            job.parameters.push_back(p);
        } else if (key == "value") {
            std::string hex;
            in >> hex;
            Parameter p;
            for (size_t i = 0; i + 1 < hex.size(); i += 2) p.value.push_back((uint8_t)std::stoi(hex.substr(i, 2), nullptr, 16));
            job.parameters.push_back(p);
        } else throw Failure(path + ": unknown key " + key);
    }
    return job;
}

class Bench {
  public:
    Bench(const char* cupti, bool once) : once_(once) {
        CK(cudaSetDevice(0));
        CK(cudaFree(nullptr));
        CK(cudaGetDeviceProperties(&properties_, 0));
        CK(cudaStreamCreate(&stream_));
        CK(cudaMalloc((void**)&spin_, 2 * sizeof(u64)));
        CK(cudaEventCreate(&before_));
        CK(cudaEventCreate(&after_));
        if (once_) {
            printf("ready cupti=0\n");
            return;  // a profiler saves and restores what is allocated
        }
        scratch_bytes_ = std::max<size_t>(64 << 20, 2 * (size_t)properties_.l2CacheSize);
        CK(cudaMalloc(&scratch_, scratch_bytes_));
        CK(cudaMemset(scratch_, 0, scratch_bytes_));
        if (cupti) activity_ = records_.load(cupti);
        printf("ready cupti=%d\n", int(activity_));
    }

    void run(const Job& job) {
        CUmodule module;
        driver_.check(driver_.module_load(&module, job.cubin.c_str()), "cuModuleLoad");
        try {
            launch_all(job, module);
        } catch (...) {
            release(module);
            throw;
        }
        release(module);
    }

  private:
    void release(CUmodule module) {
        for (void* p : owned_) cudaFree(p);
        owned_.clear();
        if (staging_) cudaFreeHost(staging_);
        staging_ = nullptr;
        driver_.module_unload(module);
    }

    void launch_all(Job job, CUmodule module) {
        driver_.check(driver_.get_function(&function_, module, job.kernel.c_str()), "cuModuleGetFunction");
        if (job.shared > 48 * 1024)
            driver_.check(driver_.set_attribute(function_, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)job.shared), "shared memory");
        CK(cudaDeviceSetLimit(cudaLimitStackSize, job.stack ? job.stack : 1024));
        size_t total = 0;
        for (Buffer& b : job.buffers) total += b.bytes;
        CK(cudaMallocHost((void**)&staging_, std::max<size_t>(total, 16)));
        std::ifstream data(job.data, std::ios::binary);
        if (total && !data.read((char*)staging_, (std::streamsize)total)) throw Failure("cannot read " + job.data);
        for (Buffer& b : job.buffers) {
            CK(cudaMalloc(&b.device, std::max<size_t>(b.bytes, 16)));
            owned_.push_back(b.device);
        }
        pointers_.clear();
        for (Parameter& p : job.parameters) {
            if (p.map) {
                encode(p, job.buffers.at(p.buffer).device);
            } else if (p.buffer >= 0) {
                p.value.resize(sizeof(void*));
                memcpy(p.value.data(), &job.buffers.at(p.buffer).device, sizeof(void*));
            }
            pointers_.push_back(p.map ? (void*)&p.encoded : p.value.data());
        }
        copy_in(job);
        launch(job);
        CK(cudaStreamSynchronize(stream_));
        if (once_) {
            printf("launched\n");
            return;
        }
        copy_out(job);
        int registers = 0, shared = 0, local = 0, blocks = 0;
        driver_.get_attribute(&registers, CU_FUNC_ATTRIBUTE_NUM_REGS, function_);
        driver_.get_attribute(&shared, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function_);
        driver_.get_attribute(&local, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, function_);
        driver_.occupancy(&blocks, function_, int(job.block[0] * job.block[1] * job.block[2]), job.shared);
        printf("attributes %d %d %d %d\n", registers, shared, local, blocks);
        warm_up();
        for (bool flushed : {false, true}) {
            if (activity_ && records_.begin()) {
                double clock = clock_mhz();
                for (int i = 0; i < job.repeats; i++) {
                    prepare(job, flushed);
                    launch(job);
                    CK(cudaStreamSynchronize(stream_));
                }
                report("cupti", flushed, records_.end(job.kernel), 0.5 * (clock + clock_mhz()));
            }
            std::vector<double> times;
            double clock = clock_mhz();
            for (int i = 0; i < job.repeats; i++) {
                prepare(job, flushed);
                CK(cudaEventRecord(before_, stream_));
                launch(job);
                CK(cudaEventRecord(after_, stream_));
                CK(cudaEventSynchronize(after_));
                float ms = 0;
                CK(cudaEventElapsedTime(&ms, before_, after_));
                times.push_back(ms * 1e6);
            }
            report("events", flushed, times, 0.5 * (clock + clock_mhz()));
        }
    }

    void encode(Parameter& p, void* address) {
        if (!driver_.encode_map) throw Failure("this driver has no tensor maps");
        std::vector<cuuint64_t> strides;
        cuuint64_t stride = p.element_bytes;
        for (cuuint64_t n : p.size) strides.push_back(stride *= n);
        std::vector<cuuint32_t> steps(p.size.size(), 1);
        CUtensorMapSwizzle swizzle = p.swizzle == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
                                     : p.swizzle == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
                                     : p.swizzle == 32 ? CU_TENSOR_MAP_SWIZZLE_32B
                                                       : CU_TENSOR_MAP_SWIZZLE_NONE;
        driver_.check(driver_.encode_map(&p.encoded, (CUtensorMapDataType)p.type, (cuuint32_t)p.size.size(), address, p.size.data(), strides.data(), p.box.data(),
                                         steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
                      "cuTensorMapEncodeTiled");
    }

    void launch(const Job& job) {
        if (!job.cooperative && !job.cluster[0]) {
            driver_.check(driver_.launch(function_, job.grid[0], job.grid[1], job.grid[2], job.block[0], job.block[1], job.block[2], job.shared, stream_,
                                         pointers_.data(), nullptr),
                          "cuLaunchKernel");
            return;
        }
        if (!driver_.launch_extended) throw Failure("this driver launches no clusters");
        CUlaunchAttribute attributes[2] = {};
        CUlaunchConfig config = {};
        config.gridDimX = job.grid[0], config.gridDimY = job.grid[1], config.gridDimZ = job.grid[2];
        config.blockDimX = job.block[0], config.blockDimY = job.block[1], config.blockDimZ = job.block[2];
        config.sharedMemBytes = job.shared;
        config.hStream = stream_;
        config.attrs = attributes;
        if (job.cooperative) {
            attributes[config.numAttrs].id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
            attributes[config.numAttrs++].value.cooperative = 1;
        }
        if (job.cluster[0]) {
            attributes[config.numAttrs].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
            attributes[config.numAttrs].value.clusterDim.x = job.cluster[0];
            attributes[config.numAttrs].value.clusterDim.y = job.cluster[1];
            attributes[config.numAttrs++].value.clusterDim.z = job.cluster[2];
        }
        driver_.check(driver_.launch_extended(&config, function_, pointers_.data(), nullptr), "cuLaunchKernelEx");
    }

    void copy_in(const Job& job) {
        size_t at = 0;
        for (const Buffer& b : job.buffers) {
            if (b.bytes) CK(cudaMemcpyAsync(b.device, staging_ + at, b.bytes, cudaMemcpyHostToDevice, stream_));
            at += b.bytes;
        }
    }

    void copy_out(const Job& job) {
        std::ofstream file(job.output, std::ios::binary);
        for (const Buffer& b : job.buffers) {
            if (!b.bytes || !b.output) continue;
            std::vector<char> bytes(b.bytes);
            CK(cudaMemcpy(bytes.data(), b.device, b.bytes, cudaMemcpyDeviceToHost));
            file.write(bytes.data(), (std::streamsize)bytes.size());
        }
        if (!file.flush()) throw Failure("cannot write " + job.output);
    }

    // Fresh inputs, the caches as wanted, and a stream that is busy until the host has queued the launch.
    void prepare(const Job& job, bool flushed) {
        copy_in(job);
        if (flushed) {
            kit_read<<<4 * properties_.multiProcessorCount, 512, 0, stream_>>>((const uint4*)scratch_, scratch_bytes_ / 16, (uint4*)scratch_);
            CK(cudaGetLastError());
        }
        kit_spin<<<1, 1, 0, stream_>>>(spin_, 40000);
        CK(cudaGetLastError());
    }

    double clock_mhz() {
        u64 read[2];
        kit_spin<<<1, 1, 0, stream_>>>(spin_, 500000);
        CK(cudaGetLastError());
        CK(cudaStreamSynchronize(stream_));
        CK(cudaMemcpy(read, spin_, sizeof read, cudaMemcpyDeviceToHost));
        return 1e3 * double(read[1]) / double(read[0]);
    }

    // An idle card runs at a low clock: wait until the clock stays where it is.
    void warm_up() {
        double last = 0;
        for (int i = 0, stable = 0; i < 400 && stable < 40; i++) {
            double now = clock_mhz();
            if (now > 0.97 * top_ && top_ > 0) return;
            stable = now > 0.995 * last && now < 1.005 * last ? stable + 1 : 0;
            last = now;
        }
        top_ = last;
    }

    static void report(const char* method, bool flushed, std::vector<double> ns, double clock) {
        if (ns.empty()) return;
        std::sort(ns.begin(), ns.end());
        size_t n = ns.size();
        double median = n % 2 ? ns[n / 2] : 0.5 * (ns[n / 2 - 1] + ns[n / 2]);
        printf("time %s %s %zu %.1f %.1f %.1f %.1f\n", method, flushed ? "flushed" : "copied", n, median, ns.front(), ns.back(), clock);
    }

    Driver driver_;
    Activity records_;
    bool once_, activity_ = false;
    cudaDeviceProp properties_;
    cudaStream_t stream_ = nullptr;
    cudaEvent_t before_ = nullptr, after_ = nullptr;
    CUfunction function_ = nullptr;
    u64* spin_ = nullptr;
    void* scratch_ = nullptr;
    size_t scratch_bytes_ = 0;
    double top_ = 0;
    uint8_t* staging_ = nullptr;
    std::vector<void*> pointers_, owned_;
};

int main(int argc, char** argv) {
    setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
    const char* cupti = nullptr;
    bool once = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--once")) once = true;
        else if (!strcmp(argv[i], "--cupti") && i + 1 < argc) cupti = argv[++i];
    }
    try {
        Bench bench(cupti, once);
        std::string path;
        while (std::getline(std::cin, path)) {
            try {
                bench.run(read_job(path));
                printf("done\n");
            } catch (const std::exception& e) {
                printf("error %s\n", e.what());
            }
            cudaGetLastError();
            if (cudaDeviceSynchronize() != cudaSuccess) return 3;  // a sticky error stays
        }
    } catch (const std::exception& e) {
        printf("error %s\n", e.what());
        return 2;
    }
    return 0;
}
