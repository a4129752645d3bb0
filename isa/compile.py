"""CUDA C++ to cubin through the NVRTC library (no nvcc, no host compiler, no GPU)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from isa.errors import SubcoreError
from isa.toolchain import ARCHITECTURES, find_nvrtc, include_folders

# Architectures whose accelerated features (wgmma, tcgen05 ...) need the "a" target.
_ACCELERATED = {90, 100, 103, 110, 120, 121}


@cache
def _nvrtc() -> ctypes.CDLL:
    library, builtins = find_nvrtc()
    if builtins:  # libnvrtc does not find its builtins by itself when it lies outside the loader's path
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    nvrtc = ctypes.CDLL(str(library))
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
    return nvrtc


def nvrtc_version() -> str:
    """Version of the compiler that `compile_cuda` uses, such as "13.1"."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


def _check(status: int, what: str) -> None:
    if status:
        raise SubcoreError(f"{what}: {_nvrtc().nvrtcGetErrorString(status).decode()}")


def _read_sized(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(getattr(_nvrtc(), f"nvrtcGet{what}Size")(program, ctypes.byref(size)), f"NVRTC {what}")
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(_nvrtc(), f"nvrtcGet{what}")(program, buffer), f"NVRTC {what}")
    return buffer.raw


def compile_cuda(
    source: str | Path,
    architecture: int,
    options: Sequence[str] = (),
    include: Iterable[str | Path] = (),
    line_info: bool = True,
) -> bytes:
    """Compile CUDA C++ for one architecture and return the cubin.

    `source` is a Path, or the source text itself. `architecture` is 75 ... 121 (for 90 and later the "a" target
    is used, so that wgmma and its like compile). `include`: more header folders; the folder of the source file
    and the headers of the NVIDIA wheels are added. Raises SubcoreError with the compiler's log.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(f"sm_{a}" for a in ARCHITECTURES)
        raise SubcoreError(f"sm_{architecture} cannot be compiled for: choose one of {known}")
    folders = list(include)
    if isinstance(source, Path):
        name, folders = source.name, [*folders, source.parent]
        try:
            text = source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SubcoreError(f"{source}: cannot read the CUDA source: {error}") from None
    else:
        name, text = "kernel.cu", source
    target = f"sm_{architecture}{'a' if architecture in _ACCELERATED else ''}"
    arguments = [f"-arch={target}", *(["-lineinfo"] if line_info else []), *options]
    arguments += [f"-I{folder}" for folder in [*folders, *include_folders()]]

    nvrtc, program = _nvrtc(), ctypes.c_void_p()
    text = f'#line 1 "/{name}"\n{text}'  # a rooted name keeps the working folder out of the line table
    status = nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None)
    _check(status, f"{name}: NVRTC cannot start")
    try:
        array = (ctypes.c_char_p * len(arguments))(*[a.encode() for a in arguments])
        if nvrtc.nvrtcCompileProgram(program, len(arguments), array):
            log = _read_sized(program, "ProgramLog").rstrip(b"\0").decode(errors="replace").strip()
            log = log.replace(f"/{name}(", f"{name}(")
            raise SubcoreError(f"{name} does not compile for {target}:\n{log}")
        return _read_sized(program, "CUBIN")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
