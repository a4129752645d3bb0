"""Costs of the host side: calls, latencies and the link to the GPU. Shipped hosts are `configs/hosts/*.toml`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from configs.load import ROOT, SOURCE_KINDS
from isa.errors import SubcoreError
from isa.files import read_toml

Direction = Literal["h2d", "d2h"]
DEFAULT_HOST = "pcie_gen4_x86"
HOSTS = ROOT / "hosts"


def _knob(doc: str) -> Any:
    return field(metadata={"doc": doc})


@dataclass(frozen=True, kw_only=True)
class HostModel:
    """Costs outside the kernels. Times are integers in nanoseconds, bandwidths bytes per second.

    Latencies count from the moment the call begins, as profilers report them, not from its return.
    """

    name: str = _knob("free text")
    call_ns: int = _knob("host time of one kernel launch or asynchronous copy")
    event_call_ns: int = _knob("host time of recording, or of making a stream wait for, an event")
    launch_latency_ns: int = _knob("launch call begins -> an idle GPU begins the kernel")
    copy_latency_ns: int = _knob("copy call begins -> an idle copy engine moves the first byte")
    synchronize_ns: int = _knob("last awaited command ended -> the waiting host goes on")
    graph_call_ns: int = _knob("host time of one graph launch, without its nodes")
    graph_node_call_ns: int = _knob("host time that each node of the graph adds")
    graph_latency_ns: int = _knob("graph launch call begins -> an idle GPU begins the first node")
    stream_gap_ns: int = _knob("kernel or copy ended -> the next of its stream, queued in time, begins")
    graph_gap_ns: int = _knob("node of a graph ended -> a node that depends on it begins")
    host_work_scale: float = _knob("factor on the program's own host time")
    h2d_bytes_per_second: float = _knob("host to device, pinned memory, large copies")
    d2h_bytes_per_second: float = _knob("device to host, pinned memory, large copies")
    copy_engines: int = _knob("1: both directions share one engine; 2: one per direction")
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in ("name", "sources"):
                continue
            whole = item.type == "int"
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise SubcoreError(
                    f"host model: {item.name} = {value!r}: must be {'an integer' if whole else 'a number'}"
                )
            if value < 0 or (value == 0 and not item.name.endswith("_ns")):
                raise SubcoreError(f"host model: {item.name} = {value} must be positive")
        if self.copy_engines > 2:
            raise SubcoreError(f"host model: copy_engines = {self.copy_engines}: allowed are 1 and 2")

    def copy_ns(self, size_bytes: int, direction: Direction) -> int:
        """Time that a copy holds its engine, in ns (at least 1)."""
        bandwidth = self.h2d_bytes_per_second if direction == "h2d" else self.d2h_bytes_per_second
        return max(1, round(size_bytes * 1e9 / bandwidth))

    def rows(self) -> list[tuple[str, Any, str, str]]:
        """(knob, value, source, description) of every knob."""
        return [
            (item.name, getattr(self, item.name), self.sources.get(item.name, ""), item.metadata["doc"])
            for item in fields(self)
            if item.name not in ("name", "sources")
        ]


def list_hosts() -> list[str]:
    """Names of the shipped hosts."""
    return sorted(path.stem for path in HOSTS.glob("*.toml"))


def load_host(name_or_path: str | Path = DEFAULT_HOST) -> HostModel:
    """Shipped host, or a TOML file: `name` and every knob as `{ value = 2400, source = "measured: ..." }`.

    A file may hold `inherits = "NAME"` and only what differs. SubcoreError with every problem found.
    """
    values, sources, problems = _read(name_or_path, [])
    known = {item.name: item for item in fields(HostModel) if item.name != "sources"}
    problems += [
        f"{name_or_path}: {name} is missing ({known[name].metadata['doc']})" for name in known if name not in values
    ]
    if problems:
        raise SubcoreError("\n".join(problems))
    try:
        return HostModel(**values, sources=sources)
    except SubcoreError as error:
        raise SubcoreError(f"{name_or_path}: {error}") from None


def _read(name_or_path: str | Path, seen: list[Path]) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    text = str(name_or_path)
    path = Path(text) if text.endswith(".toml") or "/" in text else HOSTS / f"{text}.toml"
    if not path.is_file():
        close = difflib.get_close_matches(text, list_hosts(), 1)
        hint = f"did you mean {close[0]!r}?" if close else f"hosts: {', '.join(list_hosts())}"
        raise SubcoreError(f"no host named {text!r}; {hint}" if path.parent == HOSTS else f"{path}: no such host file")
    if path.resolve() in seen:
        raise SubcoreError(f"{path}: inherits from itself")
    table, lines = read_toml(path)
    parent = table.pop("inherits", None)
    values, sources, problems = _read(parent, [*seen, path.resolve()]) if parent else ({}, {}, [])
    known = [item.name for item in fields(HostModel) if item.name != "sources"]
    for name, entry in table.items():
        number = next((n for n, line in enumerate(lines.splitlines(), 1) if line.split("=")[0].strip() == name), 1)
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            problems.append(f"{path}:{number}: unknown knob {name!r}{f'; did you mean {close[0]!r}?' if close else ''}")
            continue
        value, source = (entry.get("value"), entry.get("source", "")) if isinstance(entry, dict) else (entry, "")
        if name != "name" and source.split(":")[0] not in SOURCE_KINDS:
            problems.append(
                f'{path}:{number}: {name}: write {{ value = ..., source = "..." }}; '
                f"a source begins with {', '.join(SOURCE_KINDS)}"
            )
        values[name], sources[name] = value, source
    return values, sources, problems
