"""Emulated code against traces that NVBit captured on GPUs: how often each opcode ran, masks and addresses.

Comparable: programs whose source is known or simple enough to write again (vectorAdd, vectorSub, the FFMA chain of the
H100 measurements) and Rodinia's bfs, whose graph the captured addresses give away. The compilers differ (nvcc of the
captures, NVRTC here): vector kernels and chains agree in every opcode and mask, bfs in all but address arithmetic.
The other captured programs (PyTorch, FlashInfer, cuBLAS) have no source here, and code for sm_61 and sm_70 cannot be
compiled any more.
"""

from collections import Counter

import numpy as np
import pytest

pytestmark = [pytest.mark.sass, pytest.mark.shared_data]

ELEMENTWISE = """
extern "C" __global__ void k(const float* a, const float* b, float* c, int n) {
    int i = blockDim.x * blockIdx.x + threadIdx.x;
    if (i < n) c[i] = EXPRESSION;
}
"""
CHAIN = """
__device__ float sink;
extern "C" __global__ void k(PARAMETER) {
    GUARD float x = 2.0f;
    LOOP {
#pragma unroll
        for (int j = 0; j < LENGTH; ++j) x = fmaf(x, 1.5f, 0.5f);
    }
    if (x == 0.0f) sink = x;
}
"""
# The algorithm of Rodinia's bfs (Che et al., IISWC 2009) in our words.
BFS = """
struct Node { int start, edges; };
extern "C" __global__ void expand(const Node* node, const int* edge, bool* frontier, bool* reached, const bool* visited,
                                  int* cost, int n) {
    int i = blockIdx.x * 512 + threadIdx.x;
    if (i < n && frontier[i]) {
        frontier[i] = false;
        for (int k = node[i].start; k < node[i].edges + node[i].start; ++k) {
            int to = edge[k];
            if (!visited[to]) {
                cost[to] = cost[i] + 1;
                reached[to] = true;
            }
        }
    }
}
extern "C" __global__ void settle(bool* frontier, bool* reached, bool* visited, bool* more, int n) {
    int i = blockIdx.x * 512 + threadIdx.x;
    if (i < n && reached[i]) {
        frontier[i] = true;
        visited[i] = true;
        *more = true;
        reached[i] = false;
    }
}
"""


def opcode(text):
    """`@P0 LDG.E R0,...` -> `LDG.E`."""
    words = text.split()
    return words[1] if words[0].startswith("@") else words[0]


def counts(trace):
    """Warp instructions by opcode."""
    total = Counter()
    for chunk in trace.blocks():
        for index, number in zip(*np.unique(chunk.instruction, return_counts=True), strict=True):
            total[opcode(trace.program.text[index])] += int(number)
    return total


def masks(trace):
    """(opcode, active lanes) of each instruction of the first block, warp after warp."""
    chunk = next(iter(trace.blocks()))
    last = chunk.warp_start[trace.launch.warps_per_block]
    pairs = zip(chunk.instruction[:last], chunk.active_mask[:last], strict=True)
    return [(opcode(trace.program.text[k]), int(mask)) for k, mask in pairs]


def emulated(source, architecture, kernel, grid, block, arguments):
    from isa.compile import compile_cuda
    from traces.emulator import emulate

    return emulate(compile_cuda(source, architecture, line_info=False), kernel, grid, block, arguments)


