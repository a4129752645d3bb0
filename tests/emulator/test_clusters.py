"""Clusters of thread blocks: ranks and sizes, distributed shared memory, barriers, multicast; cooperative launches."""

import numpy as np
import pytest

from isa.errors import SubcoreError
from traces.emulator.faults import EmulationError
from traces.emulator.tensor_map import TensorMap
from traces.kernels.catalogue import FOLDER

pytestmark = pytest.mark.sass

HEADER = (FOLDER / "hopper.cuh").read_text(encoding="utf-8").replace("#pragma once", "")


def launch(text, arguments, architecture=90, **options):
    from isa.compile import compile_cuda
    from traces.emulator import emulate

    names = [f"a{i}" for i in range(len(arguments))]
    return emulate(compile_cuda(text, architecture), arguments=arguments, names=names, **options)


PLACES = """
extern "C" __global__ void places(unsigned* out) {
    unsigned v[10];
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(v[0]));
    asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(v[1]));
    asm("mov.u32 %0, %%clusterid.x;" : "=r"(v[2]));
    asm("mov.u32 %0, %%clusterid.y;" : "=r"(v[3]));
    asm("mov.u32 %0, %%cluster_ctaid.x;" : "=r"(v[4]));
    asm("mov.u32 %0, %%cluster_ctaid.y;" : "=r"(v[5]));
    asm("mov.u32 %0, %%nclusterid.x;" : "=r"(v[6]));
    asm("mov.u32 %0, %%nclusterid.y;" : "=r"(v[7]));
    asm("mov.u32 %0, %%cluster_nctaid.x;" : "=r"(v[8]));
    asm("mov.u32 %0, %%cluster_nctaid.y;" : "=r"(v[9]));
    for (int i = 0; i < 10; ++i) out[(blockIdx.y * gridDim.x + blockIdx.x) * 10 + i] = v[i];
}
"""


@pytest.mark.parametrize("architecture", [90, 100, 120])
@pytest.mark.parametrize("cluster", [(1, 1), (3, 2), (2, 4)])
def test_every_block_knows_its_place(cluster, architecture):
    (cx, cy), (gx, gy) = cluster, (6, 8)
    out = np.zeros((gy, gx, 10), np.uint32)
    trace = launch(PLACES, [out], architecture, grid=(gx, gy), block=1, cluster=cluster)
    got = trace.outputs()["a0"]
    for y in range(gy):
        for x in range(gx):
            rank = x % cx + cx * (y % cy)
            wanted = [rank, cx * cy, x // cx, y // cy, x % cx, y % cy, gx // cx, gy // cy, cx, cy]
            assert got[y, x].tolist() == wanted, (x, y)
    assert trace.launch.cluster == (*cluster, 1)


def test_streams_come_in_linear_order_for_flat_and_tall_clusters():
    trace = launch(
        PLACES, [np.zeros((8, 6, 10), np.uint32)], grid=(6, 8), block=1, cluster=(3, 2), chunk_instructions=1
    )
    chunks = list(trace.blocks())
    assert [chunk.first_block for chunk in chunks] == [0, 12, 24, 36], "two rows of blocks at a time"
    stores = []
    for chunk in chunks:
        for warp, (a, b) in enumerate(zip(chunk.warp_start, chunk.warp_start[1:], strict=False)):
            texts = [trace.program.text[i] for i in chunk.instruction[a:b]]
            first = next(at for at, text in zip(chunk.access[a:b], texts, strict=True) if text.startswith("STG"))
            stores.append((chunk.first_block + warp, int(chunk.accesses[first]["base"])))
    bases = [base for _, base in stores]
    assert np.diff(bases).tolist() == [40] * 47, "block b stores at 40 b"


EXCHANGE = (
    HEADER
    + """
extern "C" __global__ void exchange(int* out) {
    __shared__ int value[64], count;
    const u32 rank = cluster_rank(), other = (rank + 1) % 4;
    value[threadIdx.x] = 100 * blockIdx.x + threadIdx.x;
    if (threadIdx.x == 0) count = 0;
    cluster_arrive(); cluster_wait();
    const u32 there = remote_address(shared_address(&value[threadIdx.x]), other);
    int seen;
    asm volatile("ld.shared::cluster.s32 %0, [%1];" : "=r"(seen) : "r"(there) : "memory");
    asm volatile("red.shared::cluster.add.s32 [%0], 1;" ::"r"(remote_address(shared_address(&count), 0)) : "memory");
    cluster_arrive(); cluster_wait();
    asm volatile("st.shared::cluster.s32 [%0], %1;" ::"r"(there), "r"(-seen) : "memory");
    cluster_arrive(); cluster_wait();
    const int i = blockIdx.x * 64 + threadIdx.x;
    out[3 * i] = seen; out[3 * i + 1] = value[threadIdx.x]; out[3 * i + 2] = count;
}
"""
)


@pytest.mark.parametrize("architecture", [90, 100, 120])
def test_distributed_shared_memory(architecture):
    out = np.zeros((8, 64, 3), np.int32)
    got = launch(EXCHANGE, [out], architecture, grid=8, block=64, cluster=4).outputs()["a0"]
    block, thread = np.arange(8)[:, None], np.arange(64)
    other = block // 4 * 4 + (block + 1) % 4
    np.testing.assert_array_equal(got[..., 0], 100 * other + thread)
    np.testing.assert_array_equal(got[..., 1], -(100 * block + thread))
    np.testing.assert_array_equal(got[..., 2], np.where(block % 4 == 0, 4 * 64, 0) + 0 * thread)


SIGNAL = (
    HEADER
    + """
extern "C" __global__ void signal(int* out) {
    __shared__ __align__(16) int value[32];
    __shared__ u64 full;
    const u32 rank = cluster_rank(), other = rank ^ 1;
    if (threadIdx.x == 0) { barrier_init(&full, 1); barrier_expect(&full, 128); }
    cluster_arrive(); cluster_wait();
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];"
                 ::"r"(remote_address(shared_address(&value[threadIdx.x]), other)), "r"(1000 * rank + threadIdx.x),
                   "r"(remote_address(shared_address(&full), other)) : "memory");
    barrier_wait(&full, 0);
    out[blockIdx.x * 32 + threadIdx.x] = value[threadIdx.x];
    cluster_arrive(); cluster_wait();
}
"""
)


def test_asynchronous_stores_complete_the_other_blocks_barrier():
    trace = launch(SIGNAL, [np.zeros((2, 32), np.int32)], grid=2, block=32, cluster=2)
    got = trace.outputs()["a0"]
    np.testing.assert_array_equal(got, np.array([[1000], [0]]) + np.arange(32))
    (chunk,) = trace.blocks()
    stores = [(int(chunk.accesses[a]["base"]), int(chunk.accesses[a + 1]["base"]))
              for i, a in zip(chunk.instruction, chunk.access, strict=True)
              if trace.program.text[i].startswith("STAS")]  # fmt: skip
    assert [(value >> 24, barrier >> 24) for value, barrier in stores] == [(1, 1), (0, 0)]


MULTICAST = (
    HEADER
    + """
extern "C" __global__ void spread(const __grid_constant__ CUtensorMap map, float* out) {
    __shared__ __align__(1024) float tile[4][256];
    __shared__ u64 full;
    const u32 rank = cluster_rank();
    if (threadIdx.x == 0) { barrier_init(&full, 1); barrier_expect(&full, sizeof(tile)); }
    cluster_arrive(); cluster_wait();
    if (threadIdx.x == 0) tile_load_multicast(tile[rank], &map, &full, 0, 8 * rank, 15);
    barrier_wait(&full, 0);
    for (int i = threadIdx.x; i < 1024; i += blockDim.x) out[blockIdx.x * 1024 + i] = tile[i / 256][i % 256];
    cluster_arrive(); cluster_wait();
}
"""
)


def test_multicast_reaches_every_block_of_the_mask():
    source = np.arange(1024, dtype=np.float32).reshape(32, 32)
    given = [TensorMap(source, (8, 32)), np.zeros((4, 1024), np.float32)]
    got = launch(MULTICAST, given, grid=4, block=64, cluster=4).outputs()["a1"]
    np.testing.assert_array_equal(got, np.broadcast_to(source.reshape(-1), (4, 1024)))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"grid": 6, "cluster": 4}, "no multiple of the cluster"),
        ({"grid": 32, "cluster": 32}, "must be 1 to 16"),
        ({"grid": (8, 8), "cluster": (8, 4)}, "at most 16"),
    ],
)
def test_impossible_clusters_are_refused(options, text):
    with pytest.raises(SubcoreError, match=text):
        launch(EXCHANGE, [np.zeros(1, np.int32)], block=64, **options)


