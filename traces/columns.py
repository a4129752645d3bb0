"""The canonical columns of a chunk of instruction streams: what the store writes and `trace_hash` covers.

A `BlockStreams` may lay its memory records out in any order; here they follow the instructions, so that equal streams
have equal columns whoever made them and however they were cut into chunks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from isa.errors import SubcoreError
from isa.program import Access, MemorySpace, Program
from traces.stream import MEMORY_ACCESS, BlockStreams, Launch

LANES = 32
_SLICE_RECORDS = 1 << 14  # 4 MB per column of lane addresses
_ACCESSES_WITH_ADDRESSES = (
    Access.LOAD,
    Access.STORE,
    Access.ATOMIC,
    Access.REDUCTION,
    Access.ASYNC_COPY,
    Access.MATRIX_LOAD,
    Access.MATRIX_STORE,
)
_SPACES_WITH_ADDRESSES = (MemorySpace.GLOBAL, MemorySpace.LOCAL, MemorySpace.SHARED, MemorySpace.GENERIC)
_POPULATION_16 = np.array([i.bit_count() for i in range(1 << 16)], np.uint8)


def active_lanes(mask: np.ndarray) -> np.ndarray:
    """Number of set bits of each u4 mask, i8, same shape."""
    return _POPULATION_16[mask & 0xFFFF].astype(np.int64) + _POPULATION_16[mask >> 16]


def has_addresses(program: Program) -> np.ndarray:
    """Static instructions that access memory lane by lane (not constant, not texture), bool, shape (n,)."""
    records = program.instructions
    return np.isin(records["access"], _ACCESSES_WITH_ADDRESSES) & np.isin(records["space"], _SPACES_WITH_ADDRESSES)


def full_masks(launch: Launch) -> np.ndarray:
    """Lanes that exist in each warp of a block, u4, shape (warps_per_block,): the last warp may be partial."""
    masks = np.full(launch.warps_per_block, 0xFFFFFFFF, np.uint32)
    masks[-1] = (1 << (launch.threads_per_block - LANES * (launch.warps_per_block - 1))) - 1
    return masks


def ranges(start: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Indices start[0], start[0] + 1, ... (count[0] of them), start[1], ...; i8, shape (sum of count,)."""
    total = int(count.sum())
    before = np.cumsum(count) - count
    return np.arange(total, dtype=np.int64) + np.repeat(start.astype(np.int64) - before, count)


