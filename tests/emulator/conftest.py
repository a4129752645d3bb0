"""Compile many small expressions as kernels of one cubin, emulate them, compare with Python."""

import numpy as np
import pytest

ARCHITECTURES = (86, 90, 120, *(pytest.param(a, marks=pytest.mark.slow) for a in (75, 80, 89, 100)))
KERNEL = """
extern "C" __global__ void NAME(const A* a, const B* b, R* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) { A x = a[i]; B y = b[i]; out[i] = (R)(EXPRESSION); }
}
"""


@pytest.fixture(scope="session")
def run_cuda():
    """run_cuda(source, architecture, arguments, grid=1, block=32, **options) -> the array arguments afterwards."""
    from isa.compile import compile_cuda
    from traces.emulator import emulate

    def run(source, architecture, arguments, grid=1, block=32, **options):
        options = {"budget": 2_000_000, **options}
        trace = emulate(compile_cuda(source, architecture), None, grid, block, arguments, **options)
        results = trace.outputs()
        return [results[f"argument{k}"] for k, a in enumerate(arguments) if isinstance(a, np.ndarray)]

    return run


@pytest.fixture(scope="session")
def differences():
    """differences(architecture, cases, prelude="") -> messages of wrong results.

    A case: (expression in x and y, C types of x, y and result, arrays x and y, expected array, comparison).
    """
    from isa.compile import compile_cuda
    from isa.cubin import read_cubin
    from isa.errors import SubcoreError
    from traces.emulator import emulate

    def run(architecture, cases, prelude=""):
        source = prelude
        for number, (expression, (x_type, y_type, type_name), *_) in enumerate(cases):
            kernel = KERNEL.replace("A*", f"{x_type}*").replace("A x", f"{x_type} x").replace("B*", f"{y_type}*")
            kernel = (
                kernel.replace("B y", f"{y_type} y").replace("R*", f"{type_name}*").replace("(R)", f"({type_name})")
            )
            source += kernel.replace("NAME", f"k{number}").replace("EXPRESSION", expression)
        cubin = read_cubin(compile_cuda(source, architecture))
        wrong = []
        for number, (expression, _, x, y, wanted, equal) in enumerate(cases):
            try:
                trace = emulate(
                    cubin, f"k{number}", -(-len(x) // 128), 128, [x, y, np.zeros_like(wanted), np.int32(len(x))]
                )
                got = trace.outputs()["argument2"]
            except SubcoreError as error:
                wrong.append(f"{expression}: {error}")
                continue
            bad = np.nonzero(~equal(got, wanted))[0]
            if len(bad):
                k = bad[0]
                wrong.append(
                    f"{expression}: x={x[k]!r} y={y[k]!r} gives {got[k]!r}, expected {wanted[k]!r} ({len(bad)} wrong)"
                )
        return wrong

    return run
