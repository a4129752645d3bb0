"""Cycle-level simulator of NVIDIA GPUs: replays real SASS, counts cycles, says where they went.

    import subcore
    result = subcore.simulate("matmul_tiled", "rtx_a6000", parameters={"n": 256})
    print(result.cycles, result.stalls, result.counters, sep="\\n")

    subcore.launch("scale.cu", "scale", grid=8, block=128, args=(array, 1024), gpu="rtx_a6000")  # on numpy arrays

Names are imported when first used, so that `import subcore` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from isa.errors import SubcoreError

if TYPE_CHECKING:
    from sim.host.model import HostModel, load_host
    from sim.host.timeline import Graph, HostTimeline
    from sim.result import RunResult
    from sim.sampling import SampledResult
    from subcore.api import emulate, load_config, load_trace, load_traces, sample, simulate
    from subcore.application.run import ApplicationResult, run_application
    from subcore.application.spec import Application, read_application
    from subcore.launcher import LaunchResult, launch
    from traces.emulator.faults import EmulationError
    from traces.emulator.tensor_map import TensorMap


_HOME = {
    "simulate": "subcore.api",
    "sample": "subcore.api",
    "SampledResult": "sim.sampling",
    "emulate": "subcore.api",
    "launch": "subcore.launcher",
    "LaunchResult": "subcore.launcher",
    "load_trace": "subcore.api",
    "load_traces": "subcore.api",
    "load_config": "subcore.api",
    "EmulationError": "traces.emulator.faults",
    "TensorMap": "traces.emulator.tensor_map",
    "RunResult": "sim.result",
    "Application": "subcore.application.spec",
    "read_application": "subcore.application.spec",
    "ApplicationResult": "subcore.application.run",
    "run_application": "subcore.application.run",
    "HostTimeline": "sim.host.timeline",
    "Graph": "sim.host.timeline",
    "HostModel": "sim.host.model",
    "load_host": "sim.host.model",
}

__all__ = [
    "Application",
    "ApplicationResult",
    "EmulationError",
    "Graph",
    "HostModel",
    "HostTimeline",
    "LaunchResult",
    "RunResult",
    "SampledResult",
    "SubcoreError",
    "TensorMap",
    "emulate",
    "launch",
    "load_config",
    "load_host",
    "load_trace",
    "load_traces",
    "read_application",
    "run_application",
    "sample",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'subcore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
