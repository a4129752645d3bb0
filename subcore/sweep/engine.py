"""Who runs the points: processes of this machine, or the workers of a Dask cluster. Both give the same rows."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from isa.errors import SubcoreError
from subcore.sweep.point import Task, failure, run

Row = dict[str, Any]
T = TypeVar("T")
R = TypeVar("R")


def run_points(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Row]]:
    """Rows of points in the order they finish, from processes of this machine."""
    return run_here(tasks, jobs, run, _lost)


def _lost(task: Task) -> Row:
    return failure(task.point, "its worker process died; out of memory?")


def run_here(tasks: Sequence[T], jobs: int, work: Callable[[T], R], died: Callable[[T], R]) -> Iterator[tuple[T, R]]:
    """Results in the order they finish. What was running when a worker died is tried once more, each by itself.

    `died(task)` is the result of a task whose worker died again.
    """
    if jobs == 1:
        for task in tasks:
            yield task, work(task)
        return
    waiting = list(reversed(tasks))
    while waiting:
        running: dict[Future[R], T] = {}
        try:
            with _pool(jobs) as pool:
                while waiting or running:
                    # one in reserve for each worker: none waits while this process writes a result down
                    while waiting and len(running) < 2 * jobs:
                        running[pool.submit(work, waiting[-1])] = waiting[-1]  # a broken pool takes nothing
                        waiting.pop()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        yield running.pop(future), result
        except BrokenProcessPool:
            # the pool does not say whose worker died
            for task in running.values():
                yield task, _alone(task, work, died)


def _alone(task: T, work: Callable[[T], R], died: Callable[[T], R]) -> R:
    try:
        with _pool(1) as pool:
            return pool.submit(work, task).result()
    except BrokenProcessPool:
        return died(task)


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))


def run_on_dask(tasks: Sequence[Task], address: str) -> Iterator[tuple[Task, Row]]:
    """As `run_points`, on a Dask scheduler. Its workers need subcore and must see the traces under the same path."""
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
                row = _lost(task)
            yield task, row
