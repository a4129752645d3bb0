"""The L2 between the kernels of an application: what one leaves is there when the next begins.

Carried are the lines with their sectors, dirty bits and order of use. Code, constants and parameters are written anew
by each launch (`l2.warm`). L1 caches and TLBs start as in a single kernel, and DRAM rows are closed.
"""

from __future__ import annotations

import hashlib

import numpy as np

from sim.core.sm import CODE_BASE
from sim.memory.state import LINE_SHIFT, NONE, MemoryState

_SPACE_SHIFT = 47 - LINE_SHIFT  # addresses of CUDA are below 2**47
_SPACES = 7  # marks that other address spaces can have: rows of DRAM are numbered in 32 bits
_CODE_SHIFT = 40 - LINE_SHIFT


class L2State:
    """Contents of the L2 of one GPU, empty at first.

    Kernels whose addresses come from different allocations (`space`) never hit each other's lines, but displace them.
    """

    def __init__(self) -> None:
        self._tag: np.ndarray | None = None  # i8, shape (slices, lines): line number, NONE where empty
        self._line: np.ndarray = np.zeros(0)
        self._uses: np.ndarray = np.zeros(0)
        self._sets = 1
        self._space: np.ndarray = np.zeros(0)  # i4, address space of each line
        self.space = 0  # of the kernel that runs next

    def lay(self, memory: MemoryState) -> None:
        """Put the contents into the memory system of a machine that has not run yet."""
        if self._tag is None:
            return
        if self._tag.shape != memory.tag.shape:
            raise ValueError("the L2 state belongs to another configuration")
        own = (self._space == self.space) | (self._tag == NONE)
        mark = (self._space.astype(np.int64) % _SPACES + 1) << _SPACE_SHIFT
        memory.tag[:] = np.where(own, self._tag, self._tag | mark)
        memory.line[:] = self._line
        memory.slice["uses"] = self._uses

    def keep(self, memory: MemoryState) -> None:
        """Take over what a machine that has finished leaves."""
        tag, foreign = memory.tag.copy(), memory.tag >> _SPACE_SHIFT > 0
        space = np.full(tag.shape, self.space, np.int32)
        if self._tag is not None:
            space[foreign] = self._space[foreign]
        tag[foreign] &= (1 << _SPACE_SHIFT) - 1
        line = memory.line.copy()
        gone = (tag != NONE) & (tag >> _CODE_SHIFT == CODE_BASE >> 40)
        line[gone] = np.zeros(1, line.dtype)[0]
        tag[gone] = NONE
        space[tag == NONE] = 0
        line["waiter_first"] = line["waiter_last"] = NONE
        self._tag, self._line, self._space = tag, line, space
        self._uses, self._sets = memory.slice["uses"].copy(), int(memory.system[0]["sets"])

    def digest(self) -> str:
        """Equal for states in which the next kernel of this address space behaves alike."""
        if self._tag is None:
            return "empty"
        used = np.where(self._tag == NONE, -1, self._line["used"]).reshape(len(self._tag), self._sets, -1)
        order = np.argsort(np.argsort(used, axis=2, kind="stable"), axis=2).reshape(self._tag.shape)
        value = hashlib.sha256(str(self.space).encode())
        for part in (self._tag, np.where(self._tag == NONE, -1, order), self._space):
            value.update(np.ascontiguousarray(part).tobytes())
        for name in ("valid", "dirty", "partial", "copied", "is_copy"):
            value.update(np.where(self._tag == NONE, 0, self._line[name]).tobytes())
        return value.hexdigest()
