"""Timeline as trace events in JSON, for ui.perfetto.dev and chrome://tracing. One microsecond there is one cycle.

A process per SM. Its tracks: every warp slot (what it issues, else the reason it waits for), the issue slot and the
execution units of each sub-core, the memory unit of the SM; memory instructions in flight are asynchronous slices.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from isa.program import Unit
from subcore.timeline import OPEN, Instruction, Timeline

_UNITS = (Unit.FMA, Unit.ALU, Unit.FP16, Unit.FP64, Unit.SFU, Unit.TENSOR, Unit.UNIFORM, Unit.BRANCH)
_MEMORY_UNIT = 1  # thread ids, in the order of the tracks
_ISSUE = 10  # + sub-core
_UNIT = 100  # + 20 * sub-core + unit
_WARP = 1000  # + 16 * sub-core + slot
Event = dict[str, Any]
Use = tuple[int, int, int]


def trace_events(timeline: Timeline) -> Iterator[Event]:
    """Names of processes and threads, then the slices in order of time."""
    events: list[Event] = []
    tracks: dict[tuple[int, int], str] = {}
    free: dict[Use, int] = {}
    for state in timeline.states:
        warp = _WARP + 16 * state.subcore + state.slot
        tracks[state.sm, warp] = f"sub-core {state.subcore} warp {state.slot}"
        text = timeline.text(state.index)
        issued = state.reason == "issued"
        about = {"block": state.block} if issued else {"block": state.block, "next": text}
        name, category = (text, "issue") if issued else (state.reason, "stall")
        events.append(_slice(name, category, state.first, state.last, state.sm, warp, about))
    for number, row in enumerate(timeline.instructions):
        name = timeline.text(row.index)
        about = {
            "warp": f"sub-core {row.subcore} warp {row.slot}",
            "block": row.block,
            "pc": f"0x{row.index * timeline.program.pc_step:x}",
            "line": int(timeline.program.instructions["source_line"][row.index]),
        }
        issue = _ISSUE + row.subcore
        tracks[row.sm, issue] = f"sub-core {row.subcore} issue"
        events.append(_slice(name, "issue", row.issue, row.issue + 1, row.sm, issue, about))
        if row.leave != OPEN:
            tracks[row.sm, _MEMORY_UNIT] = "memory unit"
            taken = max(1, int(timeline.op[row.index]["accept_cycles"]))
            events.append(_slice(name, "memory", row.leave, row.leave + taken, row.sm, _MEMORY_UNIT, about))
        if row.enqueue != OPEN:
            events += _in_flight(name, number, row, timeline, about)
        else:
            for unit, first, last in _unit_use(timeline, row, free):
                track = _UNIT + 20 * row.subcore + unit
                tracks[row.sm, track] = f"sub-core {row.subcore} {Unit(unit).name}"
                events.append(_slice(name, "unit", first, last, row.sm, track, about))
    for process in sorted({process for process, _ in tracks}):
        yield from _name("process", process, 0, f"SM {process}", process)
    for (process, thread), name in sorted(tracks.items()):
        yield from _name("thread", process, thread, name, thread)
    yield from sorted(events, key=lambda e: (e["ts"], e["ph"] != "e", e["pid"], e["tid"], e.get("id", 0)))


def perfetto_text(timeline: Timeline) -> Iterator[str]:
    """The file in pieces."""
    about = {"kernel": timeline.kernel, "gpu": timeline.gpu, "cycles": [timeline.first, timeline.last],
             "unit": "1 us is 1 cycle"}  # fmt: skip
    yield f'{{"displayTimeUnit": "ns", "otherData": {json.dumps(about, sort_keys=True)}, "traceEvents": [\n'
    for number, event in enumerate(trace_events(timeline)):
        yield ("" if number == 0 else ",\n") + json.dumps(event, sort_keys=True, separators=(",", ":"))
    yield "\n]}\n"


def _slice(
    name: str, category: str, first: int, last: int, process: int, thread: int, about: dict[str, Any]
) -> Event:  # fmt: skip
    return {"ph": "X", "name": name, "cat": category, "ts": first, "dur": last - first, "pid": process, "tid": thread,
            "args": about}  # fmt: skip


def _in_flight(name: str, number: int, row: Instruction, timeline: Timeline, about: dict[str, Any]) -> list[Event]:
    """A memory instruction from the queue of its sub-core to its result."""
    common = {"name": name, "cat": "in flight", "id": number, "pid": row.sm, "tid": _WARP + 16 * row.subcore + row.slot}
    last = max(row.enqueue + 1, timeline.last if row.done == OPEN else row.done)
    return [{**common, "ph": "b", "ts": row.enqueue, "args": about}, {**common, "ph": "e", "ts": last}]


def _unit_use(timeline: Timeline, row: Instruction, free: dict[Use, int]) -> list[Use]:
    """(unit, from, to): when the instruction holds its unit; of two units that may take it, the one that is free."""
    op = timeline.op[row.index]
    first = row.issue if row.start == OPEN else row.start
    choices = [int(unit) for unit in (op["unit"], op["second_unit"]) if unit in _UNITS]
    if not choices or op["interval_cycles"] < 1:
        return []
    unit = next((u for u in choices if free.get((row.sm, row.subcore, u), 0) <= first), choices[0])
    first = max(first, free.get((row.sm, row.subcore, unit), 0))
    last = free[row.sm, row.subcore, unit] = first + int(op["interval_cycles"])
    return [(unit, first, last)]


def _name(kind: str, process: int, thread: int, name: str, order: int) -> Iterator[Event]:
    for key, value in (("name", name), ("sort_index", order)):
        yield {"ph": "M", "name": f"{kind}_{key}", "pid": process, "tid": thread, "ts": 0, "args": {key: value}}
