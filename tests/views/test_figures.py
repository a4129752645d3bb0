"""`subcore plot` over run directories: every figure has its data beside it, and the data are those of the runs."""

import csv
import json

import numpy as np
import pytest

from configs.load import load_config
from sim.gpu import simulate_trace
from sim.series import COLUMNS, FIRST_INTERVAL_CYCLES, ROWS, Sample, finish_series
from subcore import api
from subcore.flops import operations
from subcore.roofline import points, roofs
from tests.probe.harness import PERFECT_FETCH, SMALL, config_of, op
from tests.probe.harness import kernel as kernel_of
from traces.store import open_trace


@pytest.fixture(scope="module")
def command():
    from click.testing import CliRunner

    from subcore.cli import cli

    return lambda *arguments: CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="subcore")


@pytest.fixture(scope="module")
def runs(command, tmp_path_factory):
    """Folders of matmul_tiled and saxpy on two GPUs, by (kernel, GPU)."""
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for kernel in ("matmul_tiled", "saxpy", "bfs_step"):
        for gpu in ("rtx_a6000", "rtx_4090"):
            target = folder / f"{kernel}-{gpu}"
            source = api.LIBRARY / f"{kernel}.sm_86.sct"
            assert command("simulate", source, "-c", gpu, "-o", target).exit_code == 0
            found[kernel, gpu] = target
    return found


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


@pytest.mark.parametrize("kind", ["series", "roofline", "bounds", "speedup", "stalls"])
def test_figure_comes_with_data_and_is_not_overwritten(command, runs, tmp_path, kind):
    folders = [runs["matmul_tiled", "rtx_a6000"], runs["saxpy", "rtx_a6000"]]
    for ending in ("png", "svg", "pdf"):
        target = tmp_path / f"{kind}.{ending}"
        drawn = command("plot", kind, *folders, "-o", target)
        assert drawn.exit_code == 0, drawn.output
        assert target.stat().st_size > 3000 and len(table(target.with_suffix(".csv"))) >= 2
        before = target.read_bytes()
        refused = command("plot", kind, *folders, "-o", target)
        assert refused.exit_code == 1 and "--force" in refused.output and target.read_bytes() == before
        assert command("plot", kind, *folders, "-o", target, "--force").exit_code == 0
        assert target.read_bytes() == before, "the same data give the same bytes"
        target.with_suffix(".csv").unlink()


def test_series_data_sum_to_the_run(command, runs, tmp_path):
    folder = runs["matmul_tiled", "rtx_a6000"]
    assert command("plot", "series", folder, "-o", tmp_path / "s.svg").exit_code == 0
    rows = table(tmp_path / "s.csv")
    lengths = [int(row["last_cycle"]) - int(row["first_cycle"]) for row in rows]
    issued = sum(float(row["ipc"]) * length for row, length in zip(rows, lengths, strict=True))
    stats = {row["name"]: row["value"] for row in json.loads((folder / "stats.json").read_text())}
    assert issued == pytest.approx(stats["smsp__inst_executed.sum"])
    reasons = list(rows[0])[list(rows[0]).index("issued") :]
    assert all(sum(float(row[reason]) for reason in reasons) == pytest.approx(1) for row in rows)
    assert max(float(row["occupancy"]) for row in rows) <= 1


def test_speedup_is_the_ratio_of_times(command, runs, tmp_path):
    order = [runs[k, g] for k in ("matmul_tiled", "saxpy") for g in ("rtx_a6000", "rtx_4090")]
    assert command("plot", "speedup", *order, "-o", tmp_path / "s.svg").exit_code == 0
    rows = {row["workload"]: float(row["NVIDIA GeForce RTX 4090"]) for row in table(tmp_path / "s.csv")}
    expected = []
    for kernel in ("matmul_tiled", "saxpy"):
        slow, fast = (manifest(runs[kernel, gpu]) for gpu in ("rtx_a6000", "rtx_4090"))
        seconds = [m["cycles"] / m["config"]["values"]["gpu.core_clock_mhz"] for m in (slow, fast)]
        expected.append(seconds[0] / seconds[1])
        assert rows[kernel] == pytest.approx(expected[-1])
    assert rows["geometric mean"] == pytest.approx(np.prod(expected) ** 0.5)


def test_roofline_points_lie_below_their_roofs(runs):
    """No run is faster than its GPU allows, whichever level its traffic is counted at."""
    folders = [runs[kernel, "rtx_a6000"] for kernel in ("matmul_tiled", "saxpy", "bfs_step")]
    for flops in (True, False):
        chosen = folders[:2] if flops else folders
        peaks = {row["roof"]: row["value"] for row in roofs(chosen, flops)}
        for point in points(chosen, flops):
            roof = peaks["FP32" if flops else "issue slots"]
            assert point["performance"] <= min(roof, peaks[point["level"]] * point["intensity"]), point
            assert point["performance"] == pytest.approx(point["work"] / point["seconds"])


