"""Tiny kernels made by hand, run on a small GPU, and read back cycle by cycle.

A kernel is a list of `op(...)` records; `run` gives every warp the whole list, or the stream it is told to follow, and
returns a `Probe` that knows when each dynamic instruction passed each stage.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from configs.load import load_config
from configs.schema import Config
from isa.opcodes import find_opcode
from isa.program import INSTRUCTION, NO_COUNTER, Program
from isa.traced import traced_instruction
from sim.gpu import Machine
from sim.result import RunResult
from sim.state import LogKind
from sim.stats import Counter, Stall
from traces.stream import MEMORY_ACCESS, BlockStreams, Launch
from validate.core import GLOBAL_BASE as GLOBAL_BASE
from validate.core import SMALL

FULL = 0xFFFFFFFF
PERFECT_FETCH = ("fetch.perfect=true",)


@dataclass(frozen=True)
class Op:
    """One static instruction and the lane addresses it uses: (base, stride), or a list for the active lanes."""

    record: np.void
    text: str
    address: tuple[Any, ...] = ()  # one entry per MEMORY_ACCESS
    mask: int = FULL


def op(
    opcode: str,
    to: Sequence[int] = (),
    sources: Sequence[int] = (),
    *,
    stall: int = 1,
    yields: bool = False,
    write: int = NO_COUNTER,
    read: int = NO_COUNTER,
    wait: Sequence[int] = (),
    reuse: int = 0,
    at: Any = None,
    mask: int = FULL,
    width: int = 0,
    architecture: int = 86,
    **fields: int,
) -> Op:
    """An instruction. `write`, `read`: dependence counters; `wait`: counters of the wait mask; `at`: lane addresses of
    its access, (base, stride) or a list of integers, a tuple of two of them for LDGSTS; `fields`: record fields."""
    assert find_opcode(opcode.split(".")[0]).mnemonic, f"{opcode} is not in the opcode table"
    record = traced_instruction(opcode, to, sources, width, architecture)
    record["stall"], record["yield_hint"] = stall, yields
    record["write_counter"], record["read_counter"] = write, read
    record["wait_mask"] = sum(1 << c for c in wait)
    record["reuse"] = reuse
    for name, value in fields.items():
        record[name] = value
    accesses: tuple[Any, ...] = ()
    if at is not None:
        pair = len(at) == 2 and not isinstance(at[0], int)
        accesses = tuple(at) if pair else (at,)
    return Op(record, opcode, accesses, mask)


def exit_(**control: Any) -> Op:
    return op("EXIT", **control)


def line_of_ops(count: int, opcode: str = "IADD3", **options: Any) -> list[Op]:
    """`count` independent instructions: each writes and reads registers of its own."""
    return [op(opcode, [8 + 4 * (i % 50)], [9 + 4 * (i % 50)], **options) for i in range(count)]


@dataclass
class MemoryTrace:
    """An in-memory Trace. `chunk_blocks`: thread blocks per BlockStreams."""

    launch: Launch
    program: Program
    streams: Callable[[int, int], Sequence[int]]  # (block, warp) -> static instructions in order
    ops: Sequence[Op]
    chunk_blocks: int = 1 << 30
    given: Sequence[BlockStreams] = ()  # instead of chunks made from `streams`
    move: Callable[[int, int, int], int] = lambda block, warp, turn: 0

    def blocks(self) -> Iterator[BlockStreams]:
        yield from self.given
        if self.given:
            return
        total, warps = self.launch.blocks, self.launch.warps_per_block
        for first in range(0, total, self.chunk_blocks):
            starts, index, masks, access = [0], [], [], []
            accesses: list[tuple[int, int, int, int]] = []
            lanes: list[int] = []
            for block in range(first, min(total, first + self.chunk_blocks)):
                for warp in range(warps):
                    turns: dict[int, int] = {}
                    for i in self.streams(block, warp):
                        step = self.ops[i]
                        shift = self.move(block, warp, turns.get(i, 0))
                        turns[i] = turns.get(i, 0) + 1
                        index.append(i)
                        masks.append(step.mask)
                        access.append(len(accesses) if step.address and step.mask else -1)
                        for part, where in enumerate(step.address if step.mask else ()):
                            more = part + 1 < len(step.address)
                            if isinstance(where, tuple):
                                accesses.append((where[0] + shift, where[1], -1, more))
                            else:
                                accesses.append((0, 0, len(lanes), more))
                                lanes += [a + shift for a in where]
                    starts.append(len(index))
            yield BlockStreams(
                first,
                np.array(starts, np.int64),
                np.array(index, np.int32),
                np.array(masks, np.uint32),
                np.array(access, np.int32),
                np.array(accesses, MEMORY_ACCESS),
                np.array(lanes, np.int64),
            )


def kernel(
    ops: Sequence[Op],
    *,
    warps: int = 1,
    blocks: int = 1,
    streams: Callable[[int, int], Sequence[int]] | None = None,
    control_bits: bool = True,
    shared_bytes: int = 0,
    registers: int = 32,
    architecture: int = 86,
    chunk_blocks: int = 1 << 30,
    threads: int = 0,
    move: Callable[[int, int, int], int] | None = None,
) -> MemoryTrace:
    """Trace of `ops`. `streams(block, warp)`: what a warp executes, by index (default: everything once).
    `move(block, warp, turn)`: added to the addresses of the turn-th execution of an instruction."""
    records = np.array([step.record for step in ops], INSTRUCTION)
    records["pc"] = np.arange(len(ops)) * 16
    text = tuple(step.text for step in ops)
    program = Program("probe", architecture, records, text, has_control_bits=control_bits, registers=registers)
    launch = Launch("probe", (blocks, 1, 1), (threads or 32 * warps, 1, 1), shared_bytes, registers, architecture)
    everything = range(len(ops))
    trace = MemoryTrace(launch, program, streams or (lambda block, warp: everything), ops, chunk_blocks)
    if move is not None:
        trace.move = move
    return trace


@cache
def config_of(settings: tuple[str, ...], gpu: str = "rtx_a6000") -> Config:
    return load_config(gpu, settings=list(settings))


@dataclass
class Probe:
    """A finished run."""

    machine: Machine
    result: RunResult
    log: np.ndarray
    start: np.ndarray  # stream position of each (block, warp)'s first instruction

    def absolute(self, kind: LogKind, warp: int = 0, block: int = 0) -> list[int]:
        """Cycles at which the instructions of a warp passed a stage, in program order."""
        first, last = self.start[block, warp], self.start[block, warp + 1]
        mine = self.log[(self.log["kind"] == kind) & (self.log["stream"] >= first) & (self.log["stream"] < last)]
        return [int(c) for c in mine["cycle"][np.argsort(mine["stream"], kind="stable")]]

    def stage(self, kind: LogKind, warp: int = 0, block: int = 0) -> list[int]:
        """As `absolute`, relative to the first issue of the run."""
        return [c - self.first_issue for c in self.absolute(kind, warp, block)]

    def issue(self, warp: int = 0, block: int = 0) -> list[int]:
        return self.stage(LogKind.ISSUE, warp, block)

    def gaps(self, warp: int = 0, block: int = 0) -> list[int]:
        """Cycles from each issue of a warp to its next one."""
        return [int(g) for g in np.diff(self.issue(warp, block))]

    @property
    def first_issue(self) -> int:
        return int(self.log["cycle"][self.log["kind"] == LogKind.ISSUE].min())

    def order(self) -> list[tuple[int, int, int]]:
        """(warp slot in the SM, first issue, end) of every unbroken stretch of issues of SM 0, in time order."""
        issues = self.log[(self.log["kind"] == LogKind.ISSUE) & (self.log["sm"] == 0)]
        stretches: list[tuple[int, int, int]] = []
        for entry in issues[np.argsort(issues["cycle"], kind="stable")]:
            warp, cycle = int(entry["warp"]), int(entry["cycle"]) - self.first_issue
            if stretches and stretches[-1][0] == warp and stretches[-1][2] == cycle:
                stretches[-1] = (warp, stretches[-1][1], cycle + 1)
            else:
                stretches.append((warp, cycle, cycle + 1))
        return stretches

    def count(self, counter: Counter) -> int:
        return self.result.counter(counter)

    def stalled(self, reason: Stall) -> int:
        """Sub-core cycles charged to a reason."""
        return int(self.result.sm_stalls[:, :, reason].sum())


def run(
    trace: MemoryTrace | Sequence[Op],
    *settings: str,
    gpu: str = "rtx_a6000",
    fetch: Sequence[str] = PERFECT_FETCH,
    config: Config | None = None,
    quantum: int | None = None,
    every_cycle: bool = False,
    max_cycles: int = 2_000_000,
    check_end: bool = True,
    **options: Any,
) -> Probe:
    """Simulate a kernel (or the list of its ops, with `options` of `kernel`), check its account and its end state.

    `config` stands in for `settings`, `gpu` and `fetch`."""
    if not isinstance(trace, MemoryTrace):
        trace = kernel(trace, **options)
    machine = Machine(
        trace,
        config or config_of((*SMALL, *fetch, *settings), gpu),
        quantum=quantum,
        every_cycle=every_cycle,
        log_entries=1 << 16,
    )
    machine.run(max_cycles)
    result = machine.result()
    result.check()
    assert (result.sm_stalls >= 0).all(), "negative cycles in the stall account"
    if check_end:
        assert_at_rest(machine)
    entries = int(machine.log_count[0])
    assert entries <= len(machine.log), "the log of the probe is too short"
    warps = trace.launch.warps_per_block
    lengths = [len(trace.streams(b, w)) for b in range(trace.launch.blocks) for w in range(warps)]
    assert sum(lengths) == result.warp_instructions, "instructions were lost or issued twice"
    ends = np.concatenate([[0], np.cumsum(lengths)])
    start = np.stack([ends[b * warps : b * warps + warps + 1] for b in range(trace.launch.blocks)])
    return Probe(machine, result, machine.log[:entries], start)


def assert_at_rest(machine: Machine) -> None:
    """After the last block nothing is left in any SM: events, requests, counters, slots."""
    left = []
    for sm in machine.sms:
        name = f"SM {sm['id']}"
        free = _free_list(sm["event_free"], sm["event_next"])
        if free != len(sm["event_next"]):
            kinds = [int(k) for k in sm["wheel"][sm["wheel"] >= 0]]
            left.append(f"{name}: {len(sm['event_next']) - free} events ({[int(sm['event_kind'][k]) for k in kinds]})")
        if (free := _free_list(sm["pending_free"], sm["pending"]["next"])) != len(sm["pending"]):
            left.append(f"{name}: {len(sm['pending']) - free} pending requests")
        if (free := _free_list(sm["waiter_free"], sm["waiter_next"])) != len(sm["waiter_next"]):
            left.append(f"{name}: {len(sm['waiter_next']) - free} L1 waiters")
        if (free := _free_list(sm["fetch_free"], sm["fetch"]["pending"])) != len(sm["fetch"]):
            left.append(f"{name}: {len(sm['fetch']) - free} fetches")
        for field in ("pending_count", "l1_missing", "l1_writes", "l1i_misses", "resident_warps", "resident_blocks"):
            if sm[field]:
                left.append(f"{name}: {field} = {sm[field]}")
        if sm["block"]["active"].any() or sm["sub"]["warp"]["active"].any():
            left.append(f"{name}: a block or warp slot is in use")
        if (sm["l1_line"]["pending"] != 0).any():
            left.append(f"{name}: L1 lines with sectors on their way")
        for s, sub in enumerate(sm["sub"]):
            for field in ("resident", "finishing", "queue_count", "miss_count"):
                if sub[field]:
                    left.append(f"{name} sub-core {s}: {field} = {sub[field]}")
            for latch in ("control", "allocate"):
                if sub[latch]["valid"]:
                    left.append(f"{name} sub-core {s}: {latch} latch is full")
            for field in ("counter", "waiting", "loads", "stores", "tokens", "group_count"):
                if sub["warp"][field].any():
                    left.append(f"{name} sub-core {s}: warp.{field} = {sub['warp'][field].tolist()}")
        if (sm["counter"] < 0).any():
            left.append(f"{name}: negative counters {[c.name for c in Counter if sm['counter'][c] < 0]}")
    for field in ("pending_writes", "pending_reads", "consumers"):
        if machine.boards[field].any():
            left.append(f"scoreboard {field} not zero")
    if machine.memory.system[0]["packets"]:
        left.append(f"{machine.memory.system[0]['packets']} packets beyond the SMs")
    assert not left, "left over at the end of the kernel:\n  " + "\n  ".join(left)


def _free_list(first: int, following: np.ndarray) -> int:
    """Length of a free list."""
    length, node, nodes = 0, int(first), following.tolist()
    while node >= 0 and length <= len(nodes):
        length, node = length + 1, nodes[node]
    return length


def stats(probe: Probe) -> dict[str, Any]:
    """Everything a run counts, for comparisons."""
    return stats_of(probe.result)


def stats_of(result: RunResult) -> dict[str, Any]:
    names = [f.name for f in dataclasses.fields(result) if f.compare and f.name not in ("launch", "config")]
    values = {name: getattr(result, name) for name in names}
    return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in values.items()}
