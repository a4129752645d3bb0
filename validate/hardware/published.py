"""Errors that other models publish: the yardstick of the report.

`published.csv` holds, per board and model, statistics over the signed errors of the MICRO 2025 artifact
(upc-arco/modern-gpu-simulator-micro-2025, folder APEs, 128 runs a board): of all programs and of PolyBench alone.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("published.csv")


def read_published() -> list[dict[str, Any]]:
    """Rows: board, model, programs, count, and errors as fractions (mean_absolute ... bias)."""
    with open(TABLE, encoding="utf-8", newline="") as file:
        return [
            {
                name: value
                if name in ("board", "model", "programs")
                else int(value)
                if name == "count"
                else float(value)
                for name, value in row.items()
            }
            for row in csv.DictReader(file)
        ]
