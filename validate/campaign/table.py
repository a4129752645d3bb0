"""The kit's table of kernel times, `kernels.csv`: the columns of `validate/hardware/<card>.csv` and a few more."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from isa.files import replace_file


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured launch. `profiler`: cupti, events (their own cost included) or ncu; `caches`: copied or flushed.

    `check`: ok, unchecked, or how the outputs differ from the reference.
    """

    benchmark: str
    profiler: str
    parameters: str
    clock_mhz: str
    duration_ns: str
    cycles: str = ""
    min_ns: str = ""
    max_ns: str = ""
    repeats: str = ""
    caches: str = "copied"
    grid: str = ""
    block: str = ""
    registers: str = ""
    blocks_per_sm: str = ""
    check: str = "unchecked"


COLUMNS = tuple(field.name for field in fields(Row))


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step."""
    with replace_file(path, force=True) as file:
        file.write(text.encode())


def write_rows(path: Path, rows: Iterable[Mapping[str, str]], columns: Iterable[str] = COLUMNS) -> None:
    """Write a CSV file in one step."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
