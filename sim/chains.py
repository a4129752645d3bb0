"""Shortest time in which a warp can issue its stream: stall counts, branch refills, and results at their idle latency.

This is the dependence bound of a kernel. Caches hit, units, ports and queues are free, barriers cost nothing; whatever
the machine adds makes a warp slower, never faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from configs.schema import Config
from isa.program import NO_COUNTER, Flag
from sim.core.dependence import file_of
from sim.jit import entry
from sim.lower import Code
from sim.run import plain
from sim.state import (
    SCOREBOARD_ENTRIES,
    Path,
)
from sim.threads import Threads
from traces.stream import BlockStreams, Launch

_NO_COUNTER = int(NO_COUNTER)
_WARPS_OF_A_PART = 64  # a thread takes about half a millisecond for them
_UNIT_LATCH_CYCLES = 2  # issue -> dispatch latch of a unit, as in sim.core.execute
_UNIT_READ_CYCLES = 3


@dataclass
class Chains:
    """Dependence latency of the thread blocks seen so far, in cycles from a warp's first issue to behind its last."""

    blocks: int = 0
    total_cycles: int = 0  # longest warp of each block, summed over blocks
    longest_cycles: int = 0


class ChainMeter:
    """Measures the chunks of a trace one by one: `chains` is complete behind the last."""

    def __init__(self, launch: Launch, code: Code, config: Config, threads: Threads) -> None:
        self.chains = Chains()
        self._launch, self._code, self._threads = launch, code, threads
        self._arguments = _least_distances(code, config)

    def measure(self, chunk: BlockStreams) -> None:
        warps = self._launch.warps_per_block
        longest = np.zeros(len(chunk.warp_start) - 1, np.int64)
        warp_start = np.asarray(chunk.warp_start, np.int64)
        instruction = plain(chunk.instruction)
        code = self._code

        def part(first: int, stop: int) -> None:
            scratch = np.zeros(8, np.int64), *np.zeros((4, SCOREBOARD_ENTRIES), np.int64)
            arguments: list[Any] = [
                *self._arguments, code.read_entry, code.read_class, code.write_entry, code.write_class, code.latency,
                *scratch, instruction, warp_start[first : stop + 1], longest[first:stop],
            ]  # fmt: skip
            warp_chains(*arguments)

        self._threads.each_part(len(longest), _WARPS_OF_A_PART, part)
        by_block = longest.reshape(-1, warps).max(axis=1)
        self.chains.blocks += len(by_block)
        self.chains.total_cycles += int(by_block.sum())
        self.chains.longest_cycles = max(self.chains.longest_cycles, int(by_block.max(initial=0)))


def _least_distances(code: Code, config: Config) -> tuple[np.ndarray, int, int, int]:
    """(i4 table, shape (instructions, 13); refill cycles of a branch; more of them backwards; 1 = scoreboard mode).

    Columns: issue -> next issue; issue -> result; issue -> sources read; write counter; read counter; wait mask;
    counters that a DEPBAR waits for; 1 = copy; 1 = commit of copies; reads: first, count; writes: first, count; the
    sign of the second column tells a variable latency (positive) from a fixed one (0).
    """
    table = np.zeros((len(code.op), 13), np.int32)
    for row, op in zip(table, code.op, strict=True):
        path = int(op["path"])
        if path == Path.MEMORY:
            done, read = int(op["done_cycles"]), max(int(op["leave_cycles"]), int(op["read_cycles"]))
        elif path == Path.UNIT:
            done = _UNIT_LATCH_CYCLES + max(1, int(op["latency_cycles"]) - _UNIT_LATCH_CYCLES)
            read = _UNIT_LATCH_CYCLES + _UNIT_READ_CYCLES
        else:
            done, read = int(op["latency_cycles"]), int(op["read_window"]) + 2
        mask = 0
        if int(op["traits"]) & Flag.DEPENDENCE_BARRIER:
            mask = int(op["depbar_mask"]) | (1 << int(op["depbar_counter"]) if op["depbar_threshold"] == 0 else 0)
        # a wait sees a counter two cycles after the issue that raises it: closer ones do not wait
        seen = int(op["stall_cycles"]) >= 2
        row[:] = (
            op["stall_cycles"], done, read, op["write_counter"] if seen else NO_COUNTER,
            op["read_counter"] if seen else NO_COUNTER, op["wait_mask"], mask, op["is_copy"], op["commits_copies"],
            op["reads_first"], op["reads"], op["writes_first"], op["writes"] if op["variable_latency"] == 0 else
            -int(op["writes"]) - 1,
        )  # fmt: skip
    fetch = config.fetch
    return table, fetch.branch_redirect_cycles, fetch.backward_branch_redirect_cycles, code.tracked


@entry
def warp_chains(table, redirect, backward, tracked, read_entry, read_class, write_entry, write_class, latency,
                ready, written, producer, result, released, instruction, warp_start, longest):  # fmt: skip
    """Cycles of each warp of a chunk, into `longest`: i8, shape (warps,). `ready` to `released` are scratch."""
    for w in range(len(longest)):
        for counter in range(8):
            ready[counter] = 0
        if tracked:
            for e in range(len(written)):
                written[e] = -1
                result[e] = 0
                released[e] = 0
        copies = 0
        barrier = 0
        at = 0
        following = 0
        for position in range(warp_start[w], warp_start[w + 1]):
            index = instruction[position]
            row = table[index]
            at = following
            mask = row[5] | barrier
            barrier = row[6]
            if mask:
                for counter in range(7):
                    if mask >> counter & 1 and ready[counter] > at:
                        at = ready[counter]
            variable = row[12] < 0
            writes = -row[12] - 1 if variable else row[12]
            if tracked:
                for i in range(row[9], row[9] + row[10]):
                    e = read_entry[i]
                    at = max(at, result[e])
                    if written[e] >= 0:
                        at = max(at, written[e] + latency[file_of(e), producer[e], read_class[i]])
                for i in range(row[11], row[11] + writes):
                    e = write_entry[i]
                    at = max(at, max(result[e], released[e]))
                for i in range(row[9], row[9] + row[10]):
                    if variable:
                        e = read_entry[i]
                        released[e] = max(released[e], at + row[2])
                for i in range(row[11], row[11] + writes):
                    e = write_entry[i]
                    if variable:
                        result[e] = at + row[1]
                        written[e] = -1
                    else:
                        written[e] = at
                        producer[e] = write_class[i]
            done = at + row[1]
            if row[7]:
                copies = max(copies, done)
            if row[8]:
                done = copies
            if row[3] != _NO_COUNTER:
                ready[row[3]] = max(ready[row[3]], done)
            if row[4] != _NO_COUNTER:
                ready[row[4]] = max(ready[row[4]], at + row[2])
            following = at + row[0]
            if position + 1 < warp_start[w + 1]:
                target = instruction[position + 1]
                if target != index + 1:
                    following = max(following, at + redirect + (backward if target <= index else 0))
        longest[w] = at + 1 if warp_start[w + 1] > warp_start[w] else 0
