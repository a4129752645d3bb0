"""Where the NVIDIA compiler library, its headers and the disassembler are installed. None is part of subcore."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from isa.errors import SubcoreError

ARCHITECTURES = (75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121)  # of NVRTC 13, and of our tables
HINT = "install it with `pip install subcore[sass]`, or point CUDA_HOME at a CUDA 13 toolkit"


def toolkit_roots() -> list[Path]:
    """Folders that may hold lib/, bin/ and include/: the wheels first, then $CUDA_HOME, then PATH's toolkit."""
    roots = []
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        roots += sorted(Path(folder).glob("cu1[3-9]"), reverse=True)
    roots += [Path(os.environ[name]) for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    on_path = shutil.which("nvcc") or shutil.which("nvdisasm")
    if on_path:
        roots.append(Path(on_path).resolve().parent.parent)
    return [root for root in roots if root.is_dir()]


def include_folders() -> list[Path]:
    """Header folders for kernels that include cuda_fp16.h, mma.h, cooperative_groups.h; those that exist."""
    found = []
    for root in toolkit_roots():
        found += [d for d in (root / "include", root / "include" / "cccl") if d.is_dir()]
    return found


def find_nvrtc() -> tuple[Path, Path | None]:
    """The NVRTC library and its builtins: $SUBCORE_NVRTC if set, else the newest found. SubcoreError if absent."""
    if chosen := os.environ.get("SUBCORE_NVRTC"):
        library = Path(chosen)
        if not library.is_file():
            raise SubcoreError(f"SUBCORE_NVRTC: {chosen}: no such file; it must name a libnvrtc.so")
        beside = sorted(p for p in library.parent.glob("libnvrtc-builtins.so*") if "alt" not in p.name)
        return library, beside[-1] if beside else None
    for root in toolkit_roots():
        for folder in (root / "lib", root / "lib64"):
            libraries = sorted(p for p in folder.glob("libnvrtc.so*") if "alt" not in p.name)
            if libraries:
                builtins = sorted(p for p in folder.glob("libnvrtc-builtins.so*") if "alt" not in p.name)
                return libraries[-1], builtins[-1] if builtins else None
    raise SubcoreError(f"the CUDA compiler library (libnvrtc) was not found: {HINT}")


def find_nvdisasm() -> Path:
    """The nvdisasm program. SubcoreError if absent."""
    for root in toolkit_roots():
        program = root / "bin" / "nvdisasm"
        if os.access(program, os.X_OK):
            return program
    on_path = shutil.which("nvdisasm")
    if on_path:
        return Path(on_path)
    raise SubcoreError(f"the disassembler nvdisasm was not found: {HINT}")
