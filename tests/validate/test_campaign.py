"""The measuring kit without a GPU: its plan, its job files, a whole campaign over a stand-in for the native runner."""

import json
import stat
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from isa.compile import compile_cuda
from isa.errors import SubcoreError
from subcore.cli import cli
from traces.kernels.catalogue import list_kernels, load_launch
from validate.campaign import jobs
from validate.campaign.measure import Campaign
from validate.campaign.plan import POINTS, Point, read_plan, scaled
from validate.campaign.table import COLUMNS
from validate.hardware.suite import load_campaign

# Answers as runner.cu does: what the reference expects, but zeros for saxpy; it refuses gelu and dies at silu_gate.
RUNNER = """
import sys, time
from pathlib import Path
import numpy as np
from traces.kernels.catalogue import load_launch
print("ready cupti=1", flush=True)
for line in sys.stdin:
    job = dict(row.split(" ", 1) for row in Path(line.strip()).read_text().splitlines() if " " in row)
    name = job["kernel"]
    if name == "gelu":
        print("error cuLaunchKernel: CUDA_ERROR_INVALID_VALUE", flush=True)
        continue
    if name == "silu_gate":
        sys.exit(3)
    case = load_launch(name)
    outputs = [a for a in case.arguments if a.output]
    expected = case.expected() if outputs else {}
    with open(job["output"], "wb") as file:
        for a in outputs:
            file.write((np.zeros_like(a.value) if name == "saxpy" else expected[a.name]).tobytes())
    print("attributes 18 0 0 8")
    for caches, ns in (("copied", 2500.0), ("flushed", 4100.0)):
        print(f"time cupti {caches} {job['repeats']} {ns} {ns - 100} {ns + 300} 1979.6")
        print(f"time events {caches} {job['repeats']} {ns + 2000} {ns + 1900} {ns + 2300} 1980.1")
    print("done", flush=True)
"""


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def campaign(tmp_path):
    """A campaign over five kernels; the stand-in for nvcc fails on mandelbrot."""
    nvcc = script(
        tmp_path / "nvcc",
        "if '--version' in sys.argv: print('release 13.0'); sys.exit()\n"
        "if any('mandelbrot' in a for a in sys.argv): print('no such instruction'); sys.exit(2)\n"
        "open(sys.argv[sys.argv.index('-o') + 1], 'w').write('code')\n",
    )
    (tmp_path / "scratch").mkdir()
    return Campaign(
        output=tmp_path / "out", build=tmp_path / "build", scratch=tmp_path / "scratch", nvcc=str(nvcc),
        architecture=90, quick=True, repeats=7, deadline=time.monotonic() + 300,
        kernels=("vectoradd", "saxpy", "gelu", "silu_gate", "mandelbrot", "softmax"),
        runner=str(script(tmp_path / "runner", RUNNER)),
    )  # fmt: skip


def defaults_only(campaign):
    default = {name: dict(load_launch(name).parameters) for name in campaign.kernels}
    campaign.points = [point for point in campaign.points if dict(point.parameters) == default[point.kernel]]
    assert len(campaign.points) == len(campaign.kernels)


def test_plan_names_every_kernel_and_sizes_that_it_accepts():
    table = tomllib.loads(POINTS.read_text())
    measured = {*table["doublings"], *(entry["kernel"] for entry in table["grid"])}
    assert measured == {name for name in list_kernels() if 90 in load_launch(name).architectures}
    points, quick = read_plan(), read_plan(quick=True)
    assert len({point.label for point in points}) == len(points) > 2 * len(quick)
    for name, doublings in table["doublings"].items():
        assert doublings == sorted(set(doublings)) and doublings[0] == 0, name
        assert scaled(name, 0) == dict(load_launch(name).parameters)


def test_scaling_doubles_towards_the_large_sizes_and_stops_there():
    case = load_launch("flash_attention")
    assert scaled("flash_attention", 1) == {"heads": 4, "sequence": 256}
    assert scaled("flash_attention", 30) == dict(case.large)


def test_job_file_holds_the_launch_and_its_bytes(tmp_path):
    point = Point("saxpy", dict(load_launch("saxpy").parameters))
    job = jobs.prepare(point, Path("/code.cubin"), tmp_path / "job", 9)
    case = load_launch("saxpy")
    lines = job.path.read_text().splitlines()
    arrays = [a for a in case.arguments if isinstance(a.value, np.ndarray)]
    assert "kernel saxpy" in lines and "repeats 9" in lines and "cubin /code.cubin" in lines
    assert [line for line in lines if line.startswith("buffer")] == [
        f"buffer {a.value.nbytes} {int(a.output)}" for a in arrays
    ]
    assert (tmp_path / "job" / "data").read_bytes() == b"".join(a.value.tobytes() for a in arrays)
    assert [line for line in lines if line.startswith("pointer")] == [f"pointer {n}" for n in range(len(arrays))]
    values = [line.split()[1] for line in lines if line.startswith("value")]
    assert values == [a.value.tobytes().hex() for a in case.arguments if not isinstance(a.value, np.ndarray)]


def test_job_file_describes_tensor_maps_and_cooperative_launches(tmp_path):
    wgmma = jobs.prepare(Point("gemm_wgmma", {"m": 256, "n": 128, "k": 512}), Path("/c"), tmp_path / "a", 1)
    lines = wgmma.path.read_text().splitlines()
    assert "map 0 6 2 128 2 512 256 64 128" in lines, "float16, 128 bytes of swizzle, 512 x 256 in boxes of 64 x 128"
    assert "pointer 2" in lines and "cooperative 0" in lines
    grid = jobs.prepare(Point("reduction_grid", {"n": 20000, "blocks": 8}), Path("/c"), tmp_path / "b", 1)
    assert "cooperative 1" in grid.path.read_text().splitlines()


