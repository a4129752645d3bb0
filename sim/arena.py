"""Streams of the thread blocks in flight: chunks of a trace in a ring of flat arrays that the timing kernels index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from isa.errors import SubcoreError
from sim.dispatch import ARENA_BLOCK
from sim.lists import shared_lists
from sim.run import ACCESS
from traces.stream import BlockStreams, Trace

MAX_CHUNKS = 4096


class Streams(NamedTuple):
    """Columns of the arena; one row per dynamic warp instruction, per access, per address of a pattern."""

    instruction: np.ndarray  # i4
    active_mask: np.ndarray  # u4
    access: np.ndarray  # i4, index into accesses, -1 = none
    accesses: np.ndarray  # ACCESS; list_at indexes lane_address
    lane_address: np.ndarray  # i8, relative to the origin of the access


class _Column:
    """A growing array with an allocator of contiguous ranges, first fit."""

    def __init__(self, dtype: np.dtype | str, size: int) -> None:
        self.data = np.zeros(size, dtype)
        self.free = [(0, size)]

    def take(self, values: np.ndarray) -> int:
        """Copy `values` into a free range; returns where it starts."""
        need = len(values)
        for i, (start, length) in enumerate(self.free):
            if length >= need:
                self.free[i] = (start + need, length - need)
                break
        else:
            start = len(self.data)
            grown = np.zeros(start + max(need, start), self.data.dtype)
            grown[:start] = self.data
            self.data = grown
            self.free.append((start + need, len(grown) - start - need))
        self.data[start : start + need] = values
        self.free = [r for r in self.free if r[1]]
        return start

    def give_back(self, start: int, length: int) -> None:
        merged: list[tuple[int, int]] = []
        for at, size in sorted([*self.free, (start, length)]):
            if merged and sum(merged[-1]) == at:
                merged[-1] = (merged[-1][0], merged[-1][1] + size)
            elif size:
                merged.append((at, size))
        self.free = merged


class Arena:
    """Loads chunks in order, drops a chunk when all its blocks are done."""

    def __init__(self, trace: Trace, threads: int = 1) -> None:
        self._threads = threads
        self._chunks: Iterator[BlockStreams] = iter(trace.blocks())
        self._warps = trace.launch.warps_per_block
        self._columns = {
            "instruction": _Column("i4", 1 << 16),
            "active_mask": _Column("u4", 1 << 16),
            "access": _Column("i4", 1 << 16),
            "accesses": _Column(ACCESS, 1 << 14),
            "lane_address": _Column("i8", 1 << 14),
        }
        self._held: dict[int, list[tuple[str, int, int]]] = {}
        self.loaded_blocks = 0
        self.chunk_left = np.zeros(MAX_CHUNKS, np.int32)
        self.block = np.zeros(1 << 12, ARENA_BLOCK)
        self.warp_start = np.zeros(1 << 16, np.int64)
        self._warp_at = 0

    @property
    def streams(self) -> Streams:
        return Streams(**{name: column.data for name, column in self._columns.items()})

    @property
    def chunks_held(self) -> int:
        return len(self._held)

    def drop_finished(self) -> None:
        """Give back the memory of chunks without blocks left."""
        for chunk in [c for c in self._held if self.chunk_left[c] == 0]:
            for name, start, length in self._held.pop(chunk):
                self._columns[name].give_back(start, length)

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
        index = next(i for i in range(MAX_CHUNKS) if i not in self._held)
        accesses = np.array(chunk.accesses).view(ACCESS)
        lanes = self._place(index, "lane_address", shared_lists(accesses, chunk.lane_address, self._threads))
        accesses["list_at"] += np.where(accesses["list_at"] >= 0, lanes, 0).astype(np.int32)
        first_access = self._place(index, "accesses", accesses)
        access = chunk.access + np.where(chunk.access >= 0, first_access, 0)
        start = self._place(index, "instruction", chunk.instruction)
        for name, values in (("active_mask", chunk.active_mask), ("access", access.astype(np.int32))):
            if self._place(index, name, values) != start:
                raise AssertionError("columns of the arena went out of step")
        self.chunk_left[index] = blocks
        self._append_blocks(index, blocks, np.asarray(chunk.warp_start) + start, first_needed)
        self.loaded_blocks += blocks
        return True

    def _place(self, chunk: int, name: str, values: np.ndarray) -> int:
        start = self._columns[name].take(values)
        self._held.setdefault(chunk, []).append((name, start, len(values)))
        return start

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
