"""A window of a run, cycle by cycle: instructions with the times of their stages, and what each warp waited for.

`record` simulates with the event log on and takes it apart; `subcore.konata`, `subcore.perfetto` and `plots.timeline`
write it down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from isa.errors import SubcoreError

if TYPE_CHECKING:
    import numpy as np

    from configs.schema import Config
    from isa.program import Program
    from sim.gpu import Progress
    from traces.stream import Trace

MOST_EVENTS = 4_000_000
EARLIER_CYCLES = 2000  # longer than a warp waits for one access
READY = "not_selected"  # may issue, another warp of the sub-core did
OPEN = -1


@dataclass
class Instruction:
    """One warp instruction that issued in the window. Cycles; OPEN = it did not pass, or not within the window."""

    sm: int
    subcore: int
    slot: int  # of the warp in its sub-core
    block: int
    index: int  # in the program
    issue: int
    control: int = OPEN
    allocate: int = OPEN
    enqueue: int = OPEN
    leave: int = OPEN
    start: int = OPEN
    done: int = OPEN  # result visible to a dependent instruction


@dataclass
class State:
    """A warp in [first, last): `reason` is a stall reason in lower case, `issued` or READY; `index`: the instruction
    that issues or waits."""

    sm: int
    subcore: int
    slot: int
    block: int
    reason: str
    first: int
    last: int
    index: int


@dataclass
class Timeline:
    """What happened in the cycles [first, last) on the SMs looked at."""

    kernel: str
    gpu: str
    program: Program
    op: np.ndarray  # lowered instructions (sim.lower.OP)
    first: int
    last: int
    instructions: list[Instruction] = field(default_factory=list)  # in order of issue
    states: list[State] = field(default_factory=list)  # by warp slot, in order of time, without gaps in a warp's life

    def text(self, index: int) -> str:
        """SASS of an instruction, without superfluous blanks."""
        return " ".join(self.program.text[index].split()) or f"instruction {index}"


def record(
    trace: Trace,
    config: Config,
    first: int = 0,
    last: int | None = None,
    sm: int | None = None,
    *,
    progress: Progress | None = None,
    most_events: int = MOST_EVENTS,
    before_run: Callable[[], None] = lambda: None,
) -> Timeline:
    """Simulate up to cycle `last` (default: the end) and keep what happens from cycle `first` on, on one SM or all.

    SubcoreError if the window is empty, or holds more than `most_events` events.
    """
    import numpy as np

    from sim.gpu import Machine
    from sim.state import NEVER

    if first < 0 or (last is not None and last <= first):
        raise SubcoreError(f"window from cycle {first} to {last}: must not be empty")
    if sm is not None and not 0 <= sm < config.gpu.sms:
        raise SubcoreError(f"SM {sm}: {config.gpu.name} has 0 to {config.gpu.sms - 1}")
    # a sub-core that sleeps when the window opens said before what its warps wait for
    window = (max(0, first - EARLIER_CYCLES), NEVER if last is None else last, -1 if sm is None else sm, 1)
    machine = Machine(trace, config, log_entries=most_events, log_window=window)
    before_run()
    machine.run(progress=progress, until=last)
    count = int(machine.log_count[0])
    if count > most_events:
        raise SubcoreError(
            f"{count:,} events in the window, at most {most_events:,}: choose fewer cycles (--from, --to) or an --sm"
        )
    if count == 0:
        busy = np.flatnonzero(machine.sms["counter"][:, 0])
        where = f"; SMs with work: {busy[0]} to {busy[-1]}" if len(busy) else ""
        raise SubcoreError(
            f"nothing happens on {'any SM' if sm is None else f'SM {sm}'} from cycle {first} to "
            f"{machine.now if last is None else last}; the first block starts at cycle "
            f"{config.launch.kernel_cycles + config.launch.block_start_cycles} or later{where}"
        )
    log = machine.log[:count]
    log = log[np.lexsort((log["cycle"], log["warp"], log["sm"]))]  # stable: ties stay in the order of the log
    end = int(log["cycle"].max()) + 1 if last is None else last
    timeline = Timeline(trace.launch.kernel, config.gpu.name, trace.program, machine.code.op, first, end)
    _instructions(timeline, log)
    _states(timeline, log)
    return timeline


def _instructions(timeline: Timeline, log: np.ndarray) -> None:
    from sim.state import Detail, LogKind, Path

    fields: dict[int, str] = {
        LogKind.CONTROL: "control",
        LogKind.ALLOCATE: "allocate",
        LogKind.ENQUEUE: "enqueue",
        LogKind.LEAVE: "leave",
        LogKind.DONE: "done",
        Detail.START: "start",
    }
    known: dict[tuple[int, int, int], Instruction] = {}
    for cycle, stream, op, sm, warp, kind, block in log[log["kind"] < Detail.STATE].tolist():
        key = (sm, block, stream)
        if kind == LogKind.ISSUE:
            found = Instruction(sm, warp >> 4, warp & 15, block, op, cycle)
            if timeline.op[op]["path"] == Path.FIXED:
                found.done = cycle + int(timeline.op[op]["latency_cycles"])
            known[key] = found
            timeline.instructions.append(found)
        elif key in known:  # else it issued before the window
            setattr(known[key], fields[kind], cycle)
    timeline.instructions = [found for found in timeline.instructions if found.issue >= timeline.first]
    timeline.instructions.sort(key=lambda i: (i.issue, i.sm, i.subcore, i.slot))


def _states(timeline: Timeline, log: np.ndarray) -> None:
    """From the changes to stretches; a cycle of issue is a stretch of its own."""
    from sim.state import Detail, LogKind
    from sim.stats import Stall

    names = {int(reason): reason.name.lower() for reason in Stall} | {int(Stall.ISSUED): READY}
    present: dict[tuple[int, int], State] = {}
    waiting: dict[tuple[int, int], list[State]] = {}  # since the last issue of the warp

    def close(warp: tuple[int, int], until: int) -> State:
        state = present.pop(warp)
        state.first, state.last = max(state.first, timeline.first), min(until, timeline.last)
        if state.last > state.first:
            timeline.states.append(state)
            waiting.setdefault(warp, []).append(state)
        return state

    wanted = log[(log["kind"] >= Detail.STATE) | (log["kind"] == LogKind.ISSUE)]
    for cycle, stream, op, sm, slot, kind, block in wanted.tolist():
        warp = (sm, slot)
        place = (sm, slot >> 4, slot & 15, block)
        if kind == LogKind.ISSUE:
            before = close(warp, cycle) if warp in present else None
            for state in waiting.pop(warp, ()):
                state.index = op
            if timeline.first <= cycle < timeline.last:
                timeline.states.append(State(*place, "issued", cycle, cycle + 1, op))
            if before is not None:  # the same reason as before the issue is not logged again
                present[warp] = State(*place, before.reason, cycle + 1, OPEN, op)
        elif kind == Detail.STATE:
            if warp in present:
                close(warp, cycle + 1)
            present[warp] = State(*place, names[stream], cycle + 1, OPEN, op)
        elif warp in present:
            close(warp, cycle)
            waiting.pop(warp, None)
    for warp in sorted(present):
        close(warp, timeline.last)
    timeline.states.sort(key=lambda s: (s.sm, s.subcore, s.slot, s.first))
