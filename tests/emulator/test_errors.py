"""Bad kernels and bad launches end with one error that says where and what."""
# ruff: noqa: E501 (tables with one case per line)

import numpy as np
import pytest

from isa.errors import SubcoreError
from traces.kernels import load_launch
from traces.kernels.expressions import evaluate

ARRAY = np.zeros(64, np.int32)
READ_ONLY = ARRAY.copy()
READ_ONLY.flags.writeable = False
GLOBAL = 0x7F4A00000000  # where the first array lies
SHARED_BYTES = "the block's shared memory"
LOCAL_BYTES = "the thread's local memory"

# Each kernel does the forbidden thing on line 3 of kernel.cu.
KERNELS = {
    "global_behind": "int* o) {\n int i = threadIdx.x + 40;\n o[i] = 1; }",
    "global_before": "int* o, int n) {\n int i = (int)threadIdx.x - 1 - n;\n n = o[i]; o[threadIdx.x] = n; }",
    "global_null": "int** o) {\n \n o[0][threadIdx.x] = 1; }",
    "global_half": "char* o) {\n \n *(short*)(o + 2 * threadIdx.x + 250) = 1; }",
    "global_between": "int* o, int* p) {\n \n o[threadIdx.x + 64] = p[0]; }",
    "device_variable": "int* o) {\n \n values[threadIdx.x * 8 + 4] = o[0]; }",
    "atomic": "int* o) {\n int i = threadIdx.x + 64;\n atomicAdd(o + i, 1); }",
    "vector": "float4* o) {\n float4 v = {1, 2, 3, 4};\n o[threadIdx.x] = v; }",
    "misaligned": "char* o) {\n \n *(int*)(o + threadIdx.x) = 1; }",
    "shared_static": "int* o) {\n __shared__ int s[8]; s[0] = o[1];\n s[threadIdx.x + o[2]] = 1; o[0] = s[o[1]]; }",
    "shared_dynamic": "int* o) {\n extern __shared__ int d[]; d[0] = o[1];\n d[threadIdx.x + o[2]] = 1; o[0] = d[o[1]]; }",
    "shared_misaligned": "int* o) {\n __shared__ char s[256]; s[threadIdx.x] = 1;\n"
    " *(int*)(s + threadIdx.x + o[0]) = 1; o[0] = s[o[1]]; }",
    "shared_generic": "int* o) {\n __shared__ int s[8]; int* p = o[0] ? o : s;\n p[8 + threadIdx.x] = 1; o[0] = s[o[1]]; }",
    "shared_unwritten": "int* o) {\n __shared__ int s[64]; if (threadIdx.x < 16) s[threadIdx.x] = 1; __syncthreads();\n"
    " o[threadIdx.x] = s[threadIdx.x]; }",
    "shared_unwritten_bytes": "int* o) {\n __shared__ short s[64]; s[threadIdx.x * 2] = 1; __syncthreads();\n"
    " o[threadIdx.x] = s[threadIdx.x + 1]; }",
    "local": "int* o) {\n int a[256]; for (int i = 0; i < 256; i++) a[i ^ o[1]] = i;\n a[o[9] + 256 + threadIdx.x] = 1; o[0] = a[o[8]]; }",
    "constant": "int* o) {\n \n o[threadIdx.x] = table[threadIdx.x + 8 + o[0]]; }",
    "written_input": "int* o) {\n \n o[threadIdx.x] = 1; }",
    "unwritten_global": "int* o) {\n \n o[threadIdx.x] += 1; }",
    "trapped": "int* o) {\n if (o[0] == 0)\n __trap();\n o[1] = 1; }",
}  # fmt: skip
PRELUDE = "__device__ int values[4]; __constant__ int table[4]; "


