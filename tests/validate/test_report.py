"""A suite through run directory and report: resumed, deterministic, self-contained, and refused where it must be."""

import json
import re

import pytest
from click.testing import CliRunner

from subcore.cli import cli
from validate.hardware import run as hardware
from validate.hardware.suite import load_suite


def call(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def validation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("validation") / "run"
    names = ("--benchmark", "empty", "--benchmark", "ffma_grid", "--benchmark", "ffma_loop_ncu")
    outcome = call("validate", "launch", "--quick", *names, "--points", "--limit", "0.2", "-o", folder)
    assert outcome.exit_code in (0, 1), outcome.output
    return folder, outcome


@pytest.mark.sass
def test_suite_tells_errors_tiers_guesses_and_what_it_left_out(validation):
    _, outcome = validation
    text = outcome.output
    assert re.search(r"launch\.ffma_loop_ncu +8 .*%", text)
    assert "launch.empty (calibration)" in text and "knobs of h100_pcie are guesses" in text
    assert re.search(r"left out: launch\.\S+ block=4096 thread=1024: about \d+ M warp instructions, limit 0.2 M", text)
    (empty,) = (line for line in text.splitlines() if line.startswith("launch.empty (calibration)"))
    assert not empty.endswith("beyond"), f"the launch knobs do not fit the empty kernels any more: {empty}"
    beyond = any("BEYOND" in line for line in text.splitlines())
    assert outcome.exit_code == int(beyond), "the exit code says whether a validation benchmark is beyond its tier"


@pytest.mark.sass
def test_finished_points_are_taken_up_and_changed_settings_are_not(validation, monkeypatch):
    folder, _ = validation
    benchmarks = [b for b in load_suite("launch") if b.name == "ffma_loop_ncu"]
    kept = list(hardware.run_benchmarks(benchmarks, "quick", limit=200_000, store=folder / "points"))

    def never(*arguments):
        raise AssertionError("the point was simulated again")

    monkeypatch.setattr(hardware, "run_point", never)
    again = list(hardware.run_benchmarks(benchmarks, "quick", limit=200_000, store=folder / "points"))
    assert again == kept and len(kept) == 8
    with pytest.raises(AssertionError, match="simulated again"):
        next(
            hardware.run_benchmarks(
                benchmarks, "quick", settings=("launch.drain_cycles=0",), limit=200_000, store=folder / "points"
            )
        )


@pytest.mark.sass
def test_report_is_one_page_with_a_stall_table_behind_every_row(validation, tmp_path):
    folder, _ = validation
    outcome = call("report", folder, "-o", tmp_path / "a")
    assert outcome.exit_code == 0, outcome.output
    html = (tmp_path / "a" / "report.html").read_text()
    links = re.findall(r'href="#(p\d+)"', html)
    points = [p for p in json.loads((folder / "summary.json").read_text())["points"] if p["simulated"] is not None]
    assert len(links) == len(points) and all(f'id="{link}"' in html for link in links)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html), "the page loads something from outside"
    assert html.count("data:image/svg+xml;base64,") == 5
    for name in ("scatter_duration", "scatter_cycles", "errors", "groups", "published"):
        assert (tmp_path / "a" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (tmp_path / "a" / f"{name}.svg").read_bytes()
    assert call("report", folder, "-o", tmp_path / "b").exit_code == 0
    for file in sorted((tmp_path / "a").iterdir()):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), f"{file.name} differs between two runs"
    refused = call("report", folder, "-o", tmp_path / "a")
    assert refused.exit_code == 1 and "exists already" in refused.output


@pytest.mark.sass
def test_stall_table_accounts_for_every_subcore_cycle(validation):
    folder, _ = validation
    for path in (folder / "points").iterdir():
        point = hardware.read_point(path)
        for launch in point.launches:
            assert sum(launch.stalls.values()) == launch.kernel_cycles * 4 * 114, path.name
            assert launch.stalls["issued"] == launch.warp_instructions


def test_folder_without_a_validation_is_refused(tmp_path):
    outcome = call("report", tmp_path)
    assert outcome.exit_code == 1 and "no finished `subcore validate hardware" in outcome.output
    (tmp_path / "other").write_text("x")
    outcome = call("validate", "launch", "--quick", "-o", tmp_path)
    assert outcome.exit_code == 1 and "is not a validation directory" in outcome.output


def test_unknown_benchmark_names_those_that_exist():
    outcome = call("validate", "polybench", "--benchmark", "lu")
    assert outcome.exit_code == 1 and "no benchmark lu in polybench; there are 2dconv, gemm" in outcome.output
