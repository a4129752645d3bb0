"""Bulk and tensor copies: tiles against slices of the array, edges, swizzles, reductions, faults, and their streams."""

import numpy as np
import pytest

from isa.errors import SubcoreError
from isa.program import Access, MemorySpace
from traces.emulator.faults import EmulationError
from traces.emulator.tensor_map import TensorMap
from traces.kernels.catalogue import FOLDER

pytestmark = pytest.mark.sass

HEADER = (FOLDER / "hopper.cuh").read_text(encoding="utf-8").replace("#pragma once", "")
LOAD = (
    HEADER
    + """
extern "C" __global__ void load(const __grid_constant__ CUtensorMap map, float* out, int x, int y, int z) {
    __shared__ __align__(1024) float tile[TILE];
    __shared__ u64 full;
    if (threadIdx.x == 0) {
        barrier_init(&full, 1);
        proxy_fence();
        barrier_expect(&full, sizeof(tile));
        if (z < 0) tile_load(tile, &map, &full, x, y);
        else tile_load(tile, &map, &full, x, y, z);
    }
    __syncthreads();
    barrier_wait(&full, 0);
    for (int i = threadIdx.x; i < TILE; i += blockDim.x) out[i] = tile[i];
}
"""
)


def launch(text, arguments, architecture=90, **options):
    from isa.compile import compile_cuda
    from traces.emulator import emulate

    names = [f"a{i}" for i in range(len(arguments))]
    options = {"grid": 1, "block": 64} | options
    return emulate(compile_cuda(text, architecture), arguments=arguments, names=names, **options)


