"""`subcore profile`: cycles by instruction, in the run directory, as text and as a page."""

import csv
import json
from html import escape
from html.parser import HTMLParser

import pytest

from isa.errors import SubcoreError
from subcore import api
from subcore.instructions import NONE, from_csv, text_table, to_csv
from traces.store import open_trace


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    from click.testing import CliRunner

    from subcore.cli import cli

    folder = tmp_path_factory.mktemp("runs") / "reduction"
    source = str(api.LIBRARY / "reduction.sm_86.sct")
    result = CliRunner().invoke(cli, ["simulate", source, "-c", "rtx_a6000", "-o", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def test_issued_counts_are_those_of_the_trace(run_folder):
    trace = open_trace(api.LIBRARY / "reduction.sm_86.sct")
    counts = [0] * len(trace.program)
    for chunk in trace.blocks():
        for index in chunk.instruction:
            counts[index] += 1
    rows = from_csv((run_folder / "instructions.csv").read_text())
    assert [row["issued"] for row in rows[:-1]] == counts
    assert rows[-1]["sass"] == NONE and rows[-1]["issued"] == 0


def test_text_shows_the_hottest_first(run, run_folder):
    result = run("profile", str(run_folder), "-n", "5")
    assert result.exit_code == 0, result.output
    shares = [float(line.split()[0]) for line in result.output.splitlines()[1:6]]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0
    lines = result.output.splitlines()
    assert any("no warp" in line for line in lines) and any("binding:" in line for line in lines)


def test_json_is_the_whole_table(run, run_folder):
    rows = json.loads(run("profile", str(run_folder), "--json").output)
    assert rows == [dict(row) for row in from_csv((run_folder / "instructions.csv").read_text())]


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.rows = []  # by table
        self.marked = set()
        self.outside = []

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.rows.append(0)
        if tag == "tr":
            self.rows[-1] += 1
            self.marked.add(dict(attributes).get("data-line"))
        self.outside += [value for name, value in attributes if name in ("src", "href")]


def test_page_holds_every_instruction_and_loads_nothing(run, run_folder, tmp_path):
    target = tmp_path / "page.html"
    assert run("profile", str(run_folder), "--html", str(target)).exit_code == 0
    page = Page()
    page.feed(target.read_text())
    with open(run_folder / "instructions.csv", newline="") as file:
        instructions = list(csv.DictReader(file))
    source = (run_folder / "source.cu").read_text().splitlines()
    assert page.rows == [len(source) + 1, len(instructions) + 1] and page.outside == []
    assert {row["line"] for row in instructions} <= page.marked, "a line of the SASS table cannot be found again"
    assert all(escape(line) in target.read_text() for line in source)
    again = run("profile", str(run_folder), "--html", str(target))
    assert again.exit_code == 1 and "--force" in again.output


def test_folder_without_a_table_is_named(run, run_folder, tmp_path):
    result = run("profile", str(tmp_path))
    assert result.exit_code == 1 and str(tmp_path) in result.output


def test_table_survives_text_and_back(run_folder):
    text = (run_folder / "instructions.csv").read_text()
    assert to_csv(from_csv(text)) == text
    assert "no warp" in text_table(from_csv(text), 3)


def test_source_lines_hold_what_their_instructions_hold(run, run_folder):
    rows = from_csv((run_folder / "instructions.csv").read_text())
    lines = json.loads(run("profile", str(run_folder), "--by-line", "--json").output)
    for name in ("issued", "cycles", "sectors", "long_scoreboard"):
        assert sum(row[name] for row in lines) == sum(row[name] for row in rows if row["sass"] != NONE), name
    text = run("profile", str(run_folder), "--by-line", "-n", "3").output
    source = (run_folder / "source.cu").read_text().splitlines()
    hottest = max(lines, key=lambda row: row["cycles"])["line"]
    assert source[hottest - 1].strip()[:20] in text.splitlines()[1]


def test_csv_holds_the_hottest_first_and_is_not_overwritten(run, run_folder, tmp_path):
    target = tmp_path / "hot.csv"
    assert run("profile", str(run_folder), "--csv", str(target)).exit_code == 0
    cycles = [row["cycles"] for row in from_csv(target.read_text())]
    assert cycles == sorted(cycles, reverse=True)
    before = target.read_bytes()
    again = run("profile", str(run_folder), "--csv", str(target), "--by-line")
    assert again.exit_code == 1 and "--force" in again.output and target.read_bytes() == before


def test_wrong_source_and_broken_table_are_named(run, run_folder, tmp_path):
    short = tmp_path / "short.cu"
    short.write_text("// one line\n")
    refused = run("profile", str(run_folder), "--source", str(short))
    assert refused.exit_code == 1 and "short.cu" in refused.output and "another source" in refused.output
    with pytest.raises(SubcoreError, match="instructions.csv, line 3"):
        from_csv("pc,sass,line,issued,active_lanes,cycles\n0x0,NOP,1,2,3,4\n0x10,NOP,1,two,3,4\n")
