"""A suite through run directory and report: resumed, deterministic, self-contained, and refused where it must be."""

import json
import re
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from subcore.cli import cli
from validate.hardware import run as hardware
from validate.hardware.suite import load_suite

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def call(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def validation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("validation") / "run"
    names = ("--benchmark", "empty", "--benchmark", "ffma_grid", "--benchmark", "ffma_loop_ncu")
    outcome = call("validate", "launch", "--quick", *names, "--points", "--limit", "4", "-o", folder)
    assert outcome.exit_code in (0, 1), outcome.output
    return folder, outcome


@pytest.mark.sass
def test_suite_tells_errors_tiers_and_guesses(validation):
    _, outcome = validation
    text = outcome.output
    assert re.search(r"launch\.ffma_loop_ncu +8 .*%", text)
    assert "launch.empty (calibration)" in text and "knobs of h100_pcie are guesses" in text
    (empty,) = (line for line in text.splitlines() if line.startswith("launch.empty (calibration)"))
    assert not empty.endswith("beyond"), f"the launch knobs do not fit the empty kernels any more: {empty}"
    beyond = any("BEYOND" in line for line in text.splitlines())
    assert outcome.exit_code == int(beyond), "the exit code says whether a validation benchmark is beyond its tier"


@pytest.mark.sass
def test_finished_points_are_taken_up_and_changed_settings_are_not(validation, monkeypatch):
    folder, _ = validation
    benchmarks = [b for b in load_suite("launch") if b.name == "ffma_loop_ncu"]
    kept = list(hardware.run_benchmarks(benchmarks, "quick", limit=4_000_000, store=folder / "points"))

    def never(*arguments):
        raise AssertionError("the point was simulated again")

    monkeypatch.setattr(hardware, "run_point", never)
    again = list(hardware.run_benchmarks(benchmarks, "quick", limit=4_000_000, store=folder / "points"))
    assert again == kept and len(kept) == 8
    with pytest.raises(AssertionError, match="simulated again"):
        next(
            hardware.run_benchmarks(
                benchmarks, "quick", settings=("launch.drain_cycles=0",), limit=4_000_000, store=folder / "points"
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
    assert not re.findall(r"url\(|@import|<script|<link|https?://", html), "the page loads something from outside"
    for point in points:
        assert point["file"] in html, "a number whose file in the run directory is not named"
    assert "block-sampled: " not in html and not any(p["sampled"] for p in points)
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
@pytest.mark.skipif(BROWSER is None, reason="no headless browser (chromium) is installed")
def test_report_opens_in_a_browser_without_network(validation, tmp_path):
    folder, _ = validation
    assert call("report", folder, "-o", tmp_path / "out").exit_code == 0
    page = tmp_path / "out" / "report.html"
    # the size of every figure, as the browser lays it out
    sizes = "<script>document.title=[...document.images].map(i=>i.naturalWidth+'x'+i.naturalHeight).join(' ')</script>"
    page.write_text(page.read_text().replace("</body>", f"{sizes}</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run([BROWSER, *options, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    title = re.search(r"<title>(.*)</title>", done.stdout).group(1)
    figures = [tuple(map(int, size.split("x"))) for size in title.split()]
    assert len(figures) == 5 and all(width > 300 and height > 100 for width, height in figures), title


@pytest.mark.sass
def test_report_labels_a_point_that_was_sampled(validation, tmp_path):
    folder, _ = validation
    shutil.copytree(folder, tmp_path / "run")
    path = next((tmp_path / "run" / "points").glob("launch.ffma_grid*.json"))
    values = json.loads(path.read_text())
    values["launches"][0]["sampled"] = {
        "blocks": 4096, "simulated_blocks": 512, "simulated_share": 0.125, "stated_error": 0.021, "steady": 1.0
    }  # fmt: skip
    path.write_text(json.dumps(values))
    assert call("report", tmp_path / "run", "-o", tmp_path / "out").exit_code == 0
    html = (tmp_path / "out" / "report.html").read_text()
    assert "block-sampled: 512 of 4,096 blocks (12.5% of the warp instructions)" in html
    assert "stated error of 2.1%" in html and "1 of them block-sampled" in html and html.count("(sampled)") == 1


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
    assert outcome.exit_code == 1 and "no benchmark lu; there are 2dconv, gemm" in outcome.output
