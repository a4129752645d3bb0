"""Simulate the kernels of an application: each launch once, equal ones never twice.

With a warm L2 a launch depends on what ran before it, so launches go one after the other in the order of the host
program; a launch is reused only if trace, copies and the whole state of the L2 are those of an earlier one. With a cold
L2 (only host copies in it, as `subcore simulate`) launches are independent: distinct ones run in processes.
"""

from __future__ import annotations

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from isa.errors import SubcoreError
from sim.host.device import KernelCost, kernel_cost
from sim.host.l2 import L2State
from subcore.application.spec import Application, Source, Step

if TYPE_CHECKING:
    from configs.schema import Config
    from sim.result import RunResult
    from traces.stream import BlockStreams, Trace

Copies = tuple[tuple[int, int], ...]
Progress = Callable[[int, int], None]
STATES = 16  # L2 states kept for launches to come: up to 20 MB each


@dataclass(frozen=True)
class KernelRun:
    """One launch. `reused`: number of the earlier launch whose result it has, -1 = simulated for itself."""

    name: str
    result: RunResult
    cost: KernelCost
    trace_hash: str
    reused: int = -1

    @property
    def alone_ns(self) -> int:
        """Time of the kernel if nothing else runs."""
        return self.cost.alone_ns(self.result.config.gpu.sms)


@dataclass(frozen=True)
class Options:
    """How to simulate: a GPU by name or file, with what changes it."""

    gpu: str
    overlays: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    any_architecture: bool = False
    max_cycles: int | None = None
    threads: int = 1


class _Launched:
    """A trace with another launch: the copies before it are those of the application, the stream does not matter."""

    def __init__(self, trace: Trace, copies: Copies) -> None:
        self.trace, self.program = trace, trace.program
        self.launch = replace(trace.launch, copies=copies, stream=0)

    def blocks(self) -> Iterator[BlockStreams]:
        return self.trace.blocks()


@dataclass
class Opened:
    """Traces of an application, opened once, with their hashes."""

    config: Config
    options: Options
    remarks: list[str] = field(default_factory=list)
    _traces: dict[Source, Trace] = field(default_factory=dict)
    _files: dict[str, list[Trace]] = field(default_factory=dict)
    _hashes: dict[Source, str] = field(default_factory=dict)

    def trace(self, source: Source) -> Trace:
        from subcore.api import check_architecture, find_traces, load_traces

        if source not in self._traces:
            if source.is_trace:
                if source.source not in self._files:
                    self._files[source.source] = load_traces(source.source)
                found = self._files[source.source]
            else:
                found, remarks = find_traces(source.source, self.config.gpu.architecture, dict(source.parameters))
                self.remarks += [text for text in remarks if text not in self.remarks]
            if source.index >= len(found):
                raise SubcoreError(
                    f"{source.source}: holds {len(found)} kernels, {source.name} is number {source.index + 1}"
                )
            trace = found[source.index]
            if not self.options.any_architecture:
                check_architecture(trace, self.config)
            self._traces[source] = trace
        return self._traces[source]

    def hash(self, source: Source) -> str:
        from traces.store import trace_hash

        if source not in self._hashes:
            self._hashes[source] = trace_hash(_Launched(self.trace(source), ()))
        return self._hashes[source]


def simulate_launches(
    application: Application,
    config: Config,
    options: Options,
    *,
    warm: bool = True,
    jobs: int = 1,
    progress: Progress = lambda done, of: None,
    on_compile: Callable[[], None] | None = None,
) -> tuple[list[KernelRun], Opened]:
    """Results of all launches in the order of the host program, and the traces that they ran."""
    opened = Opened(config, options)
    launches = _launches(application)
    if warm:
        return _one_after_the_other(launches, opened, progress, on_compile), opened
    return _each_alone(launches, opened, jobs, progress, on_compile), opened


def _launches(application: Application) -> list[tuple[Source, Copies]]:
    """Every launch with the copies to the device since the launch before it."""
    found: list[tuple[Source, Copies]] = []
    since: list[tuple[int, int]] = []

    def step(each: Step) -> None:
        if each.kind == "copy" and each.value == "h2d" and each.address is not None:
            since.append((each.address, each.bytes))
        elif each.kind == "launch":
            found.append((application.sources[each.value], tuple(since)))
            since.clear()

    for call in application.calls():
        for each in application.nodes(call.value) if call.kind == "graph" else (call,):
            step(each)
    return found


