"""`subcore bench`: what it keeps, and what it says about two results. How fast anything is, is no test."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from isa.errors import SubcoreError
from subcore import bench
from subcore.cli import cli

ROW = bench.Row("matmul_tiled", "rtx_a6000", "FMA", 84, 1, 1000, 5000, 700, 2.0, 1.9, 2.1, 0.9, 1 << 28)
MACHINE = {"processor": "one", "cores": 2}


def kept(path: Path, *rows: bench.Row, machine=MACHINE) -> Path:
    bench.write(path, bench.Results(machine, "abc", rows), force=False)
    return path


def compare(*arguments):
    return CliRunner().invoke(cli, ["bench", "compare", *map(str, arguments)])


def test_results_come_back_as_they_were_written(tmp_path):
    path = kept(tmp_path / "a.json", ROW)
    assert bench.read(path) == bench.Results(MACHINE, "abc", (ROW,))


def test_rates_are_per_second_of_wall_time():
    assert (ROW.instructions_per_second, ROW.sm_cycles_per_second) == (500, 2500)


def test_comparison_pairs_points_and_tells_noise_from_change(tmp_path):
    faster = replace(ROW, wall_seconds=1.0, slowest_seconds=1.01)
    other = replace(ROW, case="vectoradd")
    noisy = replace(other, wall_seconds=1.95, slowest_seconds=2.5)
    before, after = kept(tmp_path / "a.json", ROW, other), kept(tmp_path / "b.json", faster, noisy)
    done = compare(before, after)
    assert done.exit_code == 0, done.output
    first, second = done.output.splitlines()[1:3]
    assert " 2.00 " in first and "~" not in first
    assert "1.03~" in second
    rows = json.loads(compare(before, after, "--json").output)
    assert [row["ratio"] for row in rows] == [2.0, pytest.approx(2.0 / 1.95)]


def test_comparison_shows_changed_cycles_and_machines(tmp_path):
    before = kept(tmp_path / "a.json", ROW)
    after = kept(tmp_path / "b.json", replace(ROW, cycles=701), machine={**MACHINE, "processor": "two"})
    output = compare(before, after).output
    assert "cycles 700 -> 701" in output
    assert "the machines differ in processor" in output


def test_results_without_a_common_point_are_refused(tmp_path):
    done = compare(kept(tmp_path / "a.json", ROW), kept(tmp_path / "b.json", replace(ROW, threads=2)))
    assert done.exit_code == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no results"),
        ('{"format": "x"}', "format 'x'"),
        ('{"format": "subcore-bench-1", "rows": [{}]}', "no results"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, text, message):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(SubcoreError, match=f"wrong.json.*{message}"):
        bench.read(path)


def test_unknown_kernel_and_missing_trace_are_refused(tmp_path):
    with pytest.raises(SubcoreError, match="no benchmark nothing"):
        bench.find_cases(["nothing"], None)
    with pytest.raises(SubcoreError, match="rodinia-bfs: .*kernel-9"):
        bench.find_cases(["rodinia-bfs"], tmp_path)
    assert all(not case.path for case in bench.find_cases([], None))


@pytest.mark.shared_data
def test_every_captured_trace_of_the_set_is_there(shared_data):
    assert len(bench.find_cases([], shared_data)) == len(bench.CASES)


@pytest.mark.sass
def test_a_point_is_measured_in_a_process_of_its_own():
    case = bench.Case("ffma_chain", "rtx_a6000", "latency")
    seen = []
    results = bench.run([case], (1,), (1, 2), 1, report=seen.append)
    one, two = results.rows
    assert seen == [one, two]
    assert (one.sms, one.threads, two.threads) == (1, 1, 2)
    assert (one.cycles, one.warp_instructions) == (two.cycles, two.warp_instructions)
    assert one.peak_bytes > 50e6 and one.wall_seconds > 0 and one.start_seconds > 0


def test_peak_memory_is_that_of_the_process_itself():
    """Not that of the process which started it, as Linux counts in what `resource` tells."""
    grown = np.ones(400 << 20, np.uint8)
    program = "from subcore.bench import peak_bytes; print(peak_bytes())"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    peak = bench.peak_bytes()
    assert 10e6 < int(done.stdout) < 300e6
    assert peak > grown.nbytes


def test_goals_compare_threads_and_lengths(monkeypatch):
    def run(cases, sm_counts, threads, *rest):
        rows = []
        for case in cases:
            for count in threads:
                length = 1000 * max([n for n in case.parameters.values() if n < 1 << 25], default=1)
                seconds = length / 4e6 / (1.8 if count == 2 else 1)
                slow = 1.2 if case == bench.GROWTH[2] else 1.0
                row = replace(ROW, case=case.name, gpu=case.gpu, bound=case.bound, threads=count)
                rows.append(replace(row, warp_instructions=length, wall_seconds=seconds, cpu_seconds=seconds * slow))
        return bench.Results(MACHINE, "abc", tuple(rows))

    monkeypatch.setattr(bench, "run", run)
    done = CliRunner().invoke(cli, ["bench", "goals", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    speeds = [goal for goal in found if len(goal["measured"]) == 3]
    assert {goal["met"] for goal in speeds if goal["case"] != "pointer_chase"} == {True}
    assert {goal["met"] for goal in speeds if goal["case"] == "pointer_chase"} == {None}
    assert speeds[0]["measured"] == pytest.approx([4.0, 7.2, 1.8])
    lengths = [goal for goal in found if len(goal["measured"]) == 2]
    assert [goal["met"] for goal in lengths] == [True, True, False, True, True, True]
    assert lengths[2]["measured"][1] == pytest.approx(0.2)
