"""What the kit measures: kernels of `traces.kernels` at several sizes, and the grids of the launch suites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from isa.errors import SubcoreError
from isa.files import read_toml
from traces.kernels.catalogue import load_launch

POINTS = Path(__file__).with_name("points.toml")


@dataclass(frozen=True)
class Point:
    """One launch: a launch file's name and its sizes."""

    kernel: str
    parameters: Mapping[str, int]

    @property
    def label(self) -> str:
        return f"{self.kernel} {self.text}".strip()

    @property
    def text(self) -> str:
        """The sizes as the CSV holds them, `n=256;threads=128`."""
        return ";".join(f"{name}={value}" for name, value in self.parameters.items())


def scaled(kernel: str, doublings: int) -> dict[str, int]:
    """Sizes of a launch file, each doubled (or halved) towards its `large` value so many times, not beyond it."""
    case = load_launch(kernel)
    factor = 1 << doublings
    return {
        name: value
        if name not in case.large
        else min(value * factor, case.large[name])
        if case.large[name] > value
        else max(value // factor, case.large[name])
        for name, value in case.parameters.items()
    }


def read_plan(quick: bool = False, path: Path = POINTS) -> list[Point]:
    """Points in the order in which they are measured; `quick` leaves the larger sizes out.

    SubcoreError names the entry of a plan that cannot be read.
    """
    table, _ = read_toml(path)
    points = []
    for kernel, doublings in table["doublings"].items():
        points += [Point(kernel, scaled(kernel, k)) for k in (doublings[:2] if quick else doublings)]
    for entry in table["grid"]:
        sizes = {name: values for name, values in entry.items() if name not in ("kernel", "quick")}
        sizes |= entry.get("quick", {}) if quick else {}
        known = load_launch(entry["kernel"]).parameters
        if unknown := set(sizes) - set(known):
            raise SubcoreError(f"{path.name}: {entry['kernel']} has no parameter {', '.join(sorted(unknown))}")
        for values in product(*sizes.values()):
            points.append(Point(entry["kernel"], {**known, **dict(zip(sizes, values, strict=True))}))
    unique = {point.label: point for point in points}
    return list(unique.values())
