"""Measured values and suites: which kernel, launch, GPU and comparison each measured value belongs to."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from isa.errors import SubcoreError
from isa.files import read_toml
from traces.kernels.expressions import evaluate

MEASUREMENTS = Path(__file__).parent
SUITES = MEASUREMENTS.parent / "suites" / "hardware"
EMPTY_KERNEL_NS = 1397.7  # one block of 32 threads, Nsight Systems: h100_pcie.csv
COMPARISONS = ("duration", "cycles")
ROLES = ("validation", "calibration")
_SUITE = {"gpu", "measurements", "benchmark", "excluded", "profile"}
_BENCHMARK = {"name", "role", "measured", "launches", "compare", "work", "tier_percent", "profile", "default", "quick"}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One measured value: `duration_ns` of all launches, or `cycles` of the profiler (0 where not taken)."""

    benchmark: str
    profiler: str
    parameters: Mapping[str, int]
    clock_mhz: float
    duration_ns: float
    cycles: float
    check: str = "ok"  # of the outputs: ok, unchecked, or what was wrong

    @property
    def label(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.parameters.items())


@dataclass(frozen=True, kw_only=True)
class KernelLaunch:
    """A launch file of `traces.kernels` and its sizes as expressions of the measurement's parameters."""

    kernel: str
    parameters: Mapping[str, str]

    def sizes(self, point: Measurement) -> dict[str, int]:
        where = f"suite launch of {self.kernel}"
        return {name: evaluate(text, point.parameters, f"{where}: {name}") for name, text in self.parameters.items()}


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Points that share kernels, comparison and tolerance."""

    suite: str
    name: str
    gpu: str
    card: str
    launches: tuple[KernelLaunch, ...]
    points: tuple[Measurement, ...]
    compare: str  # duration (ns, all launches, at the core clock) or cycles (of the profiler)
    work: str  # expression: what the time grows with
    tier_percent: float  # largest mean absolute error that passes
    role: str = "validation"  # calibration: knobs were fitted to these points
    overlays: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    default: Mapping[str, Sequence[int]] | None = None  # parameters of a normal run; None = all points
    quick: Mapping[str, Sequence[int]] | None = None
    code: Path | None = None  # folder of the cubins that were measured; None = those kept with the suites

    def measured(self, point: Measurement) -> float:
        return point.duration_ns if self.compare == "duration" else point.cycles

    def work_of(self, point: Measurement) -> int:
        return evaluate(self.work, point.parameters, f"{self.suite}.{self.name}: work")

    def select(self, extent: str) -> tuple[Measurement, ...]:
        """Points of an extent: "quick", "default" or "all"."""
        chosen = {"quick": self.quick or self.default, "default": self.default, "all": None}[extent]
        return tuple(
            point
            for point in self.points
            if chosen is None or all(point.parameters[name] in values for name, values in chosen.items())
        )


def list_suites() -> tuple[str, ...]:
    """Names of the hardware suites, sorted."""
    return tuple(sorted(path.stem for path in SUITES.glob("*.toml")))


@cache
def read_measurements(name: str) -> tuple[Measurement, ...]:
    """Rows of `<name>.csv`; see `read_table`."""
    return read_table(MEASUREMENTS / f"{name}.csv")


def read_table(path: Path) -> tuple[Measurement, ...]:
    """Rows of a table of measured times. SubcoreError names file and line of a row that cannot be read."""
    found = []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                pairs = [pair.split("=") for pair in row["parameters"].split(";") if pair]
                parameters = {name: int(value) for name, value in pairs}
                found.append(
                    Measurement(
                        benchmark=row["benchmark"],
                        profiler=row["profiler"],
                        parameters=parameters,
                        clock_mhz=float(row["clock_mhz"]),
                        duration_ns=float(row["duration_ns"] or 0),
                        cycles=float(row["cycles"] or 0),
                        check=row.get("check") or "ok",
                    )
                )
    except OSError as error:
        raise SubcoreError(f"{path}: cannot read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SubcoreError(f"{path}, line {len(found) + 2}: not a measurement: {error}") from None
    return tuple(found)


@cache
def read_card(name: str) -> dict[str, Any]:
    """What `<name>.toml` says about card, software, profilers and source."""
    return read_toml(MEASUREMENTS / f"{name}.toml")[0]


def load_suite(name: str, path: Path | None = None) -> list[Benchmark]:
    """Benchmarks of a suite in file order. SubcoreError names the suite, the benchmark and what is wrong with it."""
    path = path or SUITES / f"{name}.toml"
    if not path.is_file():
        raise SubcoreError(f"no hardware suite {name!r}; there are {', '.join(list_suites())}")
    document = read_toml(path)[0]
    _known(document, _SUITE, path.name)
    measurements = read_measurements(document["measurements"])
    card = read_card(document["measurements"])["card"]
    profiles = document.get("profile", {})
    benchmarks = []
    for entry in document.get("benchmark", []):
        where = f"{path.name}: benchmark {entry.get('name', '?')}"
        _known(entry, _BENCHMARK, where)
        if missing := {"name", "measured", "launches", "compare", "work", "tier_percent"} - set(entry):
            raise SubcoreError(f"{where}: {', '.join(sorted(missing))} missing")
        if entry["compare"] not in COMPARISONS or entry.get("role", ROLES[0]) not in ROLES:
            raise SubcoreError(f"{where}: compare is one of {COMPARISONS}, role one of {ROLES}")
        if (profile := entry.get("profile")) is not None and profile not in profiles:
            raise SubcoreError(f"{where}: no profile {profile!r} in the suite")
        chosen = entry["measured"]
        points = tuple(
            m
            for m in measurements
            if (m.benchmark, m.profiler) == (chosen["benchmark"], chosen["profiler"])
            and list(m.parameters) == chosen["keys"]
            and all(m.parameters.get(key) in values for key, values in chosen.get("only", {}).items())
        )
        if not points:
            raise SubcoreError(f"{where}: no measurement of {chosen}")
        for extent in ("default", "quick"):
            if unknown := set(entry.get(extent, {})) - set(chosen["keys"]):
                raise SubcoreError(f"{where}: {extent}: no parameter {', '.join(sorted(unknown))}")
        changed = profiles.get(profile, {}) if profile else {}
        benchmarks.append(
            Benchmark(
                suite=path.stem,
                name=entry["name"],
                gpu=document["gpu"],
                card=card,
                launches=tuple(KernelLaunch(**launch) for launch in entry["launches"]),
                points=points,
                compare=entry["compare"],
                work=entry["work"],
                tier_percent=float(entry["tier_percent"]),
                role=entry.get("role", ROLES[0]),
                overlays=tuple(changed.get("overlays", ())),
                settings=tuple(changed.get("settings", ())),
                default=entry.get("default"),
                quick=entry.get("quick"),
            )
        )
    return benchmarks


CAMPAIGN_TIER_PERCENT = 20.0


def load_campaign(path: Path, gpu: str) -> list[Benchmark]:
    """Benchmarks of a table that the measuring kit wrote: one per kernel, profiler and cache state.

    Compared are kernel durations at the clock that was read beside them, to the nearest step of 15 MHz. A card whose
    profilers include Nsight Systems' own record (cupti) is compared by it, else by events less the shortest launch that
    they show. The cubins in `code/` beside the table are simulated. Points whose results were wrong are refused:
    SubcoreError, as for a file that cannot be read.
    """
    rows = [row for row in read_table(path) if row.profiler != "ncu"]
    if wrong := [row for row in rows if row.check not in ("ok", "unchecked")]:
        raise SubcoreError(f"{path}: {wrong[0].benchmark} {wrong[0].label} gave wrong results: {wrong[0].check}")
    methods = {row.profiler.removesuffix("_flushed") for row in rows}
    if not methods:
        raise SubcoreError(f"{path}: holds no kernel time of cupti or events")
    method = "cupti" if "cupti" in methods else "events"
    cost = 0.0
    if method == "events":
        # what the two events add: the cheapest empty kernel between them, less its own time as a profiler tells it
        empty = [row.duration_ns for row in rows if row.benchmark == "emptykernel" and row.profiler == "events"]
        cost = max(0.0, min(empty) - EMPTY_KERNEL_NS) if empty else 0.0
    card = _device(path.parent).get("card", {}).get("name", "card not recorded")
    groups: dict[tuple[str, str, int], list[Measurement]] = {}
    for row in rows:
        if row.profiler.removesuffix("_flushed") == method:
            clock = 15 * round(row.clock_mhz / 15)
            timed = replace(row, duration_ns=max(1.0, row.duration_ns - cost))
            groups.setdefault((row.benchmark, row.profiler, clock), []).append(timed)
    many = {key[:2] for key in groups if sum(other[:2] == key[:2] for other in groups) > 1}
    return [
        Benchmark(
            suite="campaign",
            name=f"{kernel}{'.flushed' if profiler.endswith('_flushed') else ''}"
            f"{f'.{clock}MHz' if (kernel, profiler) in many else ''}",
            gpu=gpu,
            card=card,
            launches=(KernelLaunch(kernel=kernel, parameters={name: name for name in points[0].parameters}),),
            points=tuple(points),
            compare="duration",
            work="1",
            tier_percent=CAMPAIGN_TIER_PERCENT,
            overlays=("cold_l2",) if profiler.endswith("_flushed") else (),
            settings=(f"gpu.core_clock_mhz={clock}",),
            code=path.parent / "code",
        )
        for (kernel, profiler, clock), points in groups.items()
    ]


def card_of(benchmark: Benchmark) -> dict[str, Any]:
    """What is known of the measurements of a benchmark: card, software, driver, source, and `profiler` tables."""
    if benchmark.code is None:
        return read_card(read_toml(SUITES / f"{benchmark.suite}.toml")[0]["measurements"])
    state = _device(benchmark.code.parent)
    return {
        "card": benchmark.card,
        "software": " ".join(state.get("compiler", ["compiler not recorded"])),
        "driver": state.get("card", {}).get("driver_version", "not recorded"),
        "source": "python -m validate.campaign",
        "profiler": {
            "campaign": {
                "name": "CUPTI" if state.get("cupti") else "events",
                "quantity": "duration_ns: median over launches of one kernel",
                "clock": "read by a kernel before and after the launches",
                "caches": "inputs copied from the host just before each launch; flushed: other lines in the L2",
            }
        },
    }


def _device(folder: Path) -> dict[str, Any]:
    """`device.json` of a campaign; empty if it is not there."""
    try:
        return dict(json.loads((folder / "device.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise SubcoreError(f"{folder / 'device.json'}: cannot read: {error}") from None


def excluded(name: str) -> dict[str, str]:
    """Measured benchmarks that a suite leaves out: name -> reason."""
    return {row["benchmark"]: row["reason"] for row in read_toml(SUITES / f"{name}.toml")[0].get("excluded", [])}


def _known(table: Mapping[str, Any], allowed: set[str], where: str) -> None:
    if unknown := sorted(set(table) - allowed):
        raise SubcoreError(f"{where}: unknown key {unknown[0]!r}; allowed are {', '.join(sorted(allowed))}")
