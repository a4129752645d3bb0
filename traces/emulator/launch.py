"""What a launch puts in place before the first instruction: memory image, constant banks, machine record.

Layout of constant bank 0 (byte offsets), read off compiled code for each architecture:

| sm           | blockDim | gridDim | stack pointer | shared window | local window | parameters' address |
|--------------|----------|---------|---------------|---------------|--------------|---------------------|
| 75 to 89     | 0x0      | 0xc     | 0x28          | 0x18          | 0x20         |                     |
| 90           | 0x0      | 0xc     | 0x28          | SR_SWINHI     | 0x20         | 0x198               |
| 100 and up   | 0x360    | 0x370   | 0x37c         | SR_SWINHI     | 0x2f8        | 0x348               |

The parameters lie where the cubin says; a copy of them lies in global memory if the code asks for its address. The
descriptor of global memory (0x118, 0x208, 0x358) is not interpreted. Clusters (sm_90 / sm_100 and up): blocks per
cluster at 0x144 / 0x200, float reciprocals of them at 0x150 / 0x210, clusters of the grid at 0x15c / 0x220, blocks of a
cluster in all at 0x188 / 0x22c, whether there are clusters at 0x140 / 0x36c. Workspace of a cooperative launch,
high word before low word: 0x8c (sm_75 to 89), 0x44 (sm_90), 0x1b4 (sm_100 and up). Code for sm_100 and up subtracts
0xa0 times SR_CgaSize from larger offsets; here SR_CgaSize is 1, and these are the differences.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from isa.errors import SubcoreError
from isa.load import Kernel
from isa.operand import OperandKind
from traces.emulator.arguments import Buffer, Value, encode, find_buffers, identity, match_parameters
from traces.emulator.records import ALLOCATION, BLOCK, CONSTANT_BANKS, LANES, MACHINE, WARP

GLOBAL_BASE = 0x7F4A00000000  # typical of addresses that cudaMalloc returns on 64-bit Linux
SHARED_WINDOW = 0x7F0100000000  # generic addresses of shared and local memory: any 4 GiB window that nothing else uses
LOCAL_WINDOW = 0x7F0200000000
ALIGNMENT = 512  # of a cudaMalloc result (CUDA promises 256)
RED_ZONE_BYTES = 16  # at least, behind each allocation
LARGE, LARGE_ALIGNMENT = 1 << 20, 1 << 21  # large allocations start on a 2 MiB page
DRIVER_FUNCTIONS = 0x7F0300000000  # addresses of malloc, vprintf, __assertfail ...: no code lies there
MAX_THREADS = 1024
MAX_LOCAL_BYTES = 512 * 1024  # per thread (CUDA C++ guide, technical specifications)
DEFAULT_STACK_BYTES = 1024  # cudaLimitStackSize of a new context (CUDA runtime API)
MAX_IMAGE_BYTES = 1 << 37
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_BLOCK = (1024, 1024, 64)
MAX_CLUSTER = 16  # 8 are portable, 16 need an attribute of the kernel (CUDA C++ guide, sm_90)
MAX_TEAM_WARPS = 160 * 64  # more than any GPU holds at a time
WORKSPACE_BYTES = 1024  # of a cooperative launch; the barrier of the grid takes 4
SIZE_STEP = 0xA0  # of SR_CgaSize in indexed offsets, see above
PARAMETERS_AT = {90: 0x198}  # in bank 0: address of the parameters in global memory; later ones 0x348
SHARED_LIMIT = 227 * 1024  # most shared memory of a block on any architecture (CUDA C++ guide, sm_90)
BANK_0_BYTES = 4096 + 1024
VARIABLE_BANKS = range(1, 18)

Triple = tuple[int, int, int]


def triple(values: Sequence[int] | int, what: str, most: Triple) -> Triple:
    """A grid or block size as (x, y, z), checked."""
    given = (values,) if isinstance(values, int) else tuple(int(v) for v in values)
    if not 1 <= len(given) <= 3:
        raise SubcoreError(f"{what} {given}: give one to three numbers")
    x, y, z = (*given, 1, 1)[:3]
    for name, value, limit in zip("xyz", (x, y, z), most, strict=True):
        if not 1 <= value <= limit:
            raise SubcoreError(f"{what} {(x, y, z)}: {name} must be 1 to {limit}")
    return x, y, z


@dataclass(frozen=True)
class Setup:
    """One launch. `names` has one entry per argument; `uninitialized` are those whose arrays hold no values yet."""

    grid: Triple
    block: Triple
    arguments: Sequence[Value]
    names: Sequence[str]
    dynamic_shared_bytes: int = 0
    stack_bytes: int | None = None
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    check_uninitialized: bool = True  # reads of shared memory before a write
    uninitialized: Sequence[str] = ()
    red_zone_bytes: int = RED_ZONE_BYTES
    cluster: Triple = (1, 1, 1)
    cooperative: bool = False


@dataclass
class Image:
    """Memory of one run. `data`: global, shared and local memory, then shadow bytes, in one byte array."""

    data: np.ndarray  # u1
    buffers: list[Buffer]
    allocation: np.ndarray  # ALLOCATION, sorted by start
    allocation_names: list[str]
    constants: np.ndarray  # u4, all banks
    bank_start: dict[int, int]  # words
    bank_bytes: dict[int, int]
    machine: np.ndarray  # MACHINE, shape (1,)
    blocks: np.ndarray  # BLOCK, of the blocks that run together
    warps: np.ndarray  # WARP, of these blocks


def _place(sizes: Sequence[int], red_zone_bytes: int) -> tuple[list[int], int]:
    """Offsets of allocations and the end of the last one. The red zone behind each makes overruns visible."""
    offsets, end = [], 0
    for size in sizes:
        alignment = LARGE_ALIGNMENT if size >= LARGE else ALIGNMENT
        start = -(-end // alignment) * alignment
        offsets.append(start)
        end = start + max(size, 1) + red_zone_bytes
    return offsets, end


def _stack_bytes(kernel: Kernel, asked: int | None) -> int:
    """Local memory per thread: what the compiler says, and for recursive kernels, where it cannot, the default."""
    own = kernel.code.local_bytes
    wanted = asked if asked is not None else DEFAULT_STACK_BYTES if _recursive(kernel) else 0
    size = -(-max(own, wanted) // 16) * 16
    if not 0 <= size <= MAX_LOCAL_BYTES:
        raise SubcoreError(
            f"{kernel.program.kernel}: {size} bytes of local memory per thread, at most {MAX_LOCAL_BYTES} are possible"
        )
    return size


def _recursive(kernel: Kernel) -> bool:
    """True if a function of the kernel may call itself, directly or through others."""
    starts = sorted(kernel.code.functions.values())
    calls: dict[int, set[int]] = {}
    for ins in kernel.instructions:
        if ins.mnemonic == "CALL" and ins.target >= 0:
            caller, callee = (bisect_right(starts, pc) for pc in (ins.pc, ins.target * kernel.program.pc_step))
            calls.setdefault(caller, set()).add(callee)
    for first in calls:
        reached, waiting = set(), list(calls[first])
        while waiting:
            function = waiting.pop()
            if function not in reached:
                reached.add(function)
                waiting += calls.get(function, ())
        if first in reached:
            return True
    return False


def _check_sizes(kernel: Kernel, setup: Setup) -> None:
    code, name, block = kernel.code, kernel.program.kernel, setup.block
    threads = block[0] * block[1] * block[2]
    allowed = code.max_threads[0] * code.max_threads[1] * code.max_threads[2] if code.max_threads else MAX_THREADS
    if threads > min(allowed, MAX_THREADS):
        raise SubcoreError(
            f"{name}: block {block} has {threads} threads, the kernel allows {min(allowed, MAX_THREADS)}: "
            "use a smaller block"
        )
    if code.required_threads and tuple(code.required_threads) != block:
        raise SubcoreError(f"{name}: compiled for blocks of {code.required_threads} threads, launched with {block}")
    shared_end = code.shared_base + code.shared_bytes + setup.dynamic_shared_bytes
    if setup.dynamic_shared_bytes < 0 or shared_end > SHARED_LIMIT:
        raise SubcoreError(
            f"{name}: {shared_end} bytes of shared memory per block, at most {SHARED_LIMIT} are possible"
        )
    if kernel.cubin.relocations.get(".nv.global.init"):
        raise SubcoreError(
            f"{name}: a __device__ variable starts with the address of another: set it in the kernel instead"
        )


def build_image(kernel: Kernel, setup: Setup) -> Image:
    """Memory image and machine record of a launch. SubcoreError says which argument or size does not fit."""
    code, cubin, name = kernel.code, kernel.cubin, kernel.program.kernel
    _check_sizes(kernel, setup)
    team = _check_team(kernel, setup)
    grid, block = setup.grid, setup.block
    arguments = match_parameters(name, code, setup.arguments)
    names = [*setup.names, *(f"scratch{k}" for k in range(len(arguments) - len(setup.names)))]
    threads = block[0] * block[1] * block[2]
    shared_end = code.shared_base + code.shared_bytes + setup.dynamic_shared_bytes
    local_bytes = _stack_bytes(kernel, setup.stack_bytes)

    buffers = find_buffers(arguments, names)
    variables = list(cubin.global_variables.values())
    sizes = [b.array.nbytes for b in buffers] + [v.size for v in variables]
    parameters_at = PARAMETERS_AT.get(kernel.program.architecture, 0x348 if kernel.program.architecture >= 100 else -1)
    extra = []  # what the driver puts into global memory: name, bytes, bytes before it that only align it
    if setup.cooperative:
        extra.append(("the grid's workspace", WORKSPACE_BYTES, 0))
    if reads_bank_0(kernel, parameters_at):
        extra.append(("the parameters", code.parameter_bytes, code.parameter_base))
    offsets, global_end = _place([*sizes, *(size + before for _, size, before in extra)], setup.red_zone_bytes)
    warps = -(-threads // 32)
    shared_at = -(-global_end // 64) * 64
    shared_step = -(-shared_end // 64) * 64
    local_at = shared_at + team * shared_step
    shadow_from = 0 if setup.uninitialized else shared_at if setup.check_uninitialized else local_at
    shadow_at = local_at + team * warps * LANES * local_bytes + 64
    data = _memory(shadow_at + local_at - shadow_from, name)
    for buffer, offset in zip(buffers, offsets, strict=False):
        buffer.address = GLOBAL_BASE + offset
        data[offset : offset + buffer.array.nbytes] = np.ascontiguousarray(buffer.array).reshape(-1).view(np.uint8)
    symbols = {s: DRIVER_FUNCTIONS + 16 * k for k, s in enumerate(cubin.externals)}
    for variable, offset in zip(variables, offsets[len(buffers) : len(sizes)], strict=True):
        symbols[variable.name] = GLOBAL_BASE + offset
        data[offset : offset + len(variable.initial)] = np.frombuffer(variable.initial, np.uint8)
    allocation = np.zeros(max(1, len(offsets)), ALLOCATION)
    driver = {}
    for k, (what, size, before) in enumerate(extra, start=len(sizes)):
        driver[what] = GLOBAL_BASE + offsets[k] + before
        allocation[k] = (driver[what], driver[what] + size, what != "the parameters")
        data[shadow_at + offsets[k] : shadow_at + offsets[k] + before + size] = 255 if setup.uninitialized else 0
    for k, (offset, size) in enumerate(zip(offsets, sizes, strict=False)):
        writable = k >= len(buffers) or buffers[k].array.flags.writeable
        allocation[k] = (GLOBAL_BASE + offset, GLOBAL_BASE + offset + size, writable)
        if setup.uninitialized and (k >= len(buffers) or not set(buffers[k].names) & set(setup.uninitialized)):
            data[shadow_at + offset : shadow_at + offset + size] = 255

    bank_0 = _bank_0(kernel, setup, arguments, names, buffers, local_bytes)
    if "the parameters" in driver:
        bank_0[parameters_at : parameters_at + 8] = driver["the parameters"].to_bytes(8, "little")
        at, base = driver["the parameters"] - GLOBAL_BASE, code.parameter_base
        data[at : at + code.parameter_bytes] = np.frombuffer(bank_0, np.uint8)[base : base + code.parameter_bytes]
    if "the grid's workspace" in driver:
        at = workspace_at(kernel.program.architecture)
        low, high = (np.array([driver["the grid's workspace"]], np.uint64).view(np.uint32)).tolist()
        bank_0[at : at + 8] = np.array([high, low], np.uint32).tobytes()
    banks: dict[int, bytes] = {0: bytes(bank_0)}
    for bank in VARIABLE_BANKS:
        section = bytearray(cubin.constant_bank(name, bank, symbols))
        if bank == 3:
            for symbol, value in setup.constants.items():
                if symbol not in cubin.constant_variables:
                    known = ", ".join(cubin.constant_variables) or "none"
                    raise SubcoreError(f"{name}: no __constant__ variable {symbol!r} (there are: {known})")
                at, size = cubin.constant_variables[symbol]
                raw = np.ascontiguousarray(value).tobytes()
                if len(raw) != size:
                    raise SubcoreError(f"{name}: __constant__ {symbol} has {size} bytes, the value has {len(raw)}")
                section[at : at + size] = raw
        if section:
            banks[bank] = bytes(section)
    bank_start, bank_bytes, words = {}, {}, 0
    machine = np.zeros(1, MACHINE)
    for bank, contents in banks.items():
        bank_start[bank], bank_bytes[bank] = words, len(contents)
        if bank < CONSTANT_BANKS:
            machine["bank_start"][0, bank], machine["bank_bytes"][0, bank] = words, len(contents)
        words += -(-len(contents) // 16) * 4
    flat = np.zeros(words + 4, np.uint32)
    for bank, contents in banks.items():
        flat.view(np.uint8)[4 * bank_start[bank] : 4 * bank_start[bank] + len(contents)] = np.frombuffer(
            contents, np.uint8
        )

    record = machine[0]
    record["grid"], record["block"] = grid, block
    record["threads"], record["warps"] = threads, warps
    record["registers"] = max(1, min(255, kernel.program.registers or 255))
    record["blocks"] = grid[0] * grid[1] * grid[2]
    record["global_base"], record["shared_at"], record["local_at"] = GLOBAL_BASE, shared_at, local_at
    record["shared_base"], record["shared_end"], record["local_bytes"] = code.shared_base, shared_end, local_bytes
    record["shared_window"], record["local_window"] = SHARED_WINDOW, LOCAL_WINDOW
    record["shared_first"], record["shared_step"] = shared_at, shared_step
    record["team_blocks"], record["cluster"] = team, setup.cluster
    record["cluster_blocks"] = setup.cluster[0] * setup.cluster[1] * setup.cluster[2]
    record["allocations"] = len(allocation)
    record["shadow_from"], record["shadow_move"] = shadow_from, shadow_at - shadow_from
    return Image(
        data,
        buffers,
        allocation,
        [b.names[0] for b in buffers] + [f"__device__ {v.name}" for v in variables] + [what for what, _, _ in extra],
        flat,
        bank_start,
        bank_bytes,
        machine,
        np.zeros(team, BLOCK),
        np.zeros(team * warps, WARP),
    )


def cluster_of(kernel: Kernel, asked: Sequence[int] | int | None) -> Triple:
    """Blocks per cluster: what the launch says, else the kernel's own attribute, else one."""
    own = kernel.code.cluster
    if asked is None:
        return own or (1, 1, 1)
    given = triple(asked, "cluster", (MAX_CLUSTER,) * 3)
    if own and given != own:
        raise SubcoreError(f"{kernel.program.kernel}: compiled for clusters of {own} blocks, launched with {given}")
    return given