def test_roofline_counts_the_operations_of_the_kernel(runs):
    """saxpy: two operations per element; 8 bytes read and 4 written make at least 12 bytes per element in the L1."""
    (saxpy,) = (p for p in points([runs["saxpy", "rtx_a6000"]]) if p["level"] == "L1")
    lanes = saxpy["work"] // 2
    assert saxpy["work"] % 2 == 0 and lanes * 12 <= saxpy["bytes"] <= lanes * 12 * 1.1


@pytest.mark.parametrize(
    ("mnemonic", "expected"),
    [("FFMA", 2 * 20), ("FADD", 20), ("HFMA2", 4 * 20), ("DFMA", 2 * 20), ("IADD3", 0), ("LDG.E", 0),
     ("HMMA.16816.F32", 2 * 16 * 8 * 16 * 3)],
)  # fmt: skip
def test_operations_of_an_instruction(mnemonic, expected):
    assert operations(op(mnemonic, [8], [9, 10, 11]).record, issued=3, active_lanes=20) == expected


def test_roofline_says_why_it_cannot_be_drawn(command, runs, tmp_path):
    two = command("plot", "roofline", *[runs["saxpy", g] for g in ("rtx_a6000", "rtx_4090")], "-o", tmp_path / "r.svg")
    assert two.exit_code == 1 and "one GPU" in two.output
    none = command("plot", "roofline", runs["bfs_step", "rtx_a6000"], "--work", "flop", "-o", tmp_path / "r.svg")
    assert none.exit_code == 1 and "--work instructions" in none.output
    alone = command("plot", "roofline", runs["bfs_step", "rtx_a6000"], "-o", tmp_path / "r.svg")
    assert alone.exit_code == 0 and table(tmp_path / "r.csv")[0]["unit"] == "instruction"


@pytest.mark.parametrize("kind", ["series", "roofline", "bounds", "speedup"])
def test_folder_that_is_no_run_is_named(command, tmp_path, kind):
    refused = command("plot", kind, tmp_path, "-o", tmp_path / "x.svg")
    assert refused.exit_code == 1 and str(tmp_path) in refused.output and not list(tmp_path.iterdir())
    ending = command("plot", kind, tmp_path, "-o", tmp_path / "x.gif")
    assert ending.exit_code == 1 and ".svg" in ending.output


@pytest.mark.parametrize("name", ["matmul_tiled", "histogram"])
def test_series_does_not_depend_on_threads_or_quantum(name):
    trace, config = open_trace(api.LIBRARY / f"{name}.sm_86.sct"), load_config("rtx_a6000")
    first = simulate_trace(trace, config)
    for options in ({"threads": 2}, {"threads": 3}, {"quantum": 13}):
        other = simulate_trace(trace, config, **options)
        assert np.array_equal(first.series, other.series), options
        for field in ("subcore_units", "register_reads", "memory_accept", "l1_tags", "l1_data", "sectors_received"):
            assert np.array_equal(getattr(first.busy, field), getattr(other.busy, field)), f"{options}: {field}"


def test_full_series_halves_its_rows_and_keeps_its_sums():
    """A run longer than the table holds at the first distance: rows spread evenly, the last is the end."""
    turns = 40_000
    trace = kernel_of([op("FADD", [8], [8, 9], stall=4), op("BRA", stall=15)], streams=lambda b, w: [0, 1] * turns)
    result = simulate_trace(trace, config_of((*SMALL, *PERFECT_FETCH)))
    series = result.series
    cycles = np.diff(series[:, Sample.CYCLE])
    assert result.kernel_cycles > ROWS * FIRST_INTERVAL_CYCLES and ROWS // 2 <= len(series) <= ROWS + 1
    assert len(set(cycles[:-1].tolist())) == 1 and cycles[0] % (2 * FIRST_INTERVAL_CYCLES) == 0
    assert series[-1, Sample.CYCLE] == result.kernel_cycles
    assert (np.diff(series, axis=0) >= 0).all()


def test_samples_behind_the_end_are_left_out():
    series = np.zeros((3, COLUMNS), np.int64)
    series[:, Sample.CYCLE] = (512, 1024, 1536)
    last = np.zeros(COLUMNS, np.int64)
    last[Sample.CYCLE] = 1100
    assert finish_series(series, last)[:, Sample.CYCLE].tolist() == [512, 1024, 1100]
