"""Compile the kernels of the hardware suites into `code/`, as the measured programs were compiled.

    SUBCORE_NVRTC=<folder>/nvidia/cuda_nvrtc/lib/libnvrtc.so.12 python -m validate.hardware.compile

The measured programs hold PTX for 5.2 that the driver compiled for sm_90; NVRTC 12.5 (nvidia-cuda-nvrtc-cu12 12.5.82)
gives the same code straight from the source, NVRTC 13 other dependence counters and stall counts.
"""

from __future__ import annotations

from isa.compile import compile_cuda, nvrtc_version
from isa.errors import SubcoreError
from isa.files import replace_file
from traces.kernels.catalogue import load_launch
from validate.hardware.run import CODE, code_name
from validate.hardware.suite import list_suites, load_suite

NVRTC = "12.5"
ARCHITECTURE = 90


def main() -> None:
    """Write one cubin per source. SubcoreError if the compiler is not the one above."""
    if nvrtc_version() != NVRTC:
        raise SubcoreError(f"NVRTC {nvrtc_version()} found, {NVRTC} is needed: set SUBCORE_NVRTC to its library")
    CODE.mkdir(exist_ok=True)
    kernels = {launch.kernel for s in list_suites() for benchmark in load_suite(s) for launch in benchmark.launches}
    for source in sorted({load_launch(kernel).source for kernel in kernels}):
        with replace_file(CODE / code_name(source, ARCHITECTURE), force=True) as file:
            file.write(compile_cuda(source, ARCHITECTURE, line_info=False))


if __name__ == "__main__":
    main()
