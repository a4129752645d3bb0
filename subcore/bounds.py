"""Lower bounds of a kernel's time, one per resource: what it would take if nothing else held it up.

A bound is the launch cost, the work of the busiest instance of a resource at its full rate, and the drain. Work is what
the kernel did in the simulation (which instructions, sectors and passes, on which SM); rates come from the
configuration. Simulated cycles are never below any bound; the highest one names what binds the kernel, and the distance
to it is what latency, conflicts between resources and imbalance cost (as uiCA and llvm-mca do for CPU loops).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isa.errors import SubcoreError
from isa.program import Unit

if TYPE_CHECKING:
    import numpy as np

    from sim.result import RunResult

FILE = "bounds.csv"
SECTOR_BYTES = 32
_READ: dict[str, Callable[[str], Any]] = {"cycles": int, "share": float, "busy_cycles": int}
_UNITS = {
    Unit.FMA: "FMA pipe",
    Unit.ALU: "ALU pipe",
    Unit.FP16: "FP16 pipe",
    Unit.FP64: "FP64 pipe",
    Unit.SFU: "SFU (XU) pipe",
    Unit.TENSOR: "tensor core",
    Unit.UNIFORM: "uniform datapath",
    Unit.BRANCH: "branch unit",
    Unit.MEMORY: "address unit",
}


@dataclass(frozen=True)
class Bound:
    """`cycles` of the whole kernel; `busy_cycles` of them are the resource's own, the rest is launch and drain."""

    resource: str
    cycles: int
    busy_cycles: int
    work: str  # what the busiest instance did, at which rate


def bounds(result: RunResult) -> list[Bound]:
    """Every bound of a run that is not zero, the highest (the binding one) first."""
    head = result.config.launch.kernel_cycles + result.config.launch.block_start_cycles
    tail = result.config.launch.drain_cycles
    found = [
        Bound(name, head + int(busy) + tail, int(busy), work)
        for name, busy, work in (*_core(result), *_memory(result))
        if busy >= 1
    ]
    found += [
        Bound(name, result.config.launch.kernel_cycles + int(busy) + tail, int(busy), work)
        for name, busy, work in _whole_blocks(result)
        if busy >= 0
    ]
    return sorted(found, key=lambda bound: (-bound.cycles, bound.resource))


def bound_rows(result: RunResult) -> list[dict[str, Any]]:
    """Plain values: resource, cycles, share (of the simulated cycles), busy_cycles, work; the binding one first."""
    return [
        {"resource": b.resource, "cycles": b.cycles, "share": b.cycles / max(1, result.cycles),
         "busy_cycles": b.busy_cycles, "work": b.work}
        for b in bounds(result)
    ]  # fmt: skip