def _one_after_the_other(
    launches: Sequence[tuple[Source, Copies]],
    opened: Opened,
    progress: Progress,
    on_compile: Callable[[], None] | None,
) -> list[KernelRun]:
    runs: list[KernelRun] = []
    known: dict[str, int] = {}  # key -> launch
    after: OrderedDict[str, L2State] = OrderedDict()
    spaces: dict[str, int] = {}
    state = L2State()
    for number, (source, copies) in enumerate(launches):
        progress(number, len(launches))
        state.space = spaces.setdefault(source.memory, len(spaces))
        key = _key(opened.hash(source), copies, state.digest())
        if key in known and key in after:
            runs.append(replace(runs[known[key]], name=source.name, reused=known[key]))
            after.move_to_end(key)
            state = copy.copy(after[key])
            continue
        state = copy.copy(state)  # those of earlier launches stay as they are
        result = _simulate(opened, source, copies, state, on_compile)
        runs.append(_run(opened, source, result))
        known.setdefault(key, number)
        after[key] = copy.copy(state)
        if len(after) > STATES:
            after.popitem(last=False)
    progress(len(launches), len(launches))
    return runs


def _each_alone(
    launches: Sequence[tuple[Source, Copies]],
    opened: Opened,
    jobs: int,
    progress: Progress,
    on_compile: Callable[[], None] | None,
) -> list[KernelRun]:
    from isa.jit import is_cold
    from sim.dispatch import run_gpu
    from subcore.sweep.engine import run_here

    first: dict[str, int] = {}
    tasks: list[Task] = []
    keys = []
    before: Copies = ()
    for number, (source, copies) in enumerate(launches):
        before += copies
        keys.append(_key(opened.hash(source), before, ""))
        if keys[-1] not in first:
            first[keys[-1]] = number
            tasks.append(Task(number, source, before, opened.options))
    results: dict[int, RunResult] = {}
    done = len(launches) - len(tasks)
    progress(done, len(launches))
    # the first one here: what has to be compiled is compiled once, and a single process is spared the start of others
    alone = len(tasks) if jobs == 1 else 1 if tasks and is_cold(run_gpu) else 0
    for task in tasks[:alone]:
        results[task.number] = _simulate(opened, task.source, task.copies, None, on_compile)
        progress(done := done + 1, len(launches))
    for task, result in run_here(tasks[alone:], jobs, simulate_task, _died):
        if isinstance(result, str):
            raise SubcoreError(result)
        results[task.number] = result
        progress(done := done + 1, len(launches))
    runs = []
    for number, (source, _) in enumerate(launches):
        origin = first[keys[number]]
        run = _run(opened, source, results[origin])
        runs.append(run if origin == number else replace(run, reused=origin))
    return runs


@dataclass(frozen=True)
class Task:
    """One launch to simulate in a worker process."""

    number: int
    source: Source
    copies: Copies
    options: Options


def simulate_task(task: Task) -> RunResult | str:
    """Result of a launch with a cold L2; what is wrong with its input as text."""
    from configs.load import load_config

    options = task.options
    try:
        config = load_config(options.gpu, options.overlays, options.settings)
        return _simulate(Opened(config, options), task.source, task.copies, None, None)
    except SubcoreError as error:
        return str(error)


def _died(task: Task) -> str:
    return f"{task.source.name}: its worker process died; out of memory?"


def _simulate(
    opened: Opened,
    source: Source,
    copies: Copies,
    state: L2State | None,
    on_compile: Callable[[], None] | None,
) -> RunResult:
    from sim.gpu import simulate_trace

    trace, options = _Launched(opened.trace(source), copies), opened.options
    return simulate_trace(
        trace, opened.config, max_cycles=options.max_cycles, on_compile=on_compile, threads=options.threads, l2=state
    )


def _run(opened: Opened, source: Source, result: RunResult) -> KernelRun:
    return KernelRun(source.name, result, kernel_cost(result), opened.hash(source))


def _key(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
