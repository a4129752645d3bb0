"""References and generators that launch files name, and number formats that numpy lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from inspect import isfunction
from pathlib import Path
from typing import Any

import numpy as np

Inputs = Mapping[str, Any]  # sizes and arguments by their names in the launch file
Outputs = dict[str, np.ndarray]  # output arguments by name, of the argument's shape and type
Reference = Callable[[Inputs], Outputs]
# (shape, type, random numbers, the argument's table) -> array; a deterministic function of them
Generator = Callable[[tuple[int, ...], np.dtype, np.random.Generator, Mapping[str, Any]], np.ndarray]


@cache
def references() -> dict[str, Reference]:
    """The public functions of all `<folder>/references.py` by name."""
    return _functions("references")


@cache
def generators() -> dict[str, Generator]:
    """The public functions of `generators.py` here and of all `<folder>/generators.py` by name."""
    return _functions("generators")


def _functions(module_name: str) -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    here = Path(__file__).parent
    for path in (*here.glob(f"{module_name}.py"), *sorted(here.glob(f"*/{module_name}.py"))):
        parts = (__package__, *path.relative_to(here).with_suffix("").parts)
        module = import_module(".".join(parts))
        for name, function in vars(module).items():
            if isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_"):
                assert name not in found, f"two functions are named {name}"
                found[name] = function
    return found


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """FP64 values of bfloat16 bit patterns (uint16)."""
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Bit patterns of the nearest bfloat16 numbers, ties to even; values must be finite and exact in FP64."""
    single = values.astype(np.float32)
    # one rounding only: FP32 rounded to odd keeps what decides the second rounding
    toward = np.where(np.abs(single) > np.abs(values), np.nextafter(single, np.float32(0)), single)
    bits = toward.view(np.uint32) | (toward != values)
    return ((bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) >> 16).astype(np.uint16)