def read_rows(directory: Path) -> list[dict[str, Any]]:
    """The bounds of a run directory. SubcoreError if there are none."""
    try:
        with open(directory / FILE, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
            return [{name: _READ.get(name, str)(value) for name, value in row.items()} for row in rows]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise SubcoreError(f"{directory}: has no readable {FILE} ({error}); simulate again with -o") from None


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["resource", "cycles", "share", "busy_cycles", "work"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def text_table(rows: Sequence[dict[str, Any]], cycles: int, most: int = 4) -> str:
    """The highest bounds as text, the binding one marked."""
    from subcore.text import shown, table

    lines = [
        (row["resource"], shown(row["cycles"]), f"{100 * row['share']:.1f} %", ("" if n else "binding: ") + row["work"])
        for n, row in enumerate(rows[:most])
    ]  # fmt: skip
    return table(lines, ("lower bound", "cycles", f"of {shown(cycles)}", ""), "<>><")


Found = tuple[str, float, str]


def _of_busiest(array: np.ndarray, unit: str) -> str:
    return f"{int(array.max()):,} {unit}, mean {float(array.mean()):,.0f}"


def _core(result: RunResult) -> list[Found]:
    from sim.stats import Counter, Stall

    config, busy = result.config, result.busy
    issued = result.sm_stalls[:, :, Stall.ISSUED]
    found: list[Found] = [("issue slots", issued.max(), _of_busiest(issued, "instructions of a sub-core"))]
    for unit, name in _UNITS.items():
        taken, where = busy.subcore_units[:, :, unit], "a sub-core"
        if unit == Unit.FP64 and config.execute.fp64_shared:
            # one unit per SM: what the last instruction reserved may lie behind the end
            taken, where = taken.sum(axis=1) - config.execute.fp64_interval_cycles, "an SM"
        if taken.max() > 0:
            found.append((name, taken.max(), _of_busiest(taken, f"busy cycles of {where}")))
    if not config.registers.ideal:
        reads = busy.register_reads
        work = _of_busiest(reads, "reads of a bank")
        found.append(("register read ports", reads.max() // config.registers.read_ports, work))
    for name, taken in (
        ("memory unit", busy.memory_accept),
        ("L1 tags", busy.l1_tags),
        ("L1 and shared data", busy.l1_data),
    ):
        if taken.max() > 0:
            found.append((name, taken.max(), _of_busiest(taken, "busy cycles of an SM")))
    network = config.interconnect
    count = result.sm_counters
    sent = count[:, Counter.REQUESTS_SENT] * network.request_header_bytes + SECTOR_BYTES * (
        count[:, Counter.L1_STORE_SECTORS] + count[:, Counter.L1_ATOMIC_SECTORS]
    )
    # the last fetches of instructions may arrive behind the end
    fetches = count[:, Counter.L1I_MISSES]
    whole = config.fetch.l1_line_bytes // SECTOR_BYTES
    lines = config.fetch.l1_line_bytes // config.fetch.line_bytes
    received = (count[:, Counter.REPLIES_RECEIVED] - fetches * lines).clip(min=0) * network.reply_header_bytes
    received = received + (busy.sectors_received - fetches * whole).clip(min=0) * SECTOR_BYTES
    per_gpc = config.gpu.sms_per_tpc * config.gpu.tpcs_per_gpc
    for name, data, rate in (
        ("SM port, requests", sent, network.sm_request_bytes_per_cycle),
        ("SM port, replies", received, network.sm_reply_bytes_per_cycle),
        ("GPC port, requests", _by_gpc(sent, per_gpc), network.gpc_bytes_per_cycle),
        ("GPC port, replies", _by_gpc(received, per_gpc), network.gpc_bytes_per_cycle),
    ):
        found.append((name, data.max() // rate, f"{int(data.max()):,} B, {rate} B per cycle"))
    return found


def _by_gpc(data: np.ndarray, sms: int) -> np.ndarray:
    import numpy as np

    return np.add.reduceat(data, np.arange(0, len(data), sms))


def _memory(result: RunResult) -> list[Found]:
    """The L2 and DRAM: mean over slices and channels, since a bound needs no more."""
    from sim.stats import Counter

    config, count = result.config, result.memory_counters
    slices = config.l2.slices
    written = count["lts__t_sectors_op_write"] + count["lts__t_sectors_op_atom"] + count["lts__t_sectors_op_red"]
    read = count["lts__t_sectors_op_read"] + count["lts__t_sectors_op_atom"]
    network, dram = config.interconnect, config.dram
    # dirty sectors may wait in the queues of the channels when the kernel ends
    waiting = dram.channels * dram.queue_entries * 4
    moved = count["dram__sectors_read"] + max(0, count["dram__sectors_write"] - waiting)
    peak = config.dram_bytes_per_cycle
    requests = count["lts__t_requests"] * network.request_header_bytes + written * SECTOR_BYTES
    fetched = result.counter(Counter.L1I_MISSES) * config.fetch.l1_line_bytes // SECTOR_BYTES
    replies = max(0, read - fetched) * SECTOR_BYTES
    return [
        ("L2 look-ups", count["lts__t_requests"] // slices, f"{count['lts__t_requests']:,} requests, {slices} slices"),
        ("L2 port, requests", requests // (slices * network.slice_request_bytes_per_cycle),
         f"{requests:,} B, {slices} slices of {network.slice_request_bytes_per_cycle} B per cycle"),
        ("L2 port, replies", replies // (slices * network.slice_reply_bytes_per_cycle),
         f"{replies:,} B, {slices} slices of {network.slice_reply_bytes_per_cycle} B per cycle"),
        ("L2 atomic units", count["l2_atomic_operations"] * config.l2.atomic_cycles // slices,
         f"{count['l2_atomic_operations']:,} operations, {config.l2.atomic_cycles:g} cycles each"),
        ("DRAM", moved * SECTOR_BYTES // peak, f"{moved * SECTOR_BYTES:,} B, {peak:,.0f} B per cycle"),
    ]  # fmt: skip


def _whole_blocks(result: RunResult) -> list[Found]:
    """Launch and latency: cycles from the first block's leave of the dispatcher on."""
    launch, cost, chains = result.launch, result.config.launch, result.chains
    slots = result.config.gpu.sms * result.blocks_per_sm
    first = min(launch.blocks - 1, min(cost.first_blocks_per_sm, result.blocks_per_sm) * result.config.gpu.sms)
    quick, slow = min(cost.first_block_interval_cycles, cost.block_interval_cycles), cost.block_interval_cycles
    dispatch = first * quick + (launch.blocks - 1 - first) * slow
    warps = int((launch.warps_per_block - 1) * cost.warp_interval_cycles)
    start = cost.block_start_cycles
    turn = start + cost.dispatch_latency_cycles
    queue = (chains.total_cycles + chains.blocks * turn) // slots - cost.dispatch_latency_cycles
    return [
        ("launch", int(dispatch) + start + warps, f"{launch.blocks:,} blocks, one per {slow:g} cycles"),
        ("latency of a warp", start + chains.longest_cycles, f"{chains.longest_cycles:,} cycles of dependences"),
        ("latency of all blocks", queue,
         f"{chains.total_cycles:,} cycles of dependences over {slots:,} block slots"),
    ]  # fmt: skip