def load(tensor_map, x, y, z=-1, **options):
    steps = tensor_map.element_strides or [1] * len(tensor_map.box)
    shape = [-(-n // step) for n, step in zip(tensor_map.box, steps, strict=True)]
    out = np.zeros(shape, np.float32)
    given = [tensor_map, out, *(np.int32(v) for v in (x, y, z))]
    return launch(LOAD.replace("TILE", str(out.size)), given, **options).outputs()["a1"]


def window(array, box, at):
    """The tile of `box` elements that begins at `at` (outermost first); zeros outside."""
    wide = np.pad(array, [(b, b) for b in box])
    return wide[tuple(slice(b + a, b + a + b) for a, b in zip(at, box, strict=True))]


MATRIX = np.random.default_rng(1).uniform(-1, 1, (50, 72)).astype(np.float32)


@pytest.mark.parametrize("architecture", [90, 100, 120])
@pytest.mark.parametrize(("x", "y"), [(0, 0), (8, 5), (60, 40), (-7, -3), (71, 49)])
def test_tile_is_a_window_with_zeros_outside(x, y, architecture):
    got = load(TensorMap(MATRIX, (16, 32)), x, y, architecture=architecture)
    np.testing.assert_array_equal(got, window(MATRIX, (16, 32), (y, x)))


@pytest.mark.parametrize("swizzle", [32, 64, 128])
def test_swizzle_exchanges_units_of_16_bytes(swizzle):
    columns = swizzle // 4
    got = load(TensorMap(MATRIX, (16, columns), swizzle=swizzle), 4, 7)
    units, address = got.reshape(-1, 4), 16 * np.arange(16 * columns // 4)
    placed = address ^ ((address >> 7 & swizzle // 16 - 1) << 4)
    np.testing.assert_array_equal(units[placed // 16].reshape(16, columns), window(MATRIX, (16, columns), (7, 4)))


def test_three_dimensions_with_strides_of_their_own():
    store = np.arange(5 * 6 * 16, dtype=np.float32).reshape(5, 6, 16)
    view = TensorMap(store, (2, 3, 8), shape=(5, 5, 12), strides=(6 * 64, 64))
    got = load(view, 8, 3, 4)
    np.testing.assert_array_equal(got, window(store[:, :5, :12], (2, 3, 8), (4, 3, 8)))


def test_element_strides_skip_rows():
    got = load(TensorMap(MATRIX, (16, 32), element_strides=(2, 1)), 8, 41)
    np.testing.assert_array_equal(got, window(MATRIX, (16, 32), (41, 8))[::2])


STORE = (
    HEADER
    + """
extern "C" __global__ void store(const __grid_constant__ CUtensorMap map, const ELEMENT* in, int x, int y) {
    __shared__ __align__(1024) ELEMENT tile[16 * 32];
    for (int i = threadIdx.x; i < 16 * 32; i += blockDim.x) tile[i] = in[i];
    proxy_fence();
    __syncthreads();
    if (threadIdx.x == 0) {
        asm volatile("CODE [%0, {%2, %3}], [%1];" ::"l"(&map), "r"(shared_address(tile)), "r"(x), "r"(y) : "memory");
        store_commit();
        store_wait();
    }
}
"""
)
REDUCE = "cp.reduce.async.bulk.tensor.2d.global.shared::cta.{}.tile.bulk_group"


@pytest.mark.parametrize(
    ("code", "dtype", "combine"),
    [
        ("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group", np.float32, lambda old, new: new),
        (REDUCE.format("add"), np.float32, np.add),
        (REDUCE.format("add"), np.float16, np.add),
        (REDUCE.format("min"), np.float16, np.minimum),
        (REDUCE.format("max"), np.int32, np.maximum),
        (REDUCE.format("xor"), np.uint32, np.bitwise_xor),
    ],
)
@pytest.mark.parametrize(("x", "y"), [(8, 3), (-8, 40), (64, -5)])
def test_tile_stores_and_reductions_stay_inside(code, dtype, combine, x, y):
    random = np.random.default_rng(2)
    target, tile = (random.integers(0, 100, shape).astype(dtype) for shape in ((50, 72), (16, 32)))
    element = {"float32": "float", "float16": "half", "int32": "int", "uint32": "unsigned"}[np.dtype(dtype).name]
    text = STORE.replace("ELEMENT", element).replace("CODE", code)
    got = launch(text, [TensorMap(target, (16, 32)), tile, np.int32(x), np.int32(y)]).outputs()["a0"]
    wanted = target.copy()
    rows, columns = slice(max(y, 0), min(y + 16, 50)), slice(max(x, 0), min(x + 32, 72))
    part = tile[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    wanted[rows, columns] = combine(wanted[rows, columns], part)
    np.testing.assert_array_equal(got, wanted)


def test_a_plain_copy_is_no_tensor_map():
    with pytest.raises(EmulationError, match="no tensor map") as caught:
        given = [MATRIX[0, :32].tobytes(), np.zeros(512, np.float32), *(np.int32(v) for v in (0, 0, -1))]
        launch(LOAD.replace("TILE", "512"), given).outputs()
    assert caught.value.fault.kind == "descriptor"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"box": (16, 300)}, "1 to 256"),
        ({"box": (16, 3)}, "multiple of 16 bytes"),
        ({"box": (16, 32), "swizzle": 48}, "swizzle 48"),
        ({"box": (16, 16), "swizzle": 128}, "as many"),
        ({"box": (16,)}, "need 2 sizes"),
        ({"box": (16, 32), "shape": (60, 72)}, "the array has"),
        ({"box": (16, 32), "strides": (40,)}, "multiples of 16"),
    ],
)
def test_impossible_tensor_maps_are_refused(options, text):
    with pytest.raises(SubcoreError, match=text):
        TensorMap(MATRIX, **options).encode(0x1000, "argument")


def test_tensor_map_needs_a_parameter_of_128_bytes():
    text = 'extern "C" __global__ void k(float* x) { *x = 1; }'
    with pytest.raises(SubcoreError, match="tensor map of 128 bytes"):
        launch(text, [TensorMap(MATRIX, (16, 32))])


BULK = (
    HEADER
    + """
extern "C" __global__ void bulk(float* out, const float* in, int bytes) {
    __shared__ __align__(128) float buffer[256];
    __shared__ u64 full;
    if (threadIdx.x != 0) return;
    barrier_init(&full, 1);
    barrier_expect(&full, bytes);
    bulk_load(buffer, in, bytes, &full);
    barrier_wait(&full, 0);
    bulk_store(out, buffer, bytes);
    asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;"
                 ::"l"(out), "r"(shared_address(buffer)), "r"(bytes / 2) : "memory");
    store_commit();
    store_wait();
}
"""
)


def test_bulk_copy_and_reduction():
    data = np.random.default_rng(3).uniform(-1, 1, 256).astype(np.float32)
    got = launch(BULK, [np.zeros(256, np.float32), data, np.int32(1024)]).outputs()["a0"]
    np.testing.assert_array_equal(got, data * np.where(np.arange(256) < 128, 2, 1).astype(np.float32))


@pytest.mark.parametrize(("count", "kind"), [(200, "out_of_bounds"), (0, "misaligned")])
def test_bulk_copy_faults(count, kind):
    data = np.zeros(256, np.float32)
    text = BULK.replace("bulk_load(buffer, in,", "bulk_load(buffer, in + 1,") if not count else BULK
    with pytest.raises(EmulationError) as caught:
        launch(text, [np.zeros(256, np.float32), data[:count] if count else data, np.int32(1024)]).outputs()
    assert caught.value.fault.kind == kind and caught.value.fault.space == "global"


def test_a_wait_for_bytes_that_never_come_is_a_deadlock():
    text = BULK.replace("barrier_expect(&full, bytes);", "barrier_expect(&full, bytes + 16);")
    with pytest.raises(EmulationError, match="for the mbarrier at shared address 0x") as caught:
        launch(text, [np.zeros(256, np.float32), np.zeros(256, np.float32), np.int32(1024)]).outputs()
    assert caught.value.fault.kind == "deadlock"


def records_of(trace, mnemonic):
    """Chained memory records of the executed instructions of a mnemonic: list of lists of (base, stride)."""
    found = []
    for chunk in trace.blocks():
        for index, at in zip(chunk.instruction, chunk.access, strict=True):
            if mnemonic in trace.program.text[index] and at >= 0:
                chain = []
                while True:
                    record = chunk.accesses[at]
                    assert record["list_at"] < 0
                    chain.append((int(record["base"]), int(record["stride"])))
                    if not record["more"]:
                        break
                    at += 1
                found.append(chain)
    return found


def test_stream_says_what_a_tile_copy_moves():
    out = np.zeros(512, np.float32)
    given = [TensorMap(MATRIX, (16, 32)), out, *(np.int32(v) for v in (60, 40, -1))]
    trace = launch(LOAD.replace("TILE", "512"), given)
    (chain,) = records_of(trace, "UTMALDG")
    matrix = next(address for address, size in trace.launch.copies if size == MATRIX.nbytes)
    shared, barrier, row, steps = chain
    assert shared == (0x400, 16 * 32 * 4)
    assert barrier[1] == 0 and 0x400 <= barrier[0] < 0x2000 and barrier[0] % 8 == 0
    assert row == (matrix + (40 * 72 + 60) * 4, 12 * 4)
    assert steps == (72 * 4, 10)
    static = trace.program.instructions[[t.startswith("UTMALDG") for t in trace.program.text]]
    assert set(static["access"]) == {Access.BULK_COPY} and set(static["space"]) == {MemorySpace.SHARED}


def test_stream_has_the_operands_of_mbarriers():
    data = np.zeros(256, np.float32)
    trace = launch(BULK, [data.copy(), data, np.int32(1024)])
    chains = records_of(trace, "SYNCS")
    operands = [chain[1] for chain in chains]
    # one arrival is expected; one came, and expects 1024 bytes; the wait for parity 0 was successful
    assert operands == [(1, 0), ((1 << 32) + 1024, 0), (2, 0)]
    assert len({chain[0] for chain in chains}) == 1


def test_streams_of_copies_survive_the_store(tmp_path):
    from traces.store import StoredTrace, write_trace

    data = np.arange(256, dtype=np.float32)
    trace = launch(BULK, [np.zeros(256, np.float32), data, np.int32(1024)])
    write_trace(tmp_path / "t.sct", trace)
    again = StoredTrace(tmp_path / "t.sct")
    for mnemonic in ("UBLKCP", "UBLKRED", "SYNCS"):
        assert records_of(again, mnemonic) == records_of(trace, mnemonic) != []


def test_python_launch_takes_tensor_maps_and_gives_results_back():
    import subcore

    target = np.zeros((50, 72), np.float32)
    tile = np.arange(512, dtype=np.float32).reshape(16, 32)
    code = "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group"
    text = STORE.replace("ELEMENT", "float").replace("CODE", code)
    given = (subcore.TensorMap(target, (16, 32)), tile, 8, 30)
    subcore.launch(text, "store", grid=1, block=64, args=given, architecture=90)
    np.testing.assert_array_equal(target[30:46, 8:40], tile)
    assert np.count_nonzero(target) == 511
