"""Rates: cycles per warp load by lane pattern, bandwidth of L1, L2 and DRAM.

The experiments are those of RRZE-HPC/gpu-benches (gpu-strides, gpu-cache, gpu-l2-cache, gpu-l2-stream, gpu-stream) with
fewer turns: the rate is taken between two points of a run, or as the difference of two runs, after the caches are warm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from configs.schema import Config
from traces.emulator.launch import Value
from validate.memory.chase import curve_error
from validate.memory.launches import block_ends, block_rate, cycles, emulate, with_sms
from validate.memory.suite import Benchmark, Board, Cell, Point

SATURATION_LIMIT, CURVE_LIMIT = 0.05, 0.15
CELL_LIMIT, CELL_SHARE = 0.10, 0.90
STRIDE_TURNS = (4, 12)
STRIDE_THREADS = 1024
LOADS_PER_TURN = 8
BLOCK_PITCH = 4096 + 2
CACHE_BYTES = 256 << 10  # read per SM between the two runs
L2_THREADS = 1024
STREAM_L2_BYTES = 8 << 20  # at least: what is in flight on the largest board, three arrays, fits
STREAM_BYTES = 24 << 20  # counted
STREAM_SHARED_BYTES = 768 * 8  # of each block, as in the tool; the carve-out is the smallest that holds them
STREAM_KERNELS = {
    "init": 1,
    "read": 1,
    "scale": 2,
    "stream_triad": 3,
    "vector_triad": 4,
    "stencil3": 2,
    "stencil5": 2,
}  # number of arrays
COPY_ROUNDS = 4
L2_STREAM_KERNELS = {"read": "read", "scale": "scale", "triad": "vector_triad", "write": "init"}


@dataclass(frozen=True)
class CacheShape:
    """What a version of gpu-cache launches: arrays that it multiplies element by element, threads per block at most,
    and loads of each array in a turn of its loop. With doubles that is left to the compiler, which knows the number of
    turns: 96 to 112 of small sets, else 32 (NVRTC 13).
    """

    element_bytes: int
    arrays: int
    threads: int
    loads_per_turn: int


CACHE_SHAPES = {
    "doubles": CacheShape(8, 1, 256, 96),
    "floats": CacheShape(4, 1, 256, 32),
    "float pairs": CacheShape(4, 2, 512, 32),
}


def _curve(benchmark: Benchmark, board: Board, simulated: Callable[[dict[str, str]], float]) -> list[Point]:
    return [Point(row["series"], float(row["x"]), float(row["value"]), simulated(row)) for row in benchmark.rows(board)]


def run_strides(benchmark: Benchmark, board: Board, config: Config) -> tuple[list[Point], list[Cell]]:
    """Cycles per warp load by stride and by width of the block; one SM."""
    alone = with_sms(config, config.gpu.sms_per_tpc)

    def simulated(row: dict[str, str]) -> float:
        kind, pattern = row["series"].split()
        return stride_cycles(kind, pattern, int(float(row["x"])), alone)

    points = _curve(benchmark, board, simulated)
    within = sum(abs(p.simulated / p.measured - 1) <= CELL_LIMIT for p in points) / len(points)
    name, source = f"within {100 * CELL_LIMIT:g} % of {len(points)} cells", board.source
    cells = [Cell(benchmark.name, name, board.gpu, 100, 100 * within, "%", 100 * CELL_SHARE, "at least", source)]
    return points, cells


def stride_cycles(kind: str, pattern: str, x: int, config: Config) -> float:
    """Cycles per warp load of 32 warps of one SM. kind: float, double; pattern: stride (x apart), block (x wide)."""
    dtype = {"float": np.float32, "double": np.float64}[kind]
    data = np.zeros(33 * BLOCK_PITCH + 64, dtype) if pattern == "block" else np.zeros(64 * max(1, x) + 64, dtype)
    out = np.zeros(STRIDE_THREADS, dtype)

    def whole(turns: int) -> int:
        given = [np.int32(x), np.int32(BLOCK_PITCH)] if pattern == "block" else [np.int32(x)]
        arguments: list[Value] = [data, out, np.int32(0), *given, np.int32(turns)]
        options = (f"-DELEMENT={kind}",)
        return cycles(emulate("strides", pattern, config, 1, STRIDE_THREADS, arguments, options=options), config)

    loads = (STRIDE_TURNS[1] - STRIDE_TURNS[0]) * LOADS_PER_TURN * STRIDE_THREADS // 32
    return (whole(STRIDE_TURNS[1]) - whole(STRIDE_TURNS[0])) / loads


def _gigabytes_per_second(bytes_per_cycle: float, config: Config) -> float:
    return bytes_per_cycle * config.gpu.core_clock_mhz / 1000


def _bandwidth_cells(benchmark: Benchmark, board: Board, points: Sequence[Point]) -> list[Cell]:
    """Plateaus (ranges of x, GB/s) and the mean error over x."""
    cells = []
    for name, (low, high) in board.parameters["plateaus"].items():
        inside = [p for p in points if low <= p.x <= high]
        measured, found = median(p.measured for p in inside), median(p.simulated for p in inside)
        cells.append(
            Cell(benchmark.name, name, board.gpu, measured, found, "GB/s", SATURATION_LIMIT, "relative", board.source)
        )
    error = curve_error(points)
    name = "curve, mean absolute error"
    cells.append(Cell(benchmark.name, name, board.gpu, 0, error, "%", 100 * CURVE_LIMIT, "at most", board.source))
    return cells


def run_cache(benchmark: Benchmark, board: Board, config: Config) -> tuple[list[Point], list[Cell]]:
    """Chip bandwidth of one block per SM that reads the same x kB over and over."""
    shape = CACHE_SHAPES[board.parameters["version"]]
    points = _curve(benchmark, board, lambda row: cache_bandwidth(round(float(row["x"]) * 1024), shape, config))
    return points, _bandwidth_cells(benchmark, board, points)


def cache_bandwidth(size_bytes: int, shape: CacheShape, config: Config) -> float:
    """GB/s of the chip for a set of `size_bytes`, read by every SM; one TPC stands for all where the L1 holds it."""
    sms = config.gpu.sms
    if size_bytes <= config.l1d.total_bytes:
        config = with_sms(config, config.gpu.sms_per_tpc)
    elements = round(size_bytes / (shape.element_bytes * shape.arrays))
    threads = min(shape.threads, elements)
    loads = elements // threads
    size = shape.element_bytes * shape.arrays * threads * loads
    outer = max(1, (shape.loads_per_turn if loads <= shape.loads_per_turn // 4 else 32) // loads)
    more = -(-max(1, round(CACHE_BYTES / size)) // outer) * outer  # whole turns of the unrolled loop
    values = np.zeros(size // shape.element_bytes, np.dtype(f"f{shape.element_bytes}"))
    definitions = {
        "ELEMENT": {4: "float", 8: "double"}[shape.element_bytes],
        "ARRAYS": shape.arrays, "THREADS": threads, "LOADS": loads, "OUTER": outer,
    }  # fmt: skip
    options = tuple(f"-D{name}={value}" for name, value in definitions.items())

    def whole(turns: int) -> int:
        arguments: list[Value] = [values, np.zeros(threads, values.dtype), np.int32(0), np.int32(turns)]
        return cycles(emulate("cache", "cache", config, config.gpu.sms, threads, arguments, options=options), config)

    return _gigabytes_per_second(size * more * sms / (whole(2 * more) - whole(more)), config)


def run_l2(benchmark: Benchmark, board: Board, config: Config) -> tuple[list[Point], list[Cell]]:
    """Chip bandwidth of blocks that read chunks of a set of x kB in turn."""
    loads = board.parameters["loads"]
    points = _curve(benchmark, board, lambda row: l2_bandwidth(round(float(row["x"]) * 1024), loads, config))
    return points, _bandwidth_cells(benchmark, board, points)


def l2_bandwidth(size_bytes: int, loads: int, config: Config) -> float:
    """GB/s of the chip for a set of `size_bytes`, read in chunks of `loads` doubles per thread.

    The first passes, from DRAM, do not count.
    """
    chunk = 8 * L2_THREADS * loads
    chunks = max(1, round(size_bytes / chunk))
    resident = config.gpu.sms * (config.sm.max_threads // L2_THREADS)
    # Blocks that start together end together: count from the middle of one such crowd to the middle of the next.
    warm, counted = max(chunks, resident) + resident // 2, 2 * resident
    blocks = warm + counted + resident
    arguments: list[Value] = [np.zeros(chunks * chunk // 8), np.zeros(L2_THREADS), np.int32(chunks)]
    trace = emulate("l2", "l2", config, blocks, L2_THREADS, arguments, options=(f"-DLOADS={loads}",))
    cycle, ended = block_ends(trace, config, warm, warm + counted)
    return _gigabytes_per_second(chunk * (ended[-1] - ended[0]) / (cycle[-1] - cycle[0]), config)


def run_stream(benchmark: Benchmark, board: Board, config: Config) -> tuple[list[Point], list[Cell]]:
    """DRAM bandwidth against threads in flight, one curve per kernel."""

    def simulated(row: dict[str, str]) -> float:
        name = f"{board.parameters['triad']}_triad" if row["series"] == "triad" else row["series"]
        return stream_bandwidth(name, int(row["block"]), int(row["blocks_per_sm"]), config)

    points = _curve(benchmark, board, simulated)
    return points, _occupancy_cells(benchmark, board, points)


def _occupancy_cells(benchmark: Benchmark, board: Board, points: Sequence[Point]) -> list[Cell]:
    """Of every series the point of most threads, and the worst of the others."""
    cells = []
    for name in dict.fromkeys(p.series for p in points):
        curve = sorted((p for p in points if p.series == name), key=lambda p: p.x)
        last, worst = curve[-1], max(curve[:-1], key=lambda p: abs(p.simulated / p.measured - 1))
        for title, point, limit in (("saturation", last, SATURATION_LIMIT), ("along the curve", worst, CURVE_LIMIT)):
            cell = f"{name}, {title}, {point.x:,.0f} threads"
            cells.append(
                Cell(benchmark.name, cell, board.gpu, point.measured, point.simulated, "GB/s", limit, "relative",
                     board.source)
            )  # fmt: skip
    return cells


def stream_bandwidth(name: str, block: int, blocks_per_sm: int, config: Config) -> float:
    """GB/s that a stream kernel moves with so many threads per block and blocks per SM.

    Runs on a smaller L2, which the host leaves full of dirty lines as earlier kernels would; streams do not reuse what
    it holds. Counting begins when the stores that SMs and L2 can hold back have filled up.
    """
    while config.l2.bytes >= 2 * STREAM_L2_BYTES:
        config = replace(config, l2=replace(config.l2, bytes=config.l2.bytes // 2))
    config = replace(
        config, l2=replace(config.l2, host_copies_dirty=True), sm=replace(config.sm, max_blocks=blocks_per_sm)
    )
    resident = config.gpu.sms * blocks_per_sm
    per_block = 8 * block * STREAM_KERNELS[name]
    held = _held_bytes(name, config)
    # Few threads cannot saturate the DRAM: then a few generations of blocks are enough.
    busy = min(1.0, 8 * block * blocks_per_sm / config.sm.max_threads)
    warm = 2 * resident + round(busy * (held + config.l2.bytes) * STREAM_KERNELS[name] / per_block)
    counted = 3 * resident + round(busy * STREAM_BYTES / per_block)
    blocks = warm + counted + resident
    n = blocks * block
    # The host writes `other` last: what its copies leave in the L2 is nothing that the kernel reads.
    other = np.zeros(2 * config.l2.bytes // 8)
    arguments: list[Value] = [*(np.ones(n) for _ in range(4)), other, np.int32(n)]
    trace = emulate("stream", name, config, blocks, block, arguments, shared_bytes=STREAM_SHARED_BYTES)
    return _gigabytes_per_second(per_block * block_rate(trace, config, warm, warm + counted), config)


def _held_bytes(name: str, config: Config) -> int:
    """Stores on their way from the SMs at most. Without loads, what outruns the memory by a tenth must bring ten times
    as many to fill it up."""
    return config.gpu.sms * config.l1d.outstanding_writes * config.l1d.line_bytes * (10 if name == "init" else 1)


def run_l2_stream(benchmark: Benchmark, board: Board, config: Config) -> tuple[list[Point], list[Cell]]:
    """L2 bandwidth against threads in flight, one curve per kernel."""

    def simulated(row: dict[str, str]) -> float:
        name = L2_STREAM_KERNELS[row["series"]]
        return l2_stream_bandwidth(name, int(row["elements"]), int(row["block"]), int(row["blocks_per_sm"]), config)

    points = _curve(benchmark, board, simulated)
    return points, _occupancy_cells(benchmark, board, points)


def l2_stream_bandwidth(name: str, elements: int, block: int, blocks_per_sm: int, config: Config) -> float:
    """GB/s that a stream kernel moves whose threads go round arrays of `elements` doubles, which the L2 holds."""
    config = replace(config, sm=replace(config.sm, max_blocks=blocks_per_sm))
    resident = config.gpu.sms * blocks_per_sm
    # A line that is read comes into a partition when an SM there reads it first: with two, half of the rest in a round.
    rounds = COPY_ROUNDS if config.l2.partitions > 1 and name != "init" else 1
    busy = min(1.0, 8 * block * blocks_per_sm / config.sm.max_threads)
    per_block = 8 * block * STREAM_KERNELS[name]
    held = round(busy * _held_bytes(name, config) * STREAM_KERNELS[name] / per_block) if name != "read" else 0
    warm, counted = 2 * resident + max(held, rounds * -(-elements // block)), 10 * resident
    arguments: list[Value] = [*(np.ones(elements) for _ in range(4)), np.zeros(1), np.int32(elements)]
    options = (f"-DLENGTH={elements}",)
    blocks = warm + counted + resident
    trace = emulate("stream", name, config, blocks, block, arguments, options=options, shared_bytes=STREAM_SHARED_BYTES)
    return _gigabytes_per_second(per_block * block_rate(trace, config, warm, warm + counted), config)
