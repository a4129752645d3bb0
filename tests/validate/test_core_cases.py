"""Suite files and listings: what a case can say, and how mistakes in one are reported."""

import pytest

from isa.errors import SubcoreError
from validate.core import load_suite, run_case
from validate.deviations import read_deviations

CASE = """
[[case]]
name = "probe"
source = "here"
gpu = "rtx_a6000"
measure = "issue"
listing = '''
first:
    B------:R-:W-:-:S03  NOP
second:
    B------:R-:W-:-:S01  NOP
    B------:R-:W-:-:S05  EXIT
'''
measured = 3
"""


def suite(tmp_path, text):
    path = tmp_path / "probe.toml"
    path.write_text(text)
    return load_suite(path)


def cells(tmp_path, text):
    return [(c.cell, c.measured, c.simulated) for case in suite(tmp_path, text) for c in run_case(case)]


def test_single_value_is_one_cell(tmp_path):
    assert cells(tmp_path, CASE) == [("", 3, 3)]


def test_difference_is_signed_and_tolerance_is_inclusive(tmp_path):
    (cell,) = run_case(suite(tmp_path, CASE.replace("measured = 3", "measured = 4"))[0])
    assert (cell.difference, cell.agrees) == (-1, False)
    (cell,) = run_case(suite(tmp_path, CASE.replace("measured = 3", "measured = 4\ntolerance = 1"))[0])
    assert cell.agrees


def test_table_of_rows_and_columns_leaves_out_what_was_not_measured(tmp_path):
    text = CASE.replace("S03  NOP", "S$stall  $row").replace("measured = 3", "") + (
        '[case.rows]\nnop = "NOP"\nadd = "IADD3 R1, R2, R3, RZ"\n'
        '[case.columns]\nfour = { stall = "04" }\nother = { stall = "06", gpu = "rtx_2080_ti" }\n'
        '[case.measured]\nnop = [4, 6]\nadd = [4, ""]\n'
    )
    assert cells(tmp_path, text) == [("nop -> four", 4, 4), ("nop -> other", 6, 6), ("add -> four", 4, 4)]
    assert [c.gpu for c in suite(tmp_path, text)] == ["rtx_a6000", "rtx_2080_ti", "rtx_a6000"]


def test_case_for_several_gpus_runs_on_each(tmp_path):
    text = CASE.replace('gpu = "rtx_a6000"', 'gpu = ["rtx_a6000", "h100_pcie"]')
    assert [c.gpu for c in suite(tmp_path, text)] == ["rtx_a6000", "h100_pcie"]


def test_cell_that_is_never_reached_counts_as_a_difference(tmp_path):
    text = CASE.replace('measure = "issue"', 'measure = "stretches"').replace(
        "measured = 3", 'measured = { "W0 1" = { begin = 0, end = 1 }, "W5 1" = { begin = 9 } }'
    )
    assert cells(tmp_path, text) == [("W0 1 begin", 0, 0), ("W0 1 end", 1, 1), ("W5 1 begin", 9, None)]
    assert not run_case(suite(tmp_path, text)[0])[2].agrees


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("measured = 3", "measured = 3\ncolour = 1", r"probe\.toml, case probe: unknown keys \['colour'\]"),
        ('measure = "issue"', 'measure = "taste"', "case probe: measure = 'taste': must be one of"),
        ("measured = 3", "", "case probe: 'measured'"),
        ('source = "here"', "", "case probe: .*source"),
        ("[[case]]", "[[case", r"probe\.toml"),
    ],
)
def test_mistake_in_a_suite_file_names_file_and_case(tmp_path, old, new, message):
    with pytest.raises(SubcoreError, match=message):
        suite(tmp_path, CASE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("second:", "third:", "has no label 'second'"),
        ("S05  EXIT", "S05  NOP", "has no EXIT"),
        ("S03  NOP", "S03  NUP", "case probe, line 2: unknown instruction NUP"),
        ("S03  NOP", "S03  $what", r"\$what in its listing has no value"),
        ("measured = 3", "measured = 3\nentry = { 0 = 'nowhere' }", "entry 'nowhere' of warp 0"),
        ('measure = "issue"', 'measure = "clock"', "reads the clock 0 times"),
    ],
)
def test_mistake_in_a_listing_names_the_case(tmp_path, old, new, message):
    with pytest.raises(SubcoreError, match=message):
        cells(tmp_path, CASE.replace(old, new))


def test_same_cell_twice_is_refused(tmp_path):
    with pytest.raises(SubcoreError, match="defined twice"):
        suite(tmp_path, CASE + CASE)


def test_row_of_values_must_fit_the_columns(tmp_path):
    text = CASE.replace("measured = 3", "") + (
        '[case.rows]\na = "NOP"\n[case.columns]\nx = "NOP"\n[case.measured]\na = [1, 2]\n'
    )
    with pytest.raises(SubcoreError, match="row a: 2 values for 1 columns"):
        suite(tmp_path, text)


def test_incomplete_row_of_known_gaps_is_refused(tmp_path):
    path = tmp_path / "DEVIATIONS.md"
    path.write_text("| suite | case |\n|---|---|\n| core | a | g | x | 1 | 2 | |\n")
    with pytest.raises(SubcoreError, match="line 3: 7 columns"):
        read_deviations("core", path)
