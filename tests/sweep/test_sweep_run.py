"""Running sweeps: the same table from one process, several, a killed worker, a killed parent, a Dask cluster."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pandas
import pytest

from isa.errors import SubcoreError
from subcore.api import LIBRARY
from subcore.sweep import run as sweep_run
from subcore.sweep.engine import _lost, run_here
from subcore.sweep.journal import NAME, Journal
from subcore.sweep.point import FAILED, Task
from subcore.sweep.run import RESULTS, run_sweep
from subcore.sweep.spec import Axis, Spec, Workload

TRACE = Workload(str(LIBRARY / "saxpy.sm_86.sct"), is_trace=True)
MSHRS = tuple(range(16, 24))


def small(values=MSHRS, traces=(TRACE,)):
    return Spec(traces, ("rtx_a6000",), (Axis("knob", ("l1d.mshrs",), tuple((v,) for v in values)),))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Bytes of the table of an undisturbed sweep in one process."""
    folder = tmp_path_factory.mktemp("whole")
    run_sweep(small(), folder)
    return (folder / RESULTS).read_bytes()


def command(folder, jobs):
    axis = "l1d.mshrs=" + ",".join(map(str, MSHRS))
    words = ["sweep", TRACE.source, "-c", "rtx_a6000", "--param", axis, "-o", str(folder), "-j", str(jobs)]
    return [sys.executable, "-m", "subcore", *words]


def journalled(folder):
    path = folder / NAME
    return path.read_bytes().count(b"\n") - 1 if path.exists() else 0


def start_and_wait(folder, jobs, points):
    """A sweep in a process group of its own that has finished some points."""
    process = subprocess.Popen(command(folder, jobs), start_new_session=True, stderr=subprocess.PIPE)
    until = time.monotonic() + 300
    while journalled(folder) < points and process.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    return process


def test_rows_are_in_order_and_hold_every_statistic(table, tmp_path):
    frame = pandas.read_csv(__import__("io").BytesIO(table))
    assert list(frame["point"]) == list(range(len(MSHRS))) and list(frame["l1d.mshrs"]) == list(MSHRS)
    assert (frame["status"] == "ok").all() and (frame["cycles"] > 0).all()
    stalls = frame[[name for name in frame if name.startswith("stall.")]].sum(axis=1)
    assert (stalls == frame["sm__cycles_elapsed"] * 84 * 4).all(), "every sub-core cycle has a reason"
    assert frame["config_hash"].nunique() == len(MSHRS) and frame["trace_hash"].nunique() == 1


def test_two_processes_give_the_same_table(table, tmp_path):
    seen = []
    run_sweep(small(), tmp_path, jobs=2, progress=lambda done, of: seen.append((done, of)))
    assert (tmp_path / RESULTS).read_bytes() == table
    assert seen == [(n, len(MSHRS)) for n in range(len(MSHRS) + 1)]


def test_killed_parent_goes_on_where_it_was(table, tmp_path):
    process = start_and_wait(tmp_path, 2, 3)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = journalled(tmp_path)
    assert done >= 3
    finished = subprocess.run(command(tmp_path, 1), capture_output=True, text=True, check=True)
    if done < len(MSHRS):
        assert f"{done} of {len(MSHRS)} points are done already" in finished.stderr
    assert (tmp_path / RESULTS).read_bytes() == table


