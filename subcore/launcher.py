"""Launch a kernel from its code, its sizes and its arguments: `subcore.launch`, and the options of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isa.errors import SubcoreError

if TYPE_CHECKING:
    from configs.schema import Config
    from isa.load import Kernel
    from sim.result import RunResult
    from traces.emulator.arguments import Value
    from traces.emulator.trace import EmulatedTrace

Sizes = Sequence[int] | int


@dataclass(frozen=True)
class LaunchResult:
    """What a launch leaves besides the values in its arrays.

    `trace` has the arguments as they were before the launch; each `trace.blocks()` emulates it again. `result`:
    cycles, counters and stalls, or None if the launch was not simulated.
    """

    trace: EmulatedTrace
    result: RunResult | None = None

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write the trace to a file (.sct)."""
        from traces.store import write_trace

        write_trace(path, self.trace, force=force)


def load_code(source: str | Path | bytes, kernel: str | None, architecture: int | None) -> Kernel:
    """A kernel of a .cu file (compiled for `architecture`), CUDA source text, a cubin file or its bytes.

    SubcoreError says what the file is if it is none of these, and lists the kernels if `kernel` is not one of them.
    """
    from isa.compile import compile_cuda
    from isa.cubin import read_cubin
    from isa.load import load_kernel

    text = isinstance(source, str) and "__global__" in source
    path = Path("kernel.cu") if text or isinstance(source, bytes) else Path(source)
    if not (text or isinstance(source, bytes) or path.is_file()):
        raise SubcoreError(f"{path}: no such file")
    if isinstance(source, bytes):
        cubin = read_cubin(source)
    elif text or path.suffix == ".cu":
        if architecture is None:
            raise SubcoreError(f"{path}: say which architecture to compile for, such as 86 for sm_86")
        cubin = read_cubin(compile_cuda(str(source) if text else path, architecture), path.name)
    elif path.suffix == ".ptx":
        raise SubcoreError(f"{path}: PTX is not machine code: assemble it with `ptxas -arch=sm_86 -o k.cubin`")
    else:
        cubin = read_cubin(path)
    if architecture is not None and cubin.architecture != architecture:
        raise SubcoreError(f"{path}: holds code for sm_{cubin.architecture}, not sm_{architecture}")
    return load_kernel(cubin, kernel)


def prepare(
    source: str | Path | bytes,
    kernel: str | None,
    grid: Sizes,
    block: Sizes | None,
    arguments: Sequence[Value],
    shared_bytes: int = 0,
    *,
    architecture: int | None = None,
    **options: Any,
) -> EmulatedTrace:
    """The launch, checked but not run. `block` may be left out if the kernel is compiled for one block size (Triton).

    `options`: `names` of the arguments and the other options of `EmulatedTrace`.
    """
    from traces.emulator.trace import EmulatedTrace

    code = load_code(source, kernel, architecture)
    if block is None:
        block = code.code.required_threads
    if block is None:
        raise SubcoreError(f"{code.program.kernel}: give the block size: the code does not prescribe one")
    return EmulatedTrace(code, grid, block, arguments, dynamic_shared_bytes=shared_bytes, **options)


def launch(
    source: str | Path | bytes,
    kernel: str | None = None,
    grid: Sizes = 1,
    block: Sizes | None = None,
    args: Sequence[Value] = (),
    shared_bytes: int = 0,
    *,
    architecture: int | None = None,
    gpu: str | Path | Config | None = None,
    simulate: bool | None = None,
    overlays: Sequence[str | Path] = (),
    settings: Sequence[str] = (),
    max_cycles: int | None = None,
    uninitialized: Sequence[int] = (),
    **options: Any,
) -> LaunchResult:
    """Run a kernel on numpy arrays, which hold its results afterwards, and simulate it if a GPU is named.

    `source`: a .cu file, CUDA source text, a .cubin file (nvcc, Triton, CUTLASS) or its bytes. `kernel` may be left
    out if there is one. `args`: arrays are buffers in GPU memory, copied there and back into the same array if the
    kernel changed them; a read-only array may not be written. Python numbers take the size of their parameter, numpy
    scalars must have it; bytes and tuples are structures, None is a null pointer, a `TensorMap` of an array is a
    parameter of type CUtensorMap. `shared_bytes` is the dynamic shared memory.

    With `gpu` (a name, file or `Config`) blocks are emulated while the simulator dispatches them; `simulate=False`
    takes only its architecture. `uninitialized`: numbers of the arrays that hold no values yet; reading one before
    writing it is an error. `options`: `stack_bytes`, `constants` ({name: array} for `__constant__` variables),
    `budget` (warp instructions), `cluster` (blocks per cluster), `cooperative` (all blocks at once, for grid-wide
    barriers), `check_uninitialized=False`, `red_zone_bytes`.

    Raises SubcoreError for what cannot be launched and EmulationError for what a kernel may not do; then no array
    has changed.
    """
    from subcore import api

    if gpu is not None:
        config = api.load_config(gpu, overlays, settings) if isinstance(gpu, str | Path) else gpu
        if architecture is None and not (isinstance(source, bytes) or str(source).endswith(".cubin")):
            architecture = config.gpu.architecture
    elif simulate or overlays or settings or max_cycles is not None:
        raise SubcoreError("to simulate say on which GPU, for instance gpu='rtx_a6000'")
    held = _Copies()
    names = [f"args[{k}]" for k in range(len(args))]
    for k in uninitialized:
        if not 0 <= k < len(args) or not isinstance(args[k], np.ndarray):
            raise SubcoreError(f"uninitialized: args[{k}] is no array")
    trace = prepare(
        source,
        kernel,
        grid,
        block,
        [held.copied(value, name) for value, name in zip(args, names, strict=True)],
        shared_bytes,
        architecture=architecture,
        names=names,
        uninitialized=[names[k] for k in uninitialized],
        **options,
    )
    held.check_overlaps()
    result = None
    if gpu is not None and simulate is not False:
        result = api.simulate(trace, config, max_cycles=max_cycles)
    held.give_back(trace.outputs())
    return LaunchResult(trace, result)


class _Copies:
    """The arrays of a launch and the copies that the trace keeps; equal memory has one copy."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[Any, ...], tuple[str, np.ndarray, np.ndarray]] = {}

    def copied(self, value: Value, name: str) -> Value:
        from traces.emulator.arguments import identity
        from traces.emulator.tensor_map import TensorMap

        if isinstance(value, np.ndarray):
            if identity(value) not in self._pairs:
                copy = value.copy()
                copy.flags.writeable = value.flags.writeable
                self._pairs[identity(value)] = name, value, copy
            return self._pairs[identity(value)][2]
        if isinstance(value, TensorMap):
            array = self.copied(value.array, name)
            assert isinstance(array, np.ndarray)
            return replace(value, array=array)
        if isinstance(value, tuple | list):
            return tuple(self.copied(member, f"{name}[{k}]") for k, member in enumerate(value))
        return value

    def check_overlaps(self) -> None:
        """Different arrays become different buffers: they may not be parts of one another's memory."""
        pairs = list(self._pairs.values())
        for k, (name, array, _) in enumerate(pairs):
            for other_name, other, _ in pairs[:k]:
                if (array.flags.writeable or other.flags.writeable) and np.shares_memory(array, other):
                    raise SubcoreError(f"{other_name} and {name} overlap in memory: pass one array, or copies")

    def give_back(self, outputs: Mapping[str, np.ndarray]) -> None:
        for name, array, before in self._pairs.values():
            if array.flags.writeable and outputs[name].tobytes() != before.tobytes():
                array[...] = outputs[name]
