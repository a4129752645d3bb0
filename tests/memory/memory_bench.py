"""A memory system under test: small machines, hand-written requests, replies as a table."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from configs.load import load_config
from configs.record import record
from isa.jit import standalone
from sim.memory import state, system
from sim.memory.dram import channel_of, map_address
from sim.memory.interconnect import locate
from sim.memory.state import NONE, REPLY, REQUEST, RequestKind

_locate = standalone(locate)
_map_address = standalone(map_address)
_channel_of = standalone(channel_of)
_idle = standalone(system.memory_idle)
next_event_at = standalone(system.next_event_at)

# Four SMs in two GPCs, four slices of 4 sets and 4 ways, one DRAM channel each, no refresh.
SMALL = {
    "gpu.sms": 4,
    "gpu.sms_per_tpc": 1,
    "gpu.tpcs_per_gpc": 2,
    "l2.slices": 4,
    "l2.ways": 4,
    "l2.bytes": 4 * 4 * 4 * 128,
    "l2.partitions": 1,
    "l2.mshrs": 64,
    "dram.channels": 4,
    "dram.tREFI": 1 << 40,
    "tlb.miss_cycles": 0,
    "interconnect.request_header_bytes": 8,
    "interconnect.reply_header_bytes": 8,
    "interconnect.sm_request_bytes_per_cycle": 64,
    "interconnect.sm_reply_bytes_per_cycle": 64,
    "interconnect.slice_request_bytes_per_cycle": 64,
    "interconnect.slice_reply_bytes_per_cycle": 64,
}
TWO_PARTITIONS = {"l2.partitions": 2, "l2.far_partition_cycles": 31}


def config(name: str = "rtx_a6000", **settings) -> np.record:
    """Record of a shipped configuration with knobs changed: l2__ways=8 sets l2.ways."""
    return record(load_config(name, settings=[f"{k.replace('__', '.')}={v}" for k, v in settings.items()]))


def small(**settings) -> np.record:
    return config(**{k.replace(".", "__"): v for k, v in SMALL.items()} | settings)


def requests(rows) -> np.ndarray:
    """REQUEST array of (at, line address, sm, tag, kind, sector mask, full mask, operations)."""
    return np.array([tuple(r) for r in rows], dtype=REQUEST)


@dataclass
class Bench:
    """Memory system of a configuration record. `run` sends requests and returns all replies, in order of emission."""

    cfg: np.record
    quantum: int = 0  # 0 = lookahead
    now: int = 0
    memory: state.MemoryState = field(init=False)
    replies: np.ndarray = field(default_factory=lambda: np.zeros(1 << 16, REPLY))

    def __post_init__(self):
        self.memory = state.new_memory(self.cfg)
        if not self.quantum:
            self.quantum = int(self.cfg.interconnect.request_cycles + self.cfg.interconnect.reply_cycles)

    @property
    def idle(self) -> bool:
        return bool(_idle(self.memory))

    def counters(self) -> dict[str, int]:
        return state.counters(self.memory)

    def step(self, rows: np.ndarray, to: int) -> np.ndarray:
        count = system.memory_advance(self.memory, self.cfg, rows, len(rows), self.replies, self.now, to)
        self.now = to
        return self.replies[:count].copy()

    def run(self, rows: np.ndarray, limit_cycles: int = 5_000_000) -> np.ndarray:
        """Send rows (sorted by SM, then `at`) at their cycles and go on until nothing is under way."""
        out = []
        end = int(rows["at"].max()) + 1 if len(rows) else self.now
        stop = self.now + limit_cycles
        while self.now < end or not self.idle:
            to = self.now + self.quantum
            out.append(self.step(rows[(rows["at"] >= self.now) & (rows["at"] < to)], to))
            assert self.now < stop, f"not idle after {limit_cycles} cycles: {self.counters()}"
        return np.concatenate(out) if out else np.zeros(0, REPLY)

    def latency(
        self,
        line: int,
        sm: int = 0,
        kind: RequestKind = RequestKind.READ,
        mask: int = 1,
        full: int = 15,
        operations: int = 1,
    ) -> int:
        """Cycles until the last reply to a lone request."""
        at = self.now
        return int(self.run(requests([(at, line, sm, 0, kind, mask, full, operations)]))["at"].max()) - at

    def place(self, line: int) -> tuple[int, int]:
        """(home slice, set) of a line address."""
        packet = self.memory.packet[-1]
        packet.line, packet.sm = line >> 7, NONE
        _locate(self.memory, self.cfg, packet)
        return int(packet.home), int(packet.set)

    def dram_place(self, line: int) -> tuple[int, int, int]:
        """(channel, bank, row) of a line address."""
        home, _ = self.place(line)
        packet = self.memory.packet[-1]
        _map_address(self.memory, self.cfg, packet)
        return int(_channel_of(self.cfg, home)), int(packet.bank), int(packet.row)


def stream(bench: Bench, lines: np.ndarray, window: int, kind: RequestKind = RequestKind.READ, operations: int = 0):
    """Every SM reads its row of `lines` (sms, n) in order, all sectors, at most `window` lines outstanding.

    Returns (cycle of every reply, sectors of every reply).
    """
    sms, total = lines.shape
    sent = np.zeros(sms, int)
    done = np.zeros(sms, int)
    late = np.zeros(0, REPLY)
    sectors_of = np.array([i.bit_count() for i in range(16)])
    history = []
    while done.sum() < 4 * sms * total:
        to = bench.now + bench.quantum
        due = late["at"] < to
        np.add.at(done, late["sm"][due], sectors_of[late["sector_mask"][due]])
        late = late[~due]
        count = np.minimum(np.minimum(window - (sent - done // 4), total - sent), bench.quantum)
        rows = np.zeros(int(count.sum()), REQUEST)
        rows["sm"] = np.repeat(np.arange(sms), count)
        offset = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
        rows["at"] = bench.now + offset
        rows["line"] = lines[rows["sm"], sent[rows["sm"]] + offset]
        rows["kind"], rows["sector_mask"], rows["full_mask"], rows["operations"] = kind, 15, 15, operations
        sent += count
        replies = bench.step(rows, to)
        history.append(replies)
        late = np.concatenate([late, replies])
    replies = np.concatenate(history)
    return replies["at"], sectors_of[replies["sector_mask"]]


def steady_bytes_per_cycle(at: np.ndarray, sectors: np.ndarray) -> float:
    """Throughput between a quarter and three quarters of the traffic."""
    order = np.argsort(at, kind="stable")
    total = np.cumsum(sectors[order])
    first, last = np.searchsorted(total, [total[-1] // 4, 3 * total[-1] // 4])
    return 32 * (total[last] - total[first]) / (at[order][last] - at[order][first])
