"""The measured tables of the memory suite: each row is in the data it names, every board has its rows."""

import csv
import tarfile
from functools import cache

import pytest

from configs.load import load_config
from validate.deviations import compare, read_deviations
from validate.memory.run import RUNNERS, run_benchmark
from validate.memory.suite import load_suite, read_table

KERNEL_NAMES = {"stencil3": "3pt", "stencil5": "5pt"}
METRICS = {
    "shared atomic beyond load": "shared atomic latency, {x} threads same address",
    "global atomic beyond load": "global atomic latency, {x} threads same address",
    "global atomic": "global atomicAdd round trip",
}


@cache
def literature(folder, name):
    with open(folder / "literature" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def matching(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


@pytest.mark.shared_data
def test_latency_curve_is_the_published_one(shared_data):
    data = literature(shared_data, "memory_latency_curves")
    for row in read_table("pointer_chase.csv"):
        found = matching(data, gpu=row["board"], working_set_KiB=row["x"], path=row["path"], metric="pointer_chase")
        assert [(f["latency"], f["clock_MHz"], f["source"]) for f in found] == [
            (row["value"], row["clock_mhz"], row["source"])
        ], row


@pytest.mark.shared_data
def test_strides_are_the_published_ones_and_complete(shared_data):
    data = literature(shared_data, "l1_stride_throughput")
    ours = [(r["board"], r["series"], r["x"], r["value"], r["path"]) for r in read_table("strides.csv")]
    theirs = [
        (r["gpu"], r["pattern"], r["stride_or_width"], r["cycles_per_warp_load"], r["path"]) for r in data
    ]  # fmt: skip
    assert ours == theirs


@pytest.mark.shared_data
@pytest.mark.parametrize("table", ["cache.csv", "l2.csv", "stream.csv"])
def test_bandwidths_are_the_published_ones(shared_data, table):
    data = literature(shared_data, "bandwidth_curves")
    for row in read_table(table):
        kernel = KERNEL_NAMES.get(row["series"], row["series"])
        printed = row.get("x_printed", row["x"])
        found = matching(data, gpu=row["board"], x=printed, kernel=kernel, path=row["path"])
        assert [(f["value"], f["source"]) for f in found] == [(row["value"], row["source"])], row


@pytest.mark.shared_data
def test_l2_streams_are_those_of_the_logs(shared_data):
    medians = {"read": 8, "scale": 11, "triad": 14, "write": 17}  # columns of a line, after "|" and "GB/s:"
    with tarfile.open(shared_data / "gpu-benches-raw" / "gpu-benches-nvidia-txt.tar.xz") as logs:
        lines = {}
        for row in read_table("l2_stream.csv"):
            if row["path"] not in lines:
                lines[row["path"]] = [line.decode().split() for line in logs.extractfile(row["path"])]
            kilobytes = str(2 * 8 * int(row["elements"]) // 1024)
            launch = [row["block"], row["blocks_per_sm"], row["x"], kilobytes]
            found = [line[medians[row["series"]]] for line in lines[row["path"]] if line[:4] == launch]
            assert found == [row["value"]], row


@pytest.mark.parametrize("name", ["stream", "l2_stream"])
def test_threads_in_flight_are_blocks_times_their_threads(name):
    boards = {b.measured_on: b.gpu for s in load_suite() if s.name == name for b in s.boards}
    for row in read_table(f"{name}.csv"):
        sms = load_config(boards[row["board"]]).gpu.sms
        assert int(row["x"]) == sms * int(row["block"]) * int(row["blocks_per_sm"]), row
        if name == "l2_stream":
            continue
        older = row["board"] == "H100 PCIe"  # that version of the tool prints one of the two blocks of an SM
        assert float(row["x_printed"]) * (2 if older else 1) == float(row["x"]), row


@pytest.mark.shared_data
def test_atomics_are_the_published_ones(shared_data):
    data = literature(shared_data, "atomics")
    for row in read_table("atomics.csv"):
        metric = METRICS[row["metric"]].format(x=row["x"])
        found = matching(data, gpu=row["board"], metric=metric, source=row["source"])
        assert [f["value"] for f in found] == [row["value"]], row
        assert found[0]["quality"] != "suspect"


@pytest.mark.shared_data
def test_constants_are_the_published_ones(shared_data):
    data = literature(shared_data, "memory_latency")
    for row in read_table("constants.csv"):
        found = [
            f
            for f in matching(data, gpu=row["board"], source=row["source"], value=row["value"])
            if f["metric"].startswith((f"{row['metric']} ", row["metric"].replace("constant ", "") + " constant"))
        ]
        assert len(found) == 1 and found[0]["quality"] != "suspect", row


@pytest.mark.shared_data
def test_wavefronts_follow_the_published_rules(shared_data):
    rules = {r["instruction"]: r["floor_wavefronts"] for r in literature(shared_data, "smem_bank_rules")}
    ours = {(r["access"], r["bytes"], r["pattern"]): int(r["value"]) for r in read_table("wavefronts.csv")}
    for access in ("load", "store"):
        for stride in (1, 33):
            assert ours[access, "4", f"stride {stride}"] == int(rules["LDS.32 / STS.32 pattern stride 1 or 33"])
        for stride, value in zip(
            (2, 4, 8, 16), rules["LDS.32 / STS.32 pattern stride 2/4/8/16"].split("/"), strict=True
        ):
            assert ours[access, "4", f"stride {stride}"] == int(value)
        assert ours[access, "4", "stride 32"] == int(rules["LDS.32 / STS.32 pattern stride 32"])
        assert ours[access, "4", "same"] == int(rules["LDS.32 / STS.32 pattern all same word"])
        assert ours[access, "4", "one of 32 elsewhere"] == int(
            rules["LDS.32 / STS.32 pattern 31 lanes word 0 + 1 lane word 32"]
        )
        assert ours[access, "8", "contiguous"] == int(rules["LDS.64/STS.64"])
        assert ours[access, "16", "contiguous"] == int(rules["LDS.128/STS.128"])


def test_every_board_has_a_configuration_rows_and_a_kind_that_runs():
    suite = load_suite()
    assert {b.name for b in suite} >= {
        "pointer_chase",
        "strides",
        "cache",
        "l2",
        "l2_stream",
        "stream",
        "wavefronts",
        "atomics",
    }
    for benchmark in suite:
        assert benchmark.kind in RUNNERS, benchmark.name
        for board in benchmark.boards:
            load_config(board.gpu)
            assert benchmark.rows(board), (benchmark.name, board.gpu)


def test_plateaus_hold_points_of_their_table():
    for benchmark in load_suite():
        for board in benchmark.boards:
            x = [float(row["x"]) for row in benchmark.rows(board)] if "plateaus" in board.parameters else []
            for name, (low, high) in board.parameters.get("plateaus", {}).items():
                assert any(low <= value <= high for value in x), (benchmark.name, board.gpu, name)


def test_listed_gaps_name_benchmarks_and_boards_that_exist():
    known = {(b.name, board.gpu) for b in load_suite() for board in b.boards}
    wrong = [row for row in read_deviations("memory") if (row.case, row.gpu) not in known]
    assert not wrong


@pytest.mark.slow
@pytest.mark.sass
def test_listed_gaps_are_what_the_suite_finds():
    rows = read_deviations("memory")
    wanted = {(row.case, row.gpu) for row in rows}
    cells = [
        cell
        for benchmark in load_suite()
        for board in benchmark.boards
        if (benchmark.name, board.gpu) in wanted
        for cell in run_benchmark(benchmark, board).cells
    ]
    assert [wrong for row in rows if (wrong := row.mismatch(cells))] == []
    assert compare("memory", cells).unlisted == []