@pytest.mark.parametrize(
    ("path", "expression", "architecture", "n"),
    [
        ("accelsim-vectoradd-sm75/kernel-1-vectorAdd.traceg.xz", "a[i] + b[i]", 75, 1 << 20),
        ("accelsim-vectoradd-sm75/kernel-2-vectorSub.traceg.xz", "a[i] - b[i]", 75, 1 << 20),
        # the CUDA sample of those years adds a zero, and the compiler keeps it (it turns -0 into +0)
        ("mgpusim-nvidia/sm80-vectoradd-50000/kernel-1.traceg.xz", "a[i] + b[i] + 0.0f", 80, 50000),
    ],
)
def test_vector_kernels_run_the_captured_instructions(shared_data, path, expression, architecture, n):
    from traces.load import open_any

    captured = open_any(shared_data / path)
    assert captured.launch.architecture == architecture
    zeros = np.zeros(n, np.float32)
    source = ELEMENTWISE.replace("EXPRESSION", expression)
    ours = emulated(source, architecture, None, -(-n // 256), 256, [zeros, zeros, zeros, np.int32(n)])
    assert counts(ours) == counts(captured)
    assert masks(ours) == masks(captured)
    assert ours.launch.registers == captured.launch.registers


@pytest.mark.parametrize("turns", [10, 20, 30, 40])
def test_ffma_chain_of_the_h100_runs_the_captured_instructions(shared_data, turns):
    (path,) = (shared_data / f"mgpusim-nvidia/sm90-h100pcie/simtune-ffmakernel-1-32-{turns}").glob("*.traceg.xz")
    source = CHAIN.replace("PARAMETER", "int n").replace("GUARD", "if (n <= 0) return;")
    source = source.replace("LOOP", "for (int i = 0; i < n; ++i)").replace("LENGTH", "128")
    compare_chain(path, emulated(source, 90, None, 1, 32, [np.int32(turns)]))


def test_short_ffma_chain_of_the_h100_runs_the_captured_instructions(shared_data):
    (path,) = (shared_data / "mgpusim-nvidia/sm90-h100pcie/simtune-ffmakernel-4096-16").glob("*.traceg.xz")
    source = CHAIN.replace("PARAMETER", "").replace("GUARD", "").replace("LOOP", "").replace("LENGTH", "20")
    compare_chain(path, emulated(source, 90, None, 4096, 16, []))


def compare_chain(path, ours):
    """Registers differ: the measured program could print, and a call reserves 24 of them."""
    from traces.load import open_any

    captured = open_any(path)
    assert counts(ours) == counts(captured)
    assert masks(ours) == masks(captured)


def executions(trace):
    """(instruction index, thread numbers, their addresses) of every access to memory, in each warp's order."""
    warps = trace.launch.warps_per_block
    for chunk in trace.blocks():
        for slot in range(len(chunk.warp_start) - 1):
            first_thread = ((chunk.first_block + slot // warps) * warps + slot % warps) * 32
            for k in range(chunk.warp_start[slot], chunk.warp_start[slot + 1]):
                if chunk.access[k] < 0:
                    continue
                active = [lane for lane in range(32) if int(chunk.active_mask[k]) >> lane & 1]
                access = chunk.accesses[chunk.access[k]]
                if access["list_at"] < 0:
                    where = [int(access["base"]) + lane * int(access["stride"]) for lane in active]
                else:
                    where = chunk.lane_address[access["list_at"] : access["list_at"] + len(active)].tolist()
                yield int(chunk.instruction[k]), [first_thread + lane for lane in active], where


def rebuild_graph(expansions, first_settlement):
    """(source vertex, {vertex: index of its first edge}, {index: neighbour}) from the addresses of the captured loads.

    In the listing of the captured kernel instruction 25 loads an edge and 29 the mark of the vertex it leads to; the
    second store of the other kernel writes such a mark at the thread's number.
    """
    marks = [k for k, text in enumerate(first_settlement.program.text) if opcode(text) == "STG.E.U8"]
    visited = next(where[0] - threads[0] for k, threads, where in executions(first_settlement) if k == marks[1])
    source, first, neighbours, edge = None, {}, {}, {}
    for trace in expansions:
        assert [opcode(trace.program.text[k]) for k in (25, 29)] == ["LDG.E", "LDG.E.U8"]
        for k, threads, where in executions(trace):
            if k == 25:
                edge.update(zip(threads, where, strict=True))
                source = threads[0] if source is None else source
                for thread, at in zip(threads, where, strict=True):
                    first.setdefault(thread, at)
            elif k == 29:
                neighbours.update({edge[thread]: at - visited for thread, at in zip(threads, where, strict=True)})
    base = min(neighbours)
    return (
        source,
        {v: (at - base) // 4 for v, at in first.items()},
        {(at - base) // 4: v for at, v in neighbours.items()},
    )


# What the compilers chose differently here: address arithmetic, and constants of stored bytes.
CHOICES = ("IADD3.X", "IMAD.MOV.U32", "IMAD.WIDE", "LEA", "LEA.HI.X", "LEA.HI.X.SX32", "SHF.R.S32.HI", "PRMT")


def compare_flow(ours, captured):
    """Loads, stores, compares, branches and sums run equally often.

    On the GPU lanes that left a loop at different turns now and then shared an EXIT; they never do here.
    """
    ours, captured = counts(ours), counts(captured)
    ours_exits, captured_exits = ours.pop("EXIT"), captured.pop("EXIT")
    assert captured_exits <= ours_exits <= 1.01 * captured_exits
    both = [{name: number for name, number in c.items() if name not in CHOICES} for c in (ours, captured)]
    assert both[0] == both[1]


def test_bfs_of_rodinia_runs_the_captured_instructions(shared_data):
    """All 16 launches, level after level, on the graph that the captured addresses give away."""
    from traces.load import open_any

    folder = shared_data / "mgpusim-nvidia/sm80-bfs-rodinia-2.0-ft"
    captured = [open_any(folder / f"kernel-{k}.traceg.xz") for k in range(1, 17)]
    source, first, neighbours = rebuild_graph(captured[::2], captured[1])
    n = captured[0].launch.blocks * captured[0].launch.threads_per_block
    edge = np.zeros(max(neighbours) + 1, np.int32)
    edge[list(neighbours)] = list(neighbours.values())
    bounds = [*sorted(first.values()), len(edge)]
    node = np.zeros((n, 2), np.int32)
    for vertex, start in first.items():
        node[vertex] = start, bounds[bounds.index(start) + 1] - start
    frontier, reached, visited = (np.zeros(n, np.uint8) for _ in range(3))
    frontier[source] = visited[source] = 1
    cost = np.full(n, -1, np.int32)
    cost[source] = 0
    for level in range(8):
        arguments = [node, edge, frontier, reached, visited, cost, np.int32(n)]
        expand = emulated(BFS, 80, "expand", n // 512, 512, arguments)
        compare_flow(expand, captured[2 * level])
        results = expand.outputs()
        frontier, reached, cost = (results[f"argument{k}"] for k in (2, 3, 5))
        arguments = [frontier, reached, visited, np.zeros(1, np.uint8), np.int32(n)]
        settle = emulated(BFS, 80, "settle", n // 512, 512, arguments)
        compare_flow(settle, captured[2 * level + 1])
        frontier, reached, visited = (settle.outputs()[f"argument{k}"] for k in range(3))
    assert not frontier.any(), "the search has ended"
