"""Open whatever a user names: a stored trace, an Accel-Sim trace, a kernels list, or a folder with one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from isa.errors import SubcoreError
from traces.accelsim import CACHE_BYTES, AccelsimTrace, open_accelsim
from traces.store import SUFFIX, open_trace
from traces.stream import Trace

_LISTS = ("kernelslist.g", "kernelslist")
_COPY = re.compile(r"(Memcpy[A-Za-z]*),(0x[0-9a-fA-F]{1,16}),([0-9]{1,18})")


@dataclass(frozen=True)
class MemoryCopy:
    """A host copy named in a kernels list; it happens before the kernel `traces[before_kernel]`."""

    kind: str  # MemcpyHtoD, MemcpyDtoH
    address: int
    size_bytes: int
    before_kernel: int


@dataclass(frozen=True)
class KernelsList:
    """The traces of one application in launch order, and the copies between them.

    The launch of a trace lists the copies to the device before it: they decide what is in the L2 when it starts.
    """

    path: Path
    traces: list[AccelsimTrace]
    copies: tuple[MemoryCopy, ...]


def _find(folder: Path, name: str) -> Path | None:
    """The file that a list means: traces are often grouped (`g`) or compressed (`.xz`) after the list was written."""
    candidates = (folder / (name + suffix) for suffix in ("", ".xz", "g", "g.xz"))
    return next((path for path in candidates if path.is_file()), None)


def open_kernelslist(path: str | Path) -> KernelsList:
    """Open the traces of a `kernelslist` or `kernelslist.g` file. SubcoreError naming file and line."""
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SubcoreError(f"{path}: cannot read: {error}") from None
    files: list[Path] = []
    copies = []
    for number, line in enumerate(lines, start=1):
        name = line.strip()
        if match := _COPY.fullmatch(name):
            copies.append(MemoryCopy(match[1], int(match[2], 16), int(match[3]), len(files)))
        elif re.fullmatch(r"kernel[^/\\]*", name):
            if (file := _find(path.parent, name)) is None:
                raise SubcoreError(f"{path}: line {number}: {name} is not in this folder, nor compressed or grouped")
            files.append(file)
        elif name:
            raise SubcoreError(f"{path}: line {number}: expected a kernel trace or a copy, found {name[:80]!r}")
    if not files:
        raise SubcoreError(f"{path}: the list names no kernel")
    traces = [open_accelsim(file, CACHE_BYTES // len(files)) for file in files]
    for index, trace in enumerate(traces):
        before = [c for c in copies if c.kind == "MemcpyHtoD" and c.before_kernel <= index]
        trace.launch = replace(trace.launch, copies=tuple((c.address, c.size_bytes) for c in before))
    return KernelsList(path, traces, tuple(copies))


def open_any(path: str | Path) -> Trace | list[Trace]:
    """A trace, or the list of traces of a kernels list or of a folder; told apart by content, not by name.

    SubcoreError naming what is wrong; a folder needs a kernels list, or holds trace files, opened in natural order.
    """
    path = Path(path)
    if path.is_dir():
        for name in _LISTS:
            if (path / name).is_file():
                return list(open_kernelslist(path / name).traces)
        return _open_folder(path)
    try:
        with open(path, "rb") as file:
            start = file.read(64)
    except OSError as error:
        raise SubcoreError(f"{path}: cannot read: {error.strerror}") from None
    if start.startswith(b"PK"):
        return open_trace(path)
    if start.startswith((b"kernel", b"Memcpy")):
        return list(open_kernelslist(path).traces)
    return open_accelsim(path)


def _open_folder(folder: Path) -> list[Trace]:
    files = [
        f for f in folder.iterdir() if re.search(rf"\.(traceg?(\.xz)?|{SUFFIX[1:]})$", f.name) and f.name[0] != "."
    ]
    if not files:
        raise SubcoreError(f"{folder}: no kernelslist.g and no trace files (*{SUFFIX}, *.traceg, *.traceg.xz)")
    files.sort(key=lambda f: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", f.name)])
    return [open_trace(f) if f.suffix == SUFFIX else open_accelsim(f, CACHE_BYTES // len(files)) for f in files]