def chunk_error(chunk: BlockStreams, program: Program, launch: Launch) -> tuple[int, str] | None:
    """First rule of `BlockStreams` that the chunk breaks: (index of the instruction or -1, why), or None."""
    warps, total = launch.warps_per_block, len(chunk.instruction)
    start = chunk.warp_start
    if len(start) < 1 + warps or (len(start) - 1) % warps or start[0] != 0 or start[-1] != total:
        return -1, f"warp_start does not cover {total} instructions in blocks of {warps} warps"
    length = np.diff(start)
    if (length < 1).any():
        return -1, f"warp {int(np.argmax(length < 1)) % warps} of a block has no instructions"
    if len(chunk.active_mask) != total or len(chunk.access) != total:
        return -1, "the columns differ in length"
    bad = (chunk.instruction < 0) | (chunk.instruction >= len(program))
    if bad.any():
        at = int(np.argmax(bad))
        return at, f"instruction index {chunk.instruction[at]} is outside the program of {len(program)} slots"
    exists = np.repeat(np.tile(full_masks(launch), (len(start) - 1) // warps), length)
    bad = (chunk.active_mask & ~exists) != 0
    if bad.any():
        at = int(np.argmax(bad))
        return at, f"active mask {chunk.active_mask[at]:08x} has lanes beyond the warp's threads ({exists[at]:08x})"
    bad = (chunk.access < -1) | (chunk.access >= len(chunk.accesses))
    if bad.any():
        at = int(np.argmax(bad))
        return at, f"memory record {chunk.access[at]} does not exist ({len(chunk.accesses)} records)"
    if len(chunk.accesses) and chunk.accesses["more"][-1] != 0:
        return -1, "the last memory record announces another one"
    owner, record = _records(chunk)
    list_at = chunk.accesses["list_at"][record]
    bad = (list_at >= 0) & (list_at + active_lanes(chunk.active_mask[owner]) > len(chunk.lane_address))
    if bad.any():
        return int(owner[np.argmax(bad)]), f"lane addresses end at {len(chunk.lane_address)}"
    return None


def _records(chunk: BlockStreams) -> tuple[np.ndarray, np.ndarray]:
    """Executed memory records in instruction order: index of their instruction, index of the record."""
    owner = np.flatnonzero(chunk.access >= 0)
    first = chunk.access[owner].astype(np.int64)
    last = np.flatnonzero(chunk.accesses["more"] == 0)
    count = last[np.searchsorted(last, first)] - first + 1 if len(first) else first
    return np.repeat(owner, count), ranges(first, count)


def lane_addresses(chunk: BlockStreams) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Every lane address, a slice of records at a time: (index of the instruction, lane, address).

    Lanes ascend in each record; an instruction with several records appears once per record.
    """
    owners, indices = _records(chunk)
    for at in range(0, len(owners), _SLICE_RECORDS):
        owner, records = owners[at : at + _SLICE_RECORDS], chunk.accesses[indices[at : at + _SLICE_RECORDS]]
        mask = chunk.active_mask[owner]
        lane_of = np.flatnonzero(((mask[:, None] >> np.arange(LANES, dtype=np.uint32)) & 1).ravel())
        row, lane = lane_of // LANES, lane_of % LANES
        count = active_lanes(mask)
        rank = ranges(np.zeros(len(count), np.int64), count)
        address = records["base"][row] + records["stride"][row].astype(np.int64) * lane
        listed = records["list_at"][row] >= 0
        address[listed] = chunk.lane_address[records["list_at"][row[listed]] + rank[listed]]
        yield owner[row], lane, address


@dataclass(frozen=True)
class Columns:
    """Canonical columns of consecutive blocks. Records follow the instructions, lane addresses follow the records."""

    length: np.ndarray  # i4, instructions of each warp
    instruction: np.ndarray  # i4
    active_mask: np.ndarray  # u4
    records: np.ndarray  # u1, memory records of each instruction
    listed: np.ndarray  # u1 per record: 1 = its addresses are in lane_address, one per active lane
    base: np.ndarray  # i8 per record, 0 where listed
    stride: np.ndarray  # i4 per record, 0 where listed
    lane_address: np.ndarray  # i8


DTYPES: dict[str, np.dtype] = {
    "length": np.dtype("<i4"),
    "instruction": np.dtype("<i4"),
    "active_mask": np.dtype("<u4"),
    "records": np.dtype("u1"),
    "listed": np.dtype("u1"),
    "base": np.dtype("<i8"),
    "stride": np.dtype("<i4"),
    "lane_address": np.dtype("<i8"),
}


def to_columns(chunk: BlockStreams) -> Columns:
    owner, record = _records(chunk)
    accesses = chunk.accesses[record]
    listed = accesses["list_at"] >= 0
    count = active_lanes(chunk.active_mask[owner[listed]])
    return Columns(
        length=np.diff(chunk.warp_start).astype(np.int32),
        instruction=chunk.instruction.astype(np.int32, copy=False),
        active_mask=chunk.active_mask.astype(np.uint32, copy=False),
        records=np.bincount(owner, minlength=len(chunk.instruction)).astype(np.uint8),
        listed=listed.astype(np.uint8),
        base=np.where(listed, 0, accesses["base"]),
        stride=np.where(listed, 0, accesses["stride"]).astype(np.int32),
        lane_address=chunk.lane_address[ranges(accesses["list_at"][listed], count)].astype(np.int64, copy=False),
    )


def to_chunk(columns: Columns, first_block: int) -> BlockStreams:
    """Rebuild the streams. Raises ValueError where the record or lane counts do not fit the instructions."""
    count = columns.records.astype(np.int64)
    total = len(columns.listed)
    if int(count.sum()) != total:
        raise ValueError(f"{count.sum()} memory records announced, {total} present")
    lanes = active_lanes(np.repeat(columns.active_mask, count)) * (columns.listed != 0)
    if int(lanes.sum()) != len(columns.lane_address):
        raise ValueError(f"{lanes.sum()} lane addresses announced, {len(columns.lane_address)} present")
    end = np.cumsum(count)
    accesses = np.zeros(total, MEMORY_ACCESS)
    accesses["base"], accesses["stride"] = columns.base, columns.stride
    accesses["list_at"] = np.where(columns.listed != 0, np.cumsum(lanes) - lanes, -1)
    accesses["more"] = 1
    accesses["more"][end[count > 0] - 1] = 0
    return BlockStreams(
        first_block=first_block,
        warp_start=np.concatenate([[0], np.cumsum(columns.length, dtype=np.int64)]),
        instruction=columns.instruction,
        active_mask=columns.active_mask,
        access=np.where(count > 0, end - count, -1).astype(np.int32),
        accesses=accesses,
        lane_address=columns.lane_address,
    )


def join_columns(parts: list[Columns]) -> Columns:
    return Columns(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Columns)})


def checked_columns(chunks: Iterable[BlockStreams], program: Program, launch: Launch) -> Iterator[Columns]:
    """Canonical columns of every chunk; SubcoreError where a chunk breaks the contract or a block is missing."""
    next_block = 0
    for chunk in chunks:
        if (error := chunk_error(chunk, program, launch)) is not None:
            raise SubcoreError(f"{launch.kernel}: streams from block {chunk.first_block}: {error[1]}")
        if chunk.first_block != next_block:
            raise SubcoreError(f"{launch.kernel}: block {next_block} expected, the trace gave {chunk.first_block}")
        next_block += (len(chunk.warp_start) - 1) // launch.warps_per_block
        yield to_columns(chunk)
    if next_block != launch.blocks:
        raise SubcoreError(f"{launch.kernel}: the grid has {launch.blocks} blocks, the trace gave {next_block}")


class StreamDigest:
    """Counts and SHA-256 over columns, independent of how the blocks were cut into chunks."""

    def __init__(self, program: Program, launch: Launch):
        self._addressed = has_addresses(program)
        self._warps_per_block = launch.warps_per_block
        self._hashes = {name: hashlib.sha256() for name in DTYPES}
        self.counts = dict.fromkeys(
            ("blocks", "warps", "warp_instructions", "thread_instructions", "memory_instructions"), 0
        )

    def update(self, columns: Columns) -> None:
        """Count the columns and hash them."""
        for name, dtype in DTYPES.items():
            self._hashes[name].update(np.ascontiguousarray(getattr(columns, name), dtype).data)
        self.count(columns)

    def count(self, columns: Columns) -> None:
        self.counts["blocks"] += len(columns.length) // self._warps_per_block
        self.counts["warps"] += len(columns.length)
        self.counts["warp_instructions"] += len(columns.instruction)
        self.counts["thread_instructions"] += int(active_lanes(columns.active_mask).sum())
        self.counts["memory_instructions"] += int(self._addressed[columns.instruction].sum())

    def hexdigest(self, static: bytes) -> str:
        """Digest of the streams so far and `static`, the launch and program in the store's encoding."""
        whole = hashlib.sha256(static)
        for name in DTYPES:
            whole.update(self._hashes[name].digest())
        return whole.hexdigest()