def _check_team(kernel: Kernel, setup: Setup) -> int:
    """Blocks that run together, after the rules for clusters and cooperative launches."""
    name, grid, cluster = kernel.program.kernel, setup.grid, setup.cluster
    size = cluster[0] * cluster[1] * cluster[2]
    if size > 1 and kernel.program.architecture < 90:
        raise SubcoreError(f"{name}: clusters of thread blocks need sm_90 or later")
    if size > MAX_CLUSTER:
        raise SubcoreError(f"{name}: cluster {cluster} has {size} blocks, at most {MAX_CLUSTER} are possible")
    if any(g % c for g, c in zip(grid, cluster, strict=True)):
        raise SubcoreError(f"{name}: grid {grid} is no multiple of the cluster {cluster}")
    if not setup.cooperative:
        return size
    blocks = grid[0] * grid[1] * grid[2]
    warps = blocks * -(-setup.block[0] * setup.block[1] * setup.block[2] // LANES)
    if warps > MAX_TEAM_WARPS:
        raise SubcoreError(
            f"{name}: a cooperative launch runs all blocks at once: {warps} warps, at most {MAX_TEAM_WARPS} are "
            "possible: use a smaller grid"
        )
    return blocks


def _memory(size: int, name: str) -> np.ndarray:
    """Zeroed bytes. The operating system provides a page when it is first touched: large buffers cost what is used."""
    try:
        if size > MAX_IMAGE_BYTES:
            raise MemoryError
        return np.zeros(-(-size // 64) * 64, np.uint8)
    except MemoryError:
        raise SubcoreError(f"{name}: the launch needs {size} bytes of memory: use smaller arrays") from None


def host_copies(image: Image) -> tuple[tuple[int, int], ...]:
    """(address, bytes) of what the host put into global memory: variables with the module, then the argument arrays."""
    own = [not name.startswith("the ") for name in image.allocation_names]
    held = [a for a, mine in zip(image.allocation, own, strict=False) if mine and a["end"] > a["start"]]
    spans = [(int(a["start"]), int(a["end"]) - int(a["start"])) for a in held]
    return tuple(spans[len(image.buffers) :] + spans[: len(image.buffers)])


def workspace_at(architecture: int) -> int:
    """Offset in bank 0 of the address of a cooperative launch's workspace."""
    return 0x8C if architecture < 90 else 0x44 if architecture == 90 else 0x1B4


def asks_for_grid(kernel: Kernel) -> bool:
    """True if the code looks for the workspace of a cooperative launch (grid-wide barriers)."""
    architecture = kernel.program.architecture
    return reads_bank_0(kernel, workspace_at(architecture) + (SIZE_STEP if architecture >= 100 else 0))


def reads_bank_0(kernel: Kernel, offset: int) -> bool:
    return any(
        o.kind == OperandKind.CONSTANT and o.bank == 0 and o.offset == offset
        for ins in kernel.instructions
        for o in ins.operands
    )


def _bank_0(
    kernel: Kernel,
    setup: Setup,
    arguments: Sequence[Value],
    names: Sequence[str],
    buffers: Sequence[Buffer],
    stack: int,
) -> bytearray:
    code, name, grid, block = kernel.code, kernel.program.kernel, setup.grid, setup.block
    end = max([code.parameter_bytes, *(p.offset + p.size for p in code.parameters)])
    bank = bytearray(max(BANK_0_BYTES, -(-(code.parameter_base + end) // 16) * 16))
    new = kernel.program.architecture >= 100
    block_at, grid_at, stack_at = (0x360, 0x370, 0x37C) if new else (0x0, 0xC, 0x28)
    bank[block_at : block_at + 12] = np.array(block, np.uint32).tobytes()
    bank[grid_at : grid_at + 12] = np.array(grid, np.uint32).tobytes()
    bank[stack_at : stack_at + 4] = stack.to_bytes(4, "little")
    if not new:
        bank[0x18:0x20] = SHARED_WINDOW.to_bytes(8, "little")
    local_at = 0x2F8 if new else 0x20
    bank[local_at : local_at + 8] = LOCAL_WINDOW.to_bytes(8, "little")
    if kernel.program.architecture >= 90:
        sizes_at, reciprocals_at, counts_at, size_at = (
            (0x200, 0x210, 0x220, 0x22C) if new else (0x144, 0x150, 0x15C, 0x188)
        )
        cluster = np.array(setup.cluster, np.uint32)
        bank[sizes_at : sizes_at + 12] = cluster.tobytes()
        # rounded up where not exact, so that the truncated product is the quotient of integers
        exact, above = np.float32(1) / cluster, np.nextafter((1 / cluster).astype(np.float32), np.float32(2))
        reciprocals = np.where(cluster & (cluster - 1), above, exact)
        bank[reciprocals_at : reciprocals_at + 12] = reciprocals.astype(np.float32).tobytes()
        bank[counts_at : counts_at + 12] = (np.array(grid, np.uint32) // cluster).tobytes()
        bank[size_at : size_at + 4] = int(cluster.prod()).to_bytes(4, "little")
        bank[0x36C if new else 0x140] = int(cluster.prod() > 1)
    addresses = {identity(b.array): b.address for b in buffers}
    for parameter, value, what in zip(code.parameters, arguments, names, strict=True):
        at = code.parameter_base + parameter.offset
        bank[at : at + parameter.size] = encode(value, parameter.size, f"{name}: {what}", addresses)
    return bank
