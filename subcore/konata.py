"""Timeline as a Kanata log, version 4, for the pipeline viewer Konata (its docs/kanata-log-format.md).

One row per warp instruction, from when it becomes the next of its warp to when its result may be used. Lane 0 holds the
stages, lane 1 what it waits for: the stall reasons.
"""

from __future__ import annotations

from collections.abc import Iterator

from subcore.timeline import OPEN, Instruction, State, Timeline

# Stages of lane 0, in their order.
NEXT = "Nx"  # next instruction of its warp, not issued
ISSUE = "Is"
CONTROL = "Ct"  # control stage, held there, or in the latch of a variable-latency unit
READ = "Rd"  # operands allocated, being read; execution
QUEUE = "Mq"  # memory queue of the sub-core
MEMORY = "Mm"  # memory unit of the SM and what lies behind it
EXECUTE = "Ex"


def konata_lines(timeline: Timeline) -> Iterator[str]:
    """The file, line by line without line ends."""
    from subcore.listing import control_text

    events: list[tuple[int, int, int, str]] = []  # cycle, instruction, order within both, command
    threads: dict[tuple[int, int, int, int], int] = {}
    waits = _waits(timeline.states)
    rows = sorted(timeline.instructions, key=lambda i: (_begin(i, waits), i.issue, i.sm, i.subcore, i.slot))
    ends = sorted(range(len(rows)), key=lambda n: (_end(rows[n], timeline), n))
    retired = {number: order for order, number in enumerate(ends)}
    program = timeline.program
    for number, row in enumerate(rows):
        warp = (row.sm, row.subcore, row.slot, row.block)
        thread = threads.setdefault(warp, len(threads))
        states = waits.get((row.sm, row.subcore, row.slot, row.issue), [])
        begin, end = _begin(row, waits), _end(row, timeline)
        record = program.instructions[row.index]
        name = f"sm{row.sm} c{row.subcore} w{row.slot} b{row.block}"
        detail = f"pc 0x{row.index * program.pc_step:x}, issue at {row.issue}"
        detail += f", line {record['source_line']}" if record["source_line"] else ""
        detail += f", {control_text(record)}" if program.has_control_bits else ""
        commands = [
            (begin, f"I\t{number}\t{number}\t{thread}"),
            (begin, f"L\t{number}\t0\t{name}: {timeline.text(row.index)}"),
            (begin, f"L\t{number}\t1\t{detail}"),
        ]
        commands += _spans(number, 0, [(NEXT, begin), *_stages(row)] if begin < row.issue else _stages(row), end)
        for state in states:
            commands.append((state.first, f"S\t{number}\t1\t{state.reason}"))
            commands.append((state.last, f"E\t{number}\t1\t{state.reason}"))
        commands.append((end, f"R\t{number}\t{retired[number]}\t0"))
        events += [(cycle, number, order, text) for order, (cycle, text) in enumerate(commands)]
    # what ends in a cycle comes before what begins in it
    events.sort(key=lambda e: (e[0], e[1], e[2]))
    yield "Kanata\t0004"
    now = events[0][0] if events else timeline.first
    yield f"C=\t{now}"
    for cycle, _, _, text in events:
        if cycle > now:
            yield f"C\t{cycle - now}"
            now = cycle
        yield text


Waits = dict[tuple[int, int, int, int], list[State]]


def _waits(states: list[State]) -> Waits:
    """What an instruction waited for before its issue: (SM, sub-core, slot, cycle of issue) -> states."""
    found: Waits = {}
    since: dict[tuple[int, int, int], list[State]] = {}
    for state in states:
        warp = (state.sm, state.subcore, state.slot)
        if state.reason == "issued":
            found[(*warp, state.first)] = since.pop(warp, [])
        else:
            since.setdefault(warp, []).append(state)
            if state.reason == "drain":
                since.pop(warp)
    return found


def _begin(row: Instruction, waits: Waits) -> int:
    states = waits.get((row.sm, row.subcore, row.slot, row.issue), [])
    return states[0].first if states else row.issue


def _stages(row: Instruction) -> list[tuple[str, int]]:
    """(stage, first cycle) of what the instruction passed after its issue."""
    passed = [(ISSUE, row.issue), (CONTROL, row.control)]
    if row.enqueue != OPEN:
        passed += [(QUEUE, row.enqueue), (MEMORY, row.leave)]
    elif row.start != OPEN:
        passed += [(EXECUTE, row.start)]
    else:
        passed += [(READ, row.allocate)]
    return [(name, at) for name, at in passed if at != OPEN]


def _end(row: Instruction, timeline: Timeline) -> int:
    last = max(at for _, at in _stages(row)) + 1
    return max(last, timeline.last if row.done == OPEN else row.done)


def _spans(number: int, lane: int, stages: list[tuple[str, int]], end: int) -> list[tuple[int, str]]:
    """Commands of consecutive stages; those without a cycle of their own are left out."""
    kept = [s for s, after in zip(stages, [*stages[1:], ("", end)], strict=True) if after[1] > s[1]]
    commands = []
    for (name, at), (_, until) in zip(kept, [*kept[1:], ("", end)], strict=True):
        commands += [(at, f"S\t{number}\t{lane}\t{name}"), (until, f"E\t{number}\t{lane}\t{name}")]
    return commands
