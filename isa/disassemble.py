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
from isa.files import replace_file
from isa.toolchain import find_nvdisasm

_FORMAT = 1  # of cached listings
# What nvdisasm may take: damaged cubins make it loop or allocate without end. A common cubin takes 0.1 s and 100 MB.
_PROCESSOR_SECONDS, _PER_MEGABYTE, _SECONDS = 2, 20, 600
_MEMORY_BYTES = 8 << 30


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


def run_nvdisasm(cubin: bytes, *options: str) -> str:
    """Output of nvdisasm on a cubin. SubcoreError with its message if it fails, hangs or takes too much memory."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(find_nvdisasm()), *options, file.name]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
        ) as process:
            _limit(process.pid, _PROCESSOR_SECONDS + _PER_MEGABYTE * len(cubin) // 1_000_000)
            try:
                output, complaint = process.communicate(timeout=_SECONDS)
            except BaseException as error:
                process.kill()
                if isinstance(error, subprocess.TimeoutExpired):
                    message = f"nvdisasm did not end within {_SECONDS} seconds: the cubin is damaged"
                    raise SubcoreError(message) from None
                raise
        if process.returncode:
            lines = (complaint or output).replace(file.name, "the cubin").strip().splitlines()
            reason = lines[-1][:300] if lines else f"it was stopped or crashed (status {process.returncode})"
            raise SubcoreError(f"nvdisasm cannot read the cubin: {reason}")
    return output


def _limit(process: int, processor_seconds: int) -> None:
    with contextlib.suppress(ImportError, AttributeError, OSError, ValueError):  # not Linux, or it has ended already
        import resource

        resource.prlimit(process, resource.RLIMIT_CPU, (processor_seconds, processor_seconds))
        resource.prlimit(process, resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


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
    output = run_nvdisasm(cubin, "-json", "-c")
    try:
        return {
            function["function-name"]: [
                _row(line.get("predicate", ""), line["opcode"], line.get("operands", ""))
                for line in function["sass-instructions"]
            ]
            for function in json.loads(output)[1]
        }
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SubcoreError(f"nvdisasm cannot read the cubin: its listing is no JSON ({error})") from None


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
        with contextlib.suppress(OSError, SubcoreError):  # a cache that cannot be written costs time only
            path.parent.mkdir(parents=True, exist_ok=True)
            with replace_file(path, force=True) as file:
                file.write(json.dumps(functions, sort_keys=True).encode())
    return {name: [ListedInstruction(*row) for row in rows] for name, rows in functions.items()}
