"""The only file with numba flags: every compiled function of the project is decorated here.

* `entry`: called from Python; compiled once and cached on disk.
* `stage`: called from compiled code only; always inlined.
* `routine`: called from compiled code only; LLVM decides about inlining.
* `standalone`: a `stage` or `routine` that Python may call, for tests.

Kernels may not allocate (`_nrt=False` makes it a compile error): without it numba counts references of every array
argument at every call, which costs 4 to 100 times the work itself (numba issues 2345, 2350).

Switches, read once at import: SUBCORE_BOUNDSCHECK=1 checks every array index; NUMBA_DISABLE_JIT=1 runs plain Python;
SUBCORE_CACHE names another cache folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import llvmlite
import numba
import numpy as np
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from isa.disassemble import cache_folder

Function = TypeVar("Function", bound=Callable[..., Any])

BOUNDSCHECK = os.environ.get("SUBCORE_BOUNDSCHECK", "0") not in ("", "0")
KEPT_CACHES = 16  # per user; older ones are removed when a new one is made

_config: Any = numba.config
_ROOT = Path(__file__).resolve().parent.parent
# Sources that a compiled function of a top-level package may reach, by the import rule of the project.
_SOURCES = {"traces": ("isa", "traces/emulator"), "sim": ("isa", "sim")}
# Settings of numba that change the machine code but are no part of its own cache key.
_SETTINGS = ("NUMBA_OPT", "NUMBA_BOUNDSCHECK", "NUMBA_DEBUGINFO", "NUMBA_LOOP_VECTORIZE", "NUMBA_SLP_VECTORIZE")


class _Library(JITCodeLibrary):
    """Machine code of an entry, optimised at once: with the functions it calls, and those that they call."""

    def finalize(self) -> None:
        """Link callers before what they call: LLVM leaves out a function that nothing has asked for yet."""
        ordered: list[Any] = []
        met: set[Any] = set()

        def visit(library: Any) -> None:
            if library not in met:
                met.add(library)
                for called in reversed(library.called if isinstance(library, _Part) else []):
                    visit(called)
                ordered.append(library)

        for library in reversed(self._linking_libraries):
            visit(library)
        self._linking_libraries = ordered[::-1]
        super().finalize()


class _Placeless:
    """The code generator as a part needs it: a part has no address at which numba could put its Python environment,
    which only object mode uses."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator

    def __getattr__(self, name: str) -> Any:
        return getattr(self.generator, name)

    def set_env(self, name: str, environment: Any) -> None:
        pass


class _Part(JITCodeLibrary):
    """A function for compiled callers. numba would optimise it, with all that it calls, and make machine code of it
    once more at every level of calls; here it only waits for an entry."""

    def add_linking_library(self, library: Any) -> None:
        library._ensure_finalized()
        if library not in self.called:
            self.called.append(library)

    @property
    def codegen(self) -> Any:
        return _Placeless(super().codegen)

    @cached_property
    def called(self) -> list[Any]:
        return []

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0  # no machine code of its own


def _compiler(library: type) -> type:
    class Pipeline(Compiler):
        def define_pipelines(self) -> Any:
            state: Any = self.state
            state.library = library(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.enable_object_caching()
            return super().define_pipelines()

    return Pipeline


# Floats divide as IEEE 754 says and integers by zero give 0: no division raises inside a kernel.
_BASE: dict[str, Any] = {"_nrt": False, "boundscheck": BOUNDSCHECK, "error_model": "numpy"}
_WHOLE: dict[str, Any] = {**_BASE, "pipeline_class": _compiler(_Library)}
_INNER: dict[str, Any] = {
    **_BASE,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "pipeline_class": _compiler(_Part),
}


def entry(function: Function) -> Function:
    """Compile a function that Python calls. Machine code is kept in `cache_directory`; the GIL is released."""
    return _cached(function, nogil=True, **_WHOLE)


def parallel_entry(function: Function) -> Function:
    """As `entry`, with `numba.prange` loops over threads. Array arguments are counted, so call it once per chunk."""
    return _cached(function, nogil=True, parallel=True, boundscheck=BOUNDSCHECK)


def stage(function: Function) -> Function:
    """Compile a function into its compiled callers. Not callable from Python: see `standalone`."""
    return numba.njit(forceinline=True, **_INNER)(function)


def routine(function: Function) -> Function:
    """Compile a function for compiled callers, as an ordinary call. Not callable from Python: see `standalone`."""
    return numba.njit(**_INNER)(function)


def standalone(function: Function) -> Function:
    """A `stage` or `routine` as Python may call it (tests): compiled anew, not cached."""
    return numba.njit(**_WHOLE)(getattr(function, "py_func", function))


def as_records(array: np.ndarray) -> np.ndarray:
    """The same structured array; in plain Python its records have their fields as attributes, as in compiled code."""
    return array.view(np.recarray) if _config.DISABLE_JIT else array


def is_cold(function: Callable[..., Any]) -> bool:
    """True if the next call of this `entry` has to compile: the caller can say so before it takes seconds."""
    if _config.DISABLE_JIT or getattr(function, "signatures", None):
        return False
    path = getattr(getattr(function, "stats", None), "cache_path", None)
    return path is None or not any(Path(path).glob(f"*.{function.__qualname__}-*.nbi"))


def is_plain() -> bool:
    """True if NUMBA_DISABLE_JIT leaves every kernel plain Python."""
    return bool(_config.DISABLE_JIT)


@cache
def cache_directory(package: str) -> Path | None:
    """Where compiled entries of a top-level package are kept, or None if no directory can be written.

    The name is a hash of every source file that the compiled code may depend on, because numba's own cache notices
    changes in the entry's file only and would return results of old callees and constants.
    """
    digest = hashlib.sha256(repr((sys.version, numba.__version__, llvmlite.__version__, np.__version__)).encode())
    digest.update(repr((BOUNDSCHECK, [(name, os.environ.get(name)) for name in _SETTINGS])).encode())
    for folder in _SOURCES.get(package, (package, "isa", "traces", "sim")):
        for path in sorted((_ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    directory = cache_folder() / f"{package}-{digest.hexdigest()[:32]}"
    try:
        if not directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
            _remove_old(directory.parent, package)
        os.utime(directory)
        with tempfile.TemporaryFile(dir=directory):
            return directory
    except OSError:
        return None


def _cached(function: Function, **options: Any) -> Function:
    directory = cache_directory(function.__module__.partition(".")[0])
    previous = _config.CACHE_DIR
    # numba picks the location while it decorates; other users of numba in the process keep their own.
    _config.CACHE_DIR = "" if directory is None else str(directory)
    try:
        return numba.njit(cache=directory is not None, **options)(function)
    finally:
        _config.CACHE_DIR = previous


def _remove_old(parent: Path, package: str) -> None:
    caches = sorted(parent.glob(f"{package}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in caches[KEPT_CACHES:]:
        shutil.rmtree(path, ignore_errors=True)