@pytest.fixture(scope="module")
def fault_of():
    """fault_of(name, arguments, architecture=86, block=32, **options): the EmulationError of one kernel of the table."""
    from isa.compile import compile_cuda
    from traces.emulator import emulate
    from traces.emulator.faults import EmulationError

    def run(name, arguments, architecture=86, block=32, **options):
        code = compile_cuda(f'{PRELUDE}extern "C" __global__ void {name}({KERNELS[name]}', architecture)
        trace = emulate(code, None, (2, 1, 1), block, arguments, **{"budget": 100_000, **options})
        with pytest.raises(EmulationError) as error:
            trace.outputs()
        return error.value

    return run


def launch(name, arguments=(ARRAY,), **options):
    return pytest.param(name, list(arguments), options.pop("fields"), options, id=name)


@pytest.mark.sass
@pytest.mark.parametrize(
    ("name", "arguments", "fields", "options"),
    [
        launch("global_behind", fields=("out_of_bounds", "STG", (24, 0, 0), "global", GLOBAL + 256, 4, "argument0", 256, 1)),
        launch("global_before", [ARRAY, 1], fields=("out_of_bounds", "LDG", (0, 0, 0), "global", GLOBAL - 8, 4, "argument0", 256, -8)),
        launch("global_null", fields=("out_of_bounds", "STG", (0, 0, 0), "global", 0, 4, "argument0", 256, -GLOBAL)),
        launch("global_half", fields=("out_of_bounds", "STG", (3, 0, 0), "global", GLOBAL + 256, 2, "argument0", 256, 1)),
        launch("global_between", [ARRAY, ARRAY.copy()], fields=("out_of_bounds", "STG", (0, 0, 0), "global", GLOBAL + 256, 4, "argument0", 256, 1)),
        launch("device_variable", fields=("out_of_bounds", "STG", (0, 0, 0), "global", GLOBAL + 512 + 16, 4, "__device__ values", 16, 1)),
        launch("atomic", fields=("out_of_bounds", "RED", (0, 0, 0), "global", GLOBAL + 256, 4, "argument0", 256, 1)),
        launch("vector", fields=("out_of_bounds", "STG", (16, 0, 0), "global", GLOBAL + 256, 16, "argument0", 256, 1)),
        launch("misaligned", fields=("misaligned", "STG", (1, 0, 0), "global", GLOBAL + 1, 4, "argument0", 256, 0)),
        launch("shared_static", fields=("out_of_bounds", "STS", (8, 0, 0), "shared", 32, 4, SHARED_BYTES, 32, 1)),
        launch("shared_dynamic", dynamic_shared_bytes=64, fields=("out_of_bounds", "STS", (16, 0, 0), "shared", 64, 4, SHARED_BYTES, 64, 1)),
        launch("shared_misaligned", fields=("misaligned", "STS", (1, 0, 0), "shared", 1, 4, SHARED_BYTES, 256, 0)),
        launch("shared_generic", fields=("out_of_bounds", "ST", (0, 0, 0), "shared", 0x7F0100000020, 4, SHARED_BYTES, 32, 1)),
        launch("shared_unwritten", fields=("uninitialized", "LDS", (16, 0, 0), "shared", 64, 4, SHARED_BYTES, 256, 0)),
        launch("shared_unwritten_bytes", fields=("uninitialized", "LDS", (0, 0, 0), "shared", 2, 2, SHARED_BYTES, 128, 0)),
        launch("local", fields=("out_of_bounds", "STL", (0, 0, 0), "local", 1024, 4, LOCAL_BYTES, 1024, 1)),
        launch("constant", fields=("out_of_bounds", "LDC", (0, 0, 0), "constant", 32, 4, "constant bank 3", 16, 17)),
        launch("written_input", [READ_ONLY], fields=("read_only", "STG", (0, 0, 0), "global", GLOBAL, 4, "argument0", 256, 0)),
        launch("unwritten_global", uninitialized=["argument0"], fields=("uninitialized", "LDG", (0, 0, 0), "global", GLOBAL, 4, "argument0", 256, 0)),
        launch("trapped", fields=("trap", "BPT", None, "", None, 0, "", 0, 0)),
    ],
)  # fmt: skip
def test_every_field_of_a_fault_is_right(fault_of, name, arguments, fields, options):
    error = fault_of(name, arguments, **options)
    fault = error.fault
    kind, mnemonic, thread, space, address, access_bytes, allocation, allocation_bytes, distance = fields
    assert fault.kind == kind, error
    assert mnemonic in fault.instruction.split(".")[0], error
    assert (fault.kernel, fault.source_file, fault.line) == (name, "kernel.cu", 3), error
    assert (fault.block, fault.warp, fault.thread) == ((0, 0, 0), 0, thread), error
    assert (fault.space, fault.address, fault.access_bytes) == (space, address, access_bytes), error
    assert (fault.allocation, fault.allocation_bytes, fault.distance_bytes) == (allocation, allocation_bytes, distance)
    assert str(error).startswith(f"{name}: pc {fault.pc:#x} `{fault.instruction}` (kernel.cu:3), block (0, 0, 0)"), (
        error
    )
    if thread is not None:
        assert f"thread {thread}: {space} address {address:#x} ({access_bytes} bytes)" in str(error)
        assert allocation in str(error)
    from isa.disassemble import ListedInstruction

    assert fault.pc % 16 == 0 and ListedInstruction("", fault.instruction, "").text == fault.instruction


