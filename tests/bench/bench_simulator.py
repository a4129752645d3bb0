"""Simulated warp instructions per second, by pytest-benchmark. Run with `make bench`; nothing here asserts a time.

The kernels and sizes are those of `subcore bench`, which also measures start-up and memory and keeps its results.
Needs the NVIDIA wheels: the kernels are compiled and emulated once, and replayed from memory.
"""

import pytest

from configs.load import load_config
from sim.gpu import simulate_trace
from subcore.bench import CASES, Kept
from traces.emulator import emulate
from traces.kernels import load_launch
from traces.load import open_any


@pytest.mark.sass
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.gpu}")
def bench_simulator(benchmark, request, case, threads):
    config = load_config(case.gpu)
    if case.path:
        path = request.getfixturevalue("shared_data") / case.path
        if not path.is_file():
            pytest.skip(f"{path} is not there")
        trace = open_any(path)
    else:
        trace = emulate(load_launch(case.name, case.parameters), architecture=config.gpu.architecture)
    trace = Kept(trace[0] if isinstance(trace, list | tuple) else trace)
    simulate_trace(trace, config)  # compile
    results = []
    benchmark.pedantic(lambda: results.append(simulate_trace(trace, config, threads=threads)), rounds=3)
    fastest = min(results, key=lambda result: result.kernel_seconds)
    benchmark.extra_info |= {
        "warp instructions": fastest.warp_instructions,
        "million warp instructions per second": round(fastest.instructions_per_second / 1e6, 3),
        "cycles": fastest.cycles,
    }
    assert {result.cycles for result in results} == {fastest.cycles}
