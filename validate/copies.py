"""Kernels of the tensor suite that run on the whole GPU: bulk copies (TMA) and distributed shared memory.

They do what the published benchmarks do (HPMLL/NVIDIA-Hopper-Benchmark, NewFeatures): `bulk_copy` has one thread of
each block copy a box of an array of 4 GiB to shared memory, wait for it at an mbarrier, and go on to the next one;
`copy_latency` is the same chain with one block; `cluster_latency` measures a chain of dependent loads from each block
of one cluster to each other; `cluster_ring` has every block read its neighbour's shared memory as fast as it can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from configs.load import load_config
from configs.schema import Config
from isa.listing import read_listing
from sim.async_state import RANK_SHIFT, SHARED_WINDOW
from sim.gpu import Machine
from sim.state import LogKind
from traces.stream import MEMORY_ACCESS, BlockStreams, Launch

if TYPE_CHECKING:
    from validate.tensor import Row

KERNELS = ("bulk_copy", "copy_latency", "cluster_latency", "cluster_ring")
COPY_LIMIT_PERCENT = 10
Target = Callable[[int, int], int]  # (rank, number of the load) -> rank that is read
_BASE = 0x7F00_0000_0000
_ELEMENT = 4  # bytes; floats
_WIDTH = {2: (32768, 32768), 3: (1024, 1024, 1024)}  # elements of the array along x, y, z
_SETTINGS = ("launch.kernel_cycles=0", "launch.drain_cycles=0", "fetch.perfect=true")
_COPY_BYTES = 24 << 20  # after the first turns, where that takes enough of them
_TURNS = (6, 24)
_FIRST_TURNS = 4  # not timed
_LATENCY_CYCLES = 760  # of a copy from the DRAM
_DELAY_CYCLES = 32  # of one turn of the empty loop
_LOADS = 6  # of a chain between two blocks
_RING_LOADS = (16, 48)  # per warp: two lengths, whose difference is free of start and end
_MAX_CYCLES = 10_000_000

_COPY = """
SYNCS.EXCH.64 URZ, [UR9], UR12
delay:
IADD3 R15, R15, -0x1, RZ
ISETP.NE.AND P2, PT, R15, RZ, PT
@P2 BRA delay
turn:
{copy}
SYNCS.ARRIVE.TRANS64.A0TR RZ, [UR9], R2
SYNCS.ARRIVE.TRANS64 R4, [UR9], RZ
wait:
SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR9], R4
@!P0 BRA wait
IADD3 R6, R6, R7, RZ
IMAD.WIDE R8, R6, R10, R12
R2UR UR4, R8
R2UR UR5, R9
ISETP.GE.AND P1, PT, R6, R14, PT
@!P1 BRA turn
end:
EXIT
"""
_CLUSTER = """
UCGABAR_ARV
UCGABAR_WAIT
{loads}
UCGABAR_ARV
UCGABAR_WAIT
EXIT
"""


class _Streams:
    """Columns of one block while they are being written."""

    def __init__(self) -> None:
        self.starts = [0]
        self.instruction: list[int] = []
        self.mask: list[int] = []
        self.access: list[int] = []
        self.accesses: list[tuple[int, int, int, int]] = []

    def add(self, index: int, records: Sequence[tuple[int, int, int]] = (), mask: int = 1) -> None:
        self.instruction.append(index)
        self.mask.append(mask)
        self.access.append(len(self.accesses) if records else -1)
        self.accesses += [(*record, int(i + 1 < len(records))) for i, record in enumerate(records)]

    def end_warp(self) -> None:
        self.starts.append(len(self.instruction))

    def block(self, number: int) -> BlockStreams:
        return BlockStreams(
            number,
            np.array(self.starts, np.int64),
            np.array(self.instruction, np.int32),
            np.array(self.mask, np.uint32),
            np.array(self.access, np.int32),
            np.array(self.accesses, MEMORY_ACCESS),
            np.zeros(0, np.int64),
        )


class CopyTrace:
    """`turns` boxes for each block, one after the other, behind `delays[block]` turns of an empty loop. A Trace."""

    def __init__(
        self,
        blocks: int,
        box: Sequence[int],
        size: int,
        turns: int,
        tensor: int,
        stride: int = 1,
        delays: Sequence[int] = (),
    ) -> None:
        copy = f"UTMALDG.{tensor}D [UR8], [UR4]" if tensor else "UBLKCP.S.G [UR8], [UR4], UR6"
        read = read_listing(_COPY.format(copy=copy), 90, kernel="bulk_copy", name="bulk_copy")
        self.program, self.labels = read.program, read.labels
        self.launch = Launch("bulk_copy", (blocks, 1, 1), (32, 1, 1), size + 1024, 32, 90)
        self.box, self.size, self.turns, self.stride = tuple(box), size, turns, stride
        self.delays = delays

    def rows(self, number: int) -> list[tuple[int, int, int]]:
        """Records of a box: first row and its bytes, then pitch and number along y and z. Boxes count x fastest."""
        if len(self.box) < 2:
            return [(_BASE + number * self.size * self.stride, self.size, -1)]
        corner, pitch, further = _BASE, _ELEMENT, []
        for extent, whole in zip(self.box, _WIDTH[len(self.box)], strict=True):
            number, at = divmod(number, whole // extent)
            corner += at * extent * pitch
            further.append((pitch, extent, -1))
            pitch *= whole
        return [(corner, self.box[0] * _ELEMENT, -1), *further[1:]]

    def blocks(self) -> Iterator[BlockStreams]:
        delay, turn, end = (self.labels[name] for name in ("delay", "turn", "end"))
        for number in range(self.launch.blocks):
            streams = _Streams()
            streams.add(0, ((0, 0, -1), (1, 0, -1)))
            for _ in range(self.delays[number] if self.delays else 0):
                for index in range(delay, turn):
                    streams.add(index)
            for i in range(self.turns):
                rows = self.rows(number + i * self.launch.blocks)
                operands = {
                    turn: ((1024, self.size, -1), (0, 0, -1), *rows),
                    turn + 1: ((0, 0, -1), (self.size, 0, -1)),
                    turn + 2: ((0, 0, -1), (1 << 32, 0, -1)),
                    turn + 3: ((0, 0, -1), (i & 1 | 2, 0, -1)),
                }
                for index in range(turn, end):
                    streams.add(index, operands.get(index, ()))
            streams.add(end)
            streams.end_warp()
            yield streams.block(number)


class ClusterTrace:
    """`loads` of every warp, between two cluster barriers; the n-th load of rank r reads rank `targets(r, n)`."""

    def __init__(
        self, size: int, blocks: int, warps: int, loads: int, targets: Target, chained: bool, shared: int
    ) -> None:
        lines = [f"LD.E R{2 if chained else 4 + i % 16}, [R2]" for i in range(loads)]
        text = _CLUSTER.format(loads="\n".join(lines))
        self.program = read_listing(text, 90, kernel="cluster", name="cluster").program
        self.launch = Launch("cluster", (blocks, 1, 1), (32 * warps, 1, 1), shared, 32, 90, cluster=(size, 1, 1))
        self.size, self.warps, self.loads, self.targets = size, warps, loads, targets
        self.mask = 1 if chained else 0xFFFFFFFF

    def blocks(self) -> Iterator[BlockStreams]:
        for number in range(self.launch.blocks):
            streams = _Streams()
            for _ in range(self.warps):
                for index in range(len(self.program)):
                    if 2 <= index < 2 + self.loads:
                        rank = self.targets(number % self.size, index - 2)
                        streams.add(index, ((SHARED_WINDOW + (rank << RANK_SHIFT), 4, -1),), self.mask)
                    else:
                        streams.add(index, (), self.mask)
                streams.end_warp()
            yield streams.block(number)


def _config(gpu: str, overlays: Sequence[str], settings: Sequence[str]) -> Config:
    return load_config(gpu, tuple(overlays), (*_SETTINGS, *settings))


def _run(trace: CopyTrace | ClusterTrace, config: Config, log_entries: int = 0) -> tuple[np.ndarray, int]:
    """Instructions issued (LOG) and cycles of the kernel."""
    machine = Machine(trace, config, log_entries=log_entries)
    machine.run(_MAX_CYCLES)
    result = machine.result()
    result.check()
    log = machine.log[: int(machine.log_count[0])]
    return log[log["kind"] == LogKind.ISSUE], result.kernel_cycles


def copy_rate(blocks: int, box: Sequence[int], size: int, tensor: int, config: Config) -> float:
    """Bytes per cycle of blocks that copy boxes of `size` bytes, long after their start.

    The benchmark reads 4 GiB in 575 turns or more. Blocks that start together stay in step for the few turns simulated
    here, and neighbours in x would ask for the same rows of the DRAM at the same time; after hundreds of turns they do
    not. So they start anywhere within one turn: its latency and the transfer of all their boxes at the peak.
    """
    loops = (_LATENCY_CYCLES + size * blocks / config.dram_bytes_per_cycle) / _DELAY_CYCLES
    delays = [int(loops * i / blocks) for i in np.random.default_rng(0).permutation(blocks)]
    turns = max(_TURNS[0], min(_TURNS[1], _COPY_BYTES // (size * blocks)))
    few, many = (
        _run(CopyTrace(blocks, box, size, n, tensor, delays=delays), config)[1]
        for n in (_FIRST_TURNS, _FIRST_TURNS + turns)
    )
    return size * turns * blocks / (many - few)


def run_kernel(row: Row, overlays: Sequence[str] = (), settings: Sequence[str] = ()) -> float | None:
    """What the row's kernel gives, in the row's unit."""
    config = _config(row.gpu, overlays, (*row.settings, *settings))
    hertz = config.gpu.core_clock_mhz * 1e6
    if row.kernel == "bulk_copy":
        return copy_rate(row.blocks, row.box, row.bytes, row.tensor, config) * hertz / 2**30
    if row.kernel == "copy_latency":
        few, many = (_run(CopyTrace(1, (), row.bytes, n, 0, row.stride), config)[1] for n in (20, 60))
        return (many - few) / 40
    if row.kernel == "cluster_latency":
        own, remote = _latencies(row.gpu, row.blocks, tuple(overlays), (*row.settings, *settings))
        values = sorted(own if row.own else remote)
        return {"min": values[0], "median": median(values), "max": values[-1]}[row.of]
    blocks = row.fill // row.blocks * row.blocks

    def neighbour(rank: int, _: int) -> int:
        return rank if row.own else (rank + 1) % row.blocks

    few, many = (
        _run(ClusterTrace(row.blocks, blocks, 32, n, neighbour, False, 120_000), config)[1] for n in _RING_LOADS
    )
    rate = 32 * 128 * (_RING_LOADS[1] - _RING_LOADS[0]) / (many - few)  # bytes per cycle and SM
    return rate * hertz / 1e9 if row.unit == "GB/s" else rate * row.sms * hertz / 1e12


@cache
def _latencies(
    gpu: str, size: int, overlays: tuple[str, ...], settings: tuple[str, ...]
) -> tuple[list[float], list[float]]:
    """Cycles per load of each block from itself, and from every other block of a cluster."""

    def target(rank: int, load: int) -> int:
        return (rank + load // _LOADS) % size

    trace = ClusterTrace(size, size, 1, size * _LOADS, target, True, 4096)
    log, _ = _run(trace, _config(gpu, overlays, settings), 1 << 17)
    issues = log[(log["op"] >= 2) & (log["op"] < 2 + size * _LOADS)]
    found: tuple[list[float], list[float]] = ([], [])
    for sm in np.unique(issues["sm"]):
        cycles = np.sort(issues["cycle"][issues["sm"] == sm]).reshape(size, _LOADS)
        for step, times in enumerate(cycles):
            found[step > 0].append(float(times[-1] - times[0]) / (_LOADS - 1))
    return found
