"""Known gaps between measurement and model: the table in DEVIATIONS.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from isa.errors import SubcoreError

DEVIATIONS = Path(__file__).parent / "DEVIATIONS.md"
_COLUMNS = 7


class Cell(Protocol):
    """One measured value beside the simulated one."""

    @property
    def case(self) -> str: ...
    @property
    def cell(self) -> str: ...
    @property
    def gpu(self) -> str: ...
    @property
    def measured(self) -> float: ...
    @property
    def simulated(self) -> float | None: ...
    @property
    def agrees(self) -> bool: ...


@dataclass(frozen=True)
class Deviation:
    """One row: a pattern of cells, and the values that they have, joined by blanks, "-" for none."""

    suite: str
    case: str
    gpu: str
    cell: str
    measured: str
    simulated: str
    reason: str

    def covers(self, cell: Cell) -> bool:
        return (self.case, self.gpu) == (cell.case, cell.gpu) and fnmatchcase(cell.cell, self.cell)

    def mismatch(self, cells: Iterable[Cell]) -> str:
        """Empty if the row still says what the cells hold; else what has changed."""
        mine = [c for c in cells if self.covers(c)]
        found = (_joined([c.measured for c in mine]), _joined([c.simulated for c in mine]))
        if not mine:
            return f"{self.case} {self.cell}: no such cell"
        if all(c.measured == c.simulated for c in mine):
            return f"{self.case} {self.cell}: the gap has closed, delete its row"
        if found != (self.measured, self.simulated):
            return f"{self.case} {self.cell}: measured {found[0]}, simulated {found[1]}, unlike its row"
        return ""


C = TypeVar("C", bound=Cell)


@dataclass(frozen=True)
class Findings(Generic[C]):
    """Every cell of a suite with the row of DEVIATIONS.md that covers it, if any."""

    rows: tuple[tuple[C, Deviation | None], ...]

    @property
    def differing(self) -> list[tuple[C, Deviation | None]]:
        return [(cell, row) for cell, row in self.rows if not cell.agrees]

    @property
    def unlisted(self) -> list[C]:
        """Cells that differ and that no row covers: a suite with one has failed."""
        return [cell for cell, row in self.differing if row is None]

    @property
    def reasons(self) -> list[str]:
        """One line for each row that a differing cell needs."""
        rows = (row for _, row in self.differing if row is not None)
        return list(dict.fromkeys(f"{row.case}, {row.cell}: {row.reason}" for row in rows))


def compare(suite: str, cells: Iterable[C]) -> Findings[C]:
    """Cells beside the known gaps of their suite."""
    known = read_deviations(suite)
    return Findings(tuple((cell, next((row for row in known if row.covers(cell)), None)) for cell in cells))


def _joined(values: Sequence[float | None]) -> str:
    return " ".join("-" if v is None else f"{v:g}" for v in values)


def read_deviations(suite: str, path: Path = DEVIATIONS) -> tuple[Deviation, ...]:
    """Rows of a suite. SubcoreError names a row that is not complete."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("|") or line.startswith(("|---", "| suite ")):
            continue
        parts = [part.strip() for part in line.strip().strip("|").split("|")]
        if len(parts) != _COLUMNS or not all(parts):
            raise SubcoreError(f"{path}, line {number}: {len(parts)} columns, {_COLUMNS} filled ones are needed")
        rows.append(Deviation(*parts))
    return tuple(row for row in rows if row.suite == suite)