@pytest.mark.sass
@pytest.mark.parametrize("architecture", [75, 90, 120])
def test_shared_addresses_are_checked_on_every_layout(fault_of, architecture):
    fault = fault_of("shared_static", [ARRAY], architecture).fault
    assert (fault.kind, fault.space, fault.thread, fault.distance_bytes) == ("out_of_bounds", "shared", (8, 0, 0), 1)
    assert (fault.source_file, fault.line) == ("kernel.cu", 3)


@pytest.mark.sass
def test_block_warp_and_thread_of_a_three_dimensional_block_are_named(run_cuda):
    code = """extern "C" __global__ void k(int* o) {
        if (blockIdx.x == 1 && threadIdx.x == 2 && threadIdx.y == 3 && threadIdx.z == 3) o[64] = 1; }"""
    with pytest.raises(SubcoreError) as error:
        run_cuda(code, 86, [ARRAY], 2, (4, 4, 4))
    fault = error.value.fault
    assert (fault.block, fault.warp, fault.thread) == ((1, 0, 0), 1, (2, 3, 3))


@pytest.mark.sass
@pytest.mark.parametrize("address", [4, (1 << 63) - 4, 1 << 63, (1 << 64) - 4, GLOBAL - 4, GLOBAL + 256])
def test_wild_pointers_never_reach_the_memory_of_the_process(run_cuda, address):
    code = 'extern "C" __global__ void k(int* o, int* p) { o[threadIdx.x] = *p; }'
    with pytest.raises(SubcoreError, match="out of bounds") as error:
        run_cuda(code, 86, [ARRAY, address])
    assert error.value.fault.address == address


@pytest.mark.sass
def test_runs_past_the_end_of_a_buffer_of_odd_size(run_cuda):
    with pytest.raises(SubcoreError, match=r"\(4 bytes\) is out of bounds; it lies in argument0 \(6 bytes\)"):
        run_cuda('extern "C" __global__ void k(int* o) { o[1] = 0; }', 86, [np.zeros(6, np.int8)])


@pytest.mark.sass
def test_red_zones_catch_strides_into_the_next_buffer(run_cuda):
    code = 'extern "C" __global__ void k(int* a, int* b) { a[128] = 1; }'
    assert run_cuda(code, 86, [ARRAY, ARRAY.copy()])[1][0] == 1, "the default layout puts b 512 bytes behind a"
    with pytest.raises(SubcoreError, match="argument0") as error:
        run_cuda(code, 86, [ARRAY, ARRAY.copy()], red_zone_bytes=4096)
    assert error.value.fault.distance_bytes == 512 - 256 + 1