def test_killed_worker_is_replaced(table, tmp_path):
    process = start_and_wait(tmp_path, 2, 1)
    workers = [
        int(pid)
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    for worker in workers[:1]:
        os.kill(worker, signal.SIGKILL)
    process.communicate()
    assert process.returncode == 0
    assert (tmp_path / RESULTS).read_bytes() == table


@pytest.mark.parametrize("cut", [1, 40])
def test_torn_last_line_is_run_again(table, tmp_path, cut):
    run_sweep(small(), tmp_path)
    journal = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(journal[:-cut])
    seen = []
    run_sweep(small(), tmp_path, progress=lambda done, of: seen.append(done))
    assert seen == [len(MSHRS) - 1, len(MSHRS)]
    assert (tmp_path / RESULTS).read_bytes() == table


def test_failed_points_say_why_and_lose_nothing(tmp_path):
    rows = run_sweep(small((16, -1, 32)), tmp_path)
    assert [row["status"] for row in rows] == ["ok", FAILED, "ok"]
    assert "l1d.mshrs" in rows[1]["error"] and "-1" in rows[1]["error"]
    frame = pandas.read_csv(tmp_path / RESULTS)
    assert frame["cycles"].isna().tolist() == [False, True, False]


def test_failed_points_run_again_on_request(tmp_path, monkeypatch):
    spec = small((16, -1))
    run_sweep(spec, tmp_path)
    seen = []
    run_sweep(spec, tmp_path, progress=lambda done, of: seen.append(done))
    run_sweep(spec, tmp_path, retry_failed=True, progress=lambda done, of: seen.append(done))
    assert seen == [2, 1, 2]


def test_bug_at_one_point_is_a_failed_row(tmp_path, monkeypatch):
    def broken(trace, config):
        raise IndexError("out of range")

    monkeypatch.setattr("subcore.api.simulate", broken)
    rows = run_sweep(small((16,)), tmp_path)
    assert rows[0]["error"] == "internal error: IndexError: out of range"


def test_worker_that_always_dies_fails_its_point_only():
    tasks = [Task(point, TRACE.source, "") for point in small((16, 17, 18)).points()]
    os.environ["SUBCORE_TEST_DIES"] = "1"
    try:
        rows = {task.point.number: row for task, row in run_here(tasks, 2, _dies_at_point_1, _lost)}
    finally:
        del os.environ["SUBCORE_TEST_DIES"]
    assert {number: row["status"] for number, row in rows.items()} == {0: "ok", 1: FAILED, 2: "ok"}
    assert "worker process died" in rows[1]["error"]


@pytest.mark.parametrize("good", range(5))
def test_pool_that_breaks_between_points_loses_none(monkeypatch, good):
    """A worker may die while nothing waits for it: then `submit` fails, and the point must not be forgotten."""
    pools = []

    class Pool:
        def __init__(self, jobs):
            self.left = good if not pools else 100
            pools.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, work, task):
            if self.left == 0:
                raise BrokenProcessPool
            self.left -= 1
            future = Future()
            future.set_result(work(task))
            return future

    monkeypatch.setattr("subcore.sweep.engine._pool", Pool)
    found = dict(run_here(range(7), 2, lambda task: 10 * task, lambda task: -1))
    assert found == {task: 10 * task for task in range(7)}


def _dies_at_point_1(task):
    if task.point.number == 1 and "SUBCORE_TEST_DIES" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"status": "ok"}


def test_folder_of_another_sweep_is_kept(table, tmp_path):
    run_sweep(small(), tmp_path)
    with pytest.raises(SubcoreError, match="another sweep.*--force"):
        run_sweep(small((1,)), tmp_path)
    assert (tmp_path / RESULTS).read_bytes() == table
    run_sweep(small((16,)), tmp_path, force=True)
    assert len(pandas.read_csv(tmp_path / RESULTS)) == 1


def test_folder_that_is_no_sweep_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SubcoreError, match="holds no sweep"):
        run_sweep(small((16,)), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_two_sweeps_may_not_write_one_folder(tmp_path):
    with Journal(tmp_path, {"sweep": "a"}), pytest.raises(SubcoreError, match="another sweep is writing"):
        Journal(tmp_path, {"sweep": "a"})


def test_damaged_journal_is_named(tmp_path):
    (tmp_path / NAME).write_text("not json\n")
    with pytest.raises(SubcoreError, match="damaged"):
        Journal(tmp_path, {"sweep": "a"})


def test_parquet_table_holds_the_same_values(tmp_path):
    pytest.importorskip("pyarrow")
    run_sweep(small((16, 32)), tmp_path)
    csv, parquet = pandas.read_csv(tmp_path / RESULTS), pandas.read_parquet(tmp_path / "results.parquet")
    assert list(csv.columns) == list(parquet.columns)
    assert (csv["cycles"] == parquet["cycles"]).all()


@pytest.mark.sass
def test_kernels_are_emulated_once_and_stored(tmp_path):
    axis = (Axis("knob", ("l1d.mshrs",), ((16,), (32,))), Axis("parameter", ("n",), ((256,), (512,))))
    rows = run_sweep(Spec((Workload("saxpy"),), ("rtx_a6000",), axis), tmp_path)
    assert [row["status"] for row in rows] == ["ok"] * 4
    assert len({row["trace_hash"] for row in rows}) == 2 == len(list((tmp_path / "traces").iterdir()))


def test_dask_gives_the_same_table(table, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        run_sweep(small(), tmp_path, dask=cluster.scheduler_address)
    assert (tmp_path / RESULTS).read_bytes() == table
    with pytest.raises(SubcoreError, match="no Dask scheduler"):
        run_sweep(small((99,)), tmp_path / "other", dask="tcp://127.0.0.1:9")


def test_journal_lines_are_plain_json(tmp_path):
    run_sweep(small((16,)), tmp_path)
    header, row = map(json.loads, (tmp_path / NAME).read_text().splitlines())
    assert header["format"] == "subcore-sweep" and row["row"]["point"] == 0
    assert sweep_run.RESULTS in {p.name for p in tmp_path.iterdir()}
