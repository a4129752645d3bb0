"""What a launch puts in place before the first instruction: memory image, constant banks, machine record.

Layout of constant bank 0 (byte offsets), read off compiled code for each architecture:

| sm           | blockDim | gridDim | stack pointer | shared window | local window |
|--------------|----------|---------|---------------|---------------|--------------|
| 75 to 89     | 0x0      | 0xc     | 0x28          | 0x18          | 0x20         |
| 90           | 0x0      | 0xc     | 0x28          | SR_SWINHI     | 0x20         |
| 100 and up   | 0x360    | 0x370   | 0x37c         | SR_SWINHI     | 0x2f8        |

The parameters lie where the cubin says. The descriptor of global memory (0x118, 0x208, 0x358) is not interpreted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isa.errors import SubcoreError
from isa.load import Kernel
from traces.emulator.records import ALLOCATION, CONSTANT_BANKS, LANES, MACHINE, MAX_WARPS, WARP

GLOBAL_BASE = 0x7F4A00000000  # typical of addresses that cudaMalloc returns on 64-bit Linux
SHARED_WINDOW = 0x7F0100000000  # generic addresses of shared and local memory: any 4 GiB window that nothing else uses
LOCAL_WINDOW = 0x7F0200000000
ALIGNMENT = 512  # of a cudaMalloc result (CUDA promises 256)
LARGE, LARGE_ALIGNMENT = 1 << 20, 1 << 21  # large allocations start on a 2 MiB page
MAX_THREADS = 1024
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_BLOCK = (1024, 1024, 64)
SHARED_LIMIT = 227 * 1024  # most shared memory of a block on any architecture (CUDA C++ guide, sm_90)
BANK_0_BYTES = 4096 + 1024
VARIABLE_BANKS = range(1, 18)

Value = np.ndarray | np.generic | int | float | bytes
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


@dataclass
class Image:
    """Memory of one run. `data`: global, shared and local memory in one byte array; addresses by argument index."""

    data: np.ndarray  # u1
    allocation: np.ndarray  # ALLOCATION, sorted by start
    address: dict[int, int]
    constants: np.ndarray  # u4, all banks
    bank_start: dict[int, int]  # words
    bank_bytes: dict[int, int]
    machine: np.ndarray  # MACHINE, shape (1,)
    warps: np.ndarray  # WARP


def _scalar(value: Value, size: int, what: str) -> bytes:
    """Little-endian bytes of a scalar parameter of `size` bytes."""
    if isinstance(value, bytes):
        raw = value
    elif isinstance(value, np.generic):
        raw = value.tobytes()
    elif isinstance(value, float):
        raw = np.array(value, np.float64 if size == 8 else np.float32).tobytes()
    else:
        try:
            raw = int(value).to_bytes(size, "little", signed=int(value) < 0)
        except OverflowError:
            raise SubcoreError(f"{what}: {value} does not fit into {size} bytes") from None
    if len(raw) != size:
        raise SubcoreError(f"{what}: the kernel takes {size} bytes, the value has {len(raw)}")
    return raw


def _place(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Offsets of allocations and the end of the last one. A gap behind each makes overruns visible."""
    offsets, end = [], 0
    for size in sizes:
        alignment = LARGE_ALIGNMENT if size >= LARGE else ALIGNMENT
        start = -(-end // alignment) * alignment
        offsets.append(start)
        end = start + max(size, 1) + 16
    return offsets, end


def build_image(
    kernel: Kernel,
    grid: Triple,
    block: Triple,
    arguments: Sequence[Value],
    dynamic_shared_bytes: int,
    stack_bytes: int | None,
    constants: Mapping[str, np.ndarray],
) -> Image:
    """Memory image and machine record of a launch. SubcoreError says which argument or size does not fit."""
    code, cubin, name = kernel.code, kernel.cubin, kernel.program.kernel
    threads = block[0] * block[1] * block[2]
    allowed = code.max_threads[0] * code.max_threads[1] * code.max_threads[2] if code.max_threads else MAX_THREADS
    if threads > allowed:
        raise SubcoreError(
            f"{name}: block {block} has {threads} threads, the kernel allows {allowed}: use a smaller block"
        )
    if code.required_threads and tuple(code.required_threads) != block:
        raise SubcoreError(f"{name}: compiled for blocks of {code.required_threads} threads, launched with {block}")
    if len(arguments) != len(code.parameters):
        raise SubcoreError(f"{name}: takes {len(code.parameters)} arguments, {len(arguments)} are given")
    shared_end = code.shared_base + code.shared_bytes + dynamic_shared_bytes
    if dynamic_shared_bytes < 0 or shared_end > SHARED_LIMIT:
        raise SubcoreError(
            f"{name}: {shared_end} bytes of shared memory per block, at most {SHARED_LIMIT} are possible"
        )
    local_bytes = -(-max(code.local_bytes, stack_bytes or 0) // 16) * 16

    arrays = {k: np.ascontiguousarray(v) for k, v in enumerate(arguments) if isinstance(v, np.ndarray)}
    if cubin.relocations.get(".nv.global.init"):
        raise SubcoreError(
            f"{name}: a __device__ variable starts with the address of another: set it in the kernel instead"
        )
    variables = list(cubin.global_variables.values())
    sizes = [a.nbytes for a in arrays.values()] + [v.size for v in variables]
    offsets, global_end = _place(sizes)
    warps = -(-threads // 32)
    shared_at = -(-global_end // 64) * 64
    local_at = shared_at + -(-shared_end // 64) * 64
    data = np.zeros(local_at + warps * LANES * local_bytes + 64, np.uint8)
    address: dict[int, int] = {}
    for (k, array), offset in zip(arrays.items(), offsets, strict=False):
        address[k] = GLOBAL_BASE + offset
        data[offset : offset + array.nbytes] = array.reshape(-1).view(np.uint8)
    symbols: dict[str, int] = {}
    for variable, offset in zip(variables, offsets[len(arrays) :], strict=True):
        symbols[variable.name] = GLOBAL_BASE + offset
        data[offset : offset + len(variable.initial)] = np.frombuffer(variable.initial, np.uint8)
    allocation = np.zeros(max(1, len(offsets)), ALLOCATION)
    for k, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
        allocation[k] = (GLOBAL_BASE + offset, GLOBAL_BASE + offset + size)

    banks: dict[int, bytes] = {0: _bank_0(kernel, grid, block, arguments, address, local_bytes)}
    for bank in VARIABLE_BANKS:
        section = bytearray(cubin.constant_bank(name, bank, symbols))
        if bank == 3:
            for symbol, value in constants.items():
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
    record["allocations"] = len(allocation)
    return Image(
        data, allocation, address, flat, bank_start, bank_bytes, machine, np.zeros(min(warps, MAX_WARPS), WARP)
    )


def _bank_0(
    kernel: Kernel, grid: Triple, block: Triple, arguments: Sequence[Value], address: Mapping[int, int], stack: int
) -> bytes:
    code, name = kernel.code, kernel.program.kernel
    bank = bytearray(max(BANK_0_BYTES, -(-(code.parameter_base + code.parameter_bytes) // 16) * 16))
    new = kernel.program.architecture >= 100
    block_at, grid_at, stack_at = (0x360, 0x370, 0x37C) if new else (0x0, 0xC, 0x28)
    bank[block_at : block_at + 12] = np.array(block, np.uint32).tobytes()
    bank[grid_at : grid_at + 12] = np.array(grid, np.uint32).tobytes()
    bank[stack_at : stack_at + 4] = stack.to_bytes(4, "little")
    if not new:
        bank[0x18:0x20] = SHARED_WINDOW.to_bytes(8, "little")
    local_at = 0x2F8 if new else 0x20
    bank[local_at : local_at + 8] = LOCAL_WINDOW.to_bytes(8, "little")
    for k, (parameter, value) in enumerate(zip(code.parameters, arguments, strict=True)):
        what = f"{name}: argument {k + 1}"
        if k in address:
            if parameter.size != 8:
                raise SubcoreError(f"{what} is an array, the kernel takes a value of {parameter.size} bytes there")
            raw = address[k].to_bytes(8, "little")
        else:
            assert not isinstance(value, np.ndarray)
            raw = _scalar(value, parameter.size, what)
        at = code.parameter_base + parameter.offset
        bank[at : at + parameter.size] = raw
    return bytes(bank)
