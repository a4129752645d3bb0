"""The L1 beside a slow one, written from the rules alone: hits, look-ups and requests of random access streams."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.stats import Counter
from tests.probe.harness import GLOBAL_BASE, exit_, op, run

COMMON: dict[str, Any] = dict(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
OPCODES = {  # bytes of a lane
    "LDG.E": 4,
    "LDG.E.128": 16,
    "LDG.E.STRONG.GPU": 4,
    "STG.E": 4,
    "STG.E.128": 16,
    "ATOMG.E.ADD.STRONG.GPU": 4,
    "RED.E.ADD.STRONG.GPU": 4,
}
LEFT_BYTES = (128 - 100) << 10  # of the RTX A6000, by blocks with 99 KiB of shared memory


class SlowL1:
    """Sets of lines, the least recently used first; a line is a dict of sector: valid."""

    def __init__(self, sets: int, ways: int) -> None:
        self.ways, self.sets = ways, [dict[int, set[int]]() for _ in range(sets)]
        self.lookups = self.hits = self.requests = 0

    def execute(self, opcode: str, lanes: list[int]) -> None:
        """One instruction; what it asks for arrives before the next one."""
        written: dict[int, set[int]] = {}  # by line, in the order of the first lane that touches it
        for lane in lanes:
            written.setdefault(lane // 128, set()).update(range(lane, lane + OPCODES[opcode]))
        turn, seen = {}, [0] * 4
        for number in written:
            turn[number], seen[bank_of(number)] = seen[bank_of(number)], seen[bank_of(number)] + 1
        for number in sorted(written, key=turn.__getitem__):
            data = written[number]
            touched = {byte // 32 for byte in data}
            self.lookups += 1
            if "STRONG" in opcode or not opcode.startswith("LDG"):
                self.requests += 1
            if opcode.startswith("STG"):
                self.store(number, {s for s in touched if data.issuperset(range(32 * s, 32 * s + 32))})
            elif opcode.startswith(("ATOMG", "RED")):
                self.set_of(number).get(number, set()).difference_update(touched)
            elif "STRONG" not in opcode:
                self.load(number, touched)

    def set_of(self, number: int) -> dict[int, set[int]]:
        capacity = len(self.sets) * self.ways
        return self.sets[(number + number // capacity) % len(self.sets)]

    def allocate(self, number: int) -> set[int]:
        lines = self.set_of(number)
        if len(lines) == self.ways:
            del lines[next(iter(lines))]
        return lines.setdefault(number, set())

    def load(self, number: int, touched: set[int]) -> None:
        lines = self.set_of(number)
        valid = lines.pop(number, None)
        if valid is None:
            valid = self.allocate(number)
        lines[number] = valid  # the most recent one now
        self.hits += len(touched & valid)
        self.requests += not touched <= valid
        valid |= touched

    def store(self, number: int, full: set[int]) -> None:
        """Written through. Sectors written whole can be read afterwards; a store does not make a line recent."""
        lines = self.set_of(number)
        if number in lines:
            lines[number] |= full
        elif full:
            self.allocate(number).update(full)


def bank_of(number: int) -> int:
    """Even and odd bits of the line number, each folded to one."""
    bits = [number >> i & 1 for i in range(24)]
    return sum(bits[::2]) % 2 | sum(bits[1::2]) % 2 << 1


@st.composite
def access(draw: st.DrawFn) -> tuple[str, list[int]]:
    opcode = draw(st.sampled_from(sorted(OPCODES)))
    width = OPCODES[opcode]
    count = draw(st.sampled_from([1, 2, 8, 32]))
    first = draw(st.integers(0, 11)) * 128 // width
    step = draw(st.sampled_from([0, 1, 2, 128 // width, 640 // width]))
    lanes = [first + step * lane for lane in range(count)]
    if draw(st.booleans()):
        lanes = draw(st.permutations(lanes))
    return opcode, [GLOBAL_BASE + width * lane for lane in lanes]


@pytest.mark.parametrize(("sets", "ways"), [(2, 3), (1, 4), (7, 2)])
@settings(max_examples=40, **COMMON)
@given(st.lists(access(), min_size=1, max_size=12))
def test_hits_lookups_and_requests_are_those_of_a_slow_l1(sets, ways, stream):
    slow, ops = SlowL1(sets, ways), []
    for opcode, lanes in stream:
        slow.execute(opcode, lanes)
        counter: dict[str, Any] = {"read" if opcode.startswith(("STG", "RED")) else "write": 0}
        mask = (1 << len(lanes)) - 1
        ops += [op(opcode, [8], [2, 6], at=lanes, mask=mask, stall=2, **counter), op("NOP", wait=[0], stall=2)]
    knobs = (f"l1d.ways={ways}", f"l1d.reserved_bytes={LEFT_BYTES - 128 * sets * ways}")
    probe = run([*ops, exit_()], *knobs, shared_bytes=99 << 10)
    names = ("L1_TAGS", "L1_SECTOR_HITS", "REQUESTS_SENT")
    assert [probe.count(Counter[n]) for n in names] == [slow.lookups, slow.hits, slow.requests]
