"""`EmulatedTrace`: a kernel launch that yields its instruction streams; one chunk at a time is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from isa.compile import compile_cuda
from isa.cubin import Cubin
from isa.errors import SubcoreError
from isa.jit import as_records
from isa.load import Kernel, load_kernel
from traces.emulator import interpreter
from traces.emulator.launch import (
    GLOBAL_BASE,
    LOCAL_WINDOW,
    MAX_BLOCK,
    MAX_GRID,
    SHARED_WINDOW,
    Image,
    Value,
    build_image,
    triple,
)
from traces.emulator.lower import lower
from traces.emulator.records import LANES, LOG, Status
from traces.kernels.catalogue import KernelCase
from traces.stream import MEMORY_ACCESS, BlockStreams, Launch

CHUNK_INSTRUCTIONS = 1 << 20  # a chunk ends at the first block boundary behind this
CHUNK_BLOCKS = 4096
PAUSE_INSTRUCTIONS = 1 << 22  # return to Python (Ctrl-C) after so many
MAX_LOG = 1 << 28  # entries of 16 bytes: the stream of one block must fit into memory
BUDGET_INSTRUCTIONS = 10_000_000_000


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
        chunk_instructions: int = CHUNK_INSTRUCTIONS,
        chunk_blocks: int = CHUNK_BLOCKS,
    ) -> None:
        """Check the launch and lower the code; nothing runs yet.

        `arguments`: numpy arrays (copied to global memory), scalars, or bytes for structures. `names`: of the
        arguments; `outputs`: those that `outputs()` returns (default: all arrays). `budget`: warp instructions.
        """
        self.kernel = kernel
        self.program = kernel.program
        self._grid = triple(grid, "grid", MAX_GRID)
        self._block = triple(block, "block", MAX_BLOCK)
        self._arguments = list(arguments)
        self._names = list(names) or [f"argument{k}" for k in range(len(self._arguments))]
        arrays = [n for n, a in zip(self._names, self._arguments, strict=True) if isinstance(a, np.ndarray)]
        self._outputs = list(outputs) or arrays
        self._dynamic_shared_bytes = dynamic_shared_bytes
        self._stack_bytes = stack_bytes
        self._constants = dict(constants or {})
        self._budget, self._chunk_instructions, self._chunk_blocks = budget, chunk_instructions, chunk_blocks
        image = self._image()
        self._ops, self._problems = lower(
            kernel.instructions, image.bank_start, image.bank_bytes, self.program.architecture
        )
        self._result: dict[str, np.ndarray] | None = None
        self.executed_instructions = 0  # warp instructions of the last complete pass
        self.launch = Launch(
            kernel=self.program.kernel,
            grid=self._grid,
            block=self._block,
            shared_bytes=self.program.shared_bytes + dynamic_shared_bytes,
            registers=self.program.registers,
            architecture=self.program.architecture,
            local_bytes=int(image.machine["local_bytes"][0]),
            shared_base=SHARED_WINDOW,
            local_base=LOCAL_WINDOW,
        )

    @property
    def unsupported(self) -> dict[int, str]:
        """Instructions without semantics: index -> reason. Reaching one raises SubcoreError."""
        return dict(self._problems)

    def _image(self) -> Image:
        return build_image(
            self.kernel,
            self._grid,
            self._block,
            self._arguments,
            self._dynamic_shared_bytes,
            self._stack_bytes,
            self._constants,
        )

    def blocks(self) -> Iterator[BlockStreams]:
        """Run the launch from its start and yield the streams of consecutive thread blocks."""
        image = self._image()
        machine = as_records(image.machine)[0]
        machine["budget"], machine["chunk_target"] = self._budget, self._chunk_instructions
        machine["chunk_block_limit"] = self._chunk_blocks
        ops, warps, allocation = as_records(self._ops.copy()), as_records(image.warps), as_records(image.allocation)
        memory = (
            image.data[: len(image.data) // 4 * 4].view(np.uint32),
            image.data[: len(image.data) // 4 * 4].view(np.uint16),
        )
        capacity = 1 << 16
        log, accesses = as_records(np.empty(capacity, LOG)), as_records(np.zeros(capacity // 2, MEMORY_ACCESS))
        lane_address = np.empty(capacity, np.int64)
        first_block = 0
        while True:
            machine["pause_at"] = machine["executed"] + PAUSE_INSTRUCTIONS
            status = interpreter.run(
                machine,
                warps,
                ops,
                image.constants,
                allocation,
                *memory,
                image.data,
                log,
                accesses,
                lane_address,
            )
            if status == Status.PAUSED:
                continue
            if status == Status.LOG_FULL:
                if len(log) >= MAX_LOG:
                    block = tuple(int(v) for v in machine["block_index"])
                    raise SubcoreError(
                        f"{self.program.kernel}: block {block} executes more than {MAX_LOG} warp instructions, "
                        "too many to keep: use a smaller problem (or the kernel never ends)"
                    )
                log = _grown(log, int(machine["logged"]))
                accesses = _grown(accesses, int(machine["accesses"]))
                lane_address = _grown(lane_address, int(machine["addresses"]) + LANES)
                continue
            if status not in (Status.CHUNK_DONE, Status.GRID_DONE):
                raise SubcoreError(self._message(Status(status), image))
            count = int(machine["chunk_blocks"])
            if count:
                yield self._streams(first_block, count, image, log, accesses, lane_address)
            first_block += count
            for name in ("chunk_blocks", "logged", "accesses", "addresses"):
                machine[name] = 0
            if status == Status.GRID_DONE:
                break
        self.executed_instructions = int(machine["executed"])
        self._result = {}
        for k, (name, argument) in enumerate(zip(self._names, self._arguments, strict=True)):
            if name in self._outputs and isinstance(argument, np.ndarray):
                at = image.address[k] - GLOBAL_BASE
                raw = image.data[at : at + argument.nbytes].copy()
                self._result[name] = raw.view(argument.dtype).reshape(argument.shape)

    def outputs(self) -> dict[str, np.ndarray]:
        """Output arrays by argument name. Runs the launch if no pass of `blocks()` is complete yet."""
        if self._result is None:
            for _ in self.blocks():
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

    def _message(self, status: Status, image: Image) -> str:
        machine = image.machine[0]
        pc, lane, warp = int(machine["error_pc"]), int(machine["error_lane"]), int(machine["error_warp"])
        text = self.program.text[pc] if 0 <= pc < len(self.program) else "?"
        place = f"{self.program.kernel}: pc {pc * self.program.pc_step:#x} `{text}`"
        line = int(self.program.instructions["source_line"][pc]) if 0 <= pc < len(self.program) else 0
        if line:
            place += f" ({self.program.source_file}:{line})"
        block = tuple(int(v) for v in machine["block_index"])
        if status == Status.UNSUPPORTED:
            reason = self._problems.get(pc, "no semantics")
            return f"{place}: cannot be emulated on sm_{self.program.architecture}: {reason}"
        where = f"{place}, block {block}, warp {warp}"
        if status == Status.BUDGET:
            return (
                f"{where}: the instruction budget of {self._budget} is used up: "
                "raise `budget`, or the kernel waits for another block and never ends"
            )
        if status == Status.DEADLOCK:
            return f"{where}: deadlock: every live thread waits at a barrier that the others never reach"
        if status == Status.BAD_TARGET:
            return f"{where}: the pc leaves the code of the kernel"
        x, y = self._block[:2]
        thread = warp * LANES + lane
        where = f"{place}, block {block}, thread {(thread % x, thread // x % y, thread // x // y)}"
        address, width = int(machine["error_address"]), int(self._ops["bytes"][pc])
        if status == Status.MISALIGNED:
            return f"{where}: address {address:#x} is not a multiple of {width} bytes"
        if status == Status.CONSTANT_BOUNDS:
            return f"{where}: offset {address:#x} lies outside the constant bank"
        if status == Status.SHARED_BOUNDS:
            low, high = int(machine["shared_base"]), int(machine["shared_end"])
            return f"{where}: shared address {address:#x} ({width} bytes) lies outside [{low:#x}, {high:#x})"
        if status == Status.MIXED_SPACES:
            return f"{where}: generic address {address:#x} and another lane's address lie in different memory spaces"
        if status == Status.LOCAL_BOUNDS:
            size = int(machine["local_bytes"])
            return f"{where}: local address {address:#x} lies outside the {size} bytes per thread: raise `stack_bytes`"
        return f"{where}: address {address:#x} ({width} bytes) lies in no allocation; {self._nearest(address, image)}"

    def _nearest(self, address: int, image: Image) -> str:
        named = [
            (image.address[k], self._names[k], a.nbytes)
            for k, a in enumerate(self._arguments)
            if isinstance(a, np.ndarray)
        ]
        if not named:
            return "the launch has no arrays"
        start, name, size = min(
            named,
            key=lambda a: 0 if a[0] <= address < a[0] + a[2] else min(abs(address - a[0]), abs(address - a[0] - a[2])),
        )
        if address < start:
            return f"nearest is {name} ({size} bytes), {start - address} bytes above"
        return f"nearest is {name} ({size} bytes at {start:#x}), {address - start} bytes from its start"


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
    dynamic_shared_bytes: int = 0,
    stack_bytes: int | None = None,
    constants: Mapping[str, np.ndarray] | None = None,
    budget: int = BUDGET_INSTRUCTIONS,
    chunk_instructions: int = CHUNK_INSTRUCTIONS,
) -> EmulatedTrace:
    """Prepare a launch: of a `KernelCase` for an architecture (86 = sm_86), or of a kernel in a cubin (bytes or path).

    Raises SubcoreError for launches that cannot be; errors of the kernel itself come while `blocks()` runs.
    """
    if isinstance(source, KernelCase):
        if architecture is None:
            raise SubcoreError(f"{source.name}: say which architecture to compile for, such as 86")
        loaded = load_kernel(compile_cuda(source.source, architecture), source.kernel)
        return EmulatedTrace(
            loaded,
            source.grid,
            source.block,
            [a.value for a in source.arguments],
            names=[a.name for a in source.arguments],
            outputs=[a.name for a in source.arguments if a.output],
            dynamic_shared_bytes=source.dynamic_shared_bytes,
            stack_bytes=stack_bytes,
            constants=constants,
            budget=budget,
            chunk_instructions=chunk_instructions,
        )
    loaded = load_kernel(source, kernel)
    if architecture is not None and architecture != loaded.program.architecture:
        raise SubcoreError(
            f"{loaded.cubin.path}: holds code for sm_{loaded.program.architecture}, not sm_{architecture}"
        )
    return EmulatedTrace(
        loaded,
        grid,
        block,
        arguments,
        dynamic_shared_bytes=dynamic_shared_bytes,
        stack_bytes=stack_bytes,
        constants=constants,
        budget=budget,
        chunk_instructions=chunk_instructions,
    )


def run(case: KernelCase, architecture: int) -> dict[str, np.ndarray]:
    """Output arrays of a kernel case on one architecture."""
    return emulate(case, architecture=architecture).outputs()
