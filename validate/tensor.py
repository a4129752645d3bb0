"""The tensor suite: published latencies and rates of matrix and DPX instructions beside what the model gives.

A suite file holds `[[case]]` tables: a board as the measurement names it, the GPU of ours that stands for it, and
`rows`, each a metric by its published name. A row names an `opcode` (matrix instructions get their registers from it)
or a `body` of lines, in which `{d}` is the accumulator. `latency` rows run a chain of one warp, `rate` rows `warps`
warps on each sub-core with `accumulators` independent chains each; wgmma is always a chain of one warpgroup.
`[[left_out]]` names published rows that no listing can stand for, and why. Dependences come from the latency tables, so
that no control bits have to be made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from isa.errors import SubcoreError
from isa.files import read_toml
from isa.opcodes import tensor_shape
from isa.program import TensorKind
from validate.copies import COPY_LIMIT_PERCENT, KERNELS, run_kernel
from validate.core import Case, run_case

SUITE = Path(__file__).parent / "suites" / "tensor"
LATENCY_LIMIT_CYCLES = 2
RATE_LIMIT_PERCENT = 3
_SUBCORES, _WARP = 4, 32
_CHAIN_OPERATIONS = 24
_RATE_OPERATIONS = 1024  # of the warps of a sub-core
_A_OF_WARPGROUP = 4
_A, _B, _METADATA, _SCALE, _FIRST_ACCUMULATOR = 48, 56, 60, 62, 8


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published figure. `count`: operations that a figure in cycles covers; `over`: opcode to divide by."""

    case: str
    table: str  # file of published figures
    board: str  # as that file names it
    metric: str
    value: float
    unit: str
    source: str
    gpu: str
    measure: str = "rate"
    opcode: str = ""
    a_in_registers: bool = False  # of wgmma
    body: tuple[str, ...] = ()
    count: float = 1
    over: str = ""
    peak: float = 0  # multiply-accumulates per clock and SM that are 100 %
    sms: int = 0
    mhz: float = 0
    warps: int = 2
    accumulators: int = 4
    kernel: str = ""  # of validate.copies, with what follows
    blocks: int = 0  # of the grid, or of a cluster
    box: tuple[int, ...] = ()  # elements along x, y, z
    bytes: int = 0  # of a copy
    tensor: int = 0  # dimensions of the tensor map, 0 = none
    stride: int = 1  # copies from one to the next
    own: bool = False  # the own block, not another one
    of: str = "median"
    fill: int = 0  # SMs that clusters of this size can have
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """Published rows that are not simulated: patterns of board and metric."""

    table: str
    board: str
    metric: str
    reason: str


@dataclass(frozen=True)
class Outcome:
    """A published figure beside the simulated one, both in `unit`."""

    row: Row
    simulated: float | None

    case = property(lambda self: self.row.case)
    cell = property(lambda self: f"{self.row.board}: {self.row.metric}")
    gpu = property(lambda self: self.row.gpu)
    measured = property(lambda self: self.row.value)

    @property
    def difference(self) -> float | None:
        """Cycles for a latency, percent for a rate."""
        if self.simulated is None:
            return None
        difference = self.simulated - self.row.value
        return difference if self.row.measure == "latency" else 100 * difference / self.row.value

    @property
    def limit(self) -> float:
        if self.row.measure == "latency":
            return LATENCY_LIMIT_CYCLES
        return COPY_LIMIT_PERCENT if self.row.kernel else RATE_LIMIT_PERCENT

    @property
    def agrees(self) -> bool:
        return self.difference is not None and abs(self.difference) <= self.limit


