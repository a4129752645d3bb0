"""Run benchmarks of the memory suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from configs.load import load_config
from configs.schema import Config
from isa.errors import SubcoreError
from validate.memory.chase import run_chase
from validate.memory.rules import run_latencies, run_wavefronts
from validate.memory.suite import Benchmark, Board, Cell, Outcome, Point
from validate.memory.throughput import run_cache, run_l2, run_l2_stream, run_stream, run_strides

Runner = Callable[[Benchmark, Board, Config], tuple[list[Point], list[Cell]]]
RUNNERS: dict[str, Runner] = {
    "chase": run_chase,
    "strides": run_strides,
    "cache": run_cache,
    "l2": run_l2,
    "l2_stream": run_l2_stream,
    "stream": run_stream,
    "wavefronts": run_wavefronts,
    "latencies": run_latencies,
}


def run_benchmark(
    benchmark: Benchmark, board: Board, overlays: Sequence[str] = (), settings: Sequence[str] = ()
) -> Outcome:
    """Simulate a benchmark on one of its boards; `overlays` and `settings` change the board's configuration."""
    if benchmark.kind not in RUNNERS:
        raise SubcoreError(f"{benchmark.name}: kind {benchmark.kind!r}: must be one of {', '.join(sorted(RUNNERS))}")
    points, cells = RUNNERS[benchmark.kind](benchmark, board, load_config(board.gpu, overlays, settings))
    return Outcome(benchmark, board, tuple(points), tuple(cells))
