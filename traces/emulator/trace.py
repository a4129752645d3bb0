"""`EmulatedTrace`: a kernel launch that yields its instruction streams; one chunk at a time is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isa.compile import compile_cuda
from isa.cubin import Cubin
from isa.errors import SubcoreError
from isa.jit import as_records, is_cold
from isa.load import Kernel, load_kernel
from traces.emulator import interpreter
from traces.emulator.arguments import Value
from traces.emulator.faults import fault_error
from traces.emulator.launch import (
    GLOBAL_BASE,
    LOCAL_WINDOW,
    MAX_BLOCK,
    MAX_GRID,
    RED_ZONE_BYTES,
    SHARED_WINDOW,
    Image,
    Setup,
    build_image,
    cluster_of,
    host_copies,
    triple,
)
from traces.emulator.lower import lower
from traces.emulator.records import LANES, LOG, Status
from traces.emulator.tensor_map import TensorMap
from traces.kernels.catalogue import Argument, KernelCase
from traces.stream import MEMORY_ACCESS, BlockStreams, Launch

CHUNK_INSTRUCTIONS = 1 << 20  # a chunk ends at the first block boundary behind this
CHUNK_BLOCKS = 4096
PAUSE_INSTRUCTIONS = 1 << 22  # return to Python (Ctrl-C) after so many
MAX_LOG = 1 << 27  # entries of 16 bytes: the stream of one block must fit into memory
BUDGET_INSTRUCTIONS = 10_000_000_000


Logs = tuple[np.ndarray, np.ndarray, np.ndarray]


class EmulatedTrace:
    """Trace (see `traces.stream.Trace`) made by running the kernel.

    Each pass of `blocks()` starts from the initial memory. `outputs()` gives the arrays after a complete pass.
    """

    def __init__(
        self,
        kernel: Kernel,
        grid: Sequence[int] | int,
        block: Sequence[int] | int,
        arguments: Sequence[Value],
        *,
        names: Sequence[str] = (),
        outputs: Sequence[str] = (),
        dynamic_shared_bytes: int = 0,
        stack_bytes: int | None = None,
        constants: Mapping[str, np.ndarray] | None = None,
        budget: int = BUDGET_INSTRUCTIONS,
        cluster: Sequence[int] | int | None = None,
        cooperative: bool = False,
        check_uninitialized: bool = True,
        uninitialized: Sequence[str] = (),
        red_zone_bytes: int = RED_ZONE_BYTES,
        chunk_instructions: int = CHUNK_INSTRUCTIONS,
        chunk_blocks: int = CHUNK_BLOCKS,
    ) -> None:
        """Check the launch and lower the code; nothing runs yet.

        `arguments`: see `traces.emulator.arguments`; read-only arrays may not be written. `names`: of the arguments;
        `outputs`: those that `outputs()` returns (default: all arrays). `budget`: warp instructions.
        `check_uninitialized`: reads of shared memory before a write are errors; `uninitialized`: names of arrays
        whose initial bytes are no values, so that reading them before a write is an error as well. `cluster`: blocks
        per cluster (default: the kernel's attribute); `cooperative`: all blocks run at once, for grid-wide barriers.
        """
        self.kernel = kernel
        self.program = kernel.program
        names = list(names) or [f"argument{k}" for k in range(len(arguments))]
        for name in (*outputs, *uninitialized):
            if name not in names:
                known = ", ".join(names) or "none"
                raise SubcoreError(f"{self.program.kernel}: no argument {name!r}; there are {known}")
        if red_zone_bytes < 0 or budget < 1:
            raise SubcoreError(f"{self.program.kernel}: red_zone_bytes must be at least 0, the budget at least 1")
        self._setup = Setup(
            triple(grid, "grid", MAX_GRID),
            triple(block, "block", MAX_BLOCK),
            list(arguments),
            names,
            dynamic_shared_bytes,
            stack_bytes,
            dict(constants or {}),
            check_uninitialized,
            tuple(uninitialized),
            red_zone_bytes,
            cluster_of(kernel, cluster),
            cooperative,
        )
        self._outputs = set(outputs)
        self._budget, self._chunk_instructions, self._chunk_blocks = budget, chunk_instructions, chunk_blocks
        image = build_image(kernel, self._setup)
        self._ops, self._problems = lower(
            kernel.instructions, image.bank_start, image.bank_bytes, self.program.architecture
        )
        self._result: dict[str, np.ndarray] | None = None
        self.executed_instructions = 0  # warp instructions of the last complete pass
        self.launch = Launch(
            kernel=self.program.kernel,
            grid=self._setup.grid,
            block=self._setup.block,
            shared_bytes=self.program.shared_bytes + dynamic_shared_bytes,
            registers=self.program.registers,
            architecture=self.program.architecture,
            local_bytes=int(image.machine["local_bytes"][0]),
            shared_base=SHARED_WINDOW,
            local_base=LOCAL_WINDOW,
            copies=host_copies(image),
            cluster=self._setup.cluster,
        )

    @property
    def unsupported(self) -> dict[int, str]:
        """Instructions without semantics: index -> reason. Reaching one raises SubcoreError."""
        return dict(self._problems)

    @staticmethod
    def is_cold() -> bool:
        """True if the first pass has to compile the interpreter, which takes most of a minute."""
        return is_cold(interpreter.run)

    def compile(self) -> None:
        """Compile the interpreter without running anything."""
        image = build_image(self.kernel, self._setup)
        image.machine["next_block"] = image.machine["blocks"]
        self._advance(image, *_logs(1))

    def _advance(self, image: Image, log: np.ndarray, accesses: np.ndarray, lane_address: np.ndarray) -> Status:
        data = image.data
        return Status(
            interpreter.run(
                as_records(image.machine)[0],
                as_records(image.blocks),
                as_records(image.warps),
                as_records(self._ops),
                image.constants,
                as_records(image.allocation),
                data.view(np.uint32),
                data.view(np.uint16),
                data,
                log,
                accesses,
                lane_address,
            )
        )

    def blocks(self) -> Iterator[BlockStreams]:
        """Run the launch from its start and yield the streams of consecutive thread blocks."""
        yield from self._run(keep=True)

    def _run(self, keep: bool) -> Iterator[BlockStreams]:
        """One pass. Without `keep` the streams are dropped as they come, and nothing is yielded."""
        image = build_image(self.kernel, self._setup)
        machine = image.machine[0]
        machine["budget"], machine["chunk_target"] = self._budget, self._chunk_instructions
        machine["chunk_block_limit"] = self._chunk_blocks
        logs = _logs(1 << 16)
        first_block = 0
        status = Status.RUNNING
        while status != Status.GRID_DONE:
            machine["pause_at"] = machine["executed"] + PAUSE_INSTRUCTIONS
            status = self._advance(image, *logs)
            if status == Status.PAUSED:
                continue
            if status == Status.LOG_FULL:
                if keep:
                    logs = self._larger(logs, image)
                else:
                    _forget(machine)
                continue
            if status not in (Status.CHUNK_DONE, Status.GRID_DONE):
                raise fault_error(status, self.kernel, self._setup, image, self._ops, self._problems, self._budget)
            count = int(machine["chunk_blocks"])
            streams = self._streams(first_block, count, image, *logs) if keep and count else None
            first_block += count
            machine["chunk_blocks"] = 0
            _forget(machine)
            if status == Status.GRID_DONE:
                self._finish(image)
            if streams is not None:
                yield streams

    def probe(self, blocks: Sequence[int]) -> list[int]:
        """Warp instructions that single blocks (linear ids) execute on the initial memory, without those before them.

        For kernels whose blocks do not wait for each other. Errors as `blocks()`; a block that executes more than
        2**27 warp instructions is one.
        """
        image = build_image(self.kernel, self._setup)
        machine, logs, lengths = image.machine[0], _logs(1 << 16), []
        for block in blocks:
            if not 0 <= block < self.launch.blocks:
                raise SubcoreError(f"{self.program.kernel}: no block {block}; the grid has {self.launch.blocks}")
            before = int(machine["executed"])
            machine["budget"], machine["next_block"], machine["blocks"] = before + MAX_LOG, block, block + 1
            status = Status.RUNNING
            while status != Status.GRID_DONE:
                machine["pause_at"] = machine["executed"] + PAUSE_INSTRUCTIONS
                machine["chunk_blocks"], machine["chunk_block_limit"], machine["chunk_target"] = 0, 1, MAX_LOG
                status = self._advance(image, *logs)
                if status not in (Status.PAUSED, Status.LOG_FULL, Status.CHUNK_DONE, Status.GRID_DONE):
                    raise fault_error(status, self.kernel, self._setup, image, self._ops, self._problems, MAX_LOG)
                _forget(machine)
            lengths.append(int(machine["executed"]) - before)
        return lengths

    def _larger(self, logs: Logs, image: Image) -> Logs:
        machine = image.machine[0]
        if len(logs[0]) >= MAX_LOG:
            block = tuple(int(v) for v in machine["block_index"])
            raise SubcoreError(
                f"{self.program.kernel}: block {block} executes more than {MAX_LOG} warp instructions, "
                "too many to keep: use a smaller problem (or the kernel never ends)"
            )
        log, accesses, lane_address = logs
        return (
            _grown(log, int(machine["logged"])),
            _grown(accesses, int(machine["accesses"])),
            _grown(lane_address, int(machine["addresses"]) + LANES),
        )

    def _finish(self, image: Image) -> None:
        """Take the outputs before the last chunk is given away: its reader may never ask for another."""
        self.executed_instructions = int(image.machine["executed"][0])
        self._result = {}
        for buffer in image.buffers:
            at = buffer.address - GLOBAL_BASE
            raw = image.data[at : at + buffer.array.nbytes].copy()
            values = raw.view(buffer.array.dtype).reshape(buffer.array.shape)
            for name in buffer.names:
                if not self._outputs or name in self._outputs:
                    self._result[name] = values

    def outputs(self) -> dict[str, np.ndarray]:
        """Output arrays by argument name. Runs the launch if no pass of `blocks()` is complete yet."""
        if self._result is None:
            for _ in self._run(keep=False):
                pass
        assert self._result is not None
        return self._result

    def _streams(
        self, first: int, count: int, image: Image, log: np.ndarray, accesses: np.ndarray, lane_address: np.ndarray
    ) -> BlockStreams:
        machine = image.machine[0]
        logged = int(machine["logged"])
        starts = np.empty(count * int(machine["warps"]) + 1, np.int64)
        columns = np.empty(logged, np.int32), np.empty(logged, np.uint32), np.empty(logged, np.int32)
        interpreter.sort_log(log, logged, starts, *columns)
        return BlockStreams(
            first_block=first,
            warp_start=starts,
            instruction=columns[0],
            active_mask=columns[1],
            access=columns[2],
            # a copy of the bytes: a copy of the records would leave their padding undefined
            accesses=accesses[: machine["accesses"]].view(np.uint8).copy().view(MEMORY_ACCESS),
            lane_address=lane_address[: machine["addresses"]].copy(),
        )


def _logs(capacity: int) -> Logs:
    """Room for executed instructions, their memory records and their listed lane addresses."""
    log, accesses = np.empty(capacity, LOG), np.zeros(max(1, capacity // 2), MEMORY_ACCESS)
    return as_records(log), as_records(accesses), np.empty(capacity, np.int64)


def _forget(machine: np.void) -> None:
    """Begin the logs anew."""
    for name in ("logged", "accesses", "addresses"):
        machine[name] = 0


def _grown(array: np.ndarray, used: int) -> np.ndarray:
    """A copy with room for as much again, if less than a quarter is free."""
    if used < 0.75 * len(array):
        return array
    longer = np.zeros(2 * len(array), array.dtype)
    longer[: len(array)] = array
    return as_records(longer)


def emulate(
    source: KernelCase | Cubin | bytes | str | Path,
    kernel: str | None = None,
    grid: Sequence[int] | int = 1,
    block: Sequence[int] | int = 32,
    arguments: Sequence[Value] = (),
    *,
    architecture: int | None = None,
    **options: Any,
) -> EmulatedTrace:
    """Prepare a launch: of a `KernelCase` for an architecture (86 = sm_86), or of a kernel in a cubin (bytes or path).

    `options` are those of `EmulatedTrace`. Raises SubcoreError for launches that cannot be; errors of the kernel
    itself (EmulationError) come while `blocks()` or `outputs()` runs.
    """
    if isinstance(source, KernelCase):
        if architecture is None:
            raise SubcoreError(f"{source.name}: say which architecture to compile for, such as 86")
        if architecture not in source.architectures:
            known = ", ".join(f"sm_{a}" for a in source.architectures)
            raise SubcoreError(f"{source.name}: uses instructions that sm_{architecture} does not have; choose {known}")
        code = compile_cuda(source.source, architecture, source.compile_options)
        loaded = load_kernel(code, source.kernel)
        return case_trace(loaded, source, **options)
    loaded = load_kernel(source, kernel)
    if architecture is not None and architecture != loaded.program.architecture:
        raise SubcoreError(
            f"{loaded.cubin.path}: holds code for sm_{loaded.program.architecture}, not sm_{architecture}"
        )
    return EmulatedTrace(loaded, grid, block, arguments, **options)


def case_trace(kernel: Kernel, case: KernelCase, **options: Any) -> EmulatedTrace:
    """The launch that a case describes, with the code at hand. `options` are those of `EmulatedTrace`."""
    given: dict[str, Any] = {
        "names": [a.name for a in case.arguments],
        "outputs": [a.name for a in case.arguments if a.output],
        "dynamic_shared_bytes": case.dynamic_shared_bytes,
        "stack_bytes": case.stack_bytes,
        "cluster": case.cluster,
        "cooperative": case.cooperative,
    }
    given |= {name: value for name, value in options.items() if value is not None}
    return EmulatedTrace(kernel, case.grid, case.block, [_argument_value(a) for a in case.arguments], **given)


def _argument_value(argument: Argument) -> Value:
    if argument.tile is None or not isinstance(argument.value, np.ndarray):
        return argument.value
    return TensorMap(argument.value, argument.tile.box, argument.tile.swizzle, argument.tile.shape)


def run(case: KernelCase, architecture: int) -> dict[str, np.ndarray]:
    """Output arrays of a kernel case on one architecture."""
    return emulate(case, architecture=architecture).outputs()
