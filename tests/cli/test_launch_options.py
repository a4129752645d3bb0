"""--kernel, --grid, --block and --arg: launches without a launch file."""
# ruff: noqa: E501 (tables with one case per line)

import json

import numpy as np
import pytest

from isa.errors import SubcoreError
from subcore.literals import read_arguments, read_sizes

SOURCE = """__global__ void saxpy(int n, float a, const float* x, float* y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] += a * x[i];
}
__global__ void sum(const int* x, int* out) {
    extern __shared__ int s[];
    s[threadIdx.x] = x[threadIdx.x]; __syncthreads();
    if (threadIdx.x == 0) for (int i = 0; i < blockDim.x; i++) out[0] += s[i];
}
"""
SAXPY = ["--kernel", "saxpy", "--grid", "8", "--block", "128", "--arg", "n=int32:1000", "--arg", "float32:2"]
SAXPY += ["--arg", "float32[1024]:arange", "--arg", "y=out:float32[1024]:1"]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "kernels.cu"
    path.write_text(SOURCE)
    return path


def test_literals_become_arrays_and_scalars(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(2, 3))
    texts = ["float32[8,2]:random", "out:int16[3]", "k=uint8:0x10", "float64:-1e3", "null", "int32[4]:-7", "z=int64[2]:ones",
             "uint32[3]:arange", f"w=out:@{tmp_path / 'x.npy'}"]  # fmt: skip
    found = read_arguments(texts)
    assert [f.name for f in found] == ["argument0", "argument1", "k", "argument3", "argument4", "argument5", "z",
                                       "argument7", "w"]  # fmt: skip
    assert [f.output for f in found] == [False, True, *[False] * 6, True]
    values = [f.value for f in found]
    assert values[0].shape == (8, 2) and values[0].dtype == np.float32 and 0 <= values[0].min() < values[0].max() < 1
    assert values[1].tolist() == [0, 0, 0] and values[1].dtype == np.int16
    assert (values[2], values[2].dtype, values[3]) == (16, np.uint8, -1000)
    assert values[4] is None
    assert values[5].tolist() == [-7] * 4 and values[6].tolist() == [1, 1] and values[7].tolist() == [0, 1, 2]
    assert values[8].shape == (2, 3)
    assert (read_arguments(texts)[0].value == values[0]).all(), "random arrays are the same every time"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("float32", ["float32:5", "float32[1024]"]),
        ("float8[3]", ["no type 'float8'", "float16"]),
        ("int32[0]", ["positive"]),
        ("int32[]", ["positive"]),
        ("int32[99999999999]", ["GiB"]),
        ("int8:300", ["'300' is no int8"]),
        ("int32:1.5", ["'1.5' is no int32"]),
        ("int32[4]:rand", ["'rand'", "random, zeros"]),
        ("out:int32:4", ["array a size"]),
        ("", ["must have the form"]),
        ("@absent.npy", ["absent.npy", "cannot read"]),
        ("a b", ["must have the form"]),
    ],
)
def test_a_bad_literal_is_explained(text, words):
    with pytest.raises(SubcoreError) as error:
        read_arguments([text])
    for word in (f"--arg {text!r}", *words):
        assert word in str(error.value)


