"""The core suite: published measurements of the SM core, each as a SASS listing, beside what the model gives.

A suite file holds `[[case]]` tables. A case names the GPU, the listing and what is measured; its cells are a single
value, a `[[case.cell]]` each (whose keys go before those of the case), or a table of `rows` and `columns`. `$name` in a
listing is replaced by an entry of `with`; `$body` by the lines of `body`, `repeat` times. Warps start at the label that
`entry` names for them, warps that are not `active` at the last EXIT, and run straight on to the first EXIT. Memory
instructions of a kind use one set of addresses: consecutive elements at one base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from configs.load import load_config
from configs.schema import Config
from isa.errors import SubcoreError
from isa.files import read_toml
from isa.listing import Listing, read_listing
from isa.program import Access, Flag, MemorySpace
from sim.gpu import Machine
from sim.state import LogKind
from sim.stats import Counter
from traces.stream import MEMORY_ACCESS, BlockStreams, Launch

SUITE = Path(__file__).parent / "suites" / "core"
# Two SMs and nothing but the warps themselves: no launch, no staggered start.
SMALL = (
    "gpu.sms=2",
    "launch.kernel_cycles=0",
    "launch.block_start_cycles=0",
    "launch.warp_interval_cycles=0",
    "launch.drain_cycles=0",
)
GLOBAL_BASE = 0x7F00_0000_0000
MAX_CYCLES = 1_000_000
LOG_ENTRIES = 1 << 17
SHARED_BYTES = 4096
_FULL = 0xFFFFFFFF
_STAGES = {"issue": LogKind.ISSUE, "control": LogKind.CONTROL, "queue": LogKind.ENQUEUE, "write_back": LogKind.DONE}
# The figure draws an instruction in the queue the cycle after it entered, write-back the cycle before issue sees it.
_SHIFT = {"queue": 1, "write_back": -1}
Values = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run. `measured` and what `measure` gives: cell name -> value in cycles, "" where there is only one."""

    name: str
    source: str
    gpu: str
    measure: str
    listing: str
    measured: Mapping[str, float]
    about: str = ""
    cell: str = ""
    settings: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()
    fetch: str = "perfect"
    warps: int = 1
    blocks: int = 1
    active: tuple[int, ...] = ()
    entry: Mapping[str, str] = field(default_factory=dict)
    warp: int = 0
    origin: float = 0
    tolerance: float = 0
    body: str = ""
    repeat: int = 1
    cycles: tuple[int, ...] = ()
    with_: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"case {self.name}" + (f", {self.cell}" if self.cell else "")


@dataclass(frozen=True)
class Cell:
    """One measured value beside the simulated one; `simulated` is None where the model never reaches that point."""

    case: str
    cell: str
    gpu: str
    measured: float
    simulated: float | None
    tolerance: float
    source: str

    @property
    def difference(self) -> float | None:
        return None if self.simulated is None else self.simulated - self.measured

    @property
    def agrees(self) -> bool:
        return self.difference is not None and abs(self.difference) <= self.tolerance


def load_suite(path: Path = SUITE) -> list[Case]:
    """Cases of a suite file, or of all files of a folder. SubcoreError names file and case."""
    files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    cases: list[Case] = []
    for file in files:
        content, _ = read_toml(file)
        for table in content.get("case", []):
            cases += _expand(table, file)
    names = [(c.name, c.cell, c.gpu) for c in cases]
    if twice := {n for n in names if names.count(n) > 1}:
        raise SubcoreError(f"{path}: defined twice: {sorted(twice)}")
    return cases


def _expand(table: dict[str, Any], file: Path) -> Iterator[Case]:
    where = f"{file}, case {table.get('name', '?')}"
    if isinstance(gpus := table.get("gpu"), list):
        for gpu in gpus:
            yield from _expand({**table, "gpu": gpu}, file)
        return
    base = {k: v for k, v in table.items() if k not in ("cell", "rows", "columns")}
    if "rows" in table:
        for row, values in base.pop("measured").items():
            if len(values) != len(table["columns"]):
                raise SubcoreError(f"{where}, row {row}: {len(values)} values for {len(table['columns'])} columns")
            for (column, reads), value in zip(table["columns"].items(), values, strict=True):
                if value != "":
                    given = {**_named("row", table["rows"][row]), **_named("column", reads)}
                    gpu = given.pop("gpu", base.get("gpu"))
                    cell = {"cell": f"{row} -> {column}", "with": given, "measured": value, "gpu": gpu}
                    yield _case({**base, **cell}, where)
        return
    for cell in table.get("cell", [{}]):
        merged = {**base, **cell, "with": {**base.get("with", {}), **cell.get("with", {})}}
        if "name" in cell:
            merged["name"], merged["cell"] = base["name"], cell["name"]
        yield _case(merged, where)


