"""Simulated warp instructions per second on one core. Run with `make bench`; nothing here asserts a time.

Needs the NVIDIA wheels: the kernels are compiled and emulated once, and replayed from memory.
"""

import pytest

from configs.load import load_config
from sim.gpu import simulate_trace
from traces.emulator import emulate
from traces.kernels import load_launch

CASES = {
    "matmul_tiled": {"n": 256},  # 1.5 million warp instructions, bound by shared-memory loads
    "transpose": {"width": 1024, "height": 1024},  # streaming copy through shared memory
    "ffma_chain": {},
    "pointer_chase": {},
}


class _Kept:
    """A trace with its chunks in memory, so that emulation is not measured."""

    def __init__(self, trace):
        self.launch, self.program, self._chunks = trace.launch, trace.program, list(trace.blocks())

    def blocks(self):
        return iter(self._chunks)


@pytest.mark.sass
@pytest.mark.parametrize("gpu", ["rtx_a6000", "h100_pcie"])
@pytest.mark.parametrize("kernel", CASES)
def bench_simulator(benchmark, kernel, gpu):
    config = load_config(gpu)
    trace = _Kept(emulate(load_launch(kernel, CASES[kernel]), architecture=config.gpu.architecture))
    simulate_trace(trace, config)  # compile
    results = []
    benchmark.pedantic(lambda: results.append(simulate_trace(trace, config)), rounds=5, warmup_rounds=1)
    fastest = min(results, key=lambda result: result.kernel_seconds)
    benchmark.extra_info |= {
        "warp instructions": fastest.warp_instructions,
        "million warp instructions per second": round(fastest.instructions_per_second / 1e6, 3),
        "cycles": fastest.cycles,
    }
    assert {result.cycles for result in results} == {fastest.cycles}