def test_check_finds_one_wrong_element(tmp_path):
    point = Point("vectoradd", dict(load_launch("vectoradd").parameters))
    job = jobs.prepare(point, Path("/code.cubin"), tmp_path / "job", 1)
    right = load_launch("vectoradd").expected()
    raw = b"".join(right[a.name].tobytes() for a in load_launch("vectoradd").arguments if a.output)
    (tmp_path / "job" / "output").write_bytes(raw)
    assert jobs.check(job) == "ok"
    (tmp_path / "job" / "output").write_bytes(raw[:-4] + b"\0\0\x80\x7f")
    assert "1 of" in jobs.check(job) and "differ" in jobs.check(job)


def test_campaign_goes_on_past_what_fails_and_says_what_was_wrong(campaign, capsys):
    defaults_only(campaign)
    assert campaign.run(["kernels"]) == 1, "wrong results must show in the exit status"
    rows = {(row.benchmark, row.profiler): row for row in campaign.rows}
    assert {name for name, _ in rows} == {"vectoradd", "saxpy", "softmax"}
    assert rows["vectoradd", "cupti"].check == "ok" and "differ" in rows["saxpy", "cupti"].check
    assert rows["vectoradd", "cupti_flushed"].duration_ns == "4100.0"
    text = "\n".join(campaign.left_out)
    assert "mandelbrot" in text and "no such instruction" in text
    assert "gelu" in text and "CUDA_ERROR_INVALID_VALUE" in text and "silu_gate" in text
    header = (campaign.output / "kernels.csv").read_text().splitlines()[0]
    assert header == ",".join(COLUMNS)
    state = json.loads((campaign.output / "device.json").read_text())
    assert state["cupti"] is True and len(state["left_out"]) == 3
    assert (campaign.output / "code" / "vectoradd.sm_90.cubin").is_file()


def test_validate_reads_the_table_as_it_is_and_refuses_wrong_results(campaign):
    defaults_only(campaign)
    campaign.run(["kernels"])
    table = campaign.output / "kernels.csv"
    with pytest.raises(SubcoreError, match="saxpy .* gave wrong results"):
        load_campaign(table, "h200")
    table.write_text("".join(line for line in table.open() if not line.startswith("saxpy")))
    benchmarks = {b.name: b for b in load_campaign(table, "h200")}
    assert set(benchmarks) == {"vectoradd", "vectoradd.flushed", "softmax", "softmax.flushed"}
    plain, flushed = benchmarks["vectoradd"], benchmarks["vectoradd.flushed"]
    assert plain.measured(plain.points[0]) == 2500.0 and flushed.measured(flushed.points[0]) == 4100.0
    assert plain.settings == ("gpu.core_clock_mhz=1980",) and flushed.overlays == ("cold_l2",)
    assert plain.launches[0].sizes(plain.points[0]) == dict(load_launch("vectoradd").parameters)


def test_events_alone_lose_the_cost_that_the_empty_kernel_shows(tmp_path):
    table = tmp_path / "kernels.csv"
    row = "{},events,{},1980,{},,,,5,copied,1x1x1,32x1x1,16,8,ok\n"
    table.write_text(
        ",".join(COLUMNS) + "\n"
        + row.format("emptykernel", "blocks=1;threads=32", 4397.7)
        + row.format("ffma_short", "blocks=1;threads=32", 5000.0)
    )  # fmt: skip
    (_, ffma) = load_campaign(table, "h200")
    assert ffma.measured(ffma.points[0]) == pytest.approx(2000.0), "3000 ns are the events' own"


def test_table_without_times_is_refused(tmp_path):
    table = tmp_path / "kernels.csv"
    table.write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(SubcoreError, match="no kernel time"):
        load_campaign(table, "h200")


@pytest.mark.sass
def test_campaign_command_compares_the_code_that_was_measured(campaign):
    defaults_only(campaign)
    campaign.kernels = ("vectoradd",)
    campaign.points = [point for point in campaign.points if point.kernel == "vectoradd"]
    assert campaign.run(["kernels"]) == 0
    code = campaign.output / "code" / "vectoradd.sm_90.cubin"
    call = ["validate", "campaign", str(campaign.output / "kernels.csv"), "-c", "h200", "--json"]
    code.write_bytes(compile_cuda(load_launch("vectoradd").source, 90))
    outcome = CliRunner().invoke(cli, call)
    values = json.loads(outcome.stdout)
    by_name = {point["benchmark"]: point for point in values["points"]}
    assert by_name["vectoradd"]["measured"] == 2500.0 and by_name["vectoradd.flushed"]["measured"] == 4100.0
    assert by_name["vectoradd.flushed"]["simulated"] > by_name["vectoradd"]["simulated"], "a cold L2 costs time"
    assert values["cards"]["campaign"]["card"]["profiler"]["campaign"]["name"] == "CUPTI"
    assert outcome.exit_code == int(not all(row["passes"] for row in values["benchmarks"]))
    code.unlink()
    missing = CliRunner().invoke(cli, call)
    assert missing.exit_code == 1 and "vectoradd.sm_90.cubin" in missing.output
