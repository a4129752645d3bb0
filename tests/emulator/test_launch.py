"""`subcore.launch`: kernels on numpy arrays, from source and from cubins, alone and with the simulator."""

import numpy as np
import pytest

import subcore
from isa.errors import SubcoreError

SAXPY = """__global__ void saxpy(int n, float a, const float* x, float* y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] += a * x[i];
}
"""
INCREMENT = 'extern "C" __global__ void increment(int* a, int* b) { b[threadIdx.x] = a[threadIdx.x] + 1; }'
TWO = "__global__ void first(int* a) { a[0] = 1; } namespace n { template <class T> __global__ void second(T* a) { a[0] = 2; } }"  # noqa: E501
TWO += "template __global__ void n::second<int>(int*); template __global__ void n::second<char>(char*);"
pytestmark = pytest.mark.sass


@pytest.fixture(scope="module")
def cubin():
    from isa.compile import compile_cuda

    return compile_cuda(SAXPY, 86)


@pytest.fixture
def vectors():
    random = np.random.default_rng(1)
    return random.random(1000, np.float32), random.random(1000, np.float32)


@pytest.fixture
def passes(monkeypatch):
    """How many times the emulator started a launch from its beginning, as a list that grows."""
    from traces.emulator.trace import EmulatedTrace

    started = []
    run = EmulatedTrace._run
    monkeypatch.setattr(EmulatedTrace, "_run", lambda self, keep: (started.append(keep), run(self, keep))[1])
    return started


def test_arrays_hold_the_results_afterwards(vectors, passes):
    x, y = vectors
    wanted = y + np.float32(2) * x
    result = subcore.launch(SAXPY, "saxpy", 8, 128, (1000, 2.0, x, y), architecture=86)
    assert (y == wanted).all() and result.result is None
    assert passes == [False], "one pass, and no streams are kept"


def test_a_source_file_a_cubin_and_its_bytes_give_the_same(vectors, cubin, tmp_path):
    (tmp_path / "saxpy.cu").write_text(SAXPY)
    (tmp_path / "saxpy.cubin").write_bytes(cubin)
    x, y = vectors
    found = []
    for source in (tmp_path / "saxpy.cu", str(tmp_path / "saxpy.cubin"), cubin):
        own = y.copy()
        architecture = 86 if str(source).endswith(".cu") else None
        subcore.launch(source, None, 8, 128, (1000, np.float32(2), x, own), architecture=architecture)
        found.append(own)
    assert (found[0] == y + np.float32(2) * x).all()
    assert (found[0] == found[1]).all() and (found[0] == found[2]).all()


def test_simulation_takes_the_blocks_from_the_one_emulation(vectors, cubin, passes):
    x, y = vectors
    wanted = y + np.float32(2) * x
    launched = subcore.launch(cubin, grid=8, block=128, args=(1000, 2.0, x, y), gpu="rtx_a6000")
    assert passes == [True], "the simulator and the results share one pass"
    assert (y == wanted).all()
    assert launched.result.warp_instructions == launched.trace.executed_instructions > 0
    again = subcore.simulate(launched.trace, "rtx_a6000")
    assert again.cycles == launched.result.cycles, "the trace starts from the arguments before the launch"


def test_simulate_false_takes_only_the_architecture(vectors):
    x, y = vectors
    launched = subcore.launch(SAXPY, "saxpy", 8, 128, (1000, 2.0, x, y), gpu="h100_pcie", simulate=False)
    assert launched.result is None and launched.trace.launch.architecture == 90


def test_the_trace_can_be_saved_and_loaded(vectors, cubin, tmp_path):
    x, y = vectors
    launched = subcore.launch(cubin, grid=8, block=128, args=(1000, 2.0, x, y))
    launched.save(tmp_path / "saxpy.sct")
    stored = subcore.load_trace(tmp_path / "saxpy.sct")
    assert stored.counts["warp_instructions"] == launched.trace.executed_instructions
    with pytest.raises(SubcoreError, match="--force"):
        launched.save(tmp_path / "saxpy.sct")


