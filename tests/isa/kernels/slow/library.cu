// Block primitives, cooperative groups, matrix fragments and the mathematics library: long code with many subroutines.
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cub/block/block_radix_sort.cuh>
#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>
#include <mma.h>

extern "C" __global__ void radix_sort(int *keys, float *values) {
    typedef cub::BlockRadixSort<int, 128, 4, float> Sort;
    __shared__ typename Sort::TempStorage storage;
    int k[4];
    float v[4];
    for (int i = 0; i < 4; i++) k[i] = keys[threadIdx.x * 4 + i], v[i] = values[threadIdx.x * 4 + i];
    Sort(storage).Sort(k, v);
    for (int i = 0; i < 4; i++) keys[threadIdx.x * 4 + i] = k[i], values[threadIdx.x * 4 + i] = v[i];
}

extern "C" __global__ void scan_and_reduce(long long *a, double *d) {
    typedef cub::BlockScan<long long, 256> Scan;
    typedef cub::BlockReduce<double, 256> Reduce;
    __shared__ typename Scan::TempStorage scan;
    __shared__ typename Reduce::TempStorage reduce;
    long long x = a[threadIdx.x], y;
    Scan(scan).ExclusiveSum(x, y);
    a[threadIdx.x] = y;
    double z = Reduce(reduce).Reduce(d[threadIdx.x], [](double p, double q) { return p > q ? p : q; });
    if (threadIdx.x == 0) d[0] = z;
}

extern "C" __global__ void groups(int *a, float *f) {
    namespace cg = cooperative_groups;
    auto block = cg::this_thread_block();
    auto tile = cg::tiled_partition<16>(block);
    int s = cg::reduce(tile, a[block.thread_rank()], cg::plus<int>());
    a[block.thread_rank()] = s + tile.shfl_xor(s, 2);
    if (s & 1) {
        auto some = cg::coalesced_threads();
        f[threadIdx.x] = some.size() * f[3];
        f[some.thread_rank()] = cg::reduce(some, f[9], cg::greater<float>());
    }
    cg::this_grid().sync();
    a[3] = 7;
}

extern "C" __global__ void fragments(const __half *a, const __half *b, float *c) {
    using namespace nvcuda;
    wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> left;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::col_major> right;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
    wmma::fill_fragment(sum, 0.f);
    for (int i = 0; i < 4; i++) {
        wmma::load_matrix_sync(left, a + i * 16, 64);
        wmma::load_matrix_sync(right, b + i * 16, 64);
        wmma::mma_sync(sum, left, right, sum);
    }
    wmma::store_matrix_sync(c, sum, 16, wmma::mem_row_major);
}

extern "C" __global__ void mathematics(float *f, double *d, int n) {
    int i = threadIdx.x;
    f[i] = expf(f[i]) * powf(f[i + 1], f[i + 2]) + erff(f[i]) + lgammaf(f[i]) + cbrtf(f[i]) + atan2f(f[i], f[i + 3]) +
           fmodf(f[i], 3.3f) + ldexpf(f[i], n) + normcdff(f[i]) + j0f(f[i]);
    d[i] = sin(d[i]) + log(d[i + 1]) + pow(d[i], d[i + 2]) + erfc(d[i]) + tgamma(d[i]) + fmod(d[i], d[i + 1]) +
           remainder(d[i], 2.2) + (double)llrint(d[i]) + nextafter(d[i], 3.0);
    f[i + n] = __fsqrt_rd(f[i]) * __frcp_rz(f[i]) + __fdiv_ru(f[i], f[i + 1]);
    d[i + n] = __ddiv_rz(d[i], d[i + 1]) + __dsqrt_ru(d[i]);
}

extern "C" __global__ void packed_integers(unsigned *a) {
    int i = threadIdx.x;
    a[i] = __vadd2(a[i], a[i + 1]) ^ __vabsdiffu4(a[i], a[i + 2]) ^ __vcmpgts2(a[i], a[i + 3]) ^ __vmaxu4(a[i], a[i + 5]) ^
           __vavgs4(a[i], a[i + 8]) ^ __vsetles2(a[i], a[i + 9]);
    a[i + 99] = __dp2a_lo((int)a[i], (int)a[i + 1], (int)a[i + 3]) + __umul24(a[i], a[i + 3]) + __urhadd(a[i], a[i + 4]);
}