@pytest.mark.sass
def test_uninitialized_shared_memory_may_be_allowed(run_cuda):
    code = 'extern "C" __global__ void k(int* o) { __shared__ int s[32]; o[threadIdx.x] = s[threadIdx.x ^ o[0]]; }'
    assert not run_cuda(code, 86, [ARRAY], check_uninitialized=False)[0].any()


@pytest.mark.sass
@pytest.mark.parametrize("write", ["s[t] = t", "*(char*)&s[t] = 1, *(short*)((char*)&s[t] + 2) = 1, ((char*)&s[t])[1] = 1",
                                   "atomicExch(&s[t], 0)"])  # fmt: skip
def test_each_block_starts_with_unwritten_shared_memory(run_cuda, write):
    code = f"""extern "C" __global__ void k(int* o) {{
        __shared__ int s[32]; int t = threadIdx.x; if (blockIdx.x == 0) {{ {write}; }} o[t] = s[t ^ o[63]]; }}"""
    if "atomic" in write:
        with pytest.raises(SubcoreError) as error:
            run_cuda(code, 86, [ARRAY], 1)
        assert (error.value.fault.kind, error.value.fault.block) == ("uninitialized", (0, 0, 0))
        return
    run_cuda(code, 86, [ARRAY], 1)
    with pytest.raises(SubcoreError) as error:
        run_cuda(code, 86, [ARRAY], 2)
    assert (error.value.fault.kind, error.value.fault.block) == ("uninitialized", (1, 0, 0))


@pytest.mark.sass
def test_asynchronous_copies_write_shared_memory(run_cuda):
    code = """extern "C" __global__ void k(const int* a, int* o) { __shared__ __align__(16) int s[32];
        unsigned to = __cvta_generic_to_shared(s + threadIdx.x);
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(to), "l"(a + threadIdx.x));
        asm volatile("cp.async.wait_all;"); __syncthreads(); o[threadIdx.x] = s[threadIdx.x ^ 1]; }"""
    a = np.arange(32, dtype=np.int32)
    assert (run_cuda(code, 86, [a, np.zeros(32, np.int32)])[1] == a ^ 1).all()


RECURSION = """__device__ __noinline__ int f(int n, int* o) {
    if (n <= 0) return o[0];
    int a[8]; for (int i = 0; i < 8; i++) a[i] = o[i + n];
    return f(n - 1, o) % 7 + a[n & 7]; }
extern "C" __global__ void k(int* o, int n) { o[0] = f(n, o) + 1; }"""


@pytest.mark.sass
@pytest.mark.parametrize("architecture", [86, 90, 120])
def test_recursion_has_the_default_stack_and_no_more(run_cuda, architecture):
    assert run_cuda(RECURSION, architecture, [ARRAY, 5])[0][0] == 1
    with pytest.raises(SubcoreError, match="raise stack_bytes") as error:
        run_cuda(RECURSION, architecture, [ARRAY, 40])
    fault = error.value.fault
    assert (fault.kind, fault.space, fault.allocation_bytes) == ("stack_overflow", "local", 1024)
    assert fault.source_file == "kernel.cu" and -128 <= fault.distance_bytes < 0
    assert run_cuda(RECURSION, architecture, [ARRAY, 40], stack_bytes=8192)[0][0] == 1


