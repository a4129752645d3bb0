"""Hardware suites: every measured row has a place, equals its source, and names kernels that exist."""

import csv

import pytest

from isa.errors import SubcoreError
from traces.kernels import list_kernels, load_launch
from validate.hardware.published import read_published
from validate.hardware.run import code_path
from validate.hardware.suite import SUITES, excluded, list_suites, load_suite, read_card, read_measurements

BENCHMARKS = [benchmark for suite in list_suites() for benchmark in load_suite(suite)]


def test_every_measured_row_belongs_to_one_benchmark_or_is_excluded_with_a_reason():
    rows = read_measurements("h100_pcie")
    taken = [id(point) for benchmark in BENCHMARKS for point in benchmark.points]
    left_out = {name: reason for suite in list_suites() for name, reason in excluded(suite).items()}
    assert len(rows) == 1144
    assert len(taken) == len(set(taken)), "a row is compared twice"
    missing = {row.benchmark for row in rows if id(row) not in set(taken)}
    assert missing == set(left_out) and all(left_out.values()), "rows without a benchmark need a reason"


@pytest.mark.parametrize("entry", BENCHMARKS, ids=lambda b: f"{b.suite}.{b.name}")
def test_benchmark_can_be_run_from_what_is_kept(entry):
    for launch in entry.launches:
        assert launch.kernel in list_kernels()
        for point in entry.points[:: max(1, len(entry.points) // 5)]:
            case = load_launch(launch.kernel, launch.sizes(point))
            assert max(case.block) <= 1024
        assert code_path(case.source, 90).stat().st_size > 0
    quick, usual = entry.select("quick"), entry.select("default")
    assert 2 <= len(quick) <= len(usual) <= len(entry.select("all")) == len(entry.points)
    assert all(entry.measured(point) > 0 and entry.work_of(point) > 0 for point in entry.points)


def test_launch_shapes_of_the_measured_programs():
    gemm = next(b for b in BENCHMARKS if b.name == "gemm")
    point = next(p for p in gemm.points if dict(p.parameters) == {"blockDimX": 16, "size": 96})
    case = load_launch("polybench_gemm", gemm.launches[0].sizes(point))
    assert (case.grid, case.block) == ((6, 12), (16, 8))


def test_calibration_points_are_marked():
    assert {b.name for b in BENCHMARKS if b.role == "calibration"} == {"empty", "empty_ncu", "ffma_one_block"}


def test_card_and_its_source_are_told():
    card = read_card("h100_pcie")
    assert {"card", "source", "software", "driver", "profiler"} <= set(card)
    assert {p.profiler for b in BENCHMARKS for p in b.points} == set(card["profiler"])


@pytest.mark.shared_data
def test_measurements_equal_their_source(shared_data):
    with open(shared_data / "h100pcie-kernel-times" / "h100pcie_kernel_times.csv", newline="") as file:
        theirs = {
            (row["benchmark"], row["profiler"], row["params"]): (row["duration_ns"], row["ncu_cycles"])
            for row in csv.DictReader(file)
        }
    ours = {
        (m.benchmark, m.profiler, ";".join(f"{k}={v}" for k, v in m.parameters.items())): m
        for m in read_measurements("h100_pcie")
    }
    assert set(ours) == set(theirs)
    for key, (duration, cycles) in theirs.items():
        assert ours[key].duration_ns == float(duration) and ours[key].cycles == float(cycles or 0), key


@pytest.mark.shared_data
def test_published_errors_equal_their_source(shared_data):
    numpy = pytest.importorskip("numpy")
    models = {"Accel-Sim": "Accel-sim", "MICRO 2025": "Our paper"}
    with open(shared_data / "upc-micro2025-ape" / "signed_cycle_error_percent.csv", newline="") as file:
        theirs = list(csv.DictReader(file))
    for row in read_published():
        board = row["board"].upper().replace(" ", "_").replace("SUPER", "Super")
        errors = numpy.array(
            [
                float(their["signed_cycle_error_percent"]) / 100
                for their in theirs
                if (their["gpu_or_study"], their["model"]) == (board, models[row["model"]])
                and (row["programs"] == "all" or their["app"].startswith("polybench-"))
            ]
        )
        size = abs(errors)
        found = (len(errors), size.mean(), numpy.median(size), numpy.percentile(size, 90), size.max(), errors.mean())
        names = ("count", "mean_absolute", "median_absolute", "p90_absolute", "max_absolute", "bias")
        assert found == pytest.approx([row[name] for name in names], abs=6e-5), row


def test_unknown_suite_names_those_that_exist():
    with pytest.raises(SubcoreError, match="no hardware suite 'nothing'.*polybench"):
        load_suite("nothing")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('compare = "duration"', 'compare = "time"', "compare is one of"),
        ("tier_percent", "tear_percent", "unknown key 'tear_percent'"),
        ('profiler = "nsys"', 'profiler = "nvprof"', "no measurement of"),
        ("quick = {", "quick = { blocks = [1],", "quick: no parameter blocks"),
        ("[[benchmark]]", "[[benchmark", "not valid TOML"),
    ],
)
def test_bad_suite_names_file_and_key(tmp_path, before, after, message):
    text = (SUITES / "cuda_sdk.toml").read_text()
    assert before in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(before, after))
    with pytest.raises(SubcoreError, match=f"mine.toml.*{message}"):
        load_suite("mine", path)
