"""Applications as a whole: what is reused is exact, processes change nothing, hosts and graphs change the time line."""

import csv
from dataclasses import replace

import pandas
import pytest

from sim.host.metrics import idle_gaps, summarize
from sim.host.model import list_hosts, load_host
from sim.host.timeline import COLUMNS
from subcore.api import LIBRARY
from subcore.application import kernels as application_kernels
from subcore.application.run import play, run_application
from subcore.application.spec import Application, Source, Step, read_application

NAMES = ("saxpy", "histogram", "transpose")


def program(*steps, memory=None, **sequences):
    sources = {name: Source(name, str(LIBRARY / f"{name}.sm_86.sct"), True, memory=memory or name) for name in NAMES}
    return Application("test", sources, tuple(steps), sequences)


def launch(name, stream=0):
    return Step("launch", name, stream=stream)


LOOP = program(*[launch(name) for name in NAMES[:2]] * 3, Step("synchronize", "device"))


def cycles(result):
    return [run.result.cycles for run in result.launches]


def test_reused_launches_are_exactly_those_simulated_again(monkeypatch):
    reused = run_application(LOOP, "rtx_a6000")
    assert [run.reused for run in reused.launches] == [-1, -1, -1, -1, 2, 3], "the L2 has settled after one round"
    monkeypatch.setattr(application_kernels, "STATES", 0)
    again = run_application(LOOP, "rtx_a6000")
    assert [run.reused for run in again.launches] == [-1] * 6
    for one, other in zip(reused.launches, again.launches, strict=True):
        assert one.result.values() == other.result.values()
    assert reused.played[0].rows.equals(again.played[0].rows)


def test_cold_launches_are_simulated_once_and_processes_change_nothing():
    one = run_application(LOOP, "rtx_a6000", warm=False)
    assert [run.reused for run in one.launches] == [-1, -1, 0, 1, 0, 1]
    two = run_application(LOOP, "rtx_a6000", warm=False, jobs=2)
    assert cycles(one) == cycles(two) and one.played[0].rows.equals(two.played[0].rows)
    for here, there in zip(one.launches, two.launches, strict=True):
        assert here.result.values() == there.result.values() and here.cost == there.cost


def test_memory_name_decides_who_sees_whose_data():
    """Both kernels place their arrays at the same addresses; only with one memory these are the same data."""
    steps = [launch("saxpy"), launch("transpose")]
    own = run_application(program(*steps), "rtx_a6000")
    shared = run_application(program(*steps, memory="all"), "rtx_a6000")
    cold = run_application(program(*steps), "rtx_a6000", warm=False)
    read = [run.launches[1].result.memory_counters["dram__sectors_read"] for run in (own, shared, cold)]
    assert read[0] == read[2] > read[1]


def test_graph_saves_launches_and_streams_overlap():
    body = (launch("saxpy"), launch("histogram"), launch("saxpy"))
    calls = run_application(program(Step("run", "body", count=5), body=body), "rtx_a6000", dispatch_ns=3000)
    graphs = run_application(program(Step("graph", "body", count=5), body=body), "rtx_a6000", dispatch_ns=3000)
    assert cycles(calls) == cycles(graphs)
    assert graphs.played[0].summary.host_ns < calls.played[0].summary.host_ns / 2
    assert graphs.played[0].summary.total_ns < calls.played[0].summary.total_ns
    side = run_application(program(*[launch("histogram", stream) for stream in range(4)]), "rtx_a6000")
    assert side.played[0].summary.overlap_ns > 0 == calls.played[0].summary.overlap_ns


def test_one_simulation_plays_on_every_host():
    application = replace(LOOP, steps=(Step("copy", "h2d", bytes=1 << 24, blocking=True), *LOOP.steps))
    result = run_application(application, "rtx_a6000", list_hosts())
    times = {played.host.name: played.summary for played in result.played}
    assert len(times) == 4
    near, far = times["GH200, NVLink-C2C"], times["x86, PCIe 3.0 x16"]
    assert near.copy_ns * 20 < far.copy_ns and near.kernel_ns == far.kernel_ns
    assert near.launch_floor_ns > far.launch_floor_ns, "one launch takes longer on Grace"
    alone = play(application, result.launches, result.config, load_host("gh200"))
    assert alone.summary == near


def frame(*rows):
    given = {"name": "k", "engine": "", "bytes": 0, "blocking": False, "graph": -1, "ready_ns": 0}
    return pandas.DataFrame([{**given, **row} for row in rows], columns=list(COLUMNS))


