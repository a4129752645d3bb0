"""Tensor maps: what a kernel that copies tiles gets in place of the driver's `CUtensorMap`.

The driver's 128 bytes are not documented, so the encoding is ours; only the emulator reads it. Words of 32 bits:

| word  | contents |
|-------|----------|
| 0     | MAGIC |
| 1     | bits 0-7 number type of reductions (`atomics.Number`, 255: none), 8-15 rank, 16-23 swizzle in 16 bytes,
|       | 24-31 bytes of an element |
| 2-3   | address |
| 4-8   | elements per dimension, dimension 0 (contiguous) first |
| 10-17 | strides of dimensions 1 to 4, bytes, 64 bits each |
| 18-22 | elements of the box per dimension |
| 23-27 | element strides |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isa.errors import SubcoreError
from traces.emulator.atomics import Number

TENSOR_MAP_BYTES = 128
MAGIC = 0x4D544353
KIND, ADDRESS, DIMENSIONS, STRIDES, BOX, ELEMENT_STRIDES = 1, 2, 4, 10, 18, 23
MAX_RANK = 5
MAX_BOX = 256
SWIZZLES = (0, 32, 64, 128)
NO_NUMBER = 255
_NUMBERS = {
    "uint32": Number.UNSIGNED, "uint64": Number.UNSIGNED, "int32": Number.SIGNED, "int64": Number.SIGNED,
    "float16": Number.HALVES, "bfloat16": Number.BFLOATS, "float32": Number.FLOAT, "float64": Number.DOUBLE,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class TensorMap:
    """A tiled tensor map of an array, for a parameter of type `CUtensorMap` (`__grid_constant__`, 128 bytes).

    Sizes are in numpy's order, the contiguous dimension last (cuTensorMapEncodeTiled has it first). `box`: elements of
    a tile; `swizzle`: 0, 32, 64 or 128 bytes; `shape`: dimensions, where the array is to be seen with others than its
    own; `strides`: bytes of all but the last dimension, multiples of 16 (default: densely packed); `element_strides`:
    step through the tensor per dimension; `data_type`: "bfloat16" for an array of 16-bit words (matters to reductions
    only; otherwise the array's own type). Elements outside read as zero. No interleaving, no im2col.
    SubcoreError if the limits of the CUDA driver API are not kept.
    """

    array: np.ndarray
    box: Sequence[int]
    swizzle: int = 0
    shape: Sequence[int] | None = None
    strides: Sequence[int] | None = None
    element_strides: Sequence[int] | None = None
    data_type: str = ""

    def encode(self, address: int, what: str) -> bytes:
        """128 bytes for a tensor at `address`. Errors begin with `what`."""
        size = self.array.itemsize
        shape = tuple(int(n) for n in (self.array.shape if self.shape is None else self.shape))
        rank, box = len(shape), tuple(int(n) for n in self.box)
        steps = (1,) * rank if self.element_strides is None else tuple(int(n) for n in self.element_strides)
        if self.strides is None:
            strides = tuple(size * int(np.prod(shape[d + 1 :], dtype=np.int64)) for d in range(rank - 1))
        else:
            strides = tuple(int(n) for n in self.strides)

        def need(holds: bool, text: str) -> None:
            if not holds:
                raise SubcoreError(f"{what}: tensor map: {text}")

        need(1 <= rank <= MAX_RANK, f"{rank} dimensions, 1 to {MAX_RANK} are possible")
        need(len(box) == rank and len(steps) == rank, f"box and element strides need {rank} sizes")
        need(len(strides) == rank - 1, f"strides need {rank - 1} sizes: all dimensions but the last")
        need(all(1 <= n < 1 << 32 for n in shape), f"shape {shape}: every size must be 1 to 2^32 - 1")
        need(all(1 <= n <= MAX_BOX for n in box), f"box {box}: every size must be 1 to {MAX_BOX}")
        need(all(1 <= n <= 8 for n in steps), f"element strides {steps}: 1 to 8 are possible")
        need(self.data_type in ("", "bfloat16"), f"data_type {self.data_type!r}: only bfloat16 needs a name")
        need(not self.data_type or size == 2, "elements of bfloat16 have 2 bytes")
        need(size in (1, 2, 4, 8), f"elements of {size} bytes, 1, 2, 4 and 8 are possible")
        need(address % 16 == 0, f"address {address:#x} is no multiple of 16")
        need(all(n % 16 == 0 and 0 < n < 1 << 40 for n in strides), f"strides {strides} must be multiples of 16 bytes")
        need(box[-1] * size % 16 == 0, f"box {box}: the last dimension must have a multiple of 16 bytes")
        need(self.swizzle in SWIZZLES, f"swizzle {self.swizzle}: one of {', '.join(map(str, SWIZZLES))} bytes")
        need(
            self.swizzle in (0, box[-1] * size),
            f"box {box}: with a swizzle of {self.swizzle} bytes the last dimension must have as many",
        )
        last = size * shape[-1] + sum(n * (count - 1) for n, count in zip(strides, shape[:-1], strict=True))
        need(last <= self.array.nbytes, f"shape {shape} needs {last} bytes, the array has {self.array.nbytes}")

        words = np.zeros(TENSOR_MAP_BYTES // 4, np.uint32)
        number = _NUMBERS.get(self.data_type or self.array.dtype.name, NO_NUMBER)
        words[0], words[KIND] = MAGIC, number | rank << 8 | self.swizzle // 16 << 16 | size << 24
        words[ADDRESS : ADDRESS + 2] = np.array([address], np.uint64).view(np.uint32)
        words[DIMENSIONS : DIMENSIONS + rank] = shape[::-1]
        words[STRIDES : STRIDES + 2 * (rank - 1)] = np.array(strides[::-1], np.uint64).view(np.uint32)
        words[BOX : BOX + rank] = box[::-1]
        words[ELEMENT_STRIDES : ELEMENT_STRIDES + rank] = steps[::-1]
        return words.tobytes()
