"""The native side: compile with nvcc, and drive programs that may hang or lose the card."""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from isa.errors import SubcoreError

HERE = Path(__file__).parent
ACCELERATED = {90, 100, 103, 110, 120, 121}  # as isa.compile: targets with an "a", for wgmma and its like
# clock programs: files they cannot do without, files that may be missing; `hopper`: thread-block clusters, wgmma
PROGRAMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "clocks": (("main",), ("arithmetic", "matrix", "memory", "bandwidth", "launch", "fetch")),
    "wgmma": (("main", "wgmma"), ()),
    "cluster": (("main", "cluster"), ()),
}
HOPPER = ("wgmma", "cluster")
COMPILE_SECONDS = 900.0  # a loaded machine of two cores


def find_tool(name: str) -> str | None:
    """A program of the CUDA toolkit: on the path, in $CUDA_HOME, or in /usr/local/cuda."""
    roots = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    places = [Path(root) / "bin" / name for root in roots if root]
    return shutil.which(name) or next((str(p) for p in places if os.access(p, os.X_OK)), None)


def find_cupti(nvcc: str) -> str | None:
    """The library of the activity interface: beside the compiler, in a Python package, or where the loader looks."""
    import importlib.util

    roots = [Path(os.path.realpath(nvcc)).parent.parent, Path("/usr/local/cuda")]
    spec = importlib.util.find_spec("nvidia")
    roots += [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    for root in roots:
        for pattern in (
            "lib64/libcupti.so*",
            "extras/CUPTI/lib64/libcupti.so*",
            "lib/libcupti.so*",
            "*/lib/libcupti.so*",
        ):
            if found := sorted(root.glob(pattern)):
                return str(found[0])
    return "libcupti.so"


def command(arguments: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """Exit status (None: killed after so many seconds, or not startable) and output of a program."""
    try:
        process = subprocess.Popen(
            list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return None, str(error)
    try:
        text, _ = process.communicate(timeout=max(1.0, seconds))
        return process.returncode, text.decode(errors="replace")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # a compiler driver's children too
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        return None, f"stopped after {seconds:.0f} s"


def query_card(fields: str) -> list[str]:
    """Fields of `nvidia-smi --query-gpu` of the first card; empty if it does not answer."""
    code, text = command(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits", "-i", "0"], 20)
    return [part.strip() for part in text.strip().splitlines()[0].split(",")] if code == 0 and text.strip() else []


class Builder:
    """Compiles into a folder; what is there already with the same sources, target and compiler is taken."""

    def __init__(self, nvcc: str, architecture: int, folder: Path) -> None:
        self.nvcc, self.architecture, self.folder = nvcc, architecture, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.version = command([nvcc, "--version"], 30)[1].strip().splitlines()[-1:]

    def _run(self, sources: Sequence[Path], options: Sequence[str], name: str, headers: Sequence[Path]) -> Path:
        """The output file. SubcoreError with the compiler's last words."""
        digest = hashlib.sha256(repr((list(options), self.version)).encode())
        for path in (*sources, *headers):
            digest.update(path.read_bytes())
        target = self.folder / f"{name}.{digest.hexdigest()[:12]}"
        if target.is_file():
            return target
        partial = target.with_name(f"{target.name}.{os.getpid()}.{threading.get_ident()}.partial")
        code, text = command([self.nvcc, *options, "-o", str(partial), *map(str, sources)], COMPILE_SECONDS)
        if code != 0:
            partial.unlink(missing_ok=True)
            raise SubcoreError(f"{name}: nvcc failed: {text.strip()[-1500:]}")
        os.replace(partial, target)
        return target

    def cubin(self, source: Path) -> Path:
        """Machine code of a kernel source, with the options of `isa.compile`."""
        suffix = "a" if self.architecture in ACCELERATED else ""
        options = ["-cubin", f"-arch=sm_{self.architecture}{suffix}", "-std=c++17", "-lineinfo"]
        headers = sorted({*source.parent.glob("*.cuh"), *source.parent.parent.glob("*.cuh")})
        return self._run([source], options, f"{source.stem}.sm_{self.architecture}.cubin", headers)

    def runner(self) -> Path:
        options = ["-std=c++17", "-O2", f"-arch=sm_{self.architecture}"]
        headers = Path(os.path.realpath(self.nvcc)).parent.parent / "extras" / "CUPTI" / "include"
        if headers.is_dir():  # some installations keep the headers of CUPTI apart
            options += ["-I", str(headers)]
        return self._link([HERE / "runner.cu"], options, "runner", [])

    def clock_object(self, name: str) -> Path:
        suffix = "a" if name == "wgmma" and self.architecture in ACCELERATED else ""
        target = f"{self.architecture}{suffix}"
        options = ["-c", "-std=c++17", "-O3", "-gencode", f"arch=compute_{target},code=sm_{target}"]
        folder = HERE / "clocks"
        return self._run([folder / f"{name}.cu"], options, f"{name}.sm_{target}.o", sorted(folder.glob("*.cuh")))

    def clock_program(self, name: str, objects: dict[str, Path]) -> Path:
        """Link a clock program from the objects that could be compiled. SubcoreError if one it needs is missing."""
        needed, optional = PROGRAMS[name]
        if missing := [part for part in needed if part not in objects]:
            raise SubcoreError(f"{name}: {', '.join(missing)} did not compile")
        parts = [objects[part] for part in (*needed, *optional) if part in objects]
        return self._link(parts, [f"-arch=sm_{self.architecture}"], name, [])

    def _link(self, sources: Sequence[Path], options: Sequence[str], name: str, headers: Sequence[Path]) -> Path:
        # nvcc tells objects by their suffix: ours end in a digest
        folder = self.folder / "objects"
        folder.mkdir(exist_ok=True)
        given = []
        for source in sources:
            if source.suffix == ".cu":
                given.append(source)
                continue
            plain = folder / f"{source.name.replace('.', '_')}.o"
            if not plain.exists():
                shutil.copyfile(source, plain)
            given.append(plain)
        return self._run(given, [*options, "-ldl"], name, headers)


class Program:
    """A child process that is talked to by lines and killed when it is silent for too long."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            list(arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.decode(errors="replace").rstrip("\n"))
        self._lines.put(None)

    def write(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended: the next line read says so
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def line(self, until: float) -> str | None:
        """The next line; None if the program has ended. TimeoutError at the time `until` (time.monotonic)."""
        try:
            return self._lines.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None

    def end(self) -> int | None:
        """Stop it; its exit status, None if it had to be killed."""
        process = self._process
        try:
            if process.stdin is not None:
                process.stdin.close()
            return process.wait(timeout=2)
        except (subprocess.TimeoutExpired, OSError):
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # it hangs in the driver and is left behind
                process.wait(timeout=10)
            return None