def test_summary_of_a_hand_made_time_line():
    rows = frame(
        {"kind": "kernel", "stream": 0, "call_ns": 10, "issued_ns": 20, "start_ns": 30, "end_ns": 100},
        {"kind": "kernel", "stream": 1, "call_ns": 20, "issued_ns": 30, "start_ns": 80, "end_ns": 120},
        {"kind": "copy", "stream": 2, "call_ns": 30, "issued_ns": 40, "start_ns": 110, "end_ns": 150},
        {"kind": "kernel", "stream": 0, "call_ns": 40, "issued_ns": 50, "start_ns": 180, "end_ns": 200},
        {"kind": "work", "stream": -1, "call_ns": 50, "issued_ns": 50, "start_ns": 50, "end_ns": 55},
    )
    host = replace(load_host(), launch_latency_ns=20)
    summary = summarize(rows, host)
    assert (summary.total_ns, summary.kernel_ns, summary.busy_ns, summary.overlap_ns) == (190, 130, 110, 20)
    assert (summary.idle_ns, summary.longest_idle_ns) == (80, 60)
    assert (summary.copy_ns, summary.exposed_copy_ns) == (40, 30)
    assert (summary.tklqt_ns, summary.launch_floor_ns, summary.queue_ns) == (20 + 60 + 140, 60, 160)
    assert summary.host_ns == 40 + 5 and summary.bound == "GPU"
    assert idle_gaps(rows).to_dict("records") == [{"start_ns": 120, "length_ns": 60, "after": 1, "before": 3}]


def test_application_without_kernels_has_a_time_line_too():
    result = run_application(program(Step("copy", "d2h", bytes=1000), Step("synchronize", "device")), "rtx_a6000")
    summary = result.played[0].summary
    assert summary.kernels == 0 and summary.idle_ns == summary.total_ns and summary.bound in ("host", "latency")


@pytest.mark.shared_data
def test_captured_bfs_replays_with_its_copies(shared_data):
    result = run_application(shared_data / "bfs-rodinia-3.1-sm70", "v100", ["pcie_gen3_x86"])
    summary = result.played[0].summary
    assert (summary.kernels, summary.copies) == (16, 14)
    assert summary.tklqt_ns >= summary.launch_floor_ns
    rows = result.played[0].rows
    assert (rows.issued_ns[rows.kind == "copy"] > rows.end_ns[rows.kind == "copy"]).all(), (
        "the program waits for copies"
    )


@pytest.mark.slow
@pytest.mark.shared_data
def test_captured_flashinfer_and_pytorch_step_replay(shared_data):
    """All traces of the four captures: 124 of 128 are named in their lists (nn-onestep lists 114 of 118)."""
    launches = 0
    for name in ("flashinfer-prefill", "flashinfer-singledecode", "flashinfer-gemm", "nn-onestep"):
        result = run_application(shared_data / "flashinfer-sm80" / name / "traces", "a100", ["pcie_gen4_x86", "gh200"])
        launches += len(result.launches)
        for played in result.played:
            assert played.summary.kernels == len(result.launches)
            assert played.summary.busy_ns <= played.summary.kernel_ns
    assert launches == 124


@pytest.mark.slow
@pytest.mark.shared_data
def test_captured_private_training_step_replays_in_full_order(shared_data, tmp_path):
    """One file was kept per distinct launch; the index says which stands for each of the 387 launches."""
    folder = shared_data / "dp-pytorch-sm70"
    with open(folder / "index.csv", newline="", encoding="utf-8") as file:
        kept = [row["kept_as"] for row in csv.DictReader(file) if row["run"] == "simpleopacus2-traces"]
    present = [name for name in kept if (folder / f"{name}.xz").is_file()]
    lines = []
    for number, name in enumerate(present):
        (tmp_path / f"kernel-{number}.traceg.xz").symlink_to(folder / f"{name}.xz")
        lines.append(f"kernel-{number}.traceg")
    (tmp_path / "kernelslist.g").write_text("\n".join(lines) + "\n")
    result = run_application(tmp_path, "v100", ["pcie_gen3_x86"], warm=False, jobs=2, dispatch_ns=6000)
    assert len(result.launches) == len(present) >= 200
    assert sum(run.reused < 0 for run in result.launches) == len(set(present))
    assert result.played[0].summary.bound == "host", "small kernels behind a framework's dispatch"
    assert read_application(tmp_path).launches() == [run.name for run in result.launches]
