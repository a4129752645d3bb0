"""Slow, obvious model of the L2 for requests one at a time: what hits, what is fetched, what is written back."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from sim.memory.state import RequestKind


@dataclass
class Line:
    valid: set[int] = field(default_factory=set)
    dirty: set[int] = field(default_factory=set)


class L2Reference:
    """Sectored write-back LRU cache in one partition. A set is an OrderedDict, least recently used line first."""

    def __init__(self, ways: int):
        self.ways = ways
        self.sets: dict[tuple[int, int], OrderedDict[int, Line]] = {}
        self.count: Counter[str] = Counter()

    def access(self, place: tuple[int, int], line: int, kind: RequestKind, sectors: set[int], full: set[int]) -> None:
        ways = self.sets.setdefault(place, OrderedDict())
        if line not in ways:
            if len(ways) == self.ways:
                _, victim = ways.popitem(last=False)
                self.count["l2_lines_evicted"] += 1
                self.count["l2_sectors_written_back"] += len(victim.dirty)
                self.count["dram__sectors_write"] += len(victim.dirty)
            ways[line] = Line()
        ways.move_to_end(line)
        entry = ways[line]
        self.count["lts__t_requests"] += 1
        self.count["lts__t_sectors"] += len(sectors)
        if kind == RequestKind.WRITE:
            self.count["lts__t_sectors_lookup_hit"] += len(sectors)
            entry.valid |= sectors & full
            entry.dirty |= sectors
            return
        missing = sectors - entry.valid
        self.count["lts__t_sectors_lookup_hit"] += len(sectors - missing)
        self.count["lts__t_sectors_lookup_miss"] += len(missing)
        self.count["dram__sectors_read"] += len(missing)
        entry.valid |= missing
        if kind in (RequestKind.ATOMIC, RequestKind.REDUCTION):
            entry.dirty |= sectors
