"""The matrix suite: whole matrix kernels of ours beside published times of kernels with the same tile and stages.

A suite file holds `[[case]]` tables: a board as the measurement names it, the GPU of ours that stands for it, the
kernel, `limit_percent`, and `rows`, each a measured time in microseconds with the kernel's parameters. A case without a
limit is context: other code, shown and never failed. Long kernels are block-sampled. Times include the launch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from configs.load import load_config
from isa.errors import SubcoreError
from isa.files import read_toml
from sim.sampling import SampledResult, simulate_sampled
from traces.emulator.trace import emulate
from traces.kernels.catalogue import load_launch

SUITE = Path(__file__).parent / "suites" / "matrix"
SAMPLE_INSTRUCTIONS = 12_000_000  # warp instructions of a sample, if its least number of waves allows so few


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured time. `operations`: floating-point operations of the kernel, `peak_tflops` what the board can do."""

    case: str
    cell: str
    board: str
    gpu: str
    kernel: str
    source: str
    microseconds: float
    operations: float
    peak_tflops: float
    limit_percent: float | None = None
    parameters: Mapping[str, int] = field(default_factory=dict)
    overlays: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    remark: str = ""

    def of_peak(self, microseconds: float) -> float:
        """Fraction of the peak rate at which the kernel computes if it takes so long."""
        return self.operations / (microseconds * 1e6 * self.peak_tflops)


@dataclass(frozen=True)
class Outcome:
    """A measured time beside the simulated one, in microseconds."""

    row: Row
    sample: SampledResult

    case = property(lambda self: self.row.case)
    cell = property(lambda self: self.row.cell)
    gpu = property(lambda self: self.row.gpu)
    measured = property(lambda self: self.row.microseconds)
    simulated = property(lambda self: round(self.sample.seconds * 1e6, 1))

    @property
    def error(self) -> float:
        """Signed, as a fraction of the measured time."""
        return float(self.simulated / self.measured - 1)

    @property
    def agrees(self) -> bool:
        """Rows of context always do."""
        limit = self.row.limit_percent
        return limit is None or abs(100 * self.error) <= limit


def load_suite(path: Path = SUITE) -> list[Row]:
    """Rows of the files of a folder, or of one file. SubcoreError names file, case and row."""
    rows: list[Row] = []
    for file in sorted(path.glob("*.toml")) if path.is_dir() else [path]:
        content, _ = read_toml(file)
        for table in content.get("case", []):
            rows += [_row(table, cell, own, file) for cell, own in table.get("rows", {}).items()]
    names = [(row.case, row.cell) for row in rows]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SubcoreError(f"{path}: defined twice: {twice}")
    return rows


def _row(table: Mapping[str, Any], cell: str, own: Mapping[str, Any], file: Path) -> Row:
    where = f"{file}, case {table.get('name', '?')}, row {cell}"
    values = {k: v for k, v in table.items() if k not in ("name", "rows", "parameters")} | {**own}
    values["parameters"] = {**table.get("parameters", {}), **own.get("parameters", {})}
    known = {f.name for f in fields(Row)} - {"case", "cell"}
    if unknown := sorted(set(values) - known):
        raise SubcoreError(f"{where}: unknown keys {unknown}; known are {sorted(known)}")
    for key in ("overlays", "settings"):
        values[key] = tuple(values.get(key, ()))
    try:
        row = Row(case=table["name"], cell=cell, **values)
    except (TypeError, KeyError) as error:
        raise SubcoreError(f"{where}: {error}") from None
    if not min(row.microseconds, row.operations, row.peak_tflops) > 0:
        raise SubcoreError(f"{where}: microseconds, operations and peak_tflops must be greater than 0")
    return row


def run_row(row: Row, overlays: Sequence[str] = (), settings: Sequence[str] = ()) -> Outcome:
    """Emulate and simulate the kernel of a row; `overlays` and `settings` go over its GPU."""
    config = load_config(row.gpu, (*row.overlays, *overlays), (*row.settings, *settings))
    trace = emulate(load_launch(row.kernel, row.parameters), architecture=config.gpu.architecture)
    return Outcome(row, simulate_sampled(trace, config, most_instructions=SAMPLE_INSTRUCTIONS))
