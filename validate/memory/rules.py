"""Single values: shared-memory wavefronts by lane pattern, latencies of atomics and constant loads."""

from __future__ import annotations

import numpy as np

from configs.schema import Config
from isa.errors import SubcoreError
from sim.stats import Counter
from traces.emulator.launch import Value
from validate.memory.chase import chase_cycles
from validate.memory.launches import RecordedTrace, emulate, last_interval, simulate, with_sms
from validate.memory.suite import Benchmark, Board, Cell, Point

LANES = 32
STEPS = 256
LATENCY_LIMIT = 0.05


def lane_offsets(pattern: str, size_bytes: int) -> np.ndarray:
    """Byte offset of each lane for accesses of `size_bytes`.

    "stride N": N words apart; "contiguous"; "same": all lanes the same place; "adjacent N": N neighbours share a
    place; "apart N": lanes i and i + N share one; "one of 32 elsewhere": lane 31 in word 32, the others in word 0.
    """
    lane = np.arange(LANES)
    name, _, number = pattern.rpartition(" ") if pattern[-1].isdigit() else (pattern, "", "1")
    places = {
        "stride": lane * int(number) * 4,
        "contiguous": lane * size_bytes,
        "same": lane * 0,
        "adjacent": lane // int(number) * size_bytes,
        "apart": (lane % int(number) + lane // (2 * int(number)) * int(number)) * size_bytes,
    }
    if pattern == "one of 32 elsewhere":
        return np.where(lane == LANES - 1, 128, 0)
    if name not in places:
        raise SubcoreError(f"lane pattern {pattern!r}: must be one of {', '.join(places)}, or 'one of 32 elsewhere'")
    return places[name]


def wavefronts(access: str, size_bytes: int, pattern: str, config: Config) -> int:
    """Shared-memory wavefronts of one access of a warp. access: load, store."""
    offset = lane_offsets(pattern, size_bytes).astype(np.int32)
    arguments: list[Value] = [offset, np.zeros(4 * LANES, np.uint32)]
    space = int(offset.max()) + 16
    trace = emulate("shared", f"{access}{size_bytes}", config, 1, LANES, arguments, shared_bytes=space)
    return simulate(trace, with_sms(config, config.gpu.sms_per_tpc)).result().counter(Counter.SHARED_WAVEFRONTS)


def run_wavefronts(benchmark: Benchmark, board: Board, config: Config) -> tuple[list[Point], list[Cell]]:
    """Every row of the table, exactly."""
    cells = []
    for row in benchmark.rows(board):
        found = wavefronts(row["access"], int(row["bytes"]), row["pattern"], config)
        name = f"{row['access']} {row['bytes']} B, {row['pattern']}"
        measured = float(row["value"])
        cells.append(Cell(benchmark.name, name, board.gpu, measured, found, "wavefronts", 0, "absolute", row["source"]))
    return [], cells


def chain_cycles(name: str, mnemonic: str, threads: int, config: Config) -> float:
    """Cycles per step of a kernel of chains.cu."""
    arguments: list[Value] = [np.zeros(LANES, np.uint32), np.zeros(2 * LANES, np.uint32), np.int32(threads)]
    trace = emulate("chains", name, config, 1, LANES, [*arguments, np.int32(STEPS)])
    return last_interval(RecordedTrace(trace), config, mnemonic, STEPS // 2)


def constant_cycles(size_bytes: int, config: Config) -> float:
    """Cycles per step of a chase through the lines of `size_bytes` of constant memory, in the last of four rounds."""
    line, nodes = config.constant.line_bytes, size_bytes // config.constant.line_bytes
    table = np.zeros(size_bytes // 4, np.int32)
    table[:: line // 4] = np.roll(np.arange(nodes) * line, -1)
    options = (f"-DWORDS={len(table)}",)
    arguments: list[Value] = [np.zeros(1, np.int32), np.int32(4 * nodes)]
    trace = emulate("constants", "constants", config, 1, 1, arguments, options=options, constants={"table": table})
    return last_interval(RecordedTrace(trace), config, "LDC", nodes, source="c[0x3]")


def run_latencies(benchmark: Benchmark, board: Board, config: Config) -> tuple[list[Point], list[Cell]]:
    """Every row of the table, as `metric` says; a curve where the row has an x (threads at one address)."""
    l2 = shared = 0.0
    points, cells = [], []
    for row in benchmark.rows(board):
        metric, threads = row["metric"], int(row["x"] or 1)
        if metric == "shared atomic beyond load":
            shared = shared or chain_cycles("shared_load", "LDS", 1, config)
            found = chain_cycles("shared_atomic", "ATOMS", threads, config) - shared
        elif metric == "global atomic beyond load":
            l2 = l2 or chase_cycles(1 << 20, config.l2.line_bytes, config)
            found = chain_cycles("global_atomic", "ATOM", threads, config) - l2
        elif metric == "global atomic":
            found = chain_cycles("global_atomic", "ATOM", threads, config)
        elif metric == "constant L1":
            found = constant_cycles(config.constant.variable_bytes // 2, config)
        elif metric == "constant L1.5":
            found = constant_cycles(8 * config.constant.variable_bytes, config)
        else:
            raise SubcoreError(f"{benchmark.name}: unknown metric {metric!r} in its table")
        measured = float(row["value"])
        name = f"{metric}, {threads} threads" if row["x"] else metric
        cells.append(
            Cell(benchmark.name, name, board.gpu, measured, found, "cycles", LATENCY_LIMIT, "relative", row["source"])
        )
        if row["x"]:
            points.append(Point(metric, threads, measured, found))
    return points, cells
