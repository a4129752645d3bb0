"""The memory suite: benchmarks (TOML), measured points (CSV), and cells, a measured value beside the simulated one.

A suite file describes one benchmark: which `kind` of experiment it is, what its curve shows, and a `[[board]]` for
every board it was measured on. Keys of a board that are not fields of `Board` are parameters of the experiment. The
measured points lie in the CSV file `table`, thinned; each row names its source.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from isa.errors import SubcoreError
from isa.files import read_toml

SUITE = Path(__file__).resolve().parents[1] / "suites" / "memory"


@dataclass(frozen=True)
class Point:
    """One point of a curve."""

    series: str
    x: float
    measured: float
    simulated: float


@dataclass(frozen=True)
class Cell:
    """One measured value beside the simulated one. `limit` bounds the error as `rule` says.

    rule: "relative": |simulated / measured - 1| <= limit; "absolute": |simulated - measured| <= limit; "at most" and
    "at least": simulated against `limit` itself (measured is what an exact model would give).
    """

    case: str
    cell: str
    gpu: str
    measured: float
    simulated: float
    unit: str
    limit: float
    rule: str
    source: str

    @property
    def error(self) -> float:
        """Signed: relative to the measured value, or a plain difference for the other rules."""
        difference = self.simulated - self.measured
        return difference / self.measured if self.rule == "relative" else difference

    @property
    def agrees(self) -> bool:
        if self.rule == "at most":
            return self.simulated <= self.limit
        if self.rule == "at least":
            return self.simulated >= self.limit
        return abs(self.error) <= self.limit


@dataclass(frozen=True)
class Board:
    """A benchmark on one board: `gpu` names the configuration, `measured_on` the board in the table."""

    gpu: str
    measured_on: str
    source: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """One suite file."""

    name: str
    kind: str
    title: str
    x: str
    y: str
    table: str
    boards: tuple[Board, ...]
    log_x: bool = False
    log_y: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def rows(self, board: Board) -> list[dict[str, str]]:
        """Rows of the measured table for a board, in the order of the file."""
        found = [row for row in read_table(self.table) if row["board"] == board.measured_on]
        if not found:
            raise SubcoreError(f"{SUITE / self.table}: no row of board {board.measured_on!r}, which {self.name} needs")
        return found


@dataclass(frozen=True)
class Outcome:
    """What a benchmark gave on one board."""

    benchmark: Benchmark
    board: Board
    points: tuple[Point, ...]
    cells: tuple[Cell, ...]


@cache
def read_table(name: str) -> tuple[dict[str, str], ...]:
    """Rows of a measured table of the suite; lines that start with # are remarks."""
    path = SUITE / name
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return tuple(csv.DictReader(line for line in file if not line.startswith("#")))
    except OSError as error:
        raise SubcoreError(f"{path}: cannot read: {error.strerror}") from None


def load_suite(folder: Path = SUITE) -> list[Benchmark]:
    """The benchmarks of a folder, by file name. SubcoreError names the file and the key."""
    return [_benchmark(path) for path in sorted(folder.glob("*.toml"))]


def _benchmark(path: Path) -> Benchmark:
    table, _ = read_toml(path)
    boards = []
    for entry in table.pop("board", []):
        try:
            boards.append(Board(entry.pop("gpu"), entry.pop("measured_on"), entry.pop("source"), entry))
        except KeyError as error:
            raise SubcoreError(f"{path}: a [[board]] without {error}") from None
    known = {name: table.pop(name) for name in ("kind", "title", "x", "y", "table", "log_x", "log_y") if name in table}
    try:
        return Benchmark(name=path.stem, boards=tuple(boards), parameters=table, **known)
    except TypeError as error:
        raise SubcoreError(f"{path}: {error}") from None
