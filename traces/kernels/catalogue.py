"""Launch files: which kernel, how many threads, which arguments, and what the result must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from isa.errors import SubcoreError
from isa.files import read_toml
from isa.toolchain import ARCHITECTURES
from traces.kernels.expressions import evaluate
from traces.kernels.reference import Reference, generators, references

FOLDER = Path(__file__).resolve().parent
DTYPES = ("float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
_TOP = {"kernel", "source", "description", "reference", "relative_tolerance", "absolute_tolerance"}
_TOP |= {"architectures", "parameters", "large", "defines", "launch", "arguments"}
_LAUNCH = {"grid", "block", "dynamic_shared_bytes", "stack_bytes", "cluster", "cooperative"}
_ARGUMENT = {"name", "dtype", "shape", "generate", "seed", "range", "scale", "step", "value", "count"}
_ARGUMENT |= {"output", "by_value", "unordered", "box", "swizzle", "view", "of"}


@dataclass(frozen=True)
class Tile:
    """How a tensor map sees an array, see `traces.emulator.tensor_map.TensorMap`."""

    box: tuple[int, ...]
    swizzle: int = 0
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Argument:
    """One kernel argument: an array in global memory, a scalar, or bytes (a structure by value)."""

    name: str
    value: np.ndarray | np.generic | bytes
    output: bool = False
    unordered: bool = False  # the kernel writes the elements in no fixed order
    tile: Tile | None = None  # the kernel takes a tensor map of the array


@dataclass(frozen=True)
class KernelCase:
    """A kernel launch with its inputs and its reference."""

    name: str
    kernel: str
    source: Path
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arguments: tuple[Argument, ...]
    dynamic_shared_bytes: int = 0
    stack_bytes: int | None = (
        None  # local memory per thread, for kernels whose need the compiler cannot tell (recursion)
    )
    cluster: tuple[int, ...] | None = None  # blocks per cluster; None: what the kernel says
    cooperative: bool = False  # all blocks run at once, for grid-wide barriers
    description: str = ""
    parameters: Mapping[str, int] = field(default_factory=dict)
    large: Mapping[str, int] = field(default_factory=dict)  # parameters of a size that fills a GPU
    defines: Mapping[str, int] = field(default_factory=dict)  # constants that the source is compiled with
    architectures: tuple[int, ...] = ARCHITECTURES  # those that have the instructions the kernel uses
    reference: Reference | None = None
    relative_tolerance: float = 0.0
    absolute_tolerance: float = 0.0

    @property
    def compile_options(self) -> tuple[str, ...]:
        """Of the compiler, for `defines`."""
        return tuple(f"-D{name}={value}" for name, value in self.defines.items())

    def expected(self) -> dict[str, np.ndarray]:
        """Output arrays as numpy computes them. SubcoreError if the case has no reference."""
        if self.reference is None:
            raise SubcoreError(f"{self.name}: the launch file names no reference")
        inputs = {a.name: a.value.copy() if isinstance(a.value, np.ndarray) else a.value for a in self.arguments}
        return self.reference({**self.parameters, **inputs})

    def check(self, outputs: Mapping[str, np.ndarray]) -> list[str]:
        """Differences from the reference, one line per array; empty if all agree within the tolerances."""
        problems = []
        expected = self.expected()
        for argument in self.arguments:
            if not argument.output:
                continue
            got, wanted = outputs[argument.name], expected[argument.name]
            if argument.unordered:
                got, wanted = np.sort(got), np.sort(wanted)
            if wanted.dtype.kind == "f":
                bad = ~np.isclose(got, wanted, self.relative_tolerance, self.absolute_tolerance, equal_nan=True)
            elif self.absolute_tolerance:
                bad = np.abs(got.astype(np.int64) - wanted.astype(np.int64)) > self.absolute_tolerance
            else:
                bad = got != wanted
            if bad.any():
                at = tuple(int(i) for i in np.argwhere(bad)[0])
                problems.append(
                    f"{self.name}: {argument.name}: {int(bad.sum())} of {bad.size} elements differ, "
                    f"first at {at}: {got[at]!r}, expected {wanted[at]!r}"
                )
        return problems


def list_kernels() -> tuple[str, ...]:
    """Names of the bundled launch files, sorted."""
    return tuple(sorted(_launch_files()))


def describe_kernels() -> tuple[tuple[str, str, str], ...]:
    """(topic, name, description) of the bundled kernels, sorted."""
    rows = []
    for name, path in _launch_files().items():
        rows.append((path.parent.name, name, str(read_toml(path)[0].get("description", ""))))
    return tuple(sorted(rows))


@cache
def _launch_files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(FOLDER.glob("*/*.toml"))}


def load_launch(name_or_path: str | Path, parameters: Mapping[str, int] | None = None) -> KernelCase:
    """Read a launch file (a bundled name or a path) with some of its sizes replaced, and make its arrays.

    SubcoreError names the file and the key of anything that is missing, unknown or impossible.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if str(name_or_path) not in _launch_files():
            raise SubcoreError(f"no kernel {str(name_or_path)!r}; there are {', '.join(list_kernels())}")
        path = _launch_files()[str(name_or_path)]
    table, _ = read_toml(path)
    where = path.name
    _known(table, _TOP, where)
    sizes, large = (
        {name: evaluate(value, {}, f"{where}: {key}.{name}") for name, value in table.get(key, {}).items()}
        for key in ("parameters", "large")
    )
    _known(large, set(sizes), f"{where}: large")
    for name, value in (parameters or {}).items():
        if name not in sizes:
            raise SubcoreError(f"{where}: no parameter {name!r}; there are {', '.join(sizes) or 'none'}")
        sizes[name] = int(value)
    launch = _table(table, "launch", where)
    _known(launch, _LAUNCH, f"{where}: launch")
    source = (path.parent / str(table.get("source", f"{path.stem}.cu"))).resolve()
    if not source.is_file():
        raise SubcoreError(f"{where}: source {source.name!r} does not exist beside it")
    reference = table.get("reference")
    if reference is not None and reference not in references():
        raise SubcoreError(f"{where}: no reference {reference!r}; there are {', '.join(references())}")
    arguments: list[Argument] = []
    for row in table.get("arguments", []):
        arguments.append(_argument(row, sizes, where, arguments))
    architectures = table.get("architectures", list(ARCHITECTURES))
    if not isinstance(architectures, list) or not architectures or not set(architectures) <= set(ARCHITECTURES):
        raise SubcoreError(f"{where}: architectures: expected a list of {', '.join(map(str, ARCHITECTURES))}")
    return KernelCase(
        name=path.stem,
        kernel=str(table.get("kernel", path.stem)),
        source=source,
        grid=_sizes(_need(launch, "grid", f"{where}: launch"), sizes, f"{where}: launch.grid"),
        block=_sizes(_need(launch, "block", f"{where}: launch"), sizes, f"{where}: launch.block"),
        arguments=tuple(arguments),
        dynamic_shared_bytes=evaluate(
            launch.get("dynamic_shared_bytes", 0), sizes, f"{where}: launch.dynamic_shared_bytes"
        ),
        stack_bytes=evaluate(launch["stack_bytes"], sizes, f"{where}: launch.stack_bytes")
        if "stack_bytes" in launch
        else None,
        cluster=_sizes(launch["cluster"], sizes, f"{where}: launch.cluster") if "cluster" in launch else None,
        cooperative=bool(launch.get("cooperative", False)),
        description=str(table.get("description", "")),
        parameters=sizes,
        large=large,
        defines={
            name: evaluate(value, sizes, f"{where}: defines.{name}") for name, value in table.get("defines", {}).items()
        },
        architectures=tuple(architectures),
        reference=references()[reference] if reference else None,
        relative_tolerance=float(table.get("relative_tolerance", 0.0)),
        absolute_tolerance=float(table.get("absolute_tolerance", 0.0)),
    )