@pytest.mark.sass
@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ('if (threadIdx.x < 32)\n asm volatile("bar.sync 1, 64;"); o[0] = 1;', "deadlock",
         ["32 threads at pc", "(kernel.cu:2) for barrier 1 of 64 threads", "32 threads ended"]),
        ('if (threadIdx.x < 32)\n asm volatile("bar.sync 1;"); else asm volatile("bar.sync 2;"); o[0] = 1;', "deadlock",
         ["32 threads at pc", "for barrier 1 of all threads", "for barrier 2 of all threads"]),
        ('if (threadIdx.x < 2)\n __syncwarp(7); else asm volatile("bar.sync 1;"); o[0] = 1;', "deadlock",
         ["2 threads at pc", "for the lanes 0x00000007 of their warp"]),
        ("while (((volatile int*)o)[0] == 0) {}", "budget", ["the budget of 100000 warp instructions"]),
        ('unsigned r;\n asm volatile("mov.u32 %0, %%pm0;" : "=r"(r)); o[0] = r;', "unsupported", ["SR_", "cannot be emulated on sm_86"]),
    ],
)  # fmt: skip
def test_a_block_that_cannot_go_on_says_what_its_threads_wait_for(run_cuda, code, kind, words):
    with pytest.raises(SubcoreError) as error:
        run_cuda(f'extern "C" __global__ void k(int* o) {{ {code} }}', 86, [ARRAY], 1, 64, budget=100_000)
    message, fault = str(error.value), error.value.fault
    assert fault.kind == kind, message
    assert (fault.thread, fault.address, fault.allocation) == (None, None, "")
    assert message.startswith(f"k: pc {fault.pc:#x} `{fault.instruction}` (kernel.cu:"), message
    for word in words:
        assert word in message, message


@pytest.mark.sass
def test_a_call_into_the_driver_is_named_when_it_is_reached(run_cuda):
    code = 'extern "C" __global__ void k(int* o) { if (o[0]) o[1] = *(int*)malloc(16); o[2] = 1; }'
    assert run_cuda(code, 86, [ARRAY])[0][2] == 1
    with pytest.raises(SubcoreError, match="malloc"):
        run_cuda(code, 86, [ARRAY + 1])


@pytest.mark.sass
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"arguments": []}, ["takes 2 arguments of 8, 4 bytes, 0 given"]),
        ({"arguments": [ARRAY, ARRAY]}, ["argument1", "is an array", "4 bytes"]),
        ({"arguments": [ARRAY, None]}, ["argument1", "is a null pointer", "4 bytes"]),
        ({"arguments": [ARRAY, np.float64(1)]}, ["argument1", "takes 4 bytes, the value has 8", "np.float32"]),
        ({"arguments": [ARRAY, 1 << 40]}, ["argument1", "does not fit"]),
        ({"arguments": [ARRAY, 1e300]}, ["argument1", "does not fit into a float of 4 bytes"]),
        ({"arguments": [ARRAY, "3"]}, ["argument1", "str is no kernel argument"]),
        ({"arguments": [ARRAY, (np.int32(1), 2)]}, ["argument1[1]", "no size of its own"]),
        ({"arguments": [np.zeros(4, object), 1]}, ["argument0", "object"]),
        ({"arguments": [np.zeros(4, ">i4"), 1]}, ["argument0", ">i4"]),
        ({"block": 2048}, ["block", "1 to 1024"]),
        ({"block": (64, 32)}, ["2048 threads"]),
        ({"grid": 0}, ["grid", "must be 1 to"]),
        ({"dynamic_shared_bytes": 1 << 20}, ["shared memory"]),
        ({"stack_bytes": 1 << 20}, ["local memory per thread", "524288"]),
        ({"constants": {"missing": ARRAY}}, ["no __constant__ variable 'missing'"]),
        ({"uninitialized": ["o"]}, ["no argument 'o'", "argument0, argument1"]),
        ({"red_zone_bytes": 1 << 38}, ["bytes of memory"]),
        ({"budget": 0}, ["budget"]),
    ],
)
def test_an_impossible_launch_is_refused(run_cuda, options, words):
    arguments = options.pop("arguments", [ARRAY, 3])
    with pytest.raises(SubcoreError) as error:
        run_cuda('extern "C" __global__ void k(int* o, int n) { o[0] = n; }', 86, arguments, **options)
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
        ("[launch\n", ["not valid TOML"]),
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
