"""Latency by working set: pointer chases.

The method is that of RRZE-HPC/gpu-benches, gpu-latency: the lines of the working set in one random cyclic order, one
thread, warm caches. `line_bytes` is the distance of the nodes that its version of the tool uses: 128 (each round takes
another word of the line) or 64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log, sqrt
from statistics import median

import numpy as np

from configs.schema import Config
from traces.emulator.launch import Value
from validate.memory.launches import FIRST_ARRAY_AT, RecordedTrace, emulate, last_interval
from validate.memory.suite import Benchmark, Board, Cell, Point

NODE_BYTES = 16
LANES = 32
STEPS = 1024
ROUNDS_IN_WORDS = 8192  # chains of at most so many lines go through all words of a line, as in the tool
KNEE_STEP = 1.005
PLATEAU_LIMIT, KNEE_LIMIT, CURVE_LIMIT = 0.05, 0.05, 0.12


def chain(nodes: int, distance_bytes: int, words: int, used: int) -> tuple[np.ndarray, np.ndarray]:
    """Memory image of a chain at `FIRST_ARRAY_AT` and the address of each of its first 32 nodes.

    nodes: lines, `distance_bytes` apart, visited in one random order; words: rounds through the lines, each in the
    next 16 bytes, before the chain closes; used: nodes that will be visited at most (the others are left empty).
    """
    order = np.random.default_rng(nodes).permutation(nodes)
    length = nodes * words
    used = min(length, used)
    position = np.arange(used + LANES) % length
    at = order[position % nodes] * distance_bytes + position // nodes * NODE_BYTES
    memory = np.zeros(nodes * distance_bytes // 8, np.int64)
    memory[at[:used] // 8] = FIRST_ARRAY_AT + at[1 : used + 1]
    memory[at[:used] // 8 + 1] = FIRST_ARRAY_AT + at[LANES : used + LANES]
    return memory, FIRST_ARRAY_AT + at[:LANES]


def chase_cycles(size_bytes: int, distance_bytes: int, config: Config, steps: int = STEPS) -> float:
    """Cycles per step of a chase in a working set of `size_bytes`, with warm caches."""
    nodes = max(LANES // 2, size_bytes // distance_bytes)
    words = distance_bytes // NODE_BYTES if distance_bytes == 128 and nodes <= ROUNDS_IN_WORDS else 1
    # Small chains go round twice. Of large ones only what is left in the L2 matters: its size and a quarter more.
    whole = 2 * nodes * words if nodes <= ROUNDS_IN_WORDS else nodes
    enough = max(2 * ROUNDS_IN_WORDS * words, 5 * config.l2.bytes // (4 * distance_bytes))
    warm = -(-min(whole, enough) // LANES)
    memory, start = chain(nodes, distance_bytes, words, warm * LANES + steps + LANES)
    arguments: list[Value] = [memory, start, np.zeros(1, np.int64), np.int32(warm), np.int32(steps)]
    return last_interval(RecordedTrace(emulate("chase", "chase", config, 1, LANES, arguments)), config, "LD.E", steps)


def run_chase(benchmark: Benchmark, board: Board, config: Config) -> tuple[list[Point], list[Cell]]:
    """The curve and its cells: plateaus, knees between them, mean absolute error."""
    distance = board.parameters["line_bytes"]

    def simulated(size_kib: float) -> float:
        return chase_cycles(round(size_kib * 1024) // distance * distance, distance, config)

    rows = benchmark.rows(board)
    points = [Point("latency", x := float(row["x"]), float(row["value"]), simulated(x)) for row in rows]
    cells: list[Cell] = []

    def cell(name: str, measured: float, found: float, unit: str, limit: float, rule: str = "relative") -> None:
        cells.append(Cell(benchmark.name, name, board.gpu, measured, found, unit, limit, rule, board.source))

    levels: list[tuple[str, float, float, float, float]] = []
    for name, (low, high) in board.parameters["plateaus"].items():
        inside = [p for p in points if low <= p.x <= high]
        measured, found = median(p.measured for p in inside), median(p.simulated for p in inside)
        cell(name, measured, found, "cycles", PLATEAU_LIMIT)
        levels.append((name, low, high, measured, found))
    for (before, _, left, low, low_found), (after, right, _, high, high_found) in zip(levels, levels[1:], strict=False):
        between = [p for p in points if left <= p.x <= right]
        knee = crossing([p.x for p in between], [p.measured for p in between], (low + high) / 2)
        middle = (low_found + high_found) / 2
        first, last = bracket([p.x for p in points], [p.simulated for p in points], middle)
        found = bisect(simulated, first, last, middle)
        cell(f"knee {before} to {after}", knee, found, "KiB", KNEE_LIMIT)
    cell("curve, mean absolute error", 0.0, curve_error(points), "%", 100 * CURVE_LIMIT, "at most")
    return points, cells


def crossing(x: Sequence[float], y: Sequence[float], level: float) -> float:
    """Where a curve, straight over log x between its points, first reaches `level`; its last x if never."""
    for (x0, y0), (x1, y1) in zip(zip(x, y, strict=True), zip(x[1:], y[1:], strict=True), strict=False):
        if y0 <= level <= y1:
            part = (level - y0) / (y1 - y0) if y1 > y0 else 0.0
            return float(x0 * (x1 / x0) ** part)
    return x[-1]


def bracket(x: Sequence[float], y: Sequence[float], level: float) -> tuple[float, float]:
    """Neighbouring points between which a curve first reaches `level`."""
    for at in range(1, len(x)):
        if y[at] >= level:
            return x[at - 1], x[at]
    return x[-1], x[-1]


def bisect(function: Callable[[float], float], low: float, high: float, level: float) -> float:
    """Where `function` crosses `level` between `low` and `high`, to a factor of KNEE_STEP."""
    while high / low > KNEE_STEP:
        middle = sqrt(low * high)
        if function(middle) < level:
            low = middle
        else:
            high = middle
    return sqrt(low * high)


def curve_error(points: Sequence[Point]) -> float:
    """Mean absolute relative error in per cent over log x: each point counts for its share of the axis."""
    x = [log(p.x) for p in points]
    weights = [x[min(i + 1, len(x) - 1)] - x[max(i - 1, 0)] for i in range(len(x))]
    errors = [abs(p.simulated / p.measured - 1) for p in points]
    return 100 * sum(w * e for w, e in zip(weights, errors, strict=True)) / sum(weights)
