"""A run directory as it is read back: its manifest, counters and stall table."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isa.errors import SubcoreError

FORMAT = "subcore-run"
VERSION = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class StoredRun:
    """One kernel of a run directory."""

    directory: Path
    manifest: dict[str, Any]
    statistics: dict[str, float]
    stalls: dict[str, int]

    @property
    def kernel(self) -> str:
        return self.manifest["trace"]["launch"]["kernel"]

    @property
    def knobs(self) -> dict[str, Any]:
        return self.manifest["config"]["values"]


def read_run(directory: Path) -> StoredRun:
    """A run directory of one kernel; SubcoreError if it is none, with a similar name beside it."""
    if not directory.exists():
        beside = directory.parent if directory.parent.is_dir() else Path()
        names = [path.name for path in sorted(beside.iterdir()) if (path / MANIFEST).is_file()]
        near = difflib.get_close_matches(directory.name, names, 1)
        raise SubcoreError(f"{directory}: no such folder" + (f"; did you mean {beside / near[0]}?" if near else ""))
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        if manifest.get("format") != FORMAT:
            raise ValueError(f"{MANIFEST} is not of a run")
        if "runs" in manifest:
            inside = ", ".join(f"{directory}/{entry['directory']}" for entry in manifest["runs"][:3])
            raise ValueError(f"it holds {len(manifest['runs'])} kernels; name one of them: {inside} ...")
        statistics = json.loads((directory / "stats.json").read_text(encoding="utf-8"))
        lines = (directory / "stalls.csv").read_text(encoding="utf-8").splitlines()[1:]
        return StoredRun(
            directory,
            manifest,
            {entry["name"]: entry["value"] for entry in statistics},
            {reason: int(cycles) for reason, cycles, _ in (line.split(",") for line in lines)},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SubcoreError(f"{directory}: not a run directory of one kernel ({error})") from None
