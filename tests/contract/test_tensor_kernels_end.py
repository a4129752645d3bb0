"""Every kernel with matrix instructions or asynchronous copies ends on each GPU that has them."""

import re

import pytest

import subcore
from sim.stats import Counter
from traces.kernels import list_kernels, load_launch

pytestmark = pytest.mark.sass

GPUS = {75: "rtx_2080_ti", 80: "a100", 86: "rtx_a6000", 89: "rtx_4090", 90: "h100_pcie", 120: "rtx_5070_ti"}
PREFERRED = (90, 86, 80)
PARTS = re.compile(r"mma|cp\.async|hopper\.cuh|tensor_core\.cuh|gemm_\w+\.cuh?")
WITHOUT_MATRICES = ("copy_bulk", "copy_tile", "reduction_cluster")


def uses():
    """(kernel, GPU) pairs; the first GPU that has the instructions in the default run, all of them in the slow one."""
    for name in list_kernels():
        case = load_launch(name)
        if not PARTS.search(case.source.read_text(encoding="utf-8")):
            continue
        available = [architecture for architecture in GPUS if architecture in case.architectures]
        first = next((a for a in PREFERRED if a in available), available[0])
        for architecture in available:
            marks = () if architecture == first else (pytest.mark.slow,)
            yield pytest.param(name, GPUS[architecture], marks=marks, id=f"{name}-{GPUS[architecture]}")


@pytest.mark.parametrize(("name", "gpu"), list(uses()))
def test_kernel_ends_and_uses_its_units(name, gpu):
    result = subcore.simulate(name, gpu, max_cycles=5_000_000)
    assert result.counter(Counter.BLOCKS) == result.launch.blocks
    if name not in WITHOUT_MATRICES:
        assert result.counter(Counter.ISSUE_TENSOR) > 0
