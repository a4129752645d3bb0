"""What an application does: its kernels, and the calls of its host program in order.

From an Accel-Sim `kernelslist` (each kernel a trace, copies between them), or from a TOML file:

    title = "one step"
    [kernel.gemm]
    kernel = "matmul_tiled"            # or trace = "FILE" (with several kernels: index = 1, 2 ...)
    parameters = { n = 256 }
    memory = "model"                   # kernels of one memory see each other's data in the L2; default: its own name
    [[step]]
    copy = "h2d"                       # or "d2h"
    bytes = 262144
    stream = 0                         # of this and every other step; default 0
    blocking = true                    # the host waits for it; default false
    [[step]]
    launch = "gemm"
    stream = 1
    count = 3
    [[step]]
    record = "done"                    # an event; wait = "done" holds a stream until it has happened
    stream = 1
    [[step]]
    work_us = 20                       # the host computes
    [[sequence.iteration]]             # a list of steps
    launch = "gemm"
    [[step]]
    run = "iteration"                  # as if its steps stood here; graph = "iteration" launches them as a CUDA graph
    count = 10
    [[step]]
    synchronize = "device"             # or "stream 1", or the name of an event
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isa.errors import SubcoreError
from isa.files import read_toml
from subcore.sweep.spec import Where, near

MAX_STEPS = 1_000_000
_TOP = ("title", "kernel", "step", "sequence")
_KERNEL = ("kernel", "trace", "index", "parameters", "memory")
_KINDS: Mapping[str, tuple[str, ...]] = {
    "launch": ("stream", "count"),
    "copy": ("bytes", "address", "stream", "blocking", "count"),
    "record": ("stream",),
    "wait": ("stream",),
    "synchronize": (),
    "work_us": (),
    "run": ("count",),
    "graph": ("stream", "count"),
}


@dataclass(frozen=True)
class Source:
    """A kernel: a name of the library with its sizes, or the `index`th kernel of a trace file, list or folder."""

    name: str
    source: str
    is_trace: bool
    index: int = 0
    parameters: tuple[tuple[str, int], ...] = ()
    memory: str = ""


@dataclass(frozen=True)
class Step:
    """One call of the host program. `value`: kernel, direction, event, sequence, or what is waited for."""

    kind: str
    value: str
    stream: int = 0
    bytes: int = 0
    address: int | None = None
    blocking: bool = False
    work_ns: int = 0
    count: int = 1


@dataclass(frozen=True)
class Application:
    """A whole application. `sequences`: name -> steps of `run` and `graph`."""

    title: str
    sources: Mapping[str, Source]
    steps: tuple[Step, ...]
    sequences: Mapping[str, tuple[Step, ...]]

    def calls(self) -> list[Step]:
        """The host program with every `run` and `count` unrolled; a graph stays one call, `count` times."""
        found: list[Step] = []
        for step in self.steps:
            for _ in range(step.count):
                found += self._unrolled(step, ())
                if len(found) > MAX_STEPS:
                    raise SubcoreError(f"{self.title}: more than {MAX_STEPS:,} calls")
        return found

    def nodes(self, sequence: str) -> list[Step]:
        """Steps of a graph, unrolled."""
        return [one for step in self.sequences[sequence] for _ in range(step.count) for one in self._unrolled(step, ())]

    def _unrolled(self, step: Step, inside: tuple[str, ...]) -> list[Step]:
        if step.kind != "run":
            return [step]
        if step.value in inside:
            raise SubcoreError(f"{self.title}: sequence {step.value!r} runs itself")
        inside = (*inside, step.value)
        return [
            one
            for each in self.sequences[step.value]
            for _ in range(each.count)
            for one in self._unrolled(each, inside)
        ]

    def launches(self) -> list[str]:
        """Names of the kernels in the order in which the host launches them, graph nodes included."""
        found = []
        for call in self.calls():
            if call.kind == "launch":
                found.append(call.value)
            elif call.kind == "graph":
                found += [node.value for node in self.nodes(call.value) if node.kind == "launch"]
        return found


def read_application(path: str | Path) -> Application:
    """Application of a TOML file, an Accel-Sim kernelslist, or a folder of traces. SubcoreError with every problem."""
    path = Path(path)
    if path.suffix != ".toml":
        return _from_traces(path)
    document, text = read_toml(path)
    where = Where(str(path), text)
    return _Reader(where).application(document, path)


def _from_traces(path: Path) -> Application:
    """Kernels in launch order in the streams that the tracer saw, its copies, then a wait for the device.

    The tracer lists copies that the program waited for (cuMemcpyHtoD).
    """
    from traces.load import open_any, open_kernelslist

    lists = [path / name for name in ("kernelslist.g", "kernelslist")] if path.is_dir() else [path]
    listed = next((each for each in lists if each.is_file() and _is_list(each)), None)
    copies: Sequence[Any] = ()
    traces: list[Any]
    if listed is not None:
        opened = open_kernelslist(listed)
        traces, copies = list(opened.traces), opened.copies
    else:
        found = open_any(path)
        traces = found if isinstance(found, list) else [found]
    sources, steps = {}, []
    width = len(str(len(traces)))
    pending = sorted(copies, key=lambda copy: copy.before_kernel)
    for index, trace in enumerate(traces):
        while pending and pending[0].before_kernel <= index:
            steps.append(_listed_copy(pending.pop(0)))
        name = f"kernel-{index + 1:0{width}}"
        file = getattr(trace, "path", path)
        single = file != path
        sources[name] = Source(name, str(file), True, 0 if single else index, memory="application")
        steps.append(Step("launch", name, stream=trace.launch.stream))
    steps += [_listed_copy(copy) for copy in pending]
    steps.append(Step("synchronize", "device"))
    return Application(path.name if path.name[:11] != "kernelslist" else path.parent.name, sources, tuple(steps), {})


def _is_list(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(16).startswith((b"kernel", b"Memcpy"))


def _listed_copy(copy: Any) -> Step:
    direction = "d2h" if copy.kind.endswith("DtoH") else "h2d"
    return Step("copy", direction, bytes=copy.size_bytes, address=copy.address, blocking=True)


class _Reader:
    """Reads the tables of one file and collects what is wrong with them."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self.problems: list[str] = []

    def application(self, document: Mapping[str, Any], path: Path) -> Application:
        self._known(document, _TOP, "key")
        sources = {
            name: source
            for name, entry in self._table(document, "kernel").items()
            if (source := self._source(name, entry, path)) is not None
        }
        sequences = {
            name: tuple(filter(None, (self._step(step, f"[[sequence.{name}]]", n) for n, step in enumerate(steps))))
            for name, steps in self._table(document, "sequence").items()
            if self._is_list_of_tables(steps, f"sequence.{name}")
        }
        listed = document.get("step", [])
        steps = tuple(filter(None, (self._step(step, "[[step]]", n) for n, step in enumerate(listed))))
        if not listed:
            self.problems.append(f"{self.where.name}: no step: the application does nothing")
        for step in (*steps, *(one for each in sequences.values() for one in each)):
            known = sources if step.kind == "launch" else sequences if step.kind in ("run", "graph") else None
            if known is not None and step.value not in known:
                what = "kernel" if step.kind == "launch" else "sequence"
                self.problems.append(
                    f"{self.where.line(step.value)}: unknown {what} {step.value!r}{near(step.value, list(known))}"
                )
        application = Application(str(document.get("title", path.stem)), sources, steps, sequences)
        if not self.problems:
            self._check_graphs(application)
        if self.problems:
            raise SubcoreError("\n".join(self.problems))
        return application

    def _check_graphs(self, application: Application) -> None:
        for name in {step.value for step in application.calls() if step.kind == "graph"}:
            for node in application.nodes(name):
                if node.kind in ("synchronize", "work_us", "graph") or node.blocking:
                    self.problems.append(
                        f"{self.where.line(f'sequence.{name}')}: {node.kind} cannot be part of a CUDA graph"
                    )

    def _table(self, document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        table = document.get(key, {})
        if isinstance(table, dict):
            return table
        self.problems.append(f"{self.where.line(key)}: write [{key}.NAME]")
        return {}

    def _is_list_of_tables(self, value: Any, key: str) -> bool:
        if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
            return True
        self.problems.append(f"{self.where.line(key)}: write [[{key}]]")
        return False

    def _known(self, entry: Mapping[str, Any], known: Sequence[str], what: str) -> None:
        self.problems += [
            f"{self.where.line(key)}: unknown {what} {key!r}{near(key, known)}" for key in entry if key not in known
        ]

    def _source(self, name: str, entry: Any, path: Path) -> Source | None:
        place = self.where.line(f"kernel.{name}")
        if not isinstance(entry, dict):
            self.problems.append(f"{place}: write [kernel.{name}]")
            return None
        self._known(entry, _KERNEL, f"key of kernel.{name}:")
        if ("kernel" in entry) == ("trace" in entry):
            self.problems.append(f"{place}: kernel.{name} has either kernel or trace")
            return None
        parameters = entry.get("parameters", {})
        if not isinstance(parameters, dict) or any(type(value) is not int for value in parameters.values()):
            self.problems.append(f"{place}: kernel.{name}: parameters are integers, {{ n = 256 }}")
            return None
        memory, index = str(entry.get("memory", name)), entry.get("index", 1)
        if type(index) is not int or index < 1:
            self.problems.append(f"{place}: kernel.{name}: index counts from 1")
            return None
        if "trace" in entry:
            file = path.parent / str(entry["trace"])
            if not file.exists():
                self.problems.append(f"{place}: kernel.{name}: no such trace {file}")
            if parameters:
                self.problems.append(f"{place}: kernel.{name}: the sizes of a recorded trace cannot be changed")
            return Source(name, str(file), True, index - 1, memory=memory)
        from traces.kernels.catalogue import list_kernels

        kernel = str(entry["kernel"])
        if kernel.endswith(".toml"):
            kernel = str(path.parent / kernel)
        elif kernel not in list_kernels():
            self.problems.append(f"{self.where.line(kernel)}: unknown kernel {kernel!r}{near(kernel, list_kernels())}")
        return Source(name, kernel, False, parameters=tuple(sorted(parameters.items())), memory=memory)

    def _step(self, entry: Any, table: str, number: int) -> Step | None:
        place = self._place(table, number)
        if not isinstance(entry, dict):
            self.problems.append(f"{place}: write {table}")
            return None
        kinds = [kind for kind in _KINDS if kind in entry]
        if len(kinds) != 1:
            unknown = [key for key in entry if key not in ("stream", "count", "bytes", "blocking", "address")]
            hint = near(unknown[0], list(_KINDS)) if not kinds and unknown else ""
            self.problems.append(f"{place}: a step has one of {', '.join(_KINDS)}{hint}")
            return None
        kind = kinds[0]
        allowed = (kind, *_KINDS[kind])
        wrong = [key for key in entry if key not in allowed]
        self.problems += [f"{place}: {kind} takes no {key!r}{near(key, allowed)}" for key in wrong]
        numbers = {key: entry.get(key, default) for key, default in (("stream", 0), ("count", 1), ("bytes", 0))}
        for key, value in numbers.items():
            if type(value) is not int or value < (key == "count"):
                self.problems.append(
                    f"{place}: {key} = {value!r}: must be an integer of at least {int(key == 'count')}"
                )
                return None
        value = entry[kind]
        address = entry.get("address")
        if kind == "work_us":
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                self.problems.append(f"{place}: work_us = {value!r}: must be microseconds")
                return None
            return Step(kind, "", work_ns=round(value * 1000))
        if not isinstance(value, str) or (address is not None and type(address) is not int):
            self.problems.append(f"{place}: {kind} = {value!r}: must be a string, and an address an integer")
            return None
        if kind == "copy" and (value not in ("h2d", "d2h") or "bytes" not in entry):
            self.problems.append(f'{place}: write copy = "h2d" or "d2h", and bytes = N')
            return None
        return Step(kind, value, address=address, blocking=bool(entry.get("blocking", False)), **numbers)

    def _place(self, table: str, number: int) -> str:
        lines = [
            n for n, line in enumerate(self.where.text.splitlines(), 1) if re.match(rf"\s*{re.escape(table)}", line)
        ]
        return f"{self.where.name}:{lines[number]}" if number < len(lines) else self.where.name
