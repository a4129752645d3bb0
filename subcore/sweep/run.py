"""Run a sweep in a folder: store its traces, run what the journal lacks, write the table.

`journal.jsonl` every finished point; `traces/` what the points replay; `results.csv` (and `results.parquet`, where
pyarrow is installed) the table in point order, the same bytes however often the sweep was interrupted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

from isa.errors import SubcoreError
from subcore.sweep.engine import run_on_dask, run_points
from subcore.sweep.journal import Journal
from subcore.sweep.point import FAILED, Task, failure, run
from subcore.sweep.spec import Point, Spec, Workload

RESULTS = "results.csv"
Progress = Callable[[int, int], None]


def run_sweep(
    spec: Spec,
    folder: Path,
    *,
    jobs: int = 1,
    dask: str | None = None,
    force: bool = False,
    retry_failed: bool = False,
    progress: Progress = lambda done, of: None,
) -> list[dict[str, Any]]:
    """Rows of all points, in order. Goes on where an earlier run of the same sweep in `folder` ended.

    `progress(done, of)` is called at the start and after each point. `retry_failed` runs failed points again.
    SubcoreError if the folder holds another sweep (unless `force`), or a kernel cannot be compiled.
    """
    from isa.jit import cache_directory, is_cold
    from sim.dispatch import run_gpu

    points = spec.points()
    code = cache_directory("sim")
    header = {
        "sweep": hashlib.sha256(spec.canonical().encode()).hexdigest(),
        "code": f"{version('subcore')} {code.name if code else ''}".strip(),
    }
    with Journal(folder, header, force) as journal:
        tasks, failed = _tasks(points, folder / "traces")
        keys = {task.point.number: key_of(task) for task in tasks}
        todo = [
            task
            for task in tasks
            if (row := journal.rows.get(keys[task.point.number])) is None or (retry_failed and row["status"] == FAILED)
        ]
        done = len(points) - len(todo)
        progress(done, len(points))
        first = []
        if todo and not dask and is_cold(run_gpu):
            # compile here, once, instead of in every worker
            first, todo = [(todo[0], run(todo[0]))], todo[1:]
        for task, row in chain(first, run_on_dask(todo, dask) if dask else run_points(todo, jobs)):
            journal.add(keys[task.point.number], row)
            done += 1
            progress(done, len(points))
        rows = [*failed, *(journal.rows[key] for key in keys.values())]
    rows.sort(key=lambda row: row["point"])
    write_table(folder, rows)
    return rows


def key_of(task: Task) -> str:
    """Name of a point in the journal: what it runs and on what, and its place in the table."""
    point = task.point
    text = json.dumps([point.number, task.trace_hash, point.gpu, point.overlays, point.settings])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _tasks(points: Sequence[Point], folder: Path) -> tuple[list[Task], list[dict[str, Any]]]:
    """Tasks with their traces stored, and the rows of the points whose trace cannot be made."""
    from configs.load import load_config

    traces: dict[tuple[Workload, int], tuple[str, str] | str] = {}
    tasks: list[Task] = []
    failed: list[dict[str, Any]] = []
    architectures = {gpu: load_config(gpu).gpu.architecture for gpu in {point.gpu for point in points}}
    for point in points:
        wanted = (point.workload, architectures[point.gpu])
        if wanted not in traces:
            try:
                traces[wanted] = _store(*wanted, folder)
            except SubcoreError as error:
                traces[wanted] = " ".join(str(error).split())
        found = traces[wanted]
        if isinstance(found, str):
            failed.append(failure(point, found))
        else:
            tasks.append(Task(point, *found))
    return tasks, failed


def _store(workload: Workload, architecture: int, folder: Path) -> tuple[str, str]:
    """(file, trace hash) of a workload's trace; kernels are emulated once and stored."""
    from subcore.api import find_traces, load_trace
    from traces.store import trace_hash, write_trace

    if workload.is_trace:
        path = Path(workload.source).resolve()
        return str(path), trace_hash(load_trace(path))
    name = hashlib.sha256(repr((workload, architecture)).encode()).hexdigest()[:12]
    path = (folder / f"{workload.source}.sm_{architecture}.{name}.sct").resolve()
    if not path.exists():
        folder.mkdir(exist_ok=True)
        traces, _ = find_traces(workload.source, architecture, dict(workload.parameters))
        write_trace(path, traces[0])
    return str(path), trace_hash(load_trace(path))


def write_table(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """results.csv, and results.parquet if pyarrow is there; each appears whole or not at all."""
    import pandas

    from isa.files import replace_file

    columns = list(dict.fromkeys(name for row in rows for name in row))
    frame = pandas.DataFrame([{name: row.get(name) for name in columns} for row in rows], columns=columns)
    for name in columns:
        if frame[name].map(lambda value: isinstance(value, int) or value is None).all() and frame[name].isna().any():
            frame[name] = frame[name].astype("Int64")
    with replace_file(folder / RESULTS, force=True) as file:
        file.write(frame.to_csv(index=False, lineterminator="\n").encode())
    if find_spec("pyarrow"):
        mixed = [
            n for n in columns if frame[n].dtype == object and not frame[n].map(lambda v: isinstance(v, str)).all()
        ]
        frame[mixed] = frame[mixed].map(lambda value: None if value is None else str(value))
        with replace_file(folder / "results.parquet", force=True) as file:
            frame.to_parquet(file, index=False)