def test_strided_arrays_come_back_in_place(cubin, vectors):
    x, _ = vectors
    whole = np.zeros((1000, 2), np.float32)
    subcore.launch(cubin, grid=8, block=128, args=(1000, 1.0, x[::-1], whole[:, 1]))
    assert (whole[:, 1] == x[::-1]).all() and not whole[:, 0].any()


def test_an_array_that_is_passed_twice_is_one_buffer():
    a = np.arange(32, dtype=np.int32)
    subcore.launch(INCREMENT, grid=1, block=32, args=(a, a), architecture=86)
    assert (a == np.arange(1, 33)).all()


def test_overlapping_arrays_are_refused():
    a = np.zeros(64, np.int32)
    with pytest.raises(SubcoreError, match=r"args\[0\] and args\[1\] overlap"):
        subcore.launch(INCREMENT, grid=1, block=32, args=(a[:32], a[1:33]), architecture=86)
    subcore.launch(INCREMENT, grid=1, block=32, args=(a[::2], a[1::2]), architecture=86)
    assert (a == np.tile([0, 1], 32)).all()


def test_a_read_only_array_is_an_input_and_may_not_be_written():
    a, b = np.zeros(32, np.int32), np.zeros(32, np.int32)
    a.flags.writeable = False
    subcore.launch(INCREMENT, grid=1, block=32, args=(a, b), architecture=86)
    assert (b == 1).all()
    b.flags.writeable = False
    with pytest.raises(subcore.EmulationError, match=r"args\[1\] is a read-only array") as error:
        subcore.launch(INCREMENT, grid=1, block=32, args=(a, b), architecture=86)
    assert error.value.fault.kind == "read_only"


def test_no_array_changes_when_the_kernel_fails():
    a, b = np.zeros(40, np.int32), np.zeros(32, np.int32)
    with pytest.raises(subcore.EmulationError) as error:
        subcore.launch(INCREMENT, grid=1, block=64, args=(a, b), architecture=86)
    assert error.value.fault.allocation == "args[0]" and not b.any()


def test_uninitialized_arrays_may_be_written_but_not_read():
    a, b = np.zeros(32, np.int32), np.empty(32, np.int32)
    subcore.launch(INCREMENT, grid=1, block=32, args=(a, b), architecture=86, uninitialized=[1])
    assert (b == 1).all()
    with pytest.raises(subcore.EmulationError) as error:
        subcore.launch(INCREMENT, grid=1, block=32, args=(a, b), architecture=86, uninitialized=[0])
    assert (error.value.fault.kind, error.value.fault.allocation) == ("uninitialized", "args[0]")


def test_a_tuple_is_a_structure_with_the_layout_of_c():
    source = """struct Part { char c; double d; }; struct Whole { short s; int* p; Part part; unsigned char last; };
    extern "C" __global__ void k(Whole w, int* null, double* out) {
        w.p[0] = w.s; out[0] = w.part.d + w.part.c; out[1] = w.last; out[2] = null == 0; }"""
    p, out = np.zeros(1, np.int32), np.zeros(3)
    whole = (np.int16(-7), p, (np.int8(2), np.float64(0.5)), np.uint8(200))
    subcore.launch(source, args=(whole, None, out), block=1, architecture=86)
    assert p[0] == -7 and out.tolist() == [2.5, 200, 1]


