"""What a sweep runs: workloads, GPUs, and axes of knobs, overlays or kernel sizes, expanded to points.

A sweep file:

    title = "MSHRs against cache size"
    gpus = ["rtx_a6000"]
    design = "grid"                   # or "list": axes advance together; or "one_at_a_time"
    settings = ["gpu.sms=2"]          # for every point
    overlays = []
    [[workload]]
    kernel = "matmul_tiled"           # or trace = "FILE"
    parameters = { n = 128 }
    [[axis]]
    knob = "l1d.mshrs"
    values = [64, 128]
    [[axis]]                          # knobs that change together
    knobs = ["gpu.sms", "l2.slices"]
    values = [[84, 48], [42, 24]]
    [[axis]]
    overlays = ["", "scoreboard_1"]   # "" is the GPU as it is
    [[axis]]
    parameter = "n"                   # a size of the kernels
    values = [64, 128]
    [[exclude]]                       # drops the points with all these values
    "l1d.mshrs" = 64
    n = 128
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from isa.errors import SubcoreError
from isa.files import read_toml

STUDIES = Path(__file__).resolve().parent / "studies"
DESIGNS = ("grid", "list", "one_at_a_time")
MAX_POINTS = 1_000_000
_TOP = ("title", "gpus", "design", "settings", "overlays", "workload", "axis", "exclude")
_WORKLOAD = ("kernel", "trace", "parameters")
_AXIS = ("knob", "knobs", "overlays", "parameter", "values")


@dataclass(frozen=True)
class Workload:
    """A kernel of the library with its sizes, or a trace file."""

    source: str
    is_trace: bool = False
    parameters: tuple[tuple[str, int], ...] = ()

    @property
    def label(self) -> str:
        sizes = " ".join(f"{name}={value}" for name, value in self.parameters)
        return f"{Path(self.source).name if self.is_trace else self.source} {sizes}".strip()


@dataclass(frozen=True)
class Axis:
    """`names` take `values[i]` together. `kind`: "knob", "overlay" or "parameter"."""

    kind: str
    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Point:
    """One simulation. `at` has the value of every axis name, None where a one-at-a-time design leaves it alone."""

    number: int
    workload: Workload
    gpu: str
    overlays: tuple[str, ...]
    settings: tuple[str, ...]
    at: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Spec:
    """A whole sweep, in plain values."""

    workloads: tuple[Workload, ...]
    gpus: tuple[str, ...]
    axes: tuple[Axis, ...]
    design: str = "grid"
    settings: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()
    exclude: tuple[tuple[tuple[str, Any], ...], ...] = ()
    title: str = field(default="", compare=False)

    @property
    def names(self) -> list[str]:
        return [name for axis in self.axes for name in axis.names]

    def canonical(self) -> str:
        """The same text for the same sweep."""
        values = asdict(self)
        values.pop("title")
        return json.dumps(values, sort_keys=True)

    def points(self) -> list[Point]:
        """Points in order: workload, GPU, then the axes, the last one fastest. SubcoreError if there is none."""
        found: list[Point] = []
        for workload, gpu in product(self.workloads, self.gpus):
            for chosen in _combinations(self.design, self.axes):
                at = {name: value for axis, row in chosen for name, value in zip(axis.names, row, strict=True)}
                if any(all(at.get(name) == value for name, value in rule) for rule in self.exclude):
                    continue
                found.append(self._point(len(found), workload, gpu, chosen, at))
        if not found:
            raise SubcoreError("the sweep has no point: every combination is excluded")
        return found

    def _point(
        self,
        number: int,
        workload: Workload,
        gpu: str,
        chosen: Sequence[tuple[Axis, tuple[Any, ...]]],
        at: Mapping[str, Any],
    ) -> Point:
        overlays, settings = list(self.overlays), list(self.settings)
        sizes = dict(workload.parameters)
        for axis, row in chosen:
            for name, value in zip(axis.names, row, strict=True):
                if axis.kind == "overlay" and value:
                    overlays.append(str(value))
                elif axis.kind == "knob":
                    settings.append(f"{name}={str(value).lower() if isinstance(value, bool) else value}")
                elif axis.kind == "parameter":
                    sizes[name] = int(value)
        sized = Workload(workload.source, workload.is_trace, tuple(sorted(sizes.items())))
        return Point(
            number, sized, gpu, tuple(overlays), tuple(settings), tuple((name, at.get(name)) for name in self.names)
        )


def _combinations(design: str, axes: Sequence[Axis]) -> Iterator[list[tuple[Axis, tuple[Any, ...]]]]:
    if design == "list":
        for rows in zip(*(axis.values for axis in axes), strict=True):
            yield list(zip(axes, rows, strict=True))
    elif design == "one_at_a_time":
        yield []
        for axis in axes:
            for row in axis.values:
                yield [(axis, row)]
    else:
        for rows in product(*(axis.values for axis in axes)):
            yield list(zip(axes, rows, strict=True))


def list_studies() -> list[str]:
    """Names of the shipped sweeps."""
    return sorted(path.stem for path in STUDIES.glob("*.toml"))


def read_spec(path: Path) -> Spec:
    """Sweep file; SubcoreError with every problem, each with its line."""
    document, text = read_toml(path)
    return build_spec(document, Where(str(path), text))


@dataclass(frozen=True)
class Where:
    """Names the line of a file, or the command line, in messages."""

    name: str
    text: str = ""

    def line(self, word: str, number: int = 0) -> str:
        """ "file:line" of the `number`th line that holds `word` as a key, a table or a string."""
        pattern = re.compile(rf"(?<![\w.]){re.escape(word)}(?![\w.])")
        lines = [n for n, line in enumerate(self.text.splitlines(), 1) if pattern.search(line.split("#")[0])]
        return f"{self.name}:{lines[min(number, len(lines) - 1)]}" if lines else self.name


def build_spec(document: Mapping[str, Any], where: Where) -> Spec:
    """Spec from the values of a sweep file; SubcoreError with every problem found."""
    problems: list[str] = []
    for key in document:
        if key not in _TOP:
            problems.append(f"{where.line(key)}: unknown key {key!r}{near(key, _TOP)}")
    design = document.get("design", "grid")
    if design not in DESIGNS:
        problems.append(f"{where.line('design')}: design {design!r}: must be one of {', '.join(DESIGNS)}")
    workloads = [_workload(entry, where, n, problems) for n, entry in enumerate(document.get("workload", []))]
    axes = [_axis(entry, where, n, problems) for n, entry in enumerate(document.get("axis", []))]
    names = [name for axis in axes if axis for name in axis.names]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"{where.line(name, 1)}: {name} is on two axes")
    for rule in document.get("exclude", []):
        problems += [
            f"{where.line(name)}: exclude names {name!r}, which is on no axis{near(name, names)}"
            for name in rule
            if name not in names
        ]
    if not workloads:
        problems.append(f"{where.name}: no workload: give at least one kernel or trace")
    if not axes:
        problems.append(f"{where.name}: no axis: nothing varies")
    if design == "list" and len({len(axis.values) for axis in axes if axis}) > 1:
        problems.append(f"{where.line('design')}: design 'list': all axes need the same number of values")
    size = 1
    for axis in axes:
        size *= len(axis.values) if axis and design == "grid" else 1
    if size > MAX_POINTS:
        problems.append(f"{where.name}: {size:,} points; the most is {MAX_POINTS:,}")
    gpus = tuple(document.get("gpus", ()))
    if not gpus:
        problems.append(f"{where.name}: no GPU: give at least one configuration")
    if not problems:
        problems += _unknown_names(document, gpus, [axis for axis in axes if axis], where)
    if problems:
        raise SubcoreError("\n".join(problems))
    return Spec(
        workloads=tuple(w for w in workloads if w),
        gpus=gpus,
        axes=tuple(axis for axis in axes if axis),
        design=design,
        settings=tuple(document.get("settings", ())),
        overlays=tuple(document.get("overlays", ())),
        exclude=tuple(tuple(rule.items()) for rule in document.get("exclude", [])),
        title=document.get("title", ""),
    )


def near(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}" if len(known) <= 12 else ""


def _workload(entry: Mapping[str, Any], where: Where, number: int, problems: list[str]) -> Workload | None:
    place = where.line("[[workload]]", number)
    for key in entry:
        if key not in _WORKLOAD:
            problems.append(f"{where.line(key)}: unknown key {key!r} of a workload{near(key, _WORKLOAD)}")
    if ("kernel" in entry) == ("trace" in entry):
        problems.append(f"{place}: a workload has either kernel or trace")
        return None
    parameters = entry.get("parameters", {})
    if wrong := [name for name, value in parameters.items() if type(value) is not int]:
        problems.append(f"{where.line(wrong[0])}: size {wrong[0]} must be an integer")
        return None
    if "trace" in entry:
        source = Path(where.name).parent / entry["trace"] if where.text else Path(entry["trace"])
        if not source.exists():
            problems.append(f"{where.line(entry['trace'])}: no such trace {source}")
        if parameters:
            problems.append(f"{place}: the sizes of a recorded trace cannot be changed")
        return Workload(str(source), is_trace=True)
    return Workload(entry["kernel"], parameters=tuple(sorted(parameters.items())))


def _axis(entry: Mapping[str, Any], where: Where, number: int, problems: list[str]) -> Axis | None:
    place = where.line("[[axis]]", number)
    for key in entry:
        if key not in _AXIS:
            problems.append(f"{where.line(key)}: unknown key {key!r} of an axis{near(key, _AXIS)}")
    kinds = [key for key in ("knob", "knobs", "overlays", "parameter") if key in entry]
    if len(kinds) != 1:
        problems.append(f"{place}: an axis has one of knob, knobs, overlays or parameter")
        return None
    kind = kinds[0]
    values = entry["overlays"] if kind == "overlays" else entry.get("values", [])
    if not isinstance(values, list) or not values:
        problems.append(f"{place}: an axis needs a list of values")
        return None
    if kind == "knobs":
        names = tuple(entry["knobs"])
        if wrong := [row for row in values if not isinstance(row, list) or len(row) != len(names)]:
            problems.append(f"{place}: {wrong[0]!r} must have one value for each of {', '.join(names)}")
            return None
        return Axis("knob", names, tuple(tuple(row) for row in values))
    if kind == "parameter" and any(type(value) is not int for value in values):
        problems.append(f"{place}: sizes of a kernel are integers")
        return None
    names = ("overlay",) if kind == "overlays" else (entry[kind],)
    return Axis({"overlays": "overlay"}.get(kind, kind), names, tuple((value,) for value in values))


def _unknown_names(document: Mapping[str, Any], gpus: Sequence[str], axes: Sequence[Axis], where: Where) -> list[str]:
    """Knobs, overlays, GPUs and kernels that do not exist. Values are checked when their point is run."""
    from configs.load import list_ablations, list_configs
    from configs.schema import all_knobs
    from traces.kernels.catalogue import list_kernels

    knobs = [f"{section}.{name}" for section, name, _, _ in all_knobs()]
    problems = []

    def check(kind: str, name: str, known: Sequence[str]) -> None:
        if name not in known and not (kind != "knob" and ("/" in name or name.endswith(".toml"))):
            problems.append(f"{where.line(name)}: unknown {kind} {name!r}{near(name, known)}")

    for gpu in gpus:
        check("GPU", gpu, [*list_configs(), "a100"])
    for setting in document.get("settings", ()):
        check("knob", setting.partition("=")[0].strip(), knobs)
    for axis in axes:
        for name in axis.names if axis.kind == "knob" else ():
            check("knob", name, knobs)
    overlays = [*document.get("overlays", ()), *(v for a in axes if a.kind == "overlay" for (v,) in a.values)]
    for overlay in filter(None, overlays):
        check("overlay", overlay, list_ablations())
    for entry in document.get("workload", []):
        if "kernel" in entry:
            check("kernel", entry["kernel"], list_kernels())
    return problems
