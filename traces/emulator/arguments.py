"""Kernel arguments: numpy arrays become buffers in global memory, everything else bytes in the parameter bank.

A cubin knows the size of each parameter and nothing about its type: a Python int is stored as an integer, a Python
float as a float of that size. A tuple is a structure by value, laid out by the rules of C; arrays in it are pointers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isa.cubin import KernelCode
from isa.errors import SubcoreError
from isa.names import plain_name
from traces.emulator.tensor_map import TENSOR_MAP_BYTES, TensorMap

Value = np.ndarray | np.generic | int | float | bytes | TensorMap | None | tuple[Any, ...]
POINTER_BYTES = 8
_FLOATS: dict[int, type[np.floating]] = {2: np.float16, 4: np.float32, 8: np.float64}
_SCRATCH_POINTERS = 2  # Triton 3.4 and later: global scratch and profiler scratch behind the kernel's own parameters


@dataclass
class Buffer:
    """An array in global memory. `names`: of the arguments that are this memory."""

    names: list[str]
    array: np.ndarray
    address: int = 0


def identity(array: np.ndarray) -> tuple[Any, ...]:
    """Equal for arrays that are the same elements of the same memory."""
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


def find_buffers(arguments: Sequence[Value], names: Sequence[str]) -> list[Buffer]:
    """The arrays among the arguments and in their structures, each memory once."""
    found: dict[tuple[Any, ...], Buffer] = {}

    def search(name: str, value: Value) -> None:
        if isinstance(value, np.ndarray):
            if value.dtype.hasobject or not value.dtype.isnative:
                raise SubcoreError(f"{name}: an array of {value.dtype} cannot lie in GPU memory: convert it")
            found.setdefault(identity(value), Buffer([], value)).names.append(name)
        elif isinstance(value, TensorMap):
            search(name, value.array)
        elif isinstance(value, tuple | list):
            for k, member in enumerate(value):
                search(f"{name}[{k}]", member)

    for name, value in zip(names, arguments, strict=True):
        search(name, value)
    return list(found.values())


def match_parameters(kernel: str, code: KernelCode, arguments: Sequence[Value]) -> list[Value]:
    """One value per parameter. The scratch pointers that Triton appends to a kernel's parameters may be left out."""
    sizes = [p.size for p in code.parameters]
    missing = sizes[len(arguments) :]
    if (
        code.source_file.endswith(".py")
        and missing
        and missing in ([POINTER_BYTES] * n for n in (1, _SCRATCH_POINTERS))
    ):
        return [*arguments, *[None] * len(missing)]
    if len(arguments) != len(sizes):
        shown = f" of {', '.join(map(str, sizes))} bytes" if sizes else ""
        plural = "s"[: len(sizes) != 1]
        raise SubcoreError(f"{plain_name(kernel)}: takes {len(sizes)} argument{plural}{shown}, {len(arguments)} given")
    return list(arguments)


def encode(value: Value, size: int, what: str, addresses: Mapping[tuple[Any, ...], int]) -> bytes:
    """Bytes of an argument for a parameter of `size` bytes. SubcoreError that begins with `what` if it does not fit."""
    if isinstance(value, np.ndarray) or value is None:
        if size != POINTER_BYTES:
            kind = "an array" if value is not None else "a null pointer"
            raise SubcoreError(f"{what} is {kind}, the kernel takes a value of {size} bytes there")
        raw = _pointer(value, addresses)
    elif isinstance(value, TensorMap):
        if size != TENSOR_MAP_BYTES:
            raise SubcoreError(f"{what} is a tensor map of {TENSOR_MAP_BYTES} bytes, the kernel takes {size} there")
        raw = value.encode(addresses[identity(value.array)], what)
    elif isinstance(value, bytes):
        raw = value
    elif isinstance(value, np.generic):
        raw = value.tobytes()
    elif isinstance(value, tuple | list):
        raw = _structure(value, what, addresses)[0]
    elif isinstance(value, float):
        if size not in _FLOATS:
            raise SubcoreError(f"{what}: the kernel takes {size} bytes there, a float has 2, 4 or 8")
        with np.errstate(over="ignore"):
            number = _FLOATS[size](value)
        if np.isinf(number) and not np.isinf(value):
            raise SubcoreError(f"{what}: {value!r} does not fit into a float of {size} bytes")
        raw = number.tobytes()
    elif isinstance(value, int):
        try:
            raw = int(value).to_bytes(size, "little", signed=value < 0)
        except OverflowError:
            raise SubcoreError(f"{what}: {value} does not fit into {size} bytes") from None
    else:
        raise SubcoreError(
            f"{what}: {type(value).__name__} is no kernel argument: pass numpy arrays, numpy or Python numbers, "
            "bytes, tensor maps, None (a null pointer) or a tuple (a structure)"
        )
    if len(raw) != size:
        wanted = {1: "np.int8", 2: "np.int16", 4: "np.int32 or np.float32", 8: "np.int64 or np.float64"}.get(size)
        hint = f": pass {wanted}" if wanted and isinstance(value, np.generic) else ""
        raise SubcoreError(f"{what}: the kernel takes {size} bytes, the value has {len(raw)}{hint}")
    return raw


def _pointer(value: np.ndarray | None, addresses: Mapping[tuple[Any, ...], int]) -> bytes:
    address = 0 if value is None else addresses[identity(value)]
    return address.to_bytes(POINTER_BYTES, "little")


def _structure(members: Sequence[Value], what: str, addresses: Mapping[tuple[Any, ...], int]) -> tuple[bytes, int]:
    """Bytes and alignment of a structure."""
    data, widest = bytearray(), 1
    for k, value in enumerate(members):
        if isinstance(value, np.ndarray) or value is None:
            raw, alignment = _pointer(value, addresses), POINTER_BYTES
        elif isinstance(value, np.generic):
            raw, alignment = value.tobytes(), value.dtype.alignment
        elif isinstance(value, TensorMap):
            raw, alignment = value.encode(addresses[identity(value.array)], f"{what}[{k}]"), 64
        elif isinstance(value, bytes):
            raw, alignment = value, 1
        elif isinstance(value, tuple | list):
            raw, alignment = _structure(value, f"{what}[{k}]", addresses)
        else:
            raise SubcoreError(
                f"{what}[{k}]: a {type(value).__name__} has no size of its own in a structure: pass a numpy scalar"
            )
        data += bytes(-len(data) % alignment) + raw
        widest = max(widest, alignment)
    return bytes(data) + bytes(-len(data) % widest), widest
