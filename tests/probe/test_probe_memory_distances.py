"""Issue pattern and latencies of the memory pipeline: MICRO 2025, Tables 1 and 2, every row."""

from typing import Any

import pytest

from sim.state import LogKind
from sim.stats import Stall
from tests.probe.harness import GLOBAL_BASE, Op, exit_, op, run

HERE = (GLOBAL_BASE, 4)
# Cycle of the i-th of 10 independent loads, the first at 0; one row per active sub-core.
TABLE_1 = {
    1: [[0, 1, 2, 3, 4, 11, 15, 19, 23, 27]],
    2: [[0, 1, 2, 3, 4, first, *range(first + 4, first + 20, 4)] for first in (11, 13)],
    3: [[0, 1, 2, 3, 4, first, *range(first + 6, first + 30, 6)] for first in (11, 13, 15)],
    4: [[0, 1, 2, 3, 4, first, *range(first + 8, first + 40, 8)] for first in (11, 13, 15, 17)],
}


@pytest.mark.parametrize("subcores", [1, 2, 3, 4])
def test_table_1_issue_of_independent_loads(subcores):
    ops = [op("LDG.E", [8 + i], [2], at=HERE) for i in range(10)]
    probe = run([*ops, exit_()], warps=subcores)
    assert [probe.issue(w)[:10] for w in range(subcores)] == TABLE_1[subcores]


def test_full_queue_is_charged_to_the_memory_throttle():
    probe = run([*[op("LDG.E", [8 + i], [2], at=HERE) for i in range(6)], exit_()])
    assert probe.stalled(Stall.MIO_THROTTLE) == 6 + 3, "cycles 5-10 before the sixth load, 12-14 before EXIT"


def access(kind: str, bits: int, address: str, counter: dict[str, Any]) -> Op:
    """An access of one warp with the regular or uniform address that the row names."""
    suffix = {32: "", 64: ".64", 128: ".128"}[bits]
    pair = kind in ("LDG", "STG")
    pointer = {"uniform": [], "immediate": [], "regular": [2]}[address]
    opcode = f"{kind}{'.E' if pair or kind == 'LDGSTS' else ''}{suffix}"
    places = {"LDG": (GLOBAL_BASE, bits // 8), "STG": (GLOBAL_BASE, bits // 8), "LDC": (0, 0)}
    if kind == "LDGSTS":
        return op(opcode, [], [6, 2], stall=2, at=((GLOBAL_BASE, bits // 8), (0, bits // 8)), **counter)
    at = places.get(kind, (0, bits // 8))
    if kind in ("STG", "STS"):
        # a uniform address is no register operand: the data are the only source
        uniform: dict[str, Any] = {} if pointer else {"address_registers": 0, "flags": 0}
        return op(opcode, [], [*pointer, 20], stall=2, at=at, **uniform, **counter)
    if kind == "LDC":
        counter = {**counter, "address_registers": len(pointer)}
    return op(opcode, [20], pointer, stall=2, at=at, **counter)


TABLE_2 = [
    *[("LDG", "uniform", b, 9, raw) for b, raw in ((32, 29), (64, 31), (128, 35))],
    *[("LDG", "regular", b, 11, raw) for b, raw in ((32, 32), (64, 34), (128, 38))],
    *[("STG", "uniform", b, war, None) for b, war in ((32, 10), (64, 12), (128, 16))],
    *[("STG", "regular", b, war, None) for b, war in ((32, 14), (64, 16), (128, 20))],
    *[("LDS", "uniform", b, 9, raw) for b, raw in ((32, 23), (64, 23), (128, 25))],
    *[("LDS", "regular", b, 9, raw) for b, raw in ((32, 24), (64, 24), (128, 26))],
    *[("STS", "uniform", b, war, None) for b, war in ((32, 10), (64, 12), (128, 16))],
    *[("STS", "regular", b, war, None) for b, war in ((32, 12), (64, 14), (128, 18))],
    ("LDC", "immediate", 32, 10, 26),
    ("LDC", "regular", 32, 29, 29),
    ("LDC", "regular", 64, 29, 29),
    *[("LDGSTS", "regular", b, 13, 39) for b in (32, 64, 128)],
]


def distance(row, role):
    """Issue of the second, warm access of its kind -> issue of the instruction that waits for its counter."""
    kind, address, bits = row[:3]
    warm = access(kind, bits, address, {"write": 1})
    pause = op("NOP", wait=[1], stall=15, yields=True)
    gap = run([warm, pause, access(kind, bits, address, {role: 0}), op("IADD3", [2], [20], wait=[0]), exit_()],
              shared_bytes=1024).gaps()  # fmt: skip
    return gap[2]


@pytest.mark.parametrize("row", TABLE_2, ids=lambda r: f"{r[0]}-{r[1]}-{r[2]}")
def test_table_2_sources_may_be_overwritten(row):
    assert distance(row, "read") == row[3]


@pytest.mark.parametrize("row", [r for r in TABLE_2 if r[4]], ids=lambda r: f"{r[0]}-{r[1]}-{r[2]}")
def test_table_2_result_may_be_used(row):
    assert distance(row, "write") == row[4]


def test_predicated_off_load_completes_without_an_address():
    probe = run([op("LDG.E", [8], [2], stall=2, write=0, mask=0, at=HERE), exit_(wait=[0])])
    assert probe.gaps() == [32]


def test_memory_instructions_of_one_subcore_leave_in_order():
    ops = [op("LDG.E", [8], [2], write=0, at=HERE), op("LDS", [9], [2], write=1, stall=2, at=(0, 4))]
    leave = run([*ops, exit_(wait=[0, 1])], shared_bytes=512).stage(LogKind.LEAVE)
    assert leave == [11, 15], "shared memory after global waits for the address unit (4 cycles)"


def test_pending_request_limit_holds_acceptance():
    ops = [op("LDG.E", [8 + i], [2], at=(GLOBAL_BASE + 128 * i, 4)) for i in range(4)]
    probe = run([*ops, exit_()], "memory_unit.pending_requests=2")
    leave, done = probe.stage(LogKind.LEAVE), probe.stage(LogKind.DONE)
    assert leave[:2] == [11, 15]
    assert leave[2] >= min(done), "the third access is accepted when one of the two entries is free"


def test_results_of_wide_loads_share_the_path_to_the_subcore():
    """512 bits per cycle: a 128-bit load of a warp takes the path for 8 cycles."""
    ops = [op("LDG.E.128", [8 + 4 * i], [2], write=i, stall=2, at=(GLOBAL_BASE, 16)) for i in range(2)]
    warm = [op("LDG.E.128", [60], [2], write=5, stall=2, at=(GLOBAL_BASE, 16)), op("NOP", wait=[5])]
    probe = run([*warm, *ops, exit_(wait=[0, 1])])
    done = probe.stage(LogKind.DONE)
    assert done[2] - done[1] == 8