def _named(name: str, value: str | dict[str, str]) -> dict[str, str]:
    return {name: value} if isinstance(value, str) else value


def _case(values: dict[str, Any], where: str) -> Case:
    values = {("with_" if k == "with" else k): tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    known = {f.name for f in fields(Case)}
    if unknown := set(values) - known:
        raise SubcoreError(f"{where}: unknown keys {sorted(unknown)}; known are {sorted(known)}")
    if values.get("measure") not in MEASURES:
        raise SubcoreError(f"{where}: measure = {values.get('measure')!r}: must be one of {sorted(MEASURES)}")
    try:
        values["measured"] = _flat(values["measured"], values.get("cycles", ()))
        return Case(**values)
    except (TypeError, KeyError) as error:
        raise SubcoreError(f"{where}: {error}") from None


def _flat(measured: Any, cycles: Sequence[int] = ()) -> Values:
    """Cell names of a value, a list (numbered from 1, or by `cycles`), or tables of them."""
    if isinstance(measured, dict):
        return {
            f"{name} {inner}".strip(): value
            for name, part in measured.items()
            for inner, value in _flat(part, cycles if str(name).startswith("SB") else ()).items()
        }
    if isinstance(measured, (list, tuple)):
        names = [f"at {c}" for c in cycles] or range(1, len(measured) + 1)
        return {str(name): value for name, value in zip(names, measured, strict=True)}
    return {"": measured}


def text_of(case: Case) -> str:
    """The listing with everything filled in."""
    text = case.listing
    given = {"body": f"{case.body.strip()}\n" * case.repeat, **case.with_}
    for _ in range(4):  # what is filled in may hold names itself
        try:
            text = Template(text).substitute(given)
        except (KeyError, ValueError) as error:
            raise SubcoreError(f"{case.title}: ${error.args[0]} in its listing has no value") from None
        if "$" not in text:
            break
    return text


class ListingTrace:
    """Blocks of a listing's warps, all alike: a Trace. Measured is the first block."""

    def __init__(self, case: Case, read: Listing) -> None:
        self.program = read.program
        self.launch = Launch(
            case.name, (case.blocks, 1, 1), (32 * case.warps, 1, 1), SHARED_BYTES, read.program.registers,
            read.program.architecture,
        )  # fmt: skip
        exits = np.flatnonzero(read.program.instructions["flags"] & int(Flag.EXIT))
        if not len(exits):
            raise SubcoreError(f"{case.title}: its listing has no EXIT")
        self.streams = []
        for warp in range(case.warps):
            idle = case.active and warp not in case.active
            label = case.entry.get(str(warp), "")
            if label and label not in read.labels:
                raise SubcoreError(f"{case.title}: entry {label!r} of warp {warp} is no label of its listing")
            first = int(exits[-1]) if idle else read.labels[label] if label else 0
            self.streams.append(range(first, int(exits[exits >= first][0]) + 1))

    def blocks(self) -> Iterator[BlockStreams]:
        blocks = self.launch.blocks
        lengths = [len(s) for s in self.streams] * blocks
        index = np.concatenate([np.arange(s.start, s.stop) for s in self.streams] * blocks)
        accesses: list[tuple[int, int, int, int]] = []
        first = np.full(len(self.program), -1)
        for at, record in enumerate(self.program.instructions):
            if found := _addresses(record):
                first[at] = len(accesses)
                accesses += [(base, step, -1, i + 1 < len(found)) for i, (base, step) in enumerate(found)]
        yield BlockStreams(
            0,
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            index.astype(np.int32),
            np.full(len(index), _FULL, np.uint32),
            first[index].astype(np.int32),
            np.array(accesses, MEMORY_ACCESS),
            np.zeros(0, np.int64),
        )


def _addresses(record: np.void) -> list[tuple[int, int]]:
    """(base, stride) of each address that an instruction brings along."""
    space, access, size = MemorySpace(record["space"]), Access(record["access"]), int(record["access_bytes"])
    if access == Access.ASYNC_COPY:
        return [(GLOBAL_BASE, size), (0, size)]
    if access in (Access.MATRIX_LOAD, Access.MATRIX_STORE):
        return [(0, 16)]
    if space == MemorySpace.CONSTANT and access == Access.LOAD:
        return [((max(0, int(record["constant_bank"])) << 16) + int(record["constant_offset"]), 0)]
    if access in (Access.LOAD, Access.STORE, Access.ATOMIC, Access.REDUCTION):
        return [(0 if space == MemorySpace.SHARED else GLOBAL_BASE, size)]
    return []


@dataclass
class Run:
    """A finished run and where everything in it is found."""

    case: Case
    listing: Listing
    trace: ListingTrace
    machine: Machine
    states: dict[int, list[int]] = field(default_factory=dict)  # cycle -> counters of `case.warp` after it

    @property
    def log(self) -> np.ndarray:
        entries = int(self.machine.log_count[0])
        if entries > len(self.machine.log):
            raise SubcoreError(f"{self.case.title}: longer than the event log of {LOG_ENTRIES} entries")
        return self.machine.log[:entries]

    def label(self, name: str) -> int:
        if name not in self.listing.labels:
            raise SubcoreError(f"{self.case.title}: its listing has no label {name!r}, which {self.case.measure} needs")
        return self.listing.labels[name]

    def holder(self, index: int) -> int:
        """The warp of the case, or the first one whose stream holds an instruction."""
        warps = (self.case.warp, *range(self.case.warps))
        return next((w for w in warps if index in self.trace.streams[w]), self.case.warp)

    def at(self, kind: LogKind, index: int, warp: int) -> int | None:
        """Cycle at which a warp's instruction passed a stage; None if it never did."""
        if index not in self.trace.streams[warp]:
            return None
        starts = np.concatenate([[0], np.cumsum([len(s) for s in self.trace.streams])])
        position = starts[warp] + index - self.trace.streams[warp].start
        found = self.log[(self.log["kind"] == kind) & (self.log["stream"] == position)]
        return int(found["cycle"][0]) if len(found) else None

    def between(self, kind: LogKind, first: int, second: int) -> float | None:
        begin, end = (self.at(kind, index, self.holder(index)) for index in (first, second))
        return None if begin is None or end is None else end - begin


def _issue(run: Run) -> Values:
    """Issue of the instruction behind `second` after that behind `first`, less `origin`."""
    distance = run.between(LogKind.ISSUE, run.label("first"), run.label("second"))
    return {} if distance is None else {"": distance - run.case.origin}


def _clock(run: Run) -> Values:
    """Difference of the cycle counter between the first and the last instruction that reads it."""
    text = run.listing.program.text
    reads = [i for i in run.trace.streams[run.case.warp] if "SR_CLOCK" in text[i]]
    if len(reads) < 2:
        raise SubcoreError(f"{run.case.title}: its listing reads the clock {len(reads)} times, clock needs two")
    distance = run.between(LogKind.CONTROL, reads[0], reads[-1])
    return {} if distance is None else {"": distance - run.case.origin}


def _interval(run: Run) -> Values:
    """Issue cycles per instruction from `first` up to `last`."""
    first, last = run.label("first"), run.label("last")
    distance = run.between(LogKind.ISSUE, first, last)
    return {} if distance is None else {"": round(distance / (last - first), 6)}


def _shared_interval(run: Run) -> Values:
    """Issue cycles per instruction of all warps on the sub-core of `warp`, `first` and `last` included."""
    first, last = run.label("first"), run.label("last")
    warps = range(run.case.warp % 4, run.case.warps, 4)
    begin, end = (
        [cycle for w in warps if (cycle := run.at(LogKind.ISSUE, index, w)) is not None] for index in (first, last)
    )
    if len(end) < len(warps):
        return {}
    return {"": round((max(end) - min(begin)) / (len(warps) * (last - first + 1) - 1), 6)}


def _issues(run: Run) -> Values:
    """Issue cycles of the instructions from `first` up to `last` in every active warp; the first is at `origin`."""
    warps = run.case.active or tuple(range(run.case.warps))
    first, last = run.label("first"), run.label("last")
    begin = run.at(LogKind.ISSUE, first, run.case.warp)
    values: Values = {}
    for warp in warps:
        for number, index in enumerate(range(first, last), 1):
            cycle = run.at(LogKind.ISSUE, index, warp)
            if cycle is not None and begin is not None:
                values[f"W{warp} {number}"] = cycle - begin + run.case.origin
    return values


def _stretches(run: Run) -> Values:
    """Unbroken runs of issue from `first` on, by warp (W0 the oldest of the active ones): begin and end."""
    case, begin = run.case, run.label("first")
    end = run.listing.labels.get("last", len(run.listing.program))
    warps = {w: n for n, w in enumerate(sorted(case.active or range(case.warps)))}
    starts = np.concatenate([[0], np.cumsum([len(s) for s in run.trace.streams])])
    log = run.log
    issues = log[(log["kind"] == LogKind.ISSUE) & (log["op"] >= begin) & (log["op"] < end)]
    issues = issues[np.argsort(issues["cycle"], kind="stable")]
    found: list[list[int]] = []
    for entry in issues:
        warp = warps.get(int(np.searchsorted(starts, entry["stream"], side="right")) - 1, -1)
        if warp < 0:
            continue
        cycle = int(entry["cycle"])
        if found and found[-1][0] == warp and found[-1][2] == cycle:
            found[-1][2] += 1
        else:
            found.append([warp, cycle, cycle + 1])
    values: Values = {}
    for warp, since, until in found:
        count = sum(name.startswith(f"W{warp} ") for name in values) // 2 + 1
        values[f"W{warp} {count} begin"] = since - found[0][1]
        values[f"W{warp} {count} end"] = until - found[0][1]
    return values


def _timeline(run: Run) -> Values:
    """Cycles at which labelled instructions pass the stages, and the counters that issue sees; `first` is at 1."""
    case, instructions = run.case, run.listing.program.instructions
    begin = run.at(LogKind.ISSUE, run.label("first"), case.warp)
    if begin is None:
        return {}
    start, values = begin - 1, {}
    for stage, kind in _STAGES.items():
        for name, index in run.listing.labels.items():
            cycle = run.at(kind, index, case.warp)
            if cycle is not None:
                values[f"{stage} {name}"] = float(cycle - start + _SHIFT.get(stage, 0))
    log = run.log
    for cycle in case.cycles:
        # the machine leaps over cycles in which nothing changes
        counters = list(run.states[max(known for known in run.states if known <= start + cycle)])
        # what control raised in this cycle is not yet visible in it
        for entry in log[(log["kind"] == LogKind.CONTROL) & (log["cycle"] == start + cycle)]:
            for name in ("write_counter", "read_counter"):
                if (counter := int(instructions[int(entry["op"])][name])) < 6:
                    counters[counter] -= 1
        values |= {f"SB{i} at {cycle}": float(value) for i, value in enumerate(counters[:6])}
    return values


def _counters(run: Run) -> Values:
    """Counters of the run by their names."""
    result = run.machine.result()
    return {name: float(result.counter(Counter[name])) for name in run.case.measured}


MEASURES = {
    "issue": _issue, "clock": _clock, "interval": _interval, "shared_interval": _shared_interval,
    "issues": _issues, "stretches": _stretches, "timeline": _timeline, "counters": _counters,
}  # fmt: skip


@cache
def _config(gpu: str, overlays: tuple[str, ...], settings: tuple[str, ...]) -> Config:
    return load_config(gpu, overlays, settings)


@cache
def architecture_of(gpu: str) -> int:
    return load_config(gpu).gpu.architecture


def run_case(case: Case, overlays: Sequence[str] = (), settings: Sequence[str] = ()) -> list[Cell]:
    """Simulate a case; `overlays` and `settings` go over those of the case. One Cell per measured value."""
    fetch = ("fetch.perfect=true",) if case.fetch == "perfect" else ()
    config = _config(case.gpu, (*case.overlays, *overlays), (*SMALL, *fetch, *case.settings, *settings))
    read = read_listing(text_of(case), config.gpu.architecture, kernel=case.name, name=case.title)
    trace = ListingTrace(case, read)
    step = case.measure == "timeline"
    machine = Machine(trace, config, quantum=1 if step else None, every_cycle=step, log_entries=LOG_ENTRIES)
    run = Run(case, read, trace, machine)
    if step:
        while not machine.step():
            warps = machine.sms[0]["sub"][case.warp % 4]["warp"]
            run.states[machine.now - 1] = [int(c) for c in warps[case.warp // 4]["counter"][:6]]
            if machine.now > MAX_CYCLES:
                raise SubcoreError(f"{case.title}: no end after {MAX_CYCLES} cycles")
    else:
        machine.run(MAX_CYCLES)
    machine.result().check()
    simulated = MEASURES[case.measure](run)
    return [
        Cell(
            case.name, " ".join(p for p in (case.cell, name) if p), case.gpu, value, simulated.get(name),
            case.tolerance, case.source,
        )
        for name, value in case.measured.items()
    ]  # fmt: skip
