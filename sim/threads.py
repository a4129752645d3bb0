"""Work beside the thread that simulates: parts of a loop, and what comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Threads:
    """`count` threads, the caller's included; with one everything is done by the caller."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        # one more than helpers: what comes next is fetched while they simulate. A thread starts when it has work.
        self._pool = ThreadPoolExecutor(count) if count > 1 else None

    def submit(self, work: Callable[..., Result], *arguments: Any) -> Future[Result]:
        assert self._pool is not None
        return self._pool.submit(work, *arguments)

    def map(self, work: Callable[..., Result], *arguments: Sequence[Any]) -> list[Result]:
        """work(*row) for each row of the arguments, in their order; the caller does the first one."""
        first, *others = zip(*arguments, strict=True)
        if self._pool is None:
            return [work(*first), *(work(*row) for row in others)]
        waiting = [self._pool.submit(work, *row) for row in others]
        return [work(*first), *(future.result() for future in waiting)]

    def each_part(self, length: int, least: int, work: Callable[[int, int], Result]) -> list[Result]:
        """work(first, stop) for consecutive parts of range(length), one per thread, in their order.

        A part is no shorter than `least`, unless it is the only one.
        """
        parts = max(1, min(self.count, length // least))
        cuts = [length * part // parts for part in range(parts + 1)]
        return self.map(work, cuts[:-1], cuts[1:])

    def ahead(self, items: Iterator[Item]) -> Iterator[Item]:
        """The same items; with several threads the next one is made while the caller uses the one before."""
        if self._pool is None:
            yield from items
            return
        end = object()
        coming: Future[Any] = self.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = self.submit(next, items, end)
            yield item
