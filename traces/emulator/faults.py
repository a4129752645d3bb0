"""What stops a kernel: one error with the instruction, its source line, the thread, the address, the nearest buffer."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isa.errors import SubcoreError
from isa.load import Kernel
from isa.names import plain_name
from traces.emulator.launch import LOCAL_WINDOW, SHARED_WINDOW, Image, Setup, asks_for_grid
from traces.emulator.records import BLOCK_BARRIERS, LANES, LaneState, Operation, Space, Status

Triple = tuple[int, int, int]

_KINDS = {
    Status.UNSUPPORTED: "unsupported",
    Status.OUT_OF_BOUNDS: "out_of_bounds",
    Status.SHARED_BOUNDS: "out_of_bounds",
    Status.LOCAL_BOUNDS: "out_of_bounds",
    Status.CONSTANT_BOUNDS: "out_of_bounds",
    Status.MISALIGNED: "misaligned",
    Status.READ_ONLY: "read_only",
    Status.UNINITIALIZED: "uninitialized",
    Status.BAD_TARGET: "bad_target",
    Status.DEADLOCK: "deadlock",
    Status.BUDGET: "budget",
    Status.DESCRIPTOR: "descriptor",
    Status.DIVERGED: "divergence",
    Status.REMOTE_BOUNDS: "out_of_bounds",
}
_PER_THREAD = ("out_of_bounds", "misaligned", "read_only", "uninitialized", "stack_overflow")
_TRAPS = ("BPT",)
_COPIES = {Operation.BULK_COPY: 16, Operation.TENSOR_COPY: 128, Operation.GROUP_MATRIX: 16}  # alignment, bytes
_DRIVER_CALLS = ("CALL", "LEPC")


@dataclass(frozen=True)
class Fault:
    """Where and why the emulator stopped. Fields that do not apply are None or empty.

    `kind`: out_of_bounds, misaligned, uninitialized, read_only, stack_overflow, deadlock, budget, bad_target, trap,
    descriptor, divergence or unsupported. `space`: global, shared, local or constant. `distance_bytes`: of an address
    that lies outside, to the nearest byte of the nearest allocation: 1 is the first byte behind it, -1 the last before.
    """

    kind: str
    kernel: str
    pc: int  # byte offset in the code
    instruction: str
    source_file: str
    line: int  # 0 = unknown
    block: Triple
    warp: int
    thread: Triple | None = None
    space: str = ""
    address: int | None = None
    access_bytes: int = 0
    allocation: str = ""  # argument or variable
    allocation_bytes: int = 0
    distance_bytes: int = 0


class EmulationError(SubcoreError):
    """The kernel did what no GPU would let it do, or what the emulator has no semantics for: see `fault`."""

    def __init__(self, message: str, fault: Fault):
        super().__init__(message)
        self.fault = fault


def fault_error(status: Status, kernel: Kernel, setup: Setup, image: Image, ops: np.ndarray,
                problems: Mapping[int, str], budget: int) -> EmulationError:  # fmt: skip
    """The error for an interpreter that came back with `status`."""
    machine, program = image.machine[0], kernel.program
    index, warp, lane = (int(machine[name]) for name in ("error_pc", "error_warp", "error_lane"))
    inside = 0 <= index < len(program)
    kind = _KINDS[status]
    address, width, space, bank = int(machine["error_address"]) & (1 << 64) - 1, 0, "", -1
    if inside:
        width = int(ops["bytes"][index])
        space = _space(Space(int(ops["space"][index])), address)
        if ops["operation"][index] == Operation.COPY_TO_SHARED and address < 1 << 32:
            space = "shared"  # its destination
        if ops["operation"][index] in _COPIES:
            space, width = ("shared" if address < 1 << 32 else "global"), _COPIES[ops["operation"][index]]
        if ops["operation"][index] == Operation.LOAD_CONSTANT:
            space, bank = "constant", int(ops["variant"][index])
        if kind == "unsupported" and kernel.instructions[index].mnemonic in _TRAPS:
            kind = "trap"
    if status == Status.LOCAL_BOUNDS and address >= 1 << 31:
        kind = "stack_overflow"
    threaded = kind in _PER_THREAD
    thread = warp * LANES + lane
    x, y = setup.block[:2]
    name, size, distance = _nearest(space, bank, address, image) if threaded else ("", 0, 0)
    file, line = _place(kernel, index * program.pc_step)
    fault = Fault(
        kind=kind,
        kernel=program.kernel,
        pc=index * program.pc_step,
        instruction=program.text[index] if inside else "?",
        source_file=file,
        line=line,
        block=_triple(machine["block_index"]),
        warp=warp,
        thread=(thread % x, thread // x % y, thread // x // y) if threaded else None,
        space=space if threaded else "",
        address=address if threaded or kind == "descriptor" else None,
        access_bytes=width if threaded else 0,
        allocation=name,
        allocation_bytes=size,
        distance_bytes=distance,
    )
    return EmulationError(
        _message(fault, kernel, image, problems.get(index, "no semantics"), budget, status, setup.cooperative), fault
    )


def _message(fault: Fault, kernel: Kernel, image: Image, reason: str, budget: int, status: Status,
             cooperative: bool) -> str:  # fmt: skip
    place = f"{plain_name(fault.kernel)}: pc {fault.pc:#x} `{fault.instruction}`"
    if fault.line:
        place += f" ({fault.source_file}:{fault.line})"
    where = f"{place}, block {fault.block}, " + (f"thread {fault.thread}" if fault.thread else f"warp {fault.warp}")
    if fault.kind == "unsupported":
        text = f"{place}: cannot be emulated on sm_{kernel.program.architecture}: {reason}"
        if kernel.cubin.externals and kernel.instructions[fault.pc // 16].mnemonic in _DRIVER_CALLS:
            text += f"; the driver supplies {', '.join(kernel.cubin.externals)}: build the kernel without"
        return text
    if fault.kind == "trap":
        why = "__trap, or an assertion that failed"
        if asks_for_grid(kernel) and not cooperative:
            why += "; it has a grid-wide barrier: launch it as cooperative"
        return f"{where}: the kernel stopped itself ({why})"
    if fault.kind == "budget":
        return (
            f"{where}: the budget of {budget} warp instructions is used up: raise it, "
            "or the kernel waits for another block and never ends"
        )
    if fault.kind == "deadlock":
        return f"{where}: deadlock: {_waits(kernel, image)}"
    if fault.kind == "bad_target":
        return f"{where}: the pc leaves the code of the kernel"
    if fault.kind == "descriptor":
        if kernel.instructions[fault.pc // 16].mnemonic.startswith("UTMA"):
            return (
                f"{where}: no tensor map of the right rank (and, of a reduction, type) lies at {fault.address:#x}: "
                "pass a TensorMap of the array for this parameter"
            )
        return f"{where}: a matrix descriptor with a base offset has no semantics here: align the tile to 1024 bytes"
    if fault.kind == "divergence":
        return f"{where}: needs all threads of four warps, 4i to 4i + 3, together"
    assert fault.address is not None
    if status == Status.REMOTE_BOUNDS:
        blocks, rank = int(image.machine["cluster_blocks"][0]), fault.address >> 24 & 255
        why = f"which has {blocks} blocks" if rank >= blocks else "which this access cannot reach"
        return f"{where}: shared address {fault.address:#x} names block {rank} of the cluster, {why}"
    access = f"{fault.space} address {fault.address:#x} ({fault.access_bytes} bytes)"
    if fault.kind == "misaligned":
        return f"{where}: {access} is not a multiple of {fault.access_bytes}; {_relation(fault)}"
    if fault.kind == "read_only":
        return f"{where}: {access} is written, but {fault.allocation} is a read-only array"
    if fault.kind == "uninitialized":
        return (
            f"{where}: {access} is read before anything was written there; {_relation(fault)}. "
            "If the kernel never uses the value: check_uninitialized=False, --allow-uninitialized"
        )
    if fault.kind == "stack_overflow":
        return (
            f"{where}: the stack of {fault.allocation_bytes} bytes per thread overflows by {-fault.distance_bytes} "
            "bytes: raise stack_bytes, or the recursion never ends"
        )
    return f"{where}: {access} is out of bounds; {_relation(fault)}"


def _relation(fault: Fault) -> str:
    if not fault.allocation:
        return "the launch has no arrays"
    size, distance = fault.allocation_bytes, fault.distance_bytes
    if distance == 0:
        return f"it lies in {fault.allocation} ({size} bytes)"
    side = "after" if distance > 0 else "before"
    return f"{abs(distance)} byte{'s'[: abs(distance) != 1]} {side} {fault.allocation} ({size} bytes)"


def _space(space: Space, address: int) -> str:
    if space == Space.GENERIC:
        window = address >> 32
        space = {SHARED_WINDOW >> 32: Space.SHARED, LOCAL_WINDOW >> 32: Space.LOCAL}.get(window, Space.GLOBAL)
    return space.name.lower()


def _nearest(space: str, bank: int, address: int, image: Image) -> tuple[str, int, int]:
    """Name and size of the allocation nearest to an address, and the distance to it."""
    machine = image.machine[0]
    if space == "global":
        ranges = [
            (int(record["start"]), int(record["end"]), name)
            for record, name in zip(image.allocation, image.allocation_names, strict=False)
        ]
    elif space == "shared":
        ranges = [(int(machine["shared_base"]), int(machine["shared_end"]), "the block's shared memory")]
        address &= 0xFFFFFF if machine["cluster_blocks"] > 1 else 0xFFFFFFFF
    elif space == "local":
        ranges = [(0, int(machine["local_bytes"]), "the thread's local memory")]
        address &= 0xFFFFFFFF
        address -= 1 << 32 if address >= 1 << 31 else 0  # the stack grows down: below its end
    else:
        ranges = [(0, image.bank_bytes[bank], f"constant bank {bank}")]
    if not ranges:
        return "", 0, 0

    def distance(begin: int, end: int) -> int:
        return address - begin if address < begin else address - end + 1 if address >= end else 0

    begin, end, name = min(ranges, key=lambda r: abs(distance(r[0], r[1])))
    return name, end - begin, distance(begin, end)


def _place(kernel: Kernel, pc: int) -> tuple[str, int]:
    """Source file and line of a pc; (name of the main file, 0) if unknown."""
    places = kernel.code.places
    at = bisect_right(places, pc, key=lambda row: row[0]) - 1
    return (places[at][1], places[at][2]) if at >= 0 and places[at][2] > 0 else (kernel.code.source_file, 0)


def _waits(kernel: Kernel, image: Image) -> str:
    """Who waits for what in the blocks that stopped."""
    machine, waiting, exited = image.machine[0], Counter[tuple[int, int, int]](), 0
    per_block = int(machine["warps"])
    for warp in image.warps:
        w = int(warp["slot"]) % per_block
        here = {
            lane: int(warp["group_pc"][g])
            for g in range(int(warp["groups"]))
            for lane in range(LANES)
            if int(warp["group_mask"][g]) >> lane & 1
        }
        for lane in range(min(LANES, int(machine["threads"]) - w * LANES)):
            state = int(warp["lane_state"][lane])
            if state == LaneState.EXITED:
                exited += 1
            elif lane in here:
                waiting[-int(warp["blocked"]), int(warp["blocked_address"]) & 0xFFFFFFFF, here[lane]] += 1
            else:
                waiting[state, int(warp["lane_wait"][lane]), int(warp["lane_pc"][lane]) - 1] += 1
    parts = []
    for (state, what, pc), count in sorted(waiting.items()):
        text = f"{_threads(count)} at pc {pc * kernel.program.pc_step:#x}"
        file, line = _place(kernel, pc * kernel.program.pc_step)
        text += f" ({file}:{line})" if line else ""
        if state == LaneState.BLOCK_BARRIER and what < BLOCK_BARRIERS:
            wanted = int(machine["barrier_threads"][what])
            text += f" for barrier {what} of {_threads(wanted) if wanted else 'all threads'}"
        elif state == LaneState.CONVERGE:
            text += f" for the other lanes at convergence barrier B{what}"
        elif state == LaneState.CLUSTER:
            text += " for the other blocks of the cluster"
        elif state == -Operation.PHASE_BARRIER:
            text += f" for the mbarrier at shared address {what:#x}"
        elif state in (-Operation.GROUP_MATRIX, -Operation.GROUP_WAIT):
            text += " for the other warps of the warpgroup"
        elif state == LaneState.WARP_SYNC:
            text += f" for the lanes {what:#010x} of their warp"
        parts.append(text)
    if exited:
        parts.append(f"{_threads(exited)} ended")
    return "no thread can go on: " + "; ".join(parts)


def _threads(count: int) -> str:
    return f"{count} thread{'s'[: count != 1]}"


def _triple(values: np.ndarray) -> Triple:
    x, y, z = (int(v) for v in values)
    return x, y, z