def _known(table: Mapping[str, Any], allowed: set[str], where: str) -> None:
    unknown = sorted(set(table) - allowed)
    if unknown:
        raise SubcoreError(f"{where}: unknown key {unknown[0]!r}; allowed are {', '.join(sorted(allowed))}")


def _need(table: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in table:
        raise SubcoreError(f"{where}: {key} is missing")
    return table[key]


def _table(table: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = _need(table, key, where)
    if not isinstance(value, dict):
        raise SubcoreError(f"{where}: {key} must be a table")
    return value


def _sizes(values: Any, names: Mapping[str, int], where: str) -> tuple[int, ...]:
    if not isinstance(values, list) or not 1 <= len(values) <= 3:
        raise SubcoreError(f"{where}: expected a list of one to three sizes")
    sizes = tuple(evaluate(v, names, where) for v in values)
    if min(sizes) < 1:
        raise SubcoreError(f"{where}: {sizes}: every size must be at least 1")
    return sizes


def _range(values: Any, names: Mapping[str, int], where: str) -> list[float]:
    if not isinstance(values, list) or len(values) != 2:
        raise SubcoreError(f"{where}: range: expected [low, high]")
    return [v if isinstance(v, float) else evaluate(v, names, f"{where}: range") for v in values]


def _tile(row: Mapping[str, Any], sizes: Mapping[str, int], where: str) -> Tile | None:
    def listed(key: str) -> tuple[int, ...]:
        return tuple(evaluate(v, sizes, f"{where}: {key}") for v in row[key])

    if "box" not in row:
        return None
    swizzle = evaluate(row.get("swizzle", 0), sizes, f"{where}: swizzle")
    return Tile(listed("box"), swizzle, listed("view") if "view" in row else None)


def _argument(row: Mapping[str, Any], sizes: Mapping[str, int], file: str, before: Sequence[Argument]) -> Argument:
    name = str(_need(row, "name", f"{file}: arguments"))
    where = f"{file}: argument {name}"
    if "of" in row:
        same = next((a.value for a in before if a.name == row["of"]), None)
        if not isinstance(same, np.ndarray):
            raise SubcoreError(f"{where}: of: no array {row['of']!r} before it")
        return Argument(name, same, tile=_tile(row, sizes, where))
    _known(row, _ARGUMENT, where)
    if row.get("dtype", "float32") not in DTYPES:
        raise SubcoreError(f"{where}: dtype {row['dtype']!r}; allowed are {', '.join(DTYPES)}")
    dtype = np.dtype(row.get("dtype", "float32"))
    if "shape" not in row:
        value = _need(row, "value", where)
        if isinstance(value, str) or dtype.kind != "f":
            value = evaluate(value, sizes, where)
        try:
            return Argument(name, dtype.type(value))
        except (OverflowError, TypeError, ValueError):
            raise SubcoreError(f"{where}: {value!r} does not fit into {dtype.name}") from None
    shape = tuple(evaluate(v, sizes, f"{where}: shape") for v in row["shape"])
    if not shape or min(shape) < 1 or int(np.prod([float(s) for s in shape])) * dtype.itemsize > 1 << 36:
        raise SubcoreError(f"{where}: shape {shape}: every size must be at least 1, and the array at most 64 GiB")
    generator = row.get("generate", "filled")
    if generator not in generators():
        raise SubcoreError(f"{where}: no generator {generator!r}; there are {', '.join(generators())}")
    options = {**row, "count": evaluate(row.get("count", 0), sizes, f"{where}: count")}
    if "range" in row:
        options["range"] = _range(row["range"], sizes, where)
    if "step" in row:
        options["step"] = evaluate(row["step"], sizes, f"{where}: step")
    try:
        array = generators()[generator](shape, dtype, np.random.default_rng(row.get("seed", 0)), options)
    except (ValueError, TypeError, OverflowError) as error:
        raise SubcoreError(f"{where}: {error}") from None
    if row.get("by_value"):
        return Argument(name, array.tobytes())
    tile = _tile(row, sizes, where)
    return Argument(name, array, bool(row.get("output")), bool(row.get("unordered")), tile)
