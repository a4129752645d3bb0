"""Streams of the thread blocks in flight: chunks of a trace in a ring of flat arrays that the timing kernels index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from isa.errors import SubcoreError
from sim.dispatch import ARENA_BLOCK
from sim.jit import entry
from sim.lists import lay_patterns, shared_lists
from sim.run import ACCESS, plain
from sim.threads import Threads
from traces.stream import BlockStreams, Trace

MAX_CHUNKS = 4096
_ROWS_OF_A_PART = 1 << 17  # a thread takes about half a millisecond for them


class Streams(NamedTuple):
    """Columns of the arena; one row per dynamic warp instruction, per access, per address of a pattern."""

    instruction: np.ndarray  # i4
    active_mask: np.ndarray  # u4
    access: np.ndarray  # i4, index into accesses, -1 = none
    accesses: np.ndarray  # ACCESS; list_at indexes lane_address
    lane_address: np.ndarray  # i8, relative to the origin of the access


class _Table:
    """Columns that grow together, with one allocator of contiguous rows, first fit."""

    def __init__(self, **dtypes: np.dtype | str) -> None:
        self.columns = {name: np.zeros(0, dtype) for name, dtype in dtypes.items()}
        self.rows = 0
        self._free: list[tuple[int, int]] = []  # start, rows

    def take(self, need: int, expected: int) -> int:
        """Start of `need` free rows. Where there are none the table grows, the first time by `expected` rows."""
        for i, (start, rows) in enumerate(self._free):
            if rows >= need:
                self._free[i] = (start + need, rows - need)
                return start
        start = self.rows
        more = max(need, start or expected)
        for name, column in self.columns.items():
            grown = np.zeros(start + more, column.dtype)  # what is never written takes no memory
            grown[:start] = column
            self.columns[name] = grown
        self.rows += more
        self.give_back(start + need, more - need)
        return start

    def give_back(self, start: int, rows: int) -> None:
        merged: list[tuple[int, int]] = []
        for at, size in sorted([*self._free, (start, rows)]):
            if merged and sum(merged[-1]) == at:
                merged[-1] = (merged[-1][0], merged[-1][1] + size)
            elif size:
                merged.append((at, size))
        self._free = merged


@entry
def place_rows(first, stop, first_access, instruction, active_mask, access, to_instruction, to_mask, to_access):
    """Copy rows `first` to `stop` of a chunk; its accesses are from `first_access` on there."""
    for row in range(first, stop):
        to_instruction[row] = instruction[row]
        to_mask[row] = active_mask[row]
        to_access[row] = access[row] + first_access if access[row] >= 0 else access[row]


class Arena:
    """Loads chunks in order, drops a chunk when all its blocks are done.

    blocks_at_once: as many are held together. watch(chunk) sees every chunk before it is loaded.
    """

    def __init__(
        self, trace: Trace, blocks_at_once: int, threads: Threads, watch: Callable[[BlockStreams], None]
    ) -> None:
        self._threads, self._watch = threads, watch
        self._chunks: Iterator[BlockStreams] = threads.ahead(iter(trace.blocks()))
        self._warps = trace.launch.warps_per_block
        self._blocks_at_once = min(blocks_at_once, trace.launch.blocks)
        self._rows = _Table(instruction="i4", active_mask="u4", access="i4")
        self._accesses = _Table(accesses=ACCESS)
        self._patterns = _Table(lane_address="i8")
        self._held: dict[int, list[tuple[_Table, int, int]]] = {}
        self.loaded_blocks = 0
        self.chunk_left = np.zeros(MAX_CHUNKS, np.int32)
        self.block = np.zeros(1 << 12, ARENA_BLOCK)
        self.warp_start = np.zeros(1 << 16, np.int64)
        self._warp_at = 0

    @property
    def streams(self) -> Streams:
        return Streams(**self._rows.columns, **self._accesses.columns, **self._patterns.columns)

    @property
    def chunks_held(self) -> int:
        return len(self._held)

    def drop_finished(self) -> None:
        """Give back the memory of chunks without blocks left."""
        for chunk in [c for c in self._held if self.chunk_left[c] == 0]:
            for table, start, rows in self._held.pop(chunk):
                table.give_back(start, rows)

    def load(self, first_needed: int) -> bool:
        """Append the next chunk of blocks. `first_needed`: blocks before it may be overwritten. False at the end."""
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        blocks = (len(chunk.warp_start) - 1) // self._warps
        if chunk.first_block != self.loaded_blocks or blocks * self._warps + 1 != len(chunk.warp_start):
            raise SubcoreError(
                f"trace chunk starts at block {chunk.first_block} with {len(chunk.warp_start) - 1} warps;"
                f" block {self.loaded_blocks} and a multiple of {self._warps} warps expected"
            )
        self._watch(chunk)
        index = next(i for i in range(MAX_CHUNKS) if i not in self._held)
        ratio = self._blocks_at_once / max(1, blocks) + 2  # one chunk partly behind, one ahead

        def take(table: _Table, rows: int) -> int:
            start = table.take(rows, int(rows * ratio))
            self._held.setdefault(index, []).append((table, start, rows))
            return start

        first_access = take(self._accesses, len(chunk.accesses))
        placed = self._accesses.columns["accesses"][first_access : first_access + len(chunk.accesses)]
        accesses, lane_address = plain(chunk.accesses.view(ACCESS)), plain(chunk.lane_address)
        parts = shared_lists(accesses, lane_address, placed, self._threads)
        at = take(self._patterns, sum(len(patterns) for _, _, patterns in parts))
        lay_patterns(parts, placed, self._patterns.columns["lane_address"], at, self._threads)
        rows = len(chunk.instruction)
        start = take(self._rows, rows)
        columns: list[Any] = [plain(getattr(chunk, name)) for name in self._rows.columns]
        places: list[Any] = [column[start : start + rows] for column in self._rows.columns.values()]
        self._threads.each_part(
            rows, _ROWS_OF_A_PART, lambda first, stop: place_rows(first, stop, first_access, *columns, *places)
        )
        self.chunk_left[index] = blocks
        self._append_blocks(index, blocks, np.asarray(chunk.warp_start) + start, first_needed)
        self.loaded_blocks += blocks
        return True

    def _append_blocks(self, chunk: int, blocks: int, warp_start: np.ndarray, first_needed: int) -> None:
        """Enter blocks into the table; it grows when a block still needed would be overwritten."""
        while self.loaded_blocks + blocks - first_needed > len(self.block):
            old, size = self.block, len(self.block)
            self.block = np.zeros(2 * size, ARENA_BLOCK)
            for b in range(first_needed, self.loaded_blocks):
                self.block[b % len(self.block)] = old[b % size]
        needed = (self._warps + 1) * (self.loaded_blocks + blocks - first_needed)
        if needed > len(self.warp_start):
            raise_to = 1 << (needed - 1).bit_length()
            grown = np.zeros(2 * raise_to, np.int64)
            for b in range(first_needed, self.loaded_blocks):
                at = int(self.block[b % len(self.block)]["first_warp"])
                rows = (at + np.arange(self._warps + 1)) % len(self.warp_start)
                grown[(at + np.arange(self._warps + 1)) % len(grown)] = self.warp_start[rows]
            self.warp_start = grown
        rows = np.arange(blocks)[:, None] * self._warps + np.arange(self._warps + 1)
        places = self._warp_at + np.arange(rows.size)
        self.warp_start[places % len(self.warp_start)] = warp_start[rows.ravel()]
        numbers = self.loaded_blocks + np.arange(blocks)
        entries = numbers % len(self.block)
        self.block["block"][entries], self.block["chunk"][entries] = numbers, chunk
        self.block["first_warp"][entries] = places[:: self._warps + 1]
        self._warp_at += rows.size