def load_suite(path: Path = SUITE) -> tuple[list[Row], list[LeftOut]]:
    """Rows and left-out rows of the files of a folder, or of one file. SubcoreError names file and case."""
    rows: list[Row] = []
    left_out: list[LeftOut] = []
    for file in sorted(path.glob("*.toml")) if path.is_dir() else [path]:
        content, _ = read_toml(file)
        for table in content.get("case", []):
            rows += _rows(table, file)
        for table in content.get("left_out", []):
            for metric in table.get("metrics", ["*"]):
                try:
                    left_out.append(LeftOut(table["table"], table["board"], metric, table["reason"]))
                except KeyError as error:
                    raise SubcoreError(f"{file}: a left_out table has no {error}") from None
    names = [(row.table, row.board, row.metric) for row in rows]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise SubcoreError(f"{path}: defined twice: {twice}")
    return rows, left_out


def _rows(table: Mapping[str, Any], file: Path) -> Iterator[Row]:
    where = f"{file}, case {table.get('name', '?')}"
    known = {f.name for f in fields(Row)} - {"case", "metric"}
    common = {k: v for k, v in table.items() if k not in ("name", "rows")}
    for metric, own in table.get("rows", {}).items():
        values = {**common, **own}
        if unknown := set(values) - known:
            raise SubcoreError(f"{where}, row {metric}: unknown keys {sorted(unknown)}; known are {sorted(known)}")
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        try:
            row = Row(case=table["name"], metric=metric, **values)
        except (TypeError, KeyError) as error:
            raise SubcoreError(f"{where}, row {metric}: {error}") from None
        if row.measure not in ("latency", "rate") or row.unit not in _UNITS:
            raise SubcoreError(
                f"{where}, row {metric}: measure = {row.measure!r}, unit = {row.unit!r}: "
                f"must be latency or rate, and one of {sorted(_UNITS)}"
            )
        if (bool(row.opcode) + bool(row.body) + bool(row.kernel)) != 1:
            raise SubcoreError(f"{where}, row {metric}: needs an opcode, a body or a kernel, one of them")
        if row.kernel not in ("", *KERNELS):
            raise SubcoreError(f"{where}, row {metric}: kernel = {row.kernel!r}: must be one of {', '.join(KERNELS)}")
        yield row


def operation(opcode: str, accumulator: int) -> str:
    """A matrix instruction that accumulates onto registers `accumulator` ...; all of them read the same A and B."""
    mnemonic, *modifiers = opcode.split(".")
    shape = tensor_shape(mnemonic, tuple(modifiers))
    if shape is None or shape.kind == TensorKind.MOVM:
        raise SubcoreError(f"{opcode} is no matrix instruction with a shape")
    extra = f", R{_METADATA}, 0x0" if shape.sparse else ""
    if "SF" in modifiers:
        extra = f", R{_SCALE}, R{_SCALE + 1}, URZ"
    b = _B if shape.registers("b") > 1 else _B + 1  # a single register: not on the bank of a single register of A
    return f"{opcode} R{accumulator}, R{_A}, R{b}, R{accumulator}{extra}"


