"""The compiled microbenchmarks give the rates of the listings."""

import pytest

from validate.tensor import Row, run_row

pytestmark = pytest.mark.sass

STEPS = 32  # products of an iteration
HALF_RATE = ("tensor.f32_accumulate_factor=2",)


def cycles_of_a_product(kernel: str, gpu: str, warps: int, settings: tuple[str, ...]) -> float:
    """Of a sub-core, from what eight more iterations cost."""
    from subcore.api import simulate

    runs = [
        simulate(kernel, gpu, parameters={"iterations": n, "warps": warps, "blocks": 1}, settings=settings).cycles
        for n in (8, 16)
    ]
    return (runs[1] - runs[0]) / (8 * STEPS * max(1, warps // 4))


def of_listing(opcode: str, gpu: str, measure: str, settings: tuple[str, ...]) -> float:
    row = Row(
        case="k", table="", board="", metric="", value=1, unit="cycles", source="", gpu=gpu, opcode=opcode,
        measure=measure, settings=settings,
    )  # fmt: skip
    return run_row(row).simulated


@pytest.mark.parametrize(
    ("kernel", "opcode", "gpu", "settings"),
    [
        ("mma_rate", "HMMA.16816.F32", "a100", ()),
        ("mma_rate", "HMMA.16816.F32", "rtx_a6000", HALF_RATE),
        ("mma_rate", "HMMA.16816.F32", "h100_pcie", ()),
        ("mma_rate", "HMMA.16816.F32", "rtx_5070_ti", ()),
        ("mma_rate_half", "HMMA.16816.F16", "rtx_a6000", ()),
        ("mma_rate_half", "HMMA.16816.F16", "rtx_5070_ti", ()),
        ("mma_rate_int8", "IMMA.16832.S8.S8", "a100", ()),
        ("mma_rate_int8", "IMMA.16832.S8.S8", "rtx_5070_ti", ()),
    ],
)
def test_rate_of_the_kernel_is_that_of_the_listing(kernel, opcode, gpu, settings):
    found = cycles_of_a_product(kernel, gpu, 8, settings)
    assert found == pytest.approx(of_listing(opcode, gpu, "rate", settings), rel=0.03)


@pytest.mark.parametrize(
    ("gpu", "settings"), [("a100", ()), ("rtx_a6000", HALF_RATE), ("h100_pcie", ()), ("rtx_5070_ti", ())]
)
def test_latency_of_the_kernel_is_that_of_the_listing(gpu, settings):
    """With the compiler's control bits, without them in the listing: the loop costs a few cycles an iteration."""
    found = cycles_of_a_product("mma_chain", gpu, 1, settings)
    assert found == pytest.approx(of_listing("HMMA.16816.F32", gpu, "latency", settings), abs=1)


def test_rate_needs_enough_independent_chains():
    """Chains of 24 cycles where the pipe takes 8: one warp on each sub-core uses a third of it, two use two thirds."""
    assert cycles_of_a_product("mma_chain", "a100", 4, ()) == pytest.approx(24, abs=1)
    assert cycles_of_a_product("mma_chain", "a100", 8, ()) == pytest.approx(12, abs=1)


def test_turing_makes_two_small_products_of_a_large_one():
    small = of_listing("HMMA.1688.F32", "rtx_2080_ti", "rate", ())
    assert cycles_of_a_product("mma_rate", "rtx_2080_ti", 8, ()) == pytest.approx(2 * small, rel=0.03)