def test_an_object_array_is_not_unpickled(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(SubcoreError, match=r"x\.npy"):
        read_arguments([f"@{tmp_path / 'x.npy'}"])


def test_names_are_unique():
    with pytest.raises(SubcoreError, match="'x' is given twice"):
        read_arguments(["x=int32:1", "x=int32:2"])


@pytest.mark.parametrize(("text", "sizes"), [("16", (16,)), ("16,8", (16, 8)), ("2x3x4", (2, 3, 4))])
def test_sizes(text, sizes):
    assert read_sizes(text, "--grid") == sizes


@pytest.mark.parametrize("text", ["", "a", "1,2,3,4", "-1", "1.5", "9" * 30])
def test_bad_sizes_are_refused(text):
    with pytest.raises(SubcoreError, match="--grid"):
        read_sizes(text, "--grid")


@pytest.mark.sass
def test_emulate_writes_the_trace_and_the_outputs(run, source, tmp_path):
    result = run(
        "trace", "emulate", source, "-a", "86", *SAXPY, "-o", tmp_path / "a.sct", "--outputs", tmp_path / "a.npz"
    )
    assert result.exit_code == 0, result.output
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert arrays.files == ["y"]
        assert (arrays["y"] == np.where(np.arange(1024) < 1000, 1 + 2 * np.arange(1024), 1)).all()
    info = json.loads(run("trace", "info", tmp_path / "a.sct", "--json").stdout)
    assert info["launch"]["grid"] == [8, 1, 1] and info["launch"]["block"] == [128, 1, 1]


@pytest.mark.sass
def test_a_cubin_needs_no_architecture(run, source, tmp_path):
    from isa.compile import compile_cuda

    (tmp_path / "kernels.cubin").write_bytes(compile_cuda(source, 90))
    arguments = ["--kernel", "sum", "--block", "32", "--shared-bytes", "128", "--arg", "int32[32]:arange"]
    target = tmp_path / "sum.npz"
    result = run(
        "trace", "emulate", tmp_path / "kernels.cubin", *arguments, "--arg", "s=out:int32[1]", "--outputs", target
    )
    assert result.exit_code == 0, result.output
    with np.load(target) as arrays:
        assert arrays["s"].tolist() == [496]


@pytest.mark.sass
def test_simulate_emulates_once_and_hashes_what_it_simulates(run, source, tmp_path, monkeypatch):
    from subcore import load_trace
    from traces.emulator.trace import EmulatedTrace
    from traces.store import trace_hash

    started = []
    pass_of = EmulatedTrace._run
    monkeypatch.setattr(EmulatedTrace, "_run", lambda self, keep: (started.append(keep), pass_of(self, keep))[1])
    result = run("simulate", source, "-c", "rtx_a6000", *SAXPY, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert started == [True]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["inputs"]["kernel_name"] == "saxpy" and manifest["inputs"]["arguments"][0] == "n=int32:1000"
    assert run("trace", "emulate", source, "-a", "86", *SAXPY, "-o", tmp_path / "a.sct").exit_code == 0
    assert manifest["trace"]["hash"] == trace_hash(load_trace(tmp_path / "a.sct"))


@pytest.mark.sass
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 1, ["kernels.toml", "--grid", "--arg"]),
        (["--grid", "1"], 1, ["several kernels", "saxpy", "sum"]),
        (["--kernel", "saxpy"], 1, ["block size"]),
        (["--kernel", "saxpy", "--block", "32"], 1, ["takes 4 arguments of 4, 4, 8, 8 bytes, 0 given"]),
        (["--kernel", "saxpy", "--block", "32", "--arg", "x=int32[3]"], 1, ["takes 4 arguments", "1 given"]),
        (["--kernel", "sum", "--block", "32", "--arg", "int32:1", "--arg", "int32[1]"], 1, ["argument0", "takes 8 bytes"]),
        (["--kernel", "sum", "--block", "32", "--arg", "x=int32[16]", "--arg", "int32[1]", "--shared-bytes", "128"], 1,
         ["sum: pc 0x", "kernels.cu:7", "thread (16, 0, 0)", "1 byte after x (64 bytes)"]),
        (["--kernel", "sum", "--block", "32", "--arg", "int32[32]", "--arg", "int32[1]"], 1, ["shared address", "out of bounds"]),
        (["--kernel", "sum", "--block", "0", "--arg", "int32[32]", "--arg", "int32[1]"], 1, ["block", "1 to 1024"]),
        (["--kernel", "sum", "--block", "32", "--max-instructions", "3", "--arg", "int32[32]", "--arg", "int32[1]",
          "--shared-bytes", "128"], 1, ["budget of 3"]),
        (["--kernel", "sum", "--launch", "x.toml"], 2, ["cannot be combined"]),
        (["--grid", "1", "-p", "n=3"], 2, ["cannot be combined"]),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(run, source, tmp_path, arguments, code, words):
    result = run("trace", "emulate", source, "-a", "86", *arguments, "-o", tmp_path / "a.sct")
    assert result.exit_code == code, result.output
    for word in words:
        assert word in result.stderr, result.stderr
    assert not (tmp_path / "a.sct").exists() and not list(tmp_path.glob(".*"))


def test_launch_options_do_not_apply_to_a_trace(run, text_trace, tmp_path):
    result = run("trace", "emulate", text_trace, "-a", "86", "--grid", "1", "-o", tmp_path / "a.sct")
    assert result.exit_code == 2 and ".cu or .cubin" in result.stderr


@pytest.mark.sass
def test_clusters_and_cooperative_launches(run, tmp_path):
    path = tmp_path / "ranks.cu"
    path.write_text("""#include <cooperative_groups.h>
extern "C" __global__ void ranks(int* out) {
    unsigned rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    cooperative_groups::this_grid().sync();
    out[blockIdx.x] = rank;
}""")
    given = ["trace", "emulate", path, "-a", "90", "--grid", "4", "--block", "1", "--arg", "r=out:int32[4]:zeros"]
    alone = run(*given, "--cluster", "2", "-o", tmp_path / "no.sct")
    assert alone.exit_code == 1 and "cooperative" in alone.output and not (tmp_path / "no.sct").exists()
    done = run(*given, "--cluster", "2", "--cooperative", "-o", tmp_path / "r.sct", "--outputs", tmp_path / "r.npz")
    assert done.exit_code == 0, done.output
    with np.load(tmp_path / "r.npz", allow_pickle=False) as arrays:
        assert arrays["r"].tolist() == [0, 1, 0, 1]
    assert json.loads(run("trace", "info", tmp_path / "r.sct", "--json").stdout)["launch"]["cluster"] == [2, 1, 1]
    odd = run(*given, "--cluster", "3", "-o", tmp_path / "no.sct")
    assert odd.exit_code == 1 and "no multiple of the cluster" in odd.output
