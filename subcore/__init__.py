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
    from sim.host import HostModel, HostTimeline
    from sim.result import RunResult
    from subcore.api import emulate, load_config, load_trace, load_traces, simulate
    from subcore.launcher import LaunchResult, launch
    from traces.emulator.faults import EmulationError


_HOME = {
    "simulate": "subcore.api",
    "emulate": "subcore.api",
    "launch": "subcore.launcher",
    "LaunchResult": "subcore.launcher",
    "load_trace": "subcore.api",
    "load_traces": "subcore.api",
    "load_config": "subcore.api",
    "EmulationError": "traces.emulator.faults",
    "RunResult": "sim.result",
    "HostTimeline": "sim.host",
    "HostModel": "sim.host",
}

__all__ = [
    "EmulationError",
    "HostModel",
    "HostTimeline",
    "LaunchResult",
    "RunResult",
    "SubcoreError",
    "emulate",
    "launch",
    "load_config",
    "load_trace",
    "load_traces",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'subcore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
