"""How kernels share the SMs of one GPU: thread blocks as simpy sees them.

Every kernel is simulated alone; this model says what becomes of its time beside others. Its rules:

* A kernel alone takes the simulated time, exactly: launch cost, then blocks of equal length that the dispatcher places
  at its rate wherever there is room, then drain. The length of a block is what makes this add up.
* Blocks are dispatched kernel after kernel in the order in which the kernels began: the next kernel's blocks start
  when the last block of the one before has been placed, where slots, threads, registers and shared memory are left
  (order of the execution engine's queue: Amert et al., RTSS 2017, rules for blocks of kernels in FIFO order).
* Running blocks slow each other where together they ask for more than there is: of issue slots, a pipe, L1 or shared
  memory of their SM, of L2 or DRAM bandwidth. All that use it then advance in proportion. A kernel never slows itself.

Limits: what a block asks for is its mean, so kernels in the same phase at the same time are slowed less than in truth;
blocks do not get faster in an SM that is less full than in the simulation; caches that kernels share are not contended
for (the L2 is carried from kernel to kernel in launch order); an SM changes its carve-out at no cost; streams have one
priority.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from configs.schema import Config
    from sim.result import RunResult

MAX_GRIDS = 128  # kernels on the device at once: CUDA C++ programming guide, technical specifications, 7.0 and later


@dataclass(frozen=True)
class SmCapacity:
    """What an SM holds: blocks, threads, warps, registers, bytes of shared memory; and how many SMs there are."""

    sms: int = 1
    each: tuple[int, int, int, int, int] = (1, 1, 1, 1, 1)


@dataclass(frozen=True, kw_only=True)
class KernelCost:
    """One kernel as it runs alone. `need` is what a block takes, in the order of `SmCapacity.each`.

    `sm_demand`, `chip_demand`: share of a resource of its SM, or of the whole chip, that one running block uses.
    """

    launch_ns: int = 0  # begins -> its first block is placed
    block_ns: int
    drain_ns: int = 0  # its last block has ended -> ends
    place_ns: float = 0.0  # the dispatcher needs this for a block
    blocks: int = 1
    blocks_per_sm: int = 1
    need: tuple[int, int, int, int, int] = (1, 1, 1, 1, 1)
    sm_demand: Mapping[str, float] = field(default_factory=dict)
    chip_demand: Mapping[str, float] = field(default_factory=dict)

    def alone_ns(self, sms: int) -> int:
        """Time that the kernel takes alone on so many SMs."""
        body = _body_ns(self.blocks, self.blocks_per_sm, sms, self.block_ns, self.place_ns)
        return self.launch_ns + body + self.drain_ns


def sm_capacity(config: Config) -> SmCapacity:
    """Capacity of a configured GPU."""
    sm = config.sm
    return SmCapacity(config.gpu.sms, (sm.max_blocks, sm.max_threads, sm.max_warps, sm.registers, sm.max_shared_bytes))


def kernel_cost(result: RunResult) -> KernelCost:
    """Cost of a simulated kernel: alone it takes `round(result.cycles / core clock)` nanoseconds."""
    launch, config, sm = result.launch, result.config, result.config.sm
    ns = 1e3 / config.gpu.core_clock_mhz
    before, after = round(config.launch.kernel_cycles * ns), round(config.launch.drain_cycles * ns)
    duration = max(1, round(result.cycles * ns))
    if duration - before - after < 1:
        before = after = 0
    body = duration - before - after
    blocks, per_sm = launch.blocks, result.blocks_per_sm
    place, block = _block_ns(blocks, per_sm, config.gpu.sms, body, config.launch.block_interval_cycles * ns)
    shared = launch.shared_bytes + sm.shared_reserved_bytes_per_block
    of_sm, of_chip = _work(result)
    # of one block while it runs; a kernel alone never asks for more than there is
    per_block = 1 / (blocks * max(block, 1) / ns)
    together = min(per_sm, ceil(blocks / config.gpu.sms)), min(blocks, per_sm * config.gpu.sms)
    return KernelCost(
        launch_ns=before,
        block_ns=block,
        drain_ns=after + body - _body_ns(blocks, per_sm, config.gpu.sms, block, place),
        place_ns=place,
        blocks=blocks,
        blocks_per_sm=per_sm,
        need=(
            1,
            _round_up(launch.threads_per_block, 32),
            launch.warps_per_block,
            _round_up(max(1, launch.registers) * 32, sm.register_allocation_unit) * launch.warps_per_block,
            _round_up(shared, sm.shared_allocation_unit_bytes) if shared else 0,
        ),
        sm_demand={name: min(1 / together[0], cycles * per_block) for name, cycles in of_sm.items() if cycles},
        chip_demand={name: min(1 / together[1], cycles * per_block) for name, cycles in of_chip.items() if cycles},
    )


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _body_ns(blocks: int, per_sm: int, sms: int, block_ns: int, place_ns: float) -> int:
    """First block placed -> last block ended, of a kernel alone: up to one block per SM at a time."""
    free, left, now, dispatcher_free, last = per_sm * sms, blocks, 0, 0, 0
    running: deque[tuple[int, int]] = deque()
    while left:
        while running and running[0][0] <= now:
            free += running.popleft()[1]
        if free and dispatcher_free <= now:
            count = min(left, sms, free)
            left, free, last = left - count, free - count, now + block_ns
            running.append((last, count))
            dispatcher_free = now + ceil(count * place_ns)
        elif free:
            now = min(dispatcher_free, running[0][0]) if running else dispatcher_free
        else:
            now = running[0][0]
    return last


def _block_ns(blocks: int, per_sm: int, sms: int, body_ns: int, place_ns: float) -> tuple[float, int]:
    """(time to place a block, longest block) with which the kernel alone takes no more than `body_ns`."""
    while _body_ns(blocks, per_sm, sms, 0, place_ns) > body_ns:
        place_ns = place_ns / 2 if place_ns > 1e-3 else 0.0  # the first blocks are placed faster than the later ones
    low, high = 0, body_ns
    while low < high:
        middle = (low + high + 1) // 2
        if _body_ns(blocks, per_sm, sms, middle, place_ns) <= body_ns:
            low = middle
        else:
            high = middle - 1
    return place_ns, low


def _work(result: RunResult) -> tuple[dict[str, float], dict[str, float]]:
    """Cycles for which a kernel takes a whole SM's, and the whole chip's, resource."""
    from isa.program import Unit
    from sim.stats import Stall

    config, busy = result.config, result.busy
    units = busy.subcore_units.sum(axis=(0, 1)) / config.sm.subcores
    of_sm = {
        "issue": float(result.sm_stalls[:, :, Stall.ISSUED].sum()) / config.sm.subcores,
        "L1 tags": float(busy.l1_tags.sum()),
        "L1 and shared data": float(busy.l1_data.sum()),
        "memory unit": float(busy.memory_accept.sum()),
    }
    for unit in (Unit.FMA, Unit.ALU, Unit.FP16, Unit.FP64, Unit.SFU, Unit.TENSOR, Unit.UNIFORM):
        whole = config.sm.subcores if unit == Unit.FP64 and config.execute.fp64_shared else 1
        of_sm[unit.name] = float(units[unit]) * whole
    count, sector, peak = result.memory_counters, config.l2.sector_bytes, config.dram_bytes_per_cycle
    of_chip = {
        "L2": count["lts__t_sectors"] * sector / (config.l2.slices * config.interconnect.slice_reply_bytes_per_cycle),
        "DRAM": (count["dram__sectors_read"] + count["dram__sectors_write"]) * sector / peak,
    }
    return of_sm, of_chip


@dataclass
class _Kernel:
    cost: KernelCost
    ended: Any  # simpy event: its last block has ended
    resident: np.ndarray  # blocks per SM
    placed: int = 0
    finished: int = 0
    rate: float = 1.0


@dataclass
class _Cohort:
    """Blocks of one kernel that were placed together and end together."""

    kernel: _Kernel
    blocks: np.ndarray  # per SM
    left_ns: float  # at full speed


class Device:
    """The compute side of one GPU in a simpy environment. Call `run` in the order in which kernels become ready."""

    def __init__(self, environment: Any, capacity: SmCapacity, max_grids: int = MAX_GRIDS) -> None:
        import simpy

        self._env = environment
        self._grids = simpy.Resource(environment, max_grids)
        self._free = np.tile(np.array(capacity.each, np.int64), (capacity.sms, 1))
        self._queue: deque[_Kernel] = deque()  # with blocks yet to be placed, in the order in which they began
        self._running: list[_Cohort] = []
        self._dispatcher_free_at = 0
        self._at = 0
        self._turn = 0  # number of the wake-up that counts

    def run(self, cost: KernelCost) -> Generator[Any, Any, int]:
        """simpy process of one kernel; returns the time at which it began. Ends when the kernel has ended."""
        with self._grids.request() as place:
            yield place
            began = self._env.now
            if cost.launch_ns:
                yield self._env.timeout(cost.launch_ns)
            kernel = _Kernel(cost, self._env.event(), np.zeros(len(self._free), np.int64))
            self._queue.append(kernel)
            self._step()
            yield kernel.ended
            if cost.drain_ns:
                yield self._env.timeout(cost.drain_ns)
        return began

    def _step(self) -> None:
        """Bring all blocks up to now, take out what has ended, place what fits, and wake when something changes."""
        passed, self._at = self._env.now - self._at, self._env.now
        left = []
        for cohort in self._running:
            kernel = cohort.kernel
            cohort.left_ns -= passed * kernel.rate
            if cohort.left_ns > 1e-6:
                left.append(cohort)
                continue
            self._free += cohort.blocks[:, None] * np.array(kernel.cost.need)
            kernel.resident -= cohort.blocks
            kernel.finished += int(cohort.blocks.sum())
            if kernel.finished == kernel.cost.blocks:
                kernel.ended.succeed()
        self._running = left
        waits = []
        if self._queue and self._dispatcher_free_at <= self._at:
            self._place(self._queue[0])
            if self._queue[0].placed == self._queue[0].cost.blocks:
                self._queue.popleft()
        if self._queue and self._room(self._queue[0]).any():
            waits.append(max(0, self._dispatcher_free_at - self._at))
        self._set_rates()
        waits += [max(0, ceil(cohort.left_ns / cohort.kernel.rate - 1e-6)) for cohort in self._running]
        if waits:
            self._turn += 1
            self._env.process(self._wake(min(waits), self._turn))

    def _wake(self, wait_ns: int, turn: int) -> Generator[Any, Any, None]:
        yield self._env.timeout(wait_ns)
        if turn == self._turn:
            self._step()

    def _room(self, kernel: _Kernel) -> np.ndarray:
        """Further blocks of a kernel that fit, i8 per SM."""
        need = np.array(kernel.cost.need, np.int64)
        room = np.min(self._free[:, need > 0] // need[need > 0], axis=1)
        return np.minimum(room, kernel.cost.blocks_per_sm - kernel.resident)

    def _place(self, kernel: _Kernel) -> None:
        """Place up to one block per SM of the first kernel of the queue, on the emptiest SMs first."""
        cost = kernel.cost
        take = _spread(self._room(kernel), min(cost.blocks - kernel.placed, len(self._free)), self._free[:, 2])
        count = int(take.sum())
        if count:
            self._running.append(_Cohort(kernel, take, float(cost.block_ns)))
            self._free -= take[:, None] * np.array(cost.need, np.int64)
            kernel.resident += take
            kernel.placed += count
            self._dispatcher_free_at = self._at + ceil(count * cost.place_ns)

    def _set_rates(self) -> None:
        kernels = list({id(cohort.kernel): cohort.kernel for cohort in self._running}.values())
        chip: dict[str, float] = {}
        sm: dict[str, np.ndarray] = {}
        for kernel in kernels:
            kernel.rate = 1.0
            for name, share in kernel.cost.chip_demand.items():
                chip[name] = chip.get(name, 0.0) + share * int(kernel.resident.sum())
            for name, share in kernel.cost.sm_demand.items():
                sm[name] = sm.get(name, 0.0) + share * kernel.resident
        if len(kernels) < 2:
            return  # alone
        for kernel in kernels:
            slow = np.ones(len(self._free))
            for name in kernel.cost.sm_demand:
                slow = np.maximum(slow, sm[name])
            slow = np.maximum(slow, max([1.0, *(chip[name] for name in kernel.cost.chip_demand)]))
            slow[slow < 1 + 1e-9] = 1.0
            kernel.rate = float((kernel.resident / slow).sum() / kernel.resident.sum())


def _spread(room: np.ndarray, wanted: int, idle: np.ndarray) -> np.ndarray:
    """Up to `wanted` blocks on SMs with `room`, i8 per SM: one each, most `idle` first, before any gets a second."""
    if room.sum() <= wanted:
        return room.copy()
    low, high = 0, int(room.max())  # most that every SM gets in full
    while low < high:
        middle = (low + high + 1) // 2
        if np.minimum(room, middle).sum() <= wanted:
            low = middle
        else:
            high = middle - 1
    take = np.minimum(room, low)
    more = np.flatnonzero(room > low)
    more = more[np.argsort(-idle[more], kind="stable")][: wanted - int(take.sum())]
    take[more] += 1
    return take