def listing(row: Row, opcode: str) -> str:
    """The program that is run for a row."""
    if _is_warpgroup(opcode):
        a = f"R{_A_OF_WARPGROUP}, " if row.a_in_registers else ""
        line = f"{opcode} R{_FIRST_ACCUMULATOR}, {a}gdesc[UR4], R{_FIRST_ACCUMULATOR}"
        group = [line] * (_CHAIN_OPERATIONS - 1) + [f"{line}, gsb0"]
        return "\n".join(["first:", *group, "WARPGROUP.DEPBAR.LE gsb0, 0x0", "second:", "NOP", "EXIT"])
    chains = 1 if row.measure == "latency" else row.accumulators
    count = _CHAIN_OPERATIONS if row.measure == "latency" else _RATE_OPERATIONS // row.warps
    lines = []
    if row.measure == "rate" and len(row.body) > 1:  # independent calls as ptxas orders them: step by step
        steps = [line.format(d=_FIRST_ACCUMULATOR + 4 * chain) for line in row.body for chain in range(chains)]
        lines = ["first:", *(steps * (_RATE_OPERATIONS // row.warps // len(steps)))]
        return "\n".join([*lines[:-1], "last:", lines[-1], "EXIT"])
    for i in range(count):
        if i == (count // 3 if row.measure == "latency" else 0):
            lines.append("first:")
        if i == count - 1:
            lines.append("last:")
        d = _FIRST_ACCUMULATOR + 4 * (i % chains)
        lines += [operation(opcode, d)] if opcode else [line.format(d=d) for line in row.body]
    return "\n".join([*lines, "EXIT"])


def _is_warpgroup(opcode: str) -> bool:
    return opcode.partition(".")[0].endswith("GMMA")


def run_row(row: Row, overlays: Sequence[str] = (), settings: Sequence[str] = ()) -> Outcome:
    """Simulate a row; `overlays` and `settings` go over its GPU."""
    if row.kernel:
        value = run_kernel(row, overlays, settings)
        return Outcome(row, None if value is None else round(value, 3))
    cycles = _cycles(row, row.opcode, tuple(overlays), tuple(settings))
    if cycles is not None and row.over:
        other = _cycles(row, row.over, tuple(overlays), tuple(settings))
        ratio = None if not other else _macs(row.opcode) / cycles / (_macs(row.over) / other)
        return Outcome(row, ratio and round(ratio, 3))
    return Outcome(row, None if cycles is None else round(_UNITS[row.unit](row, cycles), 3))


def _cycles(row: Row, opcode: str, overlays: tuple[str, ...], settings: tuple[str, ...]) -> float | None:
    """Cycles of a sub-core for one operation."""
    warps, measure, operations = 1, "interval", 1.0 if opcode else 1 / len(row.body)
    if _is_warpgroup(opcode):
        warps, measure, operations = _SUBCORES, "issue", _CHAIN_OPERATIONS
    elif row.measure == "rate":
        warps, measure = _SUBCORES * row.warps, "shared_interval"
    cycles = _run(listing(row, opcode), row.gpu, warps, measure, overlays, (*row.settings, *settings))
    return cycles and cycles / operations


@cache
def _run(
    text: str, gpu: str, warps: int, measure: str, overlays: tuple[str, ...], settings: tuple[str, ...]
) -> float | None:
    case = Case(
        name="tensor", source="", gpu=gpu, listing=text, measured={"": 0}, warps=warps, overlays=overlays,
        settings=settings, measure=measure,
    )  # fmt: skip
    return run_case(case)[0].simulated


def _macs(opcode: str) -> int:
    """Multiply-accumulates of one instruction on one sub-core."""
    mnemonic, *modifiers = opcode.split(".")
    shape = tensor_shape(mnemonic, tuple(modifiers))
    return shape.m * shape.n * shape.k // (_SUBCORES if _is_warpgroup(opcode) else 1) if shape else 0


def _rate(row: Row, cycles: float) -> float:
    """Multiply-accumulates per clock and SM; those of a sparse form count as dense."""
    return _SUBCORES * _macs(row.opcode) / cycles


_UNITS = {
    "cycles": lambda row, cycles: cycles * row.count,
    "FMA/clk/SM": _rate,
    "FMA/clk/TC": lambda row, cycles: _rate(row, cycles) / _SUBCORES,
    "FLOP/clk/SM": lambda row, cycles: 2 * _rate(row, cycles),
    "inst/clk/SM": lambda row, cycles: _SUBCORES * _WARP / cycles,
    "TFLOPS": lambda row, cycles: 2 * _rate(row, cycles) * row.sms * row.mhz / 1e6,
    "% of peak": lambda row, cycles: 100 * _rate(row, cycles) / row.peak,
    "ratio": lambda row, cycles: cycles,
    "GiB/s": lambda row, cycles: cycles,  # these come from validate.copies as they are
    "GB/s": lambda row, cycles: cycles,
    "TB/s": lambda row, cycles: cycles,
}
