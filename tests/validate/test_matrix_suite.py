"""The matrix suite: figures as published, fractions of the peak, and times within their limits or listed."""

import csv
import dataclasses
import re

import pytest
from click.testing import CliRunner

from isa.errors import SubcoreError
from validate.deviations import compare, read_deviations
from validate.matrix import load_suite, run_row

TILES = {
    "128x128": 20,
    "128x256": 23,
    "256x128": 24,
    "96x128": 28,
    "160x128": 30,
    "192x128": 31,
}  # cublasLtMatmulTile_t
STAGES = {"32x3": 9, "32x4": 10, "64x3": 15}  # cublasLtMatmulStages_t
LONG = ("gemm_a100_large", "gemm_rtx_4090_small_tile")
QUICK = "1024 AB 96x128 32x4"


def rows(case):
    return [row for row in load_suite() if row.case == case]


@pytest.mark.shared_data
def test_products_of_the_a100_are_those_published_with_the_same_tile_and_stages(shared_data):
    with (shared_data / "literature" / "gemm_runtime.csv").open(encoding="utf-8", newline="") as file:
        published = [line for line in csv.DictReader(file) if line["gpu"] == "A100 SXM4 80GB"]
    for row in rows("gemm_a100") + rows("gemm_a100_large"):
        size, layout, *kind, tile, stages = row.cell.split()
        given = row.parameters
        assert (given["m"], given["n"], given["k"]) == (int(size),) * 3
        assert (f"{given['tile_m']}x{given['tile_n']}", f"{given['depth']}x{given['stages']}") == (tile, stages)
        found = [
            float(line["runtime_ms"]) * 1e3
            for line in published
            if (line["m"], line["n"], line["k"]) == (size,) * 3
            and line["layout"].split("_")[0] == layout
            and line["dtype_in"] == ("bf16" if kind else "fp16")
            and line["tile"] == f"cublasLt tile_id {TILES[tile]} splitk 1"
            and line["stages"] == f"stages_id {STAGES[stages]}"
        ]
        assert found and min(abs(value - row.microseconds) for value in found) < 0.1, (row.cell, found)


@pytest.mark.shared_data
def test_products_of_the_rtx_4090_and_attention_are_as_published(shared_data):
    with (shared_data / "literature" / "gemm_runtime.csv").open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["gpu"] == "RTX 4090"]
    times = {line["implementation"]: float(line["runtime_ms"]) for line in lines}
    expected = [
        times[f"mma-matmul kernel {name}"] * 1e3 for name in ("3.1 N-stage + 4x tiling", "3.0 N-stage async pipeline")
    ]
    mine = rows("gemm_rtx_4090") + rows("gemm_rtx_4090_small_tile")
    assert [row.microseconds for row in mine] == pytest.approx(expected)
    with (shared_data / "flashgpusim-h100-fa3" / "fa3_forward_h100_ncu_vs_sim.csv").open(newline="") as file:
        medium = [line for line in csv.DictReader(file) if line["profile"] == "medium"]
    for row, line in zip(rows("attention_h100"), medium, strict=True):
        assert row.microseconds == float(line["ncu_us"])
        assert row.parameters["heads"] == int(line["batch"]) * int(line["heads"])
        assert row.parameters["causal"] == int(line["causal"]) and row.kernel.endswith(f"_{line['head_dim']}")
        assert int(re.sub(r"\D", "", row.remark)) == int(line["sim_cycles_1500MHz"])


def test_fraction_of_the_peak_is_operations_over_time():
    (row,) = [row for row in rows("gemm_a100") if row.cell == "2048 AB 160x128 32x4"]
    assert row.of_peak(76.82) == pytest.approx(223.63 / 312, rel=1e-3)  # TFLOPS as published
    assert row.of_peak(2 * 76.82) == pytest.approx(row.of_peak(76.82) / 2)


@pytest.mark.sass
def test_quick_row_is_as_listed_and_a_slower_tensor_core_is_seen():
    (row,) = [row for row in rows("gemm_a100") if row.cell == QUICK]
    outcome = run_row(row)
    assert not compare("matrix", [outcome]).unlisted, f"{outcome.simulated} for {outcome.measured} us"
    slow = run_row(row, settings=("tensor.macs_per_cycle=32",))
    assert slow.simulated > 3 * outcome.simulated and not slow.agrees
    context = dataclasses.replace(slow, row=dataclasses.replace(row, limit_percent=None))
    assert context.agrees


@pytest.mark.slow
@pytest.mark.sass
def test_every_time_is_within_its_limit_or_a_known_gap():
    outcomes = [run_row(row) for row in load_suite() if row.case not in LONG]
    assert [o.cell for o in compare("matrix", outcomes).unlisted] == []
    known = read_deviations("matrix")
    assert [text for row in known if (text := row.mismatch(outcomes))] == []


SUITE = """
[[case]]
name = "probe"
board = "b"
gpu = "a100_sxm4_80gb"
kernel = "gemm_mma_pipelined"
source = "here"
peak_tflops = 312
[case.rows]
"x" = { microseconds = 8, operations = 1e9 }
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("operations = 1e9", "operations = 1e9, colour = 1", r"case probe, row x: unknown keys \['colour'\]"),
        ("microseconds = 8, ", "", "case probe, row x: .*microseconds"),
        ("microseconds = 8", "microseconds = 0", "must be greater than 0"),
        ("[[case]]", "[[case", "probe.toml"),
    ],
)
def test_mistake_in_a_suite_file_names_file_and_row(tmp_path, old, new, message):
    path = tmp_path / "probe.toml"
    path.write_text(SUITE.replace(old, new, 1))
    with pytest.raises(SubcoreError, match=message):
        load_suite(path)


@pytest.mark.sass
def test_unknown_case_is_named():
    from subcore.cli import cli

    done = CliRunner().invoke(cli, ["validate", "matrix", "--case", "gemm_a10"], standalone_mode=False)
    assert "no case gemm_a10 " in str(done.exception) and "gemm_a100" in str(done.exception)
