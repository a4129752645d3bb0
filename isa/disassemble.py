"""Cubin to instruction text through `nvdisasm -json`, with the listings kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from isa.errors import SubcoreError
from isa.toolchain import find_nvdisasm

_FORMAT = 1  # of cached listings


@dataclass(frozen=True)
class ListedInstruction:
    """One line of the listing: guard ("", "@P0", "@!UP1"), opcode with modifiers, operand text."""

    guard: str
    opcode: str
    operands: str

    @property
    def text(self) -> str:
        return " ".join(part for part in (self.guard, self.opcode, self.operands) if part)


def cache_folder() -> Path:
    """Where listings are kept: $SUBCORE_CACHE, else $XDG_CACHE_HOME/subcore, else ~/.cache/subcore."""
    if os.environ.get("SUBCORE_CACHE"):
        return Path(os.environ["SUBCORE_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "subcore"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is complete or absent, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def run_nvdisasm(cubin: bytes, *options: str) -> str:
    """Output of nvdisasm on a cubin. SubcoreError with its message if it fails."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        done = subprocess.run(
            [find_nvdisasm(), *options, file.name], capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode:
            message = (done.stderr or done.stdout).replace(file.name, "the cubin").strip()
            raise SubcoreError(f"nvdisasm cannot read the cubin: {message}")
    return done.stdout


@cache
def nvdisasm_version() -> str:
    """Version of the installed nvdisasm, such as "13.2.51"."""
    done = subprocess.run([find_nvdisasm(), "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"V(\d[\d.]*)", done.stdout)
    if not match:
        raise SubcoreError("`nvdisasm --version` gave no version number: reinstall the toolkit")
    return match.group(1)


def _row(guard: str, opcode: str, operands: str) -> list[str]:
    """The JSON listing prints the PR of `P2R R2, PR, RZ, 0x2` as if it were a guard."""
    if guard.startswith("@") or not guard:
        return [guard, opcode, operands]
    first, _, rest = operands.partition(",")
    return ["", opcode, f"{first},{guard},{rest}"]


def _disassemble(cubin: bytes) -> dict[str, list[list[str]]]:
    return {
        function["function-name"]: [
            _row(line.get("predicate", ""), line["opcode"], line.get("operands", ""))
            for line in function["sass-instructions"]
        ]
        for function in json.loads(run_nvdisasm(cubin, "-json", "-c"))[1]
    }


def disassemble(cubin: bytes) -> dict[str, list[ListedInstruction]]:
    """Listing of every function of a cubin by symbol name. Cached on disk by content and nvdisasm version.

    A kernel's subroutines are functions of their own: `isa.cubin.Cubin.functions` says where each one starts.
    """
    key = hashlib.sha256(cubin).hexdigest()
    path = cache_folder() / "listings" / f"{key}-{nvdisasm_version()}-{_FORMAT}.json"
    functions: dict[str, Any] | None = None
    try:
        functions = json.loads(path.read_bytes())
    except (OSError, ValueError):
        functions = _disassemble(cubin)
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time only
            write_atomically(path, json.dumps(functions, sort_keys=True).encode())
    return {name: [ListedInstruction(*row) for row in rows] for name, rows in functions.items()}
