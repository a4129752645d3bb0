"""Kernel arguments as text on the command line: `x=float32[1024]:random`, `int32:5`, `out:float32[1024]`, `null`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isa.errors import SubcoreError

DTYPES = ("float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FORMS = "TYPE[N]:FILL, out:TYPE[N], TYPE:VALUE, @FILE.npy or null, with NAME= before it if it needs a name"
FILLS = "random, zeros, ones, arange or a number"
MAX_ARRAY_BYTES = 1 << 36
_RANDOM_INTEGERS = 100  # `random` integers are 0 to 99
_NAME = r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<out>out:)?"
_FORM = re.compile(_NAME + r"(?P<type>\w+)(?:\[(?P<shape>[^\]]*)\])?(?::(?P<fill>.+))?")
_FILE = re.compile(_NAME + r"@(?P<path>.+)")


@dataclass(frozen=True)
class Literal:
    """One argument: a numpy array or scalar, or None for a null pointer."""

    name: str
    value: np.ndarray | np.generic | None
    output: bool = False


def read_arguments(texts: Sequence[str]) -> list[Literal]:
    """Arguments in the order given. `random` arrays depend on the position and nothing else."""
    found = [_read(text, number) for number, text in enumerate(texts)]
    names = [literal.name for literal in found]
    for name in names:
        if names.count(name) > 1:
            raise SubcoreError(f"--arg: the name {name!r} is given twice")
    return found


def read_sizes(text: str, what: str) -> tuple[int, ...]:
    """(16, 8) from "16,8" or "16x8": one to three sizes."""
    parts = re.split(r"[,x]", text)
    if len(parts) > 3 or not all(re.fullmatch(r"\s*\d{1,10}\s*", part) for part in parts):
        raise SubcoreError(f"{what} {text!r}: give one to three sizes, such as 16 or 16,8,1")
    return tuple(int(part) for part in parts)


def _read(text: str, number: int) -> Literal:
    where = f"--arg {text!r}"
    if match := _FILE.fullmatch(text):
        return Literal(match["name"] or f"argument{number}", _load(Path(match["path"]), where), bool(match["out"]))
    match = _FORM.fullmatch(text)
    if match is None:
        raise SubcoreError(f"{where}: must have the form {FORMS}")
    name, fill = match["name"] or f"argument{number}", match["fill"]
    if match["type"] == "null" and match["shape"] is None and fill is None and not match["out"]:
        return Literal(name, None)
    if match["type"] not in DTYPES:
        raise SubcoreError(f"{where}: no type {match['type']!r}; there are {', '.join(DTYPES)}")
    dtype = np.dtype(match["type"])
    if match["shape"] is None:
        if fill is None or match["out"]:
            raise SubcoreError(f"{where}: a scalar needs a value ({dtype}:5), an array a size ({dtype}[1024])")
        return Literal(name, _number(fill, dtype, where))
    sizes = re.split(r"[,x]", match["shape"])
    if not all(re.fullmatch(r"\s*[1-9]\d{0,11}\s*", size) for size in sizes):
        raise SubcoreError(f"{where}: the size must be one or more positive numbers, such as {dtype}[64,64]")
    shape = tuple(int(size) for size in sizes)
    if math.prod(shape) * dtype.itemsize > MAX_ARRAY_BYTES:
        raise SubcoreError(f"{where}: the array is larger than {MAX_ARRAY_BYTES >> 30} GiB")
    return Literal(name, _filled(shape, dtype, fill, number, where), bool(match["out"]))


def _filled(shape: tuple[int, ...], dtype: np.dtype, fill: str | None, seed: int, where: str) -> np.ndarray:
    if fill is None or fill == "zeros":
        return np.zeros(shape, dtype)
    if fill == "ones":
        return np.ones(shape, dtype)
    if fill == "arange":
        return np.arange(math.prod(shape)).astype(dtype).reshape(shape)
    if fill == "random":
        generator = np.random.default_rng(seed)
        if dtype.kind == "f":
            return generator.random(shape).astype(dtype)
        return generator.integers(0, _RANDOM_INTEGERS, shape).astype(dtype)
    try:
        return np.full(shape, _number(fill, dtype, where), dtype)
    except SubcoreError:
        raise SubcoreError(f"{where}: {fill!r} does not fill an array of {dtype}: use {FILLS}") from None


def _number(text: str, dtype: np.dtype, where: str) -> np.generic:
    try:
        value: Any = float(text) if dtype.kind == "f" else int(text, 0)
        return dtype.type(value)
    except (ValueError, OverflowError):
        raise SubcoreError(f"{where}: {text!r} is no {dtype}") from None


def _load(path: Path, where: str) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except OSError as error:
        raise SubcoreError(f"{where}: cannot read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise SubcoreError(f"{where}: {path} is no .npy file: {error}") from None