def test_python_numbers_take_the_size_of_their_parameter():
    source = """#include <cuda_fp16.h>
    extern "C" __global__ void k(char c, short s, long long l, double d, float f, __half h, bool b, double* out) {
        out[0] = c; out[1] = s; out[2] = l; out[3] = d; out[4] = f; out[5] = __half2float(h); out[6] = b; }"""
    out = np.zeros(7)
    subcore.launch(source, args=(-3, -300, -(1 << 40), 0.1, 0.5, 0.25, True, out), block=1, architecture=86)
    assert out.tolist() == [-3, -300, -(1 << 40), 0.1, 0.5, 0.25, 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": "absent.cu"}, ["absent.cu", "no such file"]),
        ({"source": SAXPY, "architecture": None}, ["architecture", "sm_86"]),
        ({"source": "__global__ void k( {"}, ["kernel.cu does not compile for sm_86", "error"]),
        ({"kernel": "sapxy"}, ["no kernel 'sapxy'", "saxpy"]),
        ({"source": TWO, "kernel": None}, ["several kernels", "first", "_ZN1n6secondIiEEvPT_"]),
        ({"source": TWO, "kernel": "second"}, ["several kernels 'second'", "_ZN1n6secondIcEEvPT_"]),
        ({"source": "template <class T> __global__ void k(T* a) {}", "kernel": None}, ["no kernel", "instantiated"]),
        ({"block": None}, ["saxpy", "block size"]),
        ({"args": ()}, ["saxpy: takes 4 arguments of 4, 4, 8, 8 bytes, 0 given"]),
        ({"args": (1, 2.0, 3, np.float32(0))}, ["args[3]", "8 bytes"]),
        ({"simulate": True}, ["gpu="]),
        ({"gpu": "rtx_a600"}, ["rtx_a6000"]),
        ({"uninitialized": [0]}, ["args[0] is no array"]),
    ],
)
def test_what_cannot_be_launched_is_explained(options, words):
    given = {"source": SAXPY, "kernel": "saxpy", "architecture": 86, "block": 32}
    given |= {"args": (1, 2.0, np.zeros(4, np.float32), np.zeros(4, np.float32)), **options}
    source = given.pop("source")
    with pytest.raises(SubcoreError) as error:
        subcore.launch(source, **given)
    for word in words:
        assert word in str(error.value), error.value


@pytest.mark.parametrize(
    ("name", "value"),
    [("first", 1), ("_Z5firstPi", 1), ("_ZN1n6secondIiEEvPT_", 2), ("_ZN1n6secondIcEEvPT_", 2)],
)
def test_a_kernel_goes_by_its_symbol_or_its_plain_name(name, value):
    a = np.zeros(4, np.int8)
    subcore.launch(TWO, name, args=(a,), block=1, architecture=86)
    assert a[0] == value


def test_ptx_and_foreign_files_are_told_apart(tmp_path):
    (tmp_path / "k.ptx").write_text(".version 8.0")
    (tmp_path / "k.bin").write_bytes(b"MZ" + bytes(100))
    with pytest.raises(SubcoreError, match="ptxas"):
        subcore.launch(tmp_path / "k.ptx")
    with pytest.raises(SubcoreError, match="not a cubin"):
        subcore.launch(tmp_path / "k.bin")


def test_scratch_pointers_of_triton_may_be_left_out(cubin):
    from dataclasses import replace

    from isa.cubin import read_cubin
    from traces.emulator.arguments import match_parameters

    code = read_cubin(cubin).kernel()  # sizes 4, 4, 8, 8, from kernel.cu
    with pytest.raises(SubcoreError, match="takes 4"):
        match_parameters("k", code, [1, 2])
    python = replace(code, source_file="softmax.py")
    assert match_parameters("k", python, [1, 2]) == [1, 2, None, None]
    with pytest.raises(SubcoreError, match="takes 4"):
        match_parameters("k", python, [1])


def test_a_kernel_for_one_block_size_needs_none():
    source = 'extern "C" __global__ void __block_size__((64, 1, 1)) k(int* a) { a[threadIdx.x] = blockDim.x; }'
    a = np.zeros(64, np.int32)
    subcore.launch(source, args=(a,), architecture=90)
    assert (a == 64).all()
    with pytest.raises(SubcoreError, match=r"compiled for blocks of \(64, 1, 1\)"):
        subcore.launch(source, args=(a,), block=32, architecture=90)


def test_line_information_does_not_change_the_code():
    from isa.compile import compile_cuda
    from isa.cubin import read_cubin
    from traces.kernels.catalogue import load_launch

    for name in ("softmax", "spmv_csr"):
        for architecture in (75, 86, 120):
            source = load_launch(name).source
            kinds = [read_cubin(compile_cuda(source, architecture, line_info=on)).kernel() for on in (True, False)]
            assert kinds[0].code == kinds[1].code and kinds[0].lines and not kinds[1].lines
