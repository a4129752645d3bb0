"""The run directory: everything that a later view needs, written whole or not at all, the same bytes every time.

`manifest.json` inputs, versions, launch, trace hash, configuration hash and values; `stats.json` every counter and
metric with unit and description; `stalls.csv` the stall table; `instructions.csv` the same by instruction, `source.cu`
the source it names, where that is at hand; `bounds.csv` lower bounds of the cycles; `series.csv` the kernel over time;
`config.toml` the resolved configuration with sources, as `--config` reads it back. Several kernels get one numbered
folder each.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isa.errors import SubcoreError
from isa.files import sync_folder
from subcore.stored_run import FORMAT, MANIFEST, VERSION

if TYPE_CHECKING:
    from sim.result import RunResult
    from traces.stream import Trace


def check_target(directory: Path, force: bool) -> None:
    """SubcoreError if `directory` must not be written: it exists without `force`, or it is no run directory."""
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise SubcoreError(f"{directory}: exists and is not a folder; choose another name")
    if directory.exists() and any(directory.iterdir()):
        if not force:
            raise SubcoreError(f"{directory}: exists already; choose another name or pass --force")
        if not (directory / MANIFEST).is_file():
            raise SubcoreError(f"{directory}: is not a run directory (no {MANIFEST}); --force will not replace it")


def write_run(
    directory: Path, runs: Sequence[tuple[Trace, RunResult]], inputs: Mapping[str, Any], force: bool = False
) -> None:
    """Write a run directory. `inputs` (plain JSON values): the arguments and options that the result depends on."""
    names = [""] if len(runs) == 1 else [f"{n:04d}/" for n in range(1, len(runs) + 1)]
    files = {
        name + file: text
        for name, (trace, result) in zip(names, runs, strict=True)
        for file, text in run_files(trace, result, inputs).items()
    }
    if len(runs) != 1:
        index = [{"directory": n[:-1], "kernel": r.kernel} for n, (_, r) in zip(names, runs, strict=True)]
        files[MANIFEST] = _json({"format": FORMAT, "version": VERSION, "runs": index})
    write_files(directory, files, force)


def write_files(directory: Path, files: Mapping[str, str], force: bool = False) -> None:
    """Write a folder of texts (relative name -> text, one of them the manifest).

    It appears complete or not at all; an interrupted write leaves `.<name>.*.partial`.
    """
    check_target(directory, force)
    directory.parent.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(4)
    partial = directory.with_name(f".{directory.name}.{mark}.partial")
    old = directory.with_name(f".{directory.name}.{mark}.old")
    partial.mkdir()
    try:
        for name, text in files.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            _write(partial / name, text)
        sync_folder(partial)
        if directory.exists():
            os.replace(directory, old)
        os.replace(partial, directory)
        sync_folder(directory.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def run_files(trace: Trace, result: RunResult, inputs: Mapping[str, Any]) -> dict[str, str]:
    """The files of one run directory: name -> text."""
    from configs.load import to_toml
    from subcore import bounds, instructions, series

    source = instructions.find_source(trace.program, str(inputs.get("source", "")))
    return {
        MANIFEST: _json(manifest(trace, result, inputs)),
        "stats.json": _json(statistics(result)),
        "stalls.csv": _csv(result),
        instructions.FILE: instructions.to_csv(instructions.instruction_rows(trace.program, result)),
        bounds.FILE: bounds.to_csv(bounds.bound_rows(result)),
        series.FILE: instructions.to_csv(series.series_rows(result)),
        "config.toml": to_toml(result.config),
        **({} if source is None else {instructions.SOURCE: source}),
    }


def manifest(trace: Trace, result: RunResult, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What was run, on what, with what: enough to repeat the run and to tell two runs apart."""
    from configs.load import as_flat_rows, config_hash
    from subcore.report import warnings
    from traces.store import trace_hash

    packages = ("subcore", "numpy", "numba", "llvmlite")
    return {
        "format": FORMAT,
        "version": VERSION,
        "inputs": dict(inputs),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "trace": {
            "hash": trace_hash(trace),
            "launch": asdict(trace.launch),
            "provenance": getattr(trace, "provenance", {}),
        },
        "config": {
            "hash": config_hash(result.config),
            "values": {name: value for name, value, _, _ in as_flat_rows(result.config)},
        },
        "cycles": result.cycles,
        "warnings": warnings(result),
    }


def statistics(result: RunResult) -> list[dict[str, Any]]:
    """Every counter and metric: name, value, unit, description."""
    return [
        {"name": name, "value": value, "unit": unit, "description": text}
        for name, (value, unit, text) in result.values().items()
    ]


def _csv(result: RunResult) -> str:
    rows = [f"{row['reason']},{row['cycles']},{row['share']!r}" for row in result.stall_rows()]
    return "\n".join(["reason,subcore_cycles,share", *rows]) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _write(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
