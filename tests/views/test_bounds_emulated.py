"""Lower bounds hold for kernels of the library as the emulator runs them, on every architecture."""

import pytest

from configs.load import load_config
from sim.gpu import simulate_trace
from subcore import api
from tests.views.test_accounts import check, check_instructions, check_series
from traces.kernels import list_kernels, load_launch

pytestmark = pytest.mark.sass
GPUS = {75: "rtx_2080_ti", 80: "a100", 86: "rtx_a6000", 89: "l40", 90: "h100_pcie", 120: "rtx_5070_ti"}


def check_all(kernel, architecture):
    trace = api.emulate(kernel, architecture)
    result = simulate_trace(trace, load_config(GPUS[architecture]), max_cycles=3_000_000)
    check(result)
    check_instructions(trace, result)
    check_series(result)


@pytest.mark.parametrize(
    ("kernel", "architecture"),
    [("gemm_mma", 80), ("gemm_wmma", 86), ("histogram", 75), ("dot_product", 89), ("layernorm", 120)],
)
def test_emulated_kernel_is_never_faster_than_its_bounds(kernel, architecture):
    check_all(kernel, architecture)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "kernel"), list(enumerate(list_kernels())))
def test_no_kernel_of_the_library_is_faster_than_its_bounds(number, kernel):
    """Each on one of its architectures, in turn."""
    able = [architecture for architecture in GPUS if architecture in load_launch(kernel).architectures]
    check_all(kernel, able[number % len(able)])
