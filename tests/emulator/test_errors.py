"""Bad kernels and bad launches end with one message that says where and what."""
# ruff: noqa: E501 (tables with one case per line)

import numpy as np
import pytest

from isa.errors import SubcoreError
from traces.kernels import load_launch
from traces.kernels.expressions import evaluate

HEAD = 'extern "C" __global__ void k'
ARRAY = np.zeros(64, np.int32)


@pytest.mark.sass
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("(int* o) { o[threadIdx.x + 40] = 1; }", ["STG", "thread (24, 0, 0)", "lies in no allocation", "argument0 (256 bytes"]),
        ("(int* o) { o[threadIdx.x] = ((int*)(long long)o[0])[threadIdx.x]; }", ["address 0x0", "no allocation"]),
        ("(char* o) { *(int*)(o + threadIdx.x) = 1; }", ["STG", "thread (1, 0, 0)", "not a multiple of 4"]),
        ("(int* o) { __shared__ int s[8]; s[threadIdx.x] = 1; __syncthreads(); o[0] = s[o[1]]; }", ["STS", "shared address"]),
        ("(int* o) { if (threadIdx.x < 32) asm volatile(\"bar.sync 1, 64;\"); o[0] = 1; }", ["BAR", "deadlock"]),
        ("(volatile int* o) { while (o[0] == 0) {} }", ["budget of 100000"]),
        ("(int* o) { unsigned r; asm volatile(\"mov.u32 %0, %%smid;\" : \"=r\"(r)); o[0] = r; }", ["SR_VIRTUALSMID", "cannot be emulated"]),
    ],
)  # fmt: skip
def test_a_faulty_kernel_is_named_with_pc_and_place(run_cuda, code, words):
    with pytest.raises(SubcoreError) as error:
        run_cuda(HEAD + code, 86, [ARRAY], budget=100_000)
    message = str(error.value)
    assert message.startswith("k: pc 0x"), message
    assert "kernel.cu:1" in message
    for word in words:
        assert word in message, message


@pytest.mark.sass
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"arguments": []}, ["takes 2 arguments, 0 are given"]),
        ({"arguments": [ARRAY, ARRAY]}, ["argument 2", "is an array", "4 bytes"]),
        ({"arguments": [ARRAY, np.float64(1)]}, ["argument 2", "takes 4 bytes, the value has 8"]),
        ({"arguments": [ARRAY, 1 << 40]}, ["argument 2", "does not fit"]),
        ({"block": 2048}, ["block", "1 to 1024"]),
        ({"block": (64, 32)}, ["2048 threads"]),
        ({"grid": 0}, ["grid", "must be 1 to"]),
        ({"dynamic_shared_bytes": 1 << 20}, ["shared memory"]),
        ({"constants": {"missing": ARRAY}}, ["no __constant__ variable 'missing'"]),
    ],
)
def test_an_impossible_launch_is_refused(run_cuda, options, words):
    arguments = options.pop("arguments", [ARRAY, 3])
    with pytest.raises(SubcoreError) as error:
        run_cuda(HEAD + "(int* o, int n) { o[0] = n; }", 86, arguments, **options)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [("ceil_div(n, 32)", 4), ("n * 2 - 1", 199), ("min(n, 7) + max(3, n % 7)", 10), ("(n / 4) // 3", 8), (5, 5)],
)
def test_size_expressions(expression, value):
    assert evaluate(expression, {"n": 100}, "x") == value


@pytest.mark.parametrize(
    "expression", ["n / 3", "m", "n // 0", "__import__('os')", "n.real", "n ** 2", "1.5", "", "n if n else 1", [1]]
)
def test_bad_size_expressions_are_refused(expression):
    with pytest.raises(SubcoreError, match="launch.toml: grid"):
        evaluate(expression, {"n": 100}, "launch.toml: grid")


def write(tmp_path, text):
    (tmp_path / "a.cu").write_text("")
    path = tmp_path / "a.toml"
    path.write_text('kernel = "a"\nsource = "a.cu"\n' + text)
    return path


LAUNCH = '[launch]\ngrid = ["n"]\nblock = [32]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[launch]\ngrid = [1]\n", ["a.toml", "block is missing"]),
        ('[launch]\ngrid = ["n"]\nblock = [32]\n', ["launch.grid", "unknown name 'n'"]),
        ("[parameters]\nn = 0\n" + LAUNCH, ["at least 1"]),
        ("[parameters]\nn = 1\n" + LAUNCH + "colour = 1\n", ["unknown key 'colour'"]),
        ("[parameters]\nn = 1\n" + LAUNCH + '[[arguments]]\nname = "x"\ndtype = "float8"\n', ["argument x", "float8"]),
        ("[parameters]\nn = 1\n" + LAUNCH + '[[arguments]]\nname = "x"\nshape = [4]\ngenerate = "magic"\n', ["argument x", "no generator 'magic'"]),
        ("[parameters]\nn = 1\n" + LAUNCH + '[[arguments]]\nname = "x"\ndtype = "int8"\nvalue = 1000\n', ["argument x", "does not fit"]),
        ("[launch\n", ["not TOML"]),
    ],
)  # fmt: skip
def test_a_bad_launch_file_names_the_key(tmp_path, text, words):
    with pytest.raises(SubcoreError) as error:
        load_launch(write(tmp_path, text))
    for word in words:
        assert word in str(error.value)


def test_unknown_kernel_and_parameter_list_what_exists():
    with pytest.raises(SubcoreError, match="there are .*vectoradd"):
        load_launch("vektoradd")
    with pytest.raises(SubcoreError, match="no parameter 'm'; there are n, threads"):
        load_launch("vectoradd", {"m": 1})
