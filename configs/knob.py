"""What a knob may be: its unit, its bounds, its meaning; `configs.schema` declares the knobs with it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

CYCLES = "cycles"
COMMAND_CLOCKS = "command clocks"
BYTES = "bytes"


@dataclass(frozen=True, kw_only=True)
class Knob:
    """What a value of one field may be. `length` fixes the length of a tuple, `max_length` bounds it."""

    doc: str
    unit: str = ""
    lo: float | None = None
    hi: float | None = None
    choices: type[IntEnum] | None = None
    power_of_two: bool = False
    length: int = 0
    max_length: int = 0


def knob(doc: str, unit: str = "", **limits: Any) -> Any:
    """Declare a field of a section. Unless told otherwise a number must not be negative."""
    limits.setdefault("lo", 0)
    return dataclasses.field(metadata={"knob": Knob(doc=doc, unit=unit, **limits)})


def count(doc: str, unit: str = "", **limits: Any) -> Any:
    """Declare a number that must be at least 1."""
    return knob(doc, unit, **{"lo": 1, **limits})


_access_table = (
    "[issue -> dependent may issue] on a hit: WAR 32, 64, 128 bit, then RAW 32, 64, 128 bit; 0 = no such case"
)
_operation = "WAR, latency (issue -> dependent may issue), issue interval at the SM-shared unit"


def access_table(doc: str) -> Any:
    return knob(f"{doc}: {_access_table}", CYCLES, length=6, hi=4096)


def operation(doc: str) -> Any:
    return knob(f"{doc}: {_operation}", CYCLES, length=3, hi=4096)
