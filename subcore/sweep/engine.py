"""Who runs the points: processes of this machine, or the workers of a Dask cluster. Both give the same rows."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from isa.errors import SubcoreError
from subcore.sweep.point import Task, failure, run

Row = dict[str, Any]


def run_here(tasks: Sequence[Task], jobs: int, work: Callable[[Task], Row] = run) -> Iterator[tuple[Task, Row]]:
    """Rows in the order they finish. What was running when a worker died is tried once more, each point by itself."""
    if jobs == 1:
        for task in tasks:
            yield task, work(task)
        return
    waiting = list(reversed(tasks))
    while waiting:
        running: dict[Future[Row], Task] = {}
        try:
            with _pool(jobs) as pool:
                while waiting or running:
                    while waiting and len(running) < jobs:
                        task = waiting.pop()
                        running[pool.submit(work, task)] = task
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        row = future.result()
                        yield running.pop(future), row
        except BrokenProcessPool:
            # the pool does not say whose worker died
            for task in running.values():
                yield task, _alone(task, work)


def _alone(task: Task, work: Callable[[Task], Row]) -> Row:
    try:
        with _pool(1) as pool:
            return pool.submit(work, task).result()
    except BrokenProcessPool:
        return failure(task.point, "its worker process died; out of memory?")


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))


def run_on_dask(tasks: Sequence[Task], address: str) -> Iterator[tuple[Task, Row]]:
    """As `run_here`, on a Dask scheduler. Its workers need subcore and must see the traces under the same path."""
    try:
        from distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise SubcoreError("--dask needs Dask: pip install 'subcore[cluster]'") from None
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise SubcoreError(f"{address}: no Dask scheduler answers ({error})") from None
    with client:
        if not client.scheduler_info()["workers"]:
            raise SubcoreError(f"{address}: the Dask scheduler has no workers")
        futures = {client.submit(run, task, pure=False): task for task in tasks}
        for future in as_completed(list(futures), loop=client.loop):
            task = futures[future]
            try:
                row = future.result()
            except KilledWorker:
                row = failure(task.point, "its worker process died; out of memory?")
            yield task, row
