"""The host's side of the time line: streams, kernel launches, copies and events around simulated kernels.

Commands are recorded in the order of the host program; `run` plays them in simpy and returns one row per command.
Semantics are CUDA's for streams created non-blocking: commands of a stream run in order, streams are independent
except through events, a wait refers to the last record of its event that precedes it in the host program.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from isa.errors import SubcoreError

if TYPE_CHECKING:
    import pandas as pd

Direction = Literal["h2d", "d2h"]
_SETTLE = 2  # simpy priority after URGENT (0) and NORMAL (1)


@dataclass(frozen=True, kw_only=True)
class HostModel:
    """Costs outside the kernels. Times in nanoseconds, bandwidths in bytes per second.

    Defaults: bandwidth is PCI Express 4.0 x16 (vendor: 31.5e9 B/s on the wire) less about 20 % for headers and flow
    control (guess); call and latency times are of the usual order for CUDA on Linux (guess).
    """

    call_ns: int = 2000  # host time of one asynchronous call
    launch_latency_ns: int = 3000  # call returned -> an idle device starts the kernel
    copy_latency_ns: int = 1500  # call returned -> an idle copy engine moves the first byte
    synchronize_ns: int = 1000  # last awaited command ended -> the host goes on
    h2d_bytes_per_second: float = 25e9
    d2h_bytes_per_second: float = 25e9
    copy_engines: int = 2  # 1: both directions share one engine; 2: one per direction
    concurrent_kernels: int = 1  # above 1, kernels overlap without slowing each other: a lower bound of the time

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value < 0 or (value == 0 and not item.name.endswith("_ns")):
                raise SubcoreError(f"host model: {item.name} = {value} must be positive")
        if self.copy_engines > 2:
            raise SubcoreError(f"host model: copy_engines = {self.copy_engines}: allowed are 1 and 2")

    def copy_ns(self, size_bytes: int, direction: Direction) -> int:
        """Time that a copy holds its engine, in ns (at least 1)."""
        bandwidth = self.h2d_bytes_per_second if direction == "h2d" else self.d2h_bytes_per_second
        return max(1, round(size_bytes * 1e9 / bandwidth))


@dataclass(frozen=True)
class Command:
    """One recorded call. `after` holds the indices of the commands that a wait or a synchronization waits for."""

    kind: str  # kernel, copy, record, wait, synchronize
    name: str
    stream: int  # -1 = the host itself
    engine: str = ""
    duration_ns: int | Callable[[], int] = 0
    latency_ns: int = 0
    bytes: int = 0
    after: tuple[int, ...] = ()


class HostTimeline:
    """Records host calls, then plays them. Streams are small integers, created by their first use."""

    def __init__(self, model: HostModel | None = None) -> None:
        self.model = model or HostModel()
        self.commands: list[Command] = []
        self._recorded: dict[str, int] = {}

    def kernel(self, duration: Any, *, name: str = "kernel", stream: int = 0) -> None:
        """Launch a kernel.

        `duration` is nanoseconds, a callable that returns them (called when the kernel starts), or a result of
        `simulate` (its `cycles` at the core clock of its configuration).
        """
        if hasattr(duration, "cycles"):
            duration = round(duration.cycles * 1e3 / duration.config.gpu.core_clock_mhz)
        self._add("kernel", name, stream, engine="compute", duration=duration, latency=self.model.launch_latency_ns)

    def copy(self, size_bytes: int, direction: Direction, *, name: str = "", stream: int = 0) -> None:
        """Asynchronous copy between pinned host memory and the device."""
        if direction not in ("h2d", "d2h"):
            raise SubcoreError(f"copy direction {direction!r}: expected 'h2d' or 'd2h'")
        if size_bytes < 0:
            raise SubcoreError(f"copy of {size_bytes} bytes: the size cannot be negative")
        engine = "copy" if self.model.copy_engines == 1 else direction
        time, latency = self.model.copy_ns(size_bytes, direction), self.model.copy_latency_ns
        self._add("copy", name or direction, stream, engine=engine, duration=time, latency=latency, size=size_bytes)

    def record(self, event: str, *, stream: int = 0) -> None:
        """Record an event: it happens when everything before it in the stream has ended."""
        self._recorded[event] = len(self.commands)
        self._add("record", event, stream)

    def wait(self, event: str, *, stream: int = 0) -> None:
        """Hold the stream until the event has happened; no effect if it was never recorded (CUDA's rule)."""
        recorded = self._recorded.get(event)
        self._add("wait", event, stream, after=() if recorded is None else (recorded,))

    def synchronize(self, *, stream: int | None = None, event: str | None = None) -> None:
        """Hold the host until an event has happened, a stream is empty, or (no argument) the device is idle."""
        if event is not None:
            after = tuple(self._recorded[name] for name in (event,) if name in self._recorded)
        else:
            last = {command.stream: at for at, command in enumerate(self.commands) if command.stream >= 0}
            after = tuple(at for number, at in sorted(last.items()) if stream is None or number == stream)
        self._add("synchronize", event or ("device" if stream is None else f"stream {stream}"), -1, after=after)

    def run(self) -> pd.DataFrame:
        """Play the commands and return one row per command, in call order. May be called again.

        Columns: kind, name, stream, engine, bytes; issued_ns (the call returned), ready_ns (nothing but a busy engine
        holds it), start_ns, end_ns. A busy engine serves commands by (ready_ns, call order).
        """
        import pandas as pd
        import simpy

        environment: Any = simpy.Environment()
        sizes = {"compute": self.model.concurrent_kernels}
        engines = {
            name: simpy.Resource(environment, sizes.get(name, 1))
            for name in sorted({command.engine for command in self.commands} - {""})
        }
        ended = [environment.event() for _ in self.commands]
        rows: list[dict[str, Any]] = [
            {
                "kind": command.kind,
                "name": command.name,
                "stream": command.stream,
                "engine": command.engine,
                "bytes": command.bytes,
            }
            for command in self.commands
        ]

        def settle(order: int) -> Any:
            """An event at the end of this instant, in call order: engines serve first come, first."""
            event = simpy.Event(environment)
            event._ok, event._value = True, None
            environment.schedule(event, priority=_SETTLE + order)
            return event

        def device(at: int, command: Command, previous: int | None) -> Generator[Any, Any, None]:
            row = rows[at]
            yield environment.timeout(command.latency_ns)
            for other in (*(() if previous is None else (previous,)), *command.after):
                yield ended[other]
            row["ready_ns"] = environment.now
            if command.engine:
                yield settle(at)
                with engines[command.engine].request() as request:
                    yield request
                    row["start_ns"] = environment.now
                    duration = command.duration_ns() if callable(command.duration_ns) else command.duration_ns
                    yield environment.timeout(_checked_ns(duration, command))
            row.setdefault("start_ns", row["ready_ns"])
            row["end_ns"] = environment.now
            ended[at].succeed()

        def host() -> Generator[Any, Any, None]:
            last: dict[int, int] = {}
            for at, command in enumerate(self.commands):
                if command.kind == "synchronize":
                    start = environment.now
                    rows[at] |= {"issued_ns": start, "ready_ns": start, "start_ns": start}
                    for other in command.after:
                        yield ended[other]
                    yield environment.timeout(self.model.synchronize_ns)
                    rows[at]["end_ns"] = environment.now
                    ended[at].succeed()
                    continue
                yield environment.timeout(self.model.call_ns)
                rows[at]["issued_ns"] = environment.now
                environment.process(device(at, command, last.get(command.stream)))
                last[command.stream] = at

        environment.process(host())
        environment.run()
        columns = ["kind", "name", "stream", "engine", "bytes", "issued_ns", "ready_ns", "start_ns", "end_ns"]
        return pd.DataFrame(rows, columns=columns).rename_axis("command")

    def _add(
        self,
        kind: str,
        name: str,
        stream: int,
        *,
        engine: str = "",
        duration: int | Callable[[], int] = 0,
        latency: int = 0,
        size: int = 0,
        after: tuple[int, ...] = (),
    ) -> None:
        if kind != "synchronize" and stream < 0:
            raise SubcoreError(f"{kind} {name!r}: stream {stream} must not be negative")
        command = Command(kind, name, stream, engine, duration, latency, size, after)
        if engine and not callable(duration):
            _checked_ns(duration, command)
        self.commands.append(command)


def _checked_ns(duration: int, command: Command) -> int:
    if duration < 1:
        raise SubcoreError(f"{command.kind} {command.name!r}: duration of {duration} ns must be at least 1 ns")
    return int(duration)
