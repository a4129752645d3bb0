// Clusters, mbarriers, bulk copies and (sm_90a) warpgroup matrix multiplication, for the decoder tests.
#if __CUDA_ARCH__ >= 900
extern "C" __global__ void __cluster_dims__(2, 1, 1) cluster_exchange(int *x) {
    __shared__ int s[128];
    s[threadIdx.x] = x[threadIdx.x];
    asm volatile("barrier.cluster.arrive.aligned;");
    asm volatile("barrier.cluster.wait.aligned;");
    unsigned at = (unsigned)__cvta_generic_to_shared(s + threadIdx.x), remote;
    int v;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(at), "r"(1));
    asm volatile("ld.shared::cluster.u32 %0, [%1];" : "=r"(v) : "r"(remote));
    asm volatile("barrier.cluster.arrive.aligned;\n barrier.cluster.wait.aligned;");
    x[threadIdx.x + blockDim.x] = v;
}

extern "C" __global__ void bulk_copy(float *out, const float *in) {
    __shared__ __align__(128) float tile[1024];
    __shared__ unsigned long long full;
    unsigned bar = (unsigned)__cvta_generic_to_shared(&full), dst = (unsigned)__cvta_generic_to_shared(tile), done = 0;
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(bar));
        asm volatile("fence.mbarrier_init.release.cluster;");
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 4096;" ::"r"(bar));
        asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], 4096, [%2];" ::"r"(dst), "l"(in), "r"(bar));
    }
    while (!done)
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0; selp.u32 %0, 1, 0, p; }" : "=r"(done) : "r"(bar));
    out[threadIdx.x] = tile[1023 - threadIdx.x];
    asm volatile("fence.proxy.async.shared::cta;");
    if (threadIdx.x == 0) {
        asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], 4096;" ::"l"(out + 4096), "r"(dst));
        asm volatile("cp.async.bulk.commit_group;\n cp.async.bulk.wait_group 0;");
    }
}

struct __align__(64) TensorMap { unsigned long long opaque[16]; };
extern "C" __global__ void tensor_copy(float *out, const __grid_constant__ TensorMap map, int x, int y) {
    __shared__ __align__(128) float tile[1024];
    __shared__ unsigned long long full;
    unsigned bar = (unsigned)__cvta_generic_to_shared(&full), dst = (unsigned)__cvta_generic_to_shared(tile), done = 0;
    if (threadIdx.x == 0) asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(bar));
    __syncthreads();
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 4096;" ::"r"(bar));
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(dst), "l"(&map), "r"(bar), "r"(x), "r"(y));
    }
    while (!done)
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0; selp.u32 %0, 1, 0, p; }" : "=r"(done) : "r"(bar));
    out[threadIdx.x] = tile[1023 - threadIdx.x];
    if (threadIdx.x == 0) {
        asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(&map), "r"(dst), "r"(x), "r"(y + 8));
        asm volatile("cp.async.bulk.commit_group;\n cp.async.bulk.wait_group.read 0;");
    }
}
#endif
#if __CUDA_ARCH__ == 900
extern "C" __global__ void __launch_bounds__(128) warpgroup_multiply(float *out, unsigned long long a, unsigned long long b) {
    float d[4];
    unsigned r[4];
    for (int k = 0; k < 4; k++) d[k] = out[threadIdx.x + 128 * k], r[k] = __float_as_uint(d[k]);
    asm volatile("wgmma.fence.sync.aligned;");
    asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%0,%1,%2,%3}, %4, %5, 1, 1, 1, 0, 0;"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "l"(a), "l"(b));
    asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%0,%1,%2,%3}, {%4,%5,%6,%7}, %8, 1, 1, 1, 0;"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "l"(b));
    asm volatile("wgmma.commit_group.sync.aligned;\n wgmma.wait_group.sync.aligned 0;");
    for (int k = 0; k < 4; k++) out[threadIdx.x + 128 * k] = d[k];
}
#endif
