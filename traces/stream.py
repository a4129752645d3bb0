"""The dynamic side of a kernel: what each warp executed, in chunks of thread blocks.

Everything that feeds the simulator (store, importers, emulator) is a `Trace`: a launch, a `Program`, and an
iterator of `BlockStreams` in dispatch order. Chunks are made on demand, so a trace may be larger than memory.

Accesses of asynchronous instructions are chains of records (`more` = 1 but in the last). Shared addresses carry the
rank of their block in the cluster from bit 24 on; a chunk holds whole clusters.

* LDGSTS: lane addresses of the global source, then of the shared destination.
* SYNCS: lane addresses of the mbarriers, then an operand for each lane in the same form: expected arrivals (EXCH),
  arrivals << 32 plus transaction bytes (ARRIVE), bit 0 = parity and bit 1 = success (PHASECHK). A TRYWAIT is listed
  once, when it succeeds.
* STAS, REDAS: remote lane addresses, then those of the mbarriers.
* UBLKCP, UBLKRED, UBLKPF, UTMA*: all with list_at = -1, executed once per warp.
  0: shared side, base = address or -1 for a prefetch, stride = bytes moved, out-of-bounds fill included.
  1: base = mbarrier or -1, stride = mask of the ranks of a multicast, 0 = only the block of the address.
  2: the other side, base = first byte inside the tensor, stride = bytes of a row inside it.
  3...: one per outer dimension, base = pitch in bytes, stride = steps inside the tensor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from isa.program import Program

# Lane addresses of one memory access. list_at < 0: lane i accesses base + i * stride (for the lanes of the active
# mask). Otherwise lane_address[list_at + r] is the address of the r-th active lane. `more` = 1: the next record
# belongs to the same instruction.
MEMORY_ACCESS = np.dtype([("base", "i8"), ("stride", "i4"), ("list_at", "i4"), ("more", "i4")], align=True)


@dataclass(frozen=True)
class Launch:
    """How the kernel was launched. Dimensions are (x, y, z); sizes in bytes."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int  # static + dynamic, per block
    registers: int  # per thread
    architecture: int
    local_bytes: int = 0
    shared_base: int = 0  # generic address windows, where known
    local_base: int = 0
    stream: int = 0
    copies: tuple[tuple[int, int], ...] = ()  # host copies to the device before it: (address, bytes), in their order
    cluster: tuple[int, int, int] = (1, 1, 1)  # blocks per cluster

    @property
    def blocks(self) -> int:
        return self.grid[0] * self.grid[1] * self.grid[2]

    @property
    def threads_per_block(self) -> int:
        return self.block[0] * self.block[1] * self.block[2]

    @property
    def warps_per_block(self) -> int:
        return (self.threads_per_block + 31) // 32


@dataclass(frozen=True)
class BlockStreams:
    """Instruction streams of consecutive thread blocks (linear ids first_block, first_block + 1, ... with x fastest).

    Warp w of the b-th block of the chunk owns [warp_start[b * W + w], warp_start[b * W + w + 1]) of the columns.
    """

    first_block: int
    warp_start: np.ndarray  # i8, shape (blocks * warps_per_block + 1,)
    instruction: np.ndarray  # i4, index into Program.instructions
    active_mask: np.ndarray  # u4, lanes that executed (active and guard true); 0 = predicated off
    access: np.ndarray  # i4, index of the first MEMORY_ACCESS, -1 = none
    accesses: np.ndarray  # MEMORY_ACCESS
    lane_address: np.ndarray  # i8


class Trace(Protocol):
    """Anything that can be simulated."""

    launch: Launch
    program: Program

    def blocks(self) -> Iterator[BlockStreams]:
        """Chunks covering every block of the grid once, in order. May be called again to start over."""
        ...
