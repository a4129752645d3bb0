"""The host program and what becomes of it: streams, launches, graphs, copies and events around simulated kernels.

Calls are recorded in the order of the host program; `run` plays them in simpy and returns one row per command.
Semantics are CUDA's for streams created non-blocking: commands of a stream run in order, streams are independent
except through events, a wait refers to the last record of its event that precedes it in the host program.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isa.errors import SubcoreError
from sim.host.device import MAX_GRIDS, Device, KernelCost, SmCapacity, sm_capacity
from sim.host.model import Direction, HostModel, load_host

if TYPE_CHECKING:
    import pandas as pd

WORK = ("kernel", "copy")  # commands that take time on the device
_SETTLE = 2  # simpy priority after URGENT (0) and NORMAL (1)
_GIVEN = ("kind", "name", "stream", "engine", "bytes", "blocking", "graph")
COLUMNS = (*_GIVEN, "call_ns", "issued_ns", "ready_ns", "start_ns", "end_ns")


@dataclass(frozen=True, kw_only=True)
class Command:
    """One recorded command. `after` holds the indices of the commands that must have ended, each with a gap in ns."""

    kind: str  # kernel, copy, record, wait, graph, synchronize, work
    name: str
    stream: int  # -1 = the host itself
    engine: str = ""
    cost: KernelCost | None = None
    duration_ns: int = 0  # copies and host work
    call_ns: int = 0  # host time of the call
    latency_ns: int = 0  # from its begin until the device may start
    bytes: int = 0
    after: tuple[tuple[int, int], ...] = ()
    graph: int = -1  # index of the graph launch that it belongs to
    blocking: bool = False  # the host waits for its end


class _Recorder:
    """What can be recorded both in a stream program and in a graph."""

    def kernel(self, cost: Any, *, name: str = "kernel", stream: int = 0) -> None:
        """Launch a kernel.

        `cost` is a `KernelCost` (see `sim.host.device.kernel_cost`), or nanoseconds, or a result of `simulate`; the
        last two hold the whole device while they run.
        """
        if hasattr(cost, "cycles"):
            cost = round(cost.cycles * 1e3 / cost.config.gpu.core_clock_mhz)
        if not isinstance(cost, KernelCost):
            if cost < 1:
                raise SubcoreError(f"kernel {name!r}: duration of {cost} ns must be at least 1 ns")
            cost = KernelCost(block_ns=int(cost), blocks=0)
        self._record("kernel", name, stream, cost=cost)

    def copy(
        self, size_bytes: int, direction: Direction, *, name: str = "", stream: int = 0, blocking: bool = False
    ) -> None:
        """Copy between pinned host memory and the device. `blocking`: the call returns when it has ended."""
        if direction not in ("h2d", "d2h"):
            raise SubcoreError(f"copy direction {direction!r}: expected 'h2d' or 'd2h'")
        if size_bytes < 0:
            raise SubcoreError(f"copy of {size_bytes} bytes: the size cannot be negative")
        self._record("copy", name or direction, stream, size=size_bytes, direction=direction, blocking=blocking)

    def record(self, event: str, *, stream: int = 0) -> None:
        """Record an event: it happens when everything before it in the stream has ended."""
        self._record("record", event, stream)

    def wait(self, event: str, *, stream: int = 0) -> None:
        """Hold the stream until the event has happened; no effect if it was never recorded (CUDA's rule)."""
        self._record("wait", event, stream)

    def _record(self, kind: str, name: str, stream: int, **values: Any) -> None:
        raise NotImplementedError


class Graph(_Recorder):
    """Kernels, copies and dependencies that are launched with one call. Streams are its branches, as in capture."""

    def __init__(self) -> None:
        self.nodes: list[tuple[str, str, int, dict[str, Any]]] = []

    def _record(self, kind: str, name: str, stream: int, **values: Any) -> None:
        if values.get("blocking"):
            raise SubcoreError(f"copy {name!r}: the host cannot wait inside a graph")
        self.nodes.append((kind, name, stream, values))


class HostTimeline(_Recorder):
    """Records host calls, then plays them. Streams are small integers, created by their first use.

    `gpu`: a configuration or an `SmCapacity`, where kernels of different streams share the SMs.
    """

    def __init__(self, model: HostModel | None = None, gpu: Any = None, *, max_grids: int = MAX_GRIDS) -> None:
        self.model = model or load_host()
        self.capacity = gpu if isinstance(gpu, SmCapacity) else sm_capacity(gpu) if gpu is not None else SmCapacity()
        self.max_grids = max_grids
        self.commands: list[Command] = []
        self._recorded: dict[str, int] = {}
        self._last: dict[int, int] = {}

    def launch(self, graph: Graph, *, name: str = "graph", stream: int = 0) -> None:
        """Launch a graph: its nodes follow what is in the stream, and what comes after follows them all."""
        model = self.model
        nodes = sum(kind in WORK for kind, _, _, _ in graph.nodes)
        root = len(self.commands)
        before = ((self._last[stream], model.stream_gap_ns),) if stream in self._last else ()
        call = model.graph_call_ns + nodes * model.graph_node_call_ns
        self._add(kind="graph", name=name, stream=stream, call_ns=call, latency_ns=model.graph_latency_ns, after=before)
        last: dict[int, int] = {}
        recorded: dict[str, int] = {}
        for kind, node_name, branch, values in graph.nodes:
            gap = model.graph_gap_ns if kind in WORK else 0
            after = [(last[branch], gap) if branch in last else (root, 0)]
            if kind == "wait" and node_name in recorded:
                after.append((recorded[node_name], gap))
            if kind == "record":
                recorded[node_name] = len(self.commands)
            last[branch] = len(self.commands)
            self._add(kind=kind, name=node_name, stream=stream, graph=root, after=tuple(after),
                      **self._work(kind, node_name, values))  # fmt: skip
        ends = tuple((at, 0) for at in sorted(last.values())) or ((root, 0),)
        self._last[stream] = len(self.commands)
        self._add(kind="graph_end", name=name, stream=stream, graph=root, after=ends)

    def synchronize(self, *, stream: int | None = None, event: str | None = None) -> None:
        """Hold the host until an event has happened, a stream is empty, or (no argument) the device is idle."""
        if event is not None:
            after = [self._recorded[name] for name in (event,) if name in self._recorded]
        else:
            after = [at for number, at in sorted(self._last.items()) if stream is None or number == stream]
        name = event or ("device" if stream is None else f"stream {stream}")
        self._add(kind="synchronize", name=name, stream=-1, after=tuple((at, 0) for at in after))

    def work(self, duration_ns: int, *, name: str = "host") -> None:
        """The host program computes: nothing is called for so long (times the model's `host_work_scale`)."""
        if duration_ns < 0:
            raise SubcoreError(f"host work {name!r}: {duration_ns} ns must not be negative")
        self._add(kind="work", name=name, stream=-1, duration_ns=round(duration_ns * self.model.host_work_scale))

    def run(self) -> pd.DataFrame:
        """Play the commands and return one row per command, in call order. May be called again.

        Columns: kind, name, stream, engine, bytes, blocking (the host waited), graph (command that launched it, -1 =
        none); call_ns (the call began), issued_ns (it returned), ready_ns (nothing but a busy engine holds it),
        start_ns, end_ns. A busy engine serves commands by (ready_ns, call order).
        """
        import pandas as pd
        import simpy

        environment: Any = simpy.Environment()
        engines = {
            name: simpy.Resource(environment, 1)
            for name in sorted({command.engine for command in self.commands} - {"", "compute"})
        }
        gpu = Device(environment, self.capacity, self.max_grids)
        ended = [environment.event() for _ in self.commands]
        rows: list[dict[str, Any]] = [{name: getattr(command, name) for name in _GIVEN} for command in self.commands]

        members: dict[int, list[int]] = {}
        for at, command in enumerate(self.commands):
            if command.graph >= 0:
                members.setdefault(command.graph, []).append(at)

        def settle(order: int) -> Any:
            """An event at the end of this instant, in call order: engines serve first come, first."""
            event = simpy.Event(environment)
            event._ok, event._value = True, None
            environment.schedule(event, priority=_SETTLE + order)
            return event

        def device(at: int, command: Command) -> Generator[Any, Any, None]:
            row = rows[at]
            yield environment.timeout(command.latency_ns)
            gaps = 0
            for other, gap in command.after:
                yield ended[other]
                gaps = max(gaps, rows[other]["end_ns"] + gap)
            if gaps > environment.now:
                yield environment.timeout(gaps - environment.now)
            row["ready_ns"] = row["start_ns"] = environment.now
            if command.engine:
                yield settle(at)
            if command.cost is not None:
                row["start_ns"] = yield from gpu.run(command.cost)
            elif command.engine:
                with engines[command.engine].request() as request:
                    yield request
                    row["start_ns"] = environment.now
                    yield environment.timeout(command.duration_ns)
            row["end_ns"] = environment.now
            ended[at].succeed()

        def host() -> Generator[Any, Any, None]:
            for at, command in enumerate(self.commands):
                row = rows[at]
                if command.graph >= 0:
                    continue  # came with its graph
                row["call_ns"] = environment.now
                if command.kind in ("synchronize", "work"):
                    row |= dict.fromkeys(("issued_ns", "ready_ns", "start_ns"), environment.now)
                    for other, _ in command.after:
                        yield ended[other]
                    waits = command.kind == "synchronize"
                    yield environment.timeout(self.model.synchronize_ns if waits else command.duration_ns)
                    row["end_ns"] = environment.now
                    ended[at].succeed()
                    continue
                environment.process(device(at, command))
                for node in members.get(at, ()):
                    environment.process(device(node, self.commands[node]))
                if command.call_ns:
                    yield environment.timeout(command.call_ns)
                if command.blocking:
                    yield ended[at]
                    yield environment.timeout(self.model.synchronize_ns)
                for each in (at, *members.get(at, ())):
                    rows[each] |= {"call_ns": row["call_ns"], "issued_ns": environment.now}

        environment.process(host())
        environment.run()
        return pd.DataFrame(rows, columns=list(COLUMNS)).rename_axis("command")

    def _record(self, kind: str, name: str, stream: int, **values: Any) -> None:
        if stream < 0:
            raise SubcoreError(f"{kind} {name!r}: stream {stream} must not be negative")
        model = self.model
        gap = model.stream_gap_ns if kind in WORK else 0
        after = [(self._last[stream], gap)] if stream in self._last else []
        if kind == "wait" and name in self._recorded:
            after.append((self._recorded[name], 0))
        if kind == "record":
            self._recorded[name] = len(self.commands)
        costs = {"kernel": (model.call_ns, model.launch_latency_ns), "copy": (model.call_ns, model.copy_latency_ns)}
        call, latency = costs.get(kind, (model.event_call_ns, 0))
        self._last[stream] = len(self.commands)
        self._add(kind=kind, name=name, stream=stream, call_ns=call, latency_ns=latency, after=tuple(after),
                  blocking=values.get("blocking", False), **self._work(kind, name, values))  # fmt: skip

    def _work(self, kind: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
        """What the device does for a command: engine and how long."""
        if kind == "kernel":
            cost: KernelCost = values["cost"]
            if cost.blocks == 0:  # it fills every SM
                whole = self.capacity
                cost = KernelCost(block_ns=cost.block_ns, blocks=whole.sms, need=whole.each)
            too_much = [n for n, limit in zip(cost.need, self.capacity.each, strict=True) if n > limit]
            if too_much:
                raise SubcoreError(f"kernel {name!r}: a block does not fit on an SM of this timeline's GPU")
            return {"engine": "compute", "cost": cost}
        if kind == "copy":
            engine = "copy" if self.model.copy_engines == 1 else values["direction"]
            size = values["size"]
            return {"engine": engine, "bytes": size, "duration_ns": self.model.copy_ns(size, values["direction"])}
        return {}

    def _add(self, **values: Any) -> None:
        self.commands.append(Command(**values))
