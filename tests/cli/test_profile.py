"""`subcore profile`: cycles by instruction, in the run directory, as text and as a page."""

import csv
import json
from html.parser import HTMLParser

import pytest

from configs.load import load_config
from subcore import api
from subcore.instructions import NONE, from_csv, instruction_rows, text_table, to_csv
from traces.store import open_trace

TRACES = sorted(api.LIBRARY.glob("*.sm_86.sct"))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    from click.testing import CliRunner

    from subcore.cli import cli

    folder = tmp_path_factory.mktemp("runs") / "reduction"
    source = str(api.LIBRARY / "reduction.sm_86.sct")
    result = CliRunner().invoke(cli, ["simulate", source, "-c", "rtx_a6000", "-o", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_cycles_by_instruction_sum_to_the_stall_table(path):
    trace = open_trace(path)
    result = api.simulate(trace, load_config("rtx_a6000", settings=["gpu.sms=4"]))
    rows = instruction_rows(trace.program, result)
    stalls = {row["reason"]: row["cycles"] for row in result.stall_rows()}
    for reason, cycles in stalls.items():
        assert sum(row[reason] for row in rows) == cycles, reason
    assert sum(row["active_lanes"] for row in rows) == result.values()["smsp__thread_inst_executed.sum"][0]
    assert all(row["cycles"] >= row["issued"] for row in rows)


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
    assert "no warp" in result.output.splitlines()[-1]


def test_json_is_the_whole_table(run, run_folder):
    rows = json.loads(run("profile", str(run_folder), "--json").output)
    assert rows == [dict(row) for row in from_csv((run_folder / "instructions.csv").read_text())]


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.rows = 0
        self.outside = []

    def handle_starttag(self, tag, attributes):
        self.rows += tag == "tr"
        self.outside += [value for name, value in attributes if name in ("src", "href")]


def test_page_holds_every_instruction_and_loads_nothing(run, run_folder, tmp_path):
    target = tmp_path / "page.html"
    assert run("profile", str(run_folder), "--html", str(target)).exit_code == 0
    page = Page()
    page.feed(target.read_text())
    with open(run_folder / "instructions.csv", newline="") as file:
        instructions = sum(1 for _ in csv.DictReader(file))
    assert page.rows == instructions + 1 and page.outside == []
    again = run("profile", str(run_folder), "--html", str(target))
    assert again.exit_code == 1 and "--force" in again.output


def test_folder_without_a_table_is_named(run, run_folder, tmp_path):
    result = run("profile", str(tmp_path))
    assert result.exit_code == 1 and str(tmp_path) in result.output


def test_table_survives_text_and_back(run_folder):
    text = (run_folder / "instructions.csv").read_text()
    assert to_csv(from_csv(text)) == text
    assert "no warp" in text_table(from_csv(text), 3)