def test_older_gpus_have_no_clusters():
    text = 'extern "C" __global__ void k(int* out) { out[0] = 1; }'
    with pytest.raises(SubcoreError, match="sm_90 or later"):
        launch(text, [np.zeros(1, np.int32)], 86, grid=4, block=32, cluster=4)


def test_a_rank_outside_the_cluster_is_named():
    with pytest.raises(EmulationError, match="names block 3 of the cluster, which has 2 blocks") as caught:
        launch(EXCHANGE.replace("% 4", "+ 2"), [np.zeros((2, 64, 3), np.int32)], grid=2, block=64, cluster=2).outputs()
    assert caught.value.fault.kind == "out_of_bounds"


def test_blocks_that_wait_for_one_that_never_comes():
    stuck = "__shared__ u64 b; if (blockIdx.x == 1) { barrier_init(&b, 2); barrier_wait(&b, 0); }\n"
    text = EXCHANGE.replace("const u32 rank", stuck + "const u32 rank")
    with pytest.raises(EmulationError, match="192 threads .* for the other blocks of the cluster") as caught:
        launch(text, [np.zeros((4, 64, 3), np.int32)], grid=4, block=64, cluster=4).outputs()
    assert caught.value.fault.kind == "deadlock" and "64 threads" in str(caught.value)


GRID = """
#include <cooperative_groups.h>
extern "C" __global__ void turns(int* x, int n) {
    cooperative_groups::grid_group grid = cooperative_groups::this_grid();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    for (int k = 0; k < 3; ++k) {
        const int v = x[(i + 37) % n];
        grid.sync();
        x[i] = v + 1;
        grid.sync();
    }
}
"""


@pytest.mark.parametrize("architecture", [75, 86, 90, 100, 120])
def test_cooperative_grid_barrier(architecture):
    x = np.arange(384, dtype=np.int32)
    given = [x, np.int32(384)]
    got = launch(GRID, given, architecture, grid=6, block=64, cooperative=True, budget=1_000_000).outputs()["a0"]
    for _ in range(3):
        x = np.roll(x, -37) + 1
    np.testing.assert_array_equal(got, x)


def test_grid_barrier_without_a_cooperative_launch_says_so():
    with pytest.raises(EmulationError, match="launch it as cooperative") as caught:
        launch(GRID, [np.arange(384, dtype=np.int32), np.int32(384)], grid=6, block=64).outputs()
    assert caught.value.fault.kind == "trap"


def test_cooperative_launch_of_too_many_blocks():
    with pytest.raises(SubcoreError, match="runs all blocks at once"):
        launch(GRID, [np.arange(384, dtype=np.int32), np.int32(384)], grid=6000, block=64, cooperative=True)
