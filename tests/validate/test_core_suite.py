"""The core suite: every published cell beside the model, and that a wrong model is seen."""

from collections import Counter

import pytest

from validate.core import load_suite, run_case
from validate.deviations import Deviation, compare, read_deviations

MOST_DEVIATIONS = 5


@pytest.fixture(scope="module")
def cells():
    return [cell for case in load_suite() for cell in run_case(case)]


def test_every_cell_agrees_or_is_a_known_gap(cells):
    wrong = [
        f"{c.case} {c.cell} on {c.gpu}: measured {c.measured}, simulated {c.simulated}"
        for c in compare("core", cells).unlisted
    ]
    assert not wrong, "\n".join(wrong)


def test_every_listed_gap_is_still_open_and_unchanged(cells):
    rows = read_deviations("core")
    assert len(rows) <= MOST_DEVIATIONS
    changed = [text for row in rows if (text := row.mismatch(cells))]
    assert not changed, "\n".join(changed)


def test_suite_holds_whole_tables(cells):
    found = Counter(c.case for c in cells)
    assert found["table_1"] == 16 * (1 + 2 + 3 + 4)
    assert found["table_2"] == 30 + 18, "30 rows, of which the 12 of stores have no RAW"
    assert found["counter_timeline"] == 7 + 4 + 3 + 2 + 3 * 14
    assert {c.gpu for c in cells if c.case.startswith("latency_")} >= {
        "rtx_2080_ti", "rtx_a6000", "a100_sxm4_80gb", "h100_pcie", "rtx_5070_ti",
    }  # fmt: skip


def test_only_figures_that_are_stated_loosely_have_a_tolerance():
    loose = {(c.name, c.cell) for c in load_suite() if c.tolerance}
    assert loose == {("figure_4", "4b, stall 4"), ("yield", "stall 12 without yield"), ("pipe_mix", "")}


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("port_conflicts", "registers.read_ports=2"),
        ("reuse_cache", "registers.reuse_cache=false"),
        ("table_1", "memory_unit.address_cycles=5"),
        ("table_2", "memory_unit.shared_load=[9,9,9,25,25,26]"),
        ("yield", "issue.stall0_yield_cycles=44"),
        ("constant_hold", "issue.constant_miss_hold_cycles=5"),
        ("constant_miss", "fetch.l0_to_l1_cycles=40"),
        ("figure_4", "issue.policy=GTO"),
        ("counter_timeline", "memory_unit.address_cycles=5"),
        ("pipe_interval_single", "execute.alu_interval_cycles=1"),
        ("barrier_rate", "barrier.sync_issue_cycles=3"),
    ],
)
def test_suite_sees_a_model_that_is_off(name, setting):
    cases = [case for case in load_suite() if case.name == name]
    assert any(not cell.agrees for case in cases for cell in run_case(case, settings=(setting,)))


ROW = Deviation("core", "a", "g", "x *", "1 2", "1 3", "because")


class Value:
    def __init__(self, cell, measured, simulated):
        self.case, self.gpu, self.cell, self.measured, self.simulated = "a", "g", cell, measured, simulated


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([(1, 1), (2, 3)], ""),
        ([(1, 1), (2, 2)], "the gap has closed"),
        ([(1, 1), (2, 4)], "simulated 1 4, unlike its row"),
        ([(1, 1), (2, None)], "simulated 1 -, unlike its row"),
        ([], "no such cell"),
    ],
)
def test_gap_that_moved_is_reported(values, message):
    found = ROW.mismatch([Value(f"x {i}", *pair) for i, pair in enumerate(values)])
    assert (message in found) if message else not found
