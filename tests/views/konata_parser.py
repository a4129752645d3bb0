"""Strict reader of the Kanata log format, version 4, as its documentation describes it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Row:
    """One instruction. `stages[lane]`: (name, first, last), in order."""

    identifier: int
    thread: int
    begin: int
    label: str = ""
    detail: str = ""
    retired_at: int = -1
    retire_id: int = -1
    stages: dict[int, list[tuple[str, int, int]]] = field(default_factory=dict)
    open: dict[int, tuple[str, int]] = field(default_factory=dict)


def parse(text: str) -> list[Row]:
    """Rows in order of their identifier. ValueError naming the line for anything the format does not allow."""
    lines = text.split("\n")
    if lines[0] != "Kanata\t0004":
        raise ValueError(f"line 1: header {lines[0]!r}")
    if lines.pop() != "":
        raise ValueError("the last line does not end")
    now = None
    rows: dict[int, Row] = {}
    retire_ids: set[int] = set()
    for number, line in enumerate(lines[1:], 2):
        command, *fields = line.split("\t")

        def fail(what, number=number, line=line):
            raise ValueError(f"line {number}: {what}: {line!r}")

        if command == "C=":
            if now is not None or len(fields) != 1:
                fail("C= must come once, first")
            now = int(fields[0])
            continue
        if now is None:
            fail("before C=")
        if command == "C":
            step = int(fields[0])
            if step < 1 or len(fields) != 1:
                fail("time must go forward")
            now += step
            continue
        identifier = int(fields[0])
        if command == "I":
            if identifier != len(rows) or len(fields) != 3:
                fail("identifiers count from 0")
            rows[identifier] = Row(identifier, int(fields[2]), now)
            continue
        if identifier not in rows:
            fail("unknown instruction")
        row = rows[identifier]
        if row.retired_at >= 0:
            fail("after its retirement")
        if command == "L":
            if fields[1] == "0":
                row.label += fields[2]
            elif fields[1] == "1":
                row.detail += fields[2]
            else:
                fail("label type")
        elif command == "S":
            lane, name = int(fields[1]), fields[2]
            if lane in row.open:
                fail(f"{row.open[lane][0]} of the lane has not ended")
            if not name:
                fail("stage without name")
            row.open[lane] = (name, now)
        elif command == "E":
            lane, name = int(fields[1]), fields[2]
            if row.open.get(lane, ("",))[0] != name:
                fail("ends a stage that did not begin")
            row.stages.setdefault(lane, []).append((name, row.open.pop(lane)[1], now))
        elif command == "R":
            if fields[2] not in ("0", "1") or int(fields[1]) in retire_ids:
                fail("retirement")
            if row.open:
                fail("stages are open")
            row.retired_at, row.retire_id = now, int(fields[1])
            retire_ids.add(row.retire_id)
        else:
            fail("unknown command")
    unfinished = [row.identifier for row in rows.values() if row.retired_at < 0]
    if unfinished or retire_ids != set(range(len(rows))):
        raise ValueError(f"never retired: {unfinished[:5]}")
    return [rows[i] for i in range(len(rows))]
