"""Simulate one kernel: set up the machine state, feed thread blocks, run quanta, assemble the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from configs.record import record
from configs.schema import Config
from isa.errors import SubcoreError
from isa.jit import is_cold, is_plain
from sim.arena import MAX_CHUNKS, Arena
from sim.async_state import MAX_CLUSTER, new_async
from sim.chains import ChainMeter
from sim.core.coalesce import LINE_BYTES
from sim.core.constant import l15_line
from sim.core.sm import CODE_BASE
from sim.deadlock import deadlock_report
from sim.dispatch import GRID, STOP, Status, new_exchange, run_gpu, settle_all
from sim.host.l2 import L2State
from sim.limits import check_limits
from sim.lower import Code, lower
from sim.memory.state import REQUEST, counters, new_memory
from sim.memory.system import warm_l2
from sim.result import Busy, RunResult
from sim.run import LOG, Run
from sim.series import COLUMNS, FIRST_INTERVAL_CYCLES, FIRST_STALL, ROWS, Sample, finish_series
from sim.state import MAX_BLOCKS, NEVER, NONE, SCOREBOARD, SUBCORES, WARPS_PER_SUBCORE, Fault, new_sms
from sim.stats import PROFILE_COLUMNS, Counter, Stall
from sim.threads import Threads
from traces.stream import Launch, Trace

MAX_QUANTUM_CYCLES = 256
DEADLOCK_CYCLES = 2_000_000
CHUNK_SECONDS = 0.15  # compiled code comes back this often: progress, Ctrl-C
MAX_THREADS = 64
BLOCKS_AHEAD = 64  # thread blocks kept ready beyond what all SMs can hold
Progress = Callable[[int, int, int], None]  # blocks done, blocks, cycle


class SimulationError(SubcoreError):
    """The simulation cannot go on: deadlock, or a limit of the simulator."""


class CycleLimit(SimulationError):
    """`max_cycles` was reached before the kernel ended."""


@dataclass(frozen=True)
class Occupancy:
    """Thread blocks that fit on an SM, and what limits them."""

    blocks: int
    limited_by: str
    shared_carveout_bytes: int
    l1_bytes: int


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def occupancy(launch: Launch, config: Config) -> Occupancy:
    """Resident blocks per SM (CUDA occupancy rules) and the L1 share that their shared memory leaves.

    Raises SubcoreError for a launch that can never run, naming the limit.
    """
    sm = config.sm
    warps = launch.warps_per_block
    problems = []
    if min(*launch.grid, *launch.block) < 1:
        problems.append(f"grid {launch.grid} and block {launch.block} must be positive")
    if launch.threads_per_block > min(1024, sm.max_threads):
        problems.append(f"{launch.threads_per_block} threads per block, at most {min(1024, sm.max_threads)}")
    shared = _round_up(launch.shared_bytes + sm.shared_reserved_bytes_per_block, sm.shared_allocation_unit_bytes)
    if launch.shared_bytes > sm.max_shared_bytes_per_block:
        problems.append(f"{launch.shared_bytes} B of shared memory per block, at most {sm.max_shared_bytes_per_block}")
    per_warp = _round_up(max(1, launch.registers) * 32, sm.register_allocation_unit)
    granularity = sm.warp_allocation_granularity
    warps_by_registers = sm.registers // per_warp // granularity * granularity
    if warps > warps_by_registers:
        problems.append(f"{launch.registers} registers per thread leave room for {warps_by_registers} warps of {warps}")
    if problems:
        raise SubcoreError(f"{launch.kernel} cannot be launched on {config.gpu.name}: " + "; ".join(problems))
    limits = {
        "blocks": min(sm.max_blocks, MAX_BLOCKS),
        "warps": min(sm.max_warps, SUBCORES * WARPS_PER_SUBCORE) // warps,
        "threads": sm.max_threads // _round_up(launch.threads_per_block, 32),
        "registers": warps_by_registers // warps,
        "shared memory": sm.max_shared_bytes // shared if shared else MAX_BLOCKS,
    }
    limited_by = min(limits, key=lambda name: limits[name])
    blocks = limits[limited_by]
    if blocks < 1:
        raise SubcoreError(
            f"{launch.kernel} cannot be launched on {config.gpu.name}: no room for a block ({limited_by})"
        )
    # the driver takes the smallest carve-out that does not lower the occupancy
    wanted = blocks * shared
    carveout = next(
        (c for c in config.l1d.shared_carveouts_bytes if c >= wanted), config.l1d.shared_carveouts_bytes[-1]
    )
    return Occupancy(blocks, limited_by, carveout, config.l1d.total_bytes - carveout - config.l1d.reserved_bytes)


def quantum_cycles(config: Config, clusters: bool = False) -> int:
    """Cycles that SMs may run apart: nothing one SM does reaches another sooner."""
    lookahead, launch = _lookahead_cycles(config), config.launch
    nearest = 2 * min(config.cluster.distance_cycles) if clusters else lookahead
    return max(1, min(lookahead, nearest, launch.dispatch_latency_cycles, MAX_QUANTUM_CYCLES))


def check_cluster(launch: Launch, config: Config) -> int:
    """Blocks of a cluster. SubcoreError for clusters that the grid or the GPU does not have."""
    size = launch.cluster[0] * launch.cluster[1] * launch.cluster[2]
    if size == 1:
        return size
    where = f"{launch.kernel} cannot be launched on {config.gpu.name}: clusters of {launch.cluster} blocks"
    if config.gpu.architecture < 90:
        raise SubcoreError(f"{where} need compute capability 9.0")
    if min(launch.cluster) < 1 or size > min(MAX_CLUSTER, config.cluster.max_blocks):
        raise SubcoreError(f"{where}: 1 to {config.cluster.max_blocks} (cluster.max_blocks) can run together")
    if any(g % c for g, c in zip(launch.grid, launch.cluster, strict=True)):
        raise SubcoreError(f"{where} do not divide its grid of {launch.grid}")
    per_gpc = config.gpu.sms_per_tpc * config.gpu.tpcs_per_gpc
    if size > min(per_gpc, config.gpu.sms) * occupancy(launch, config).blocks:
        raise SubcoreError(f"{where} do not fit on the {per_gpc} SMs of a GPC")
    return size


def _lookahead_cycles(config: Config) -> int:
    return config.interconnect.request_cycles + config.interconnect.reply_cycles


class Machine:
    """State of one kernel on one GPU. `run` advances it; tests look into `sms`."""

    def __init__(
        self,
        trace: Trace,
        config: Config,
        *,
        quantum: int | None = None,
        every_cycle: bool = False,
        log_entries: int = 0,
        log_window: tuple[int, int, int, int] = (0, NEVER, -1, 0),
        threads: int = 1,
        l2: L2State | None = None,
    ) -> None:
        check_limits(config)
        if not 1 <= threads <= MAX_THREADS:
            raise SubcoreError(f"{threads} threads: 1 to {MAX_THREADS} are possible")
        # the log is in the order in which things happen; without compiled code there is nothing to gain
        self.threads = 1 if log_entries or is_plain() else threads
        self.trace, self.config = trace, config
        self.code: Code = lower(trace.program, config)
        self.occupancy = occupancy(trace.launch, config)
        self.cfg = record(config)
        ways = config.l1d.ways
        count = config.gpu.sms
        self.sms = new_sms(count, max(1, self.occupancy.l1_bytes // config.l1d.line_bytes // ways), ways)
        self.sms["every_cycle"] = every_cycle
        self.boards = np.zeros((count, SUBCORES * WARPS_PER_SUBCORE) if self.code.tracked else (1, 1), SCOREBOARD)
        self.memory = new_memory(self.cfg)
        if l2 is not None:
            l2.lay(self.memory)
        self._pool = Threads(self.threads)
        self._helping: list[Future[None]] = []
        self.meter = ChainMeter(trace.launch, self.code, config, self._pool)
        self.arena = Arena(trace, self._blocks_ahead(), self._pool, self.meter.measure)
        self.cluster_blocks = check_cluster(trace.launch, config)
        self.engine = new_async(count, trace.launch.shared_base, trace.launch.registers)
        positions = np.arange(count) % (config.gpu.sms_per_tpc * config.gpu.tpcs_per_gpc)
        ways = self.cfg.cluster.distance_cycles
        self.way = np.array(ways, np.int64)[np.minimum(positions, len(ways) - 1)]
        limit = quantum_cycles(config, self.cluster_blocks > 1)
        if quantum is not None and not 1 <= quantum <= limit:
            raise SubcoreError(f"quantum of {quantum} cycles: 1 to {limit} are exact on {config.gpu.name}")
        self.overlaps = self.threads > 1 and _lookahead_cycles(config) > 1
        self.quantum = min(quantum or limit, _lookahead_cycles(config) // 2 if self.overlaps else limit)
        per_cycle = config.l1d.tags_per_cycle + 5
        self.outbox = np.zeros((count, self.quantum * per_cycle + 64), REQUEST)
        self.exchange = new_exchange(count, self.outbox.shape[1], self.quantum, self.threads)
        self.profile = np.zeros((self.threads, len(self.code.op) + 1, PROFILE_COLUMNS), np.int64)
        self.sms["sub"]["reason_op"] = len(self.code.op)
        self.log = np.zeros(log_entries, LOG)
        self.log_count = np.zeros(1, np.int64)
        self.log_window = np.array(log_window, np.int64)
        self.series = np.zeros((ROWS, COLUMNS), np.int64)
        self.grid = np.zeros(1, GRID)
        self.kernel_seconds = 0.0
        self._reset_grid()
        if config.l2.filled_by_host_copies:
            self._fill_l2()
        if config.l2.warm:
            self._warm_code()
        self._preload_code()

    def _reset_grid(self) -> None:
        grid, launch = self.grid[0], self.config.launch
        grid["quantum_cycles"] = self.quantum
        grid["overlaps"] = self.overlaps
        grid["blocks"] = self.trace.launch.blocks
        grid["warps_per_block"] = self.trace.launch.warps_per_block
        grid["deadlock_cycles"] = DEADLOCK_CYCLES
        grid["cluster_blocks"] = self.cluster_blocks
        grid["cluster"] = self.trace.launch.cluster
        grid["blocks_along"] = self.trace.launch.grid
        grid["sample_at"] = grid["sample_interval"] = FIRST_INTERVAL_CYCLES
        # block slots of the empty machine: one block on every SM before any SM gets its second
        first_at = launch.kernel_cycles - launch.dispatch_latency_cycles
        for slot in range(self.occupancy.blocks):
            self.sms["vacancy_at"][:, slot] = first_at
            self.sms["vacancy_rank"][:, slot] = slot
            self.sms["vacancy_slot"][:, slot] = slot
        self.sms["vacancies"] = self.occupancy.blocks
        grid["dispatch_free_at"] = float(launch.kernel_cycles)
        grid["queued_blocks"] = launch.queued_blocks_per_sm * len(self.sms)

    def _code_lines(self, code_bytes: int) -> np.ndarray:
        """Lines (of 128 B) of the first bytes of the code and of the constants that it names, i8."""
        size = min(code_bytes, len(self.trace.program) * self.trace.program.pc_step)
        code = np.arange(-(-size // LINE_BYTES), dtype=np.int64)
        numbers = np.unique(self.code.op["constant_line"])
        line_of = getattr(l15_line, "py_func", l15_line)  # NUMBA_DISABLE_JIT leaves the plain function
        return np.concatenate([code, np.unique([line_of(self.cfg, n) for n in numbers if n >= 0]).astype(np.int64)])

    def _preload_code(self) -> None:
        """What the launch itself brings into the L1 instruction / L1.5 constant cache of every SM."""
        fetch, size = self.config.fetch, self.config.launch.preloaded_code_bytes
        if not size:
            return
        sets = max(1, fetch.l1_bytes // fetch.l1_line_bytes // fetch.l1_ways)
        for line in np.unique(self._code_lines(size) * LINE_BYTES // fetch.l1_line_bytes):
            ways = self.sms["l1i_line"][0, line % sets * fetch.l1_ways :][: fetch.l1_ways]
            if (ways < 0).any():
                self.sms["l1i_line"][:, line % sets * fetch.l1_ways + int(np.argmax(ways < 0))] = line

    def _warm_code(self) -> None:
        """The host wrote code, parameters and constants before the launch: their lines are in the L2."""
        touched = CODE_BASE + self._code_lines(1 << 62) * LINE_BYTES
        whole = self.config.fetch.l1_line_bytes
        lines = (np.unique(touched // whole * whole)[:, None] + np.arange(0, whole, LINE_BYTES)).ravel()
        warm_l2(self.memory, self.cfg, lines, len(lines), 0)

    def _fill_l2(self) -> None:
        """Lay the host's copies into the L2 in their order; what is older than twice its capacity has gone."""
        room = 2 * self.config.l2.bytes
        parts: list[np.ndarray] = []
        for address, size in reversed(self.trace.launch.copies):
            first = max(address, address + size - room) // LINE_BYTES * LINE_BYTES
            parts.append(np.arange(first, address + size, LINE_BYTES, dtype=np.int64))
            room -= size
            if room <= 0:
                break
        if parts:
            lines = np.concatenate(parts[::-1])
            warm_l2(self.memory, self.cfg, lines, len(lines), int(self.config.l2.host_copies_dirty))

    def compile(self, on_compile: Callable[[], None] | None = None) -> float:
        """Compile the kernels if they are not yet, after a call of `on_compile`. Returns the seconds that it took."""
        cold = is_cold(run_gpu)
        if cold and on_compile is not None:
            on_compile()
        began = time.perf_counter()
        run_gpu(*self._arguments(0))
        return time.perf_counter() - began if cold else 0.0

    @property
    def now(self) -> int:
        return int(self.grid[0]["now"])

    def _arguments(self, quanta: int, thread: int = 0) -> tuple[Any, ...]:
        a = self.arena
        return (thread, self.sms, self.cfg, self._run(thread), self.memory,
                self.exchange, self.grid, a.block, a.warp_start, a.chunk_left, quanta)  # fmt: skip

    def _run(self, thread: int = 0) -> Run:
        profile = self.profile[thread]
        return Run(*self.code, *self.arena.streams, self.boards, self.engine, self.way, self.outbox, profile,
                   self.log, self.log_count, self.log_window, self.series)  # fmt: skip

    def _call_helpers(self) -> None:
        """Let the other threads help thread 0, until they are sent away: their arguments hold while the arena does."""
        self.exchange.control[STOP] = 0
        self._helping = [self._pool.submit(self._help, thread) for thread in range(1, self.threads)]

    def _help(self, thread: int) -> None:
        try:
            run_gpu(*self._arguments(0, thread))
        finally:
            self.exchange.control[STOP] = 1  # in case of an error: thread 0 must not wait for this one

    def _dismiss_helpers(self) -> None:
        self.exchange.control[STOP] = 1
        helping, self._helping = self._helping, []
        for future in helping:
            future.result()

    def _band_blocks(self) -> int:
        """Consecutive blocks of the grid that whole clusters fill."""
        (x, y, _), (_, rows, planes) = self.trace.launch.grid, self.trace.launch.cluster
        return x * y * planes if planes > 1 else x * rows if rows > 1 else 1

    def _blocks_ahead(self) -> int:
        """Blocks in the arena behind the next one to start."""
        return self._band_blocks() - 1 + self.occupancy.blocks * len(self.sms) + BLOCKS_AHEAD

    def _load_blocks(self) -> None:
        """Keep the arena ahead of the dispatcher."""
        grid = self.grid[0]
        self.arena.drop_finished()
        self.sms["known_pattern"] = NONE  # lists of addresses may take the places of others
        across = self._band_blocks()
        first = int(grid["next_block"]) // across * across
        wanted = int(grid["next_block"]) + self._blocks_ahead()
        total = int(grid["blocks"])
        while self.arena.loaded_blocks < min(wanted, total) and self.arena.chunks_held < MAX_CHUNKS:
            if not self.arena.load(first):
                raise SubcoreError(
                    f"trace of {self.trace.launch.kernel} ends after block {self.arena.loaded_blocks} of {total}"
                )
        grid["loaded_blocks"] = self.arena.loaded_blocks

    def run(self, max_cycles: int | None = None, progress: Progress | None = None, until: int | None = None) -> None:
        """Run to the end of the kernel, or until cycle `until` has passed. Raises SimulationError on a deadlock or a
        simulator limit."""
        try:
            self._run_to_end(max_cycles, progress, until)
        finally:
            self._dismiss_helpers()

    def _run_to_end(self, max_cycles: int | None, progress: Progress | None, until: int | None) -> None:
        quanta = 16
        status = Status.NEEDS_BLOCKS
        while status != Status.DONE:
            if status == Status.NEEDS_BLOCKS:
                self._load_blocks()
                self._call_helpers()
            began = time.perf_counter()
            status = Status(run_gpu(*self._arguments(quanta)))
            took = time.perf_counter() - began
            self.kernel_seconds += took
            if status != Status.RUNNING:
                self._dismiss_helpers()
            elif took < CHUNK_SECONDS / 2:
                quanta *= 2
            if took > CHUNK_SECONDS * 2:
                quanta = max(1, quanta // 2)
            grid = self.grid[0]
            if progress is not None:
                progress(int(grid["finished_blocks"]), int(grid["blocks"]), self.now)
            self._check(status)
            reached = int(grid["last_done_at"]) if status == Status.DONE else self.now
            if max_cycles is not None and reached > max_cycles:
                raise CycleLimit(
                    f"{self.trace.launch.kernel}: {reached} cycles passed, --max-cycles {max_cycles};"
                    f" {int(grid['finished_blocks'])} of {int(grid['blocks'])} blocks done"
                )
            if until is not None and reached >= until:
                return

    def step(self) -> bool:
        """Advance by one quantum on one thread, for who looks at the state in between. True at the end."""
        self._load_blocks()
        status = Status(run_gpu(*self._arguments(1)))
        self._check(status)
        return status == Status.DONE

    def _check(self, status: Status) -> None:
        if status == Status.FAULT:
            raise SimulationError(self._fault_text())
        if status == Status.DEADLOCK:
            raise SimulationError(deadlock_report(self.sms, self.code, self.trace, self.now))

    def _fault_text(self) -> str:
        sm = int(np.flatnonzero(self.sms["fault"])[0])
        fault = Fault(int(self.sms["fault"][sm]))
        return (
            f"{self.trace.launch.kernel}: limit of the simulator reached on SM {sm}: {fault.name.lower()};"
            " control bits that leave a counter unbalanced, or more outstanding work than the records hold"
        )

    def result(self, compile_seconds: float = 0.0) -> RunResult:
        """Account up to the end of the last block and of its stores, and collect the counters."""
        end = max(int(self.grid[0]["last_done_at"]), int(self.sms["last_store_at"].max()))
        config = self.config
        settle_all(self.sms, self._run(), end)
        stalls = self.sms["sub"]["stall"].copy()
        # the run stops at a quantum boundary: cycles behind the end were charged to empty sub-cores
        excess = stalls.sum(axis=2) - end
        stalls[:, :, -1] -= excess
        profile = self.profile.sum(axis=0)
        profile[-1, Stall.NO_WARP] -= excess.sum()
        beyond = counters(self.memory)
        last = self._counts(end, stalls, beyond)
        return RunResult(
            kernel=self.trace.launch.kernel,
            launch=self.trace.launch,
            config=config,
            cycles=end + config.launch.drain_cycles,
            kernel_cycles=end,
            sm_counters=self.sms["counter"].copy(),
            sm_stalls=stalls,
            profile=profile,
            memory_counters=beyond,
            busy=self._busy(end),
            chains=self.meter.chains,
            series=finish_series(self.series[: int(self.grid[0]["samples"])], last),
            blocks_per_sm=self.occupancy.blocks,
            limited_by=self.occupancy.limited_by,
            scoreboard=bool(self.code.tracked),
            shared_carveout_bytes=self.occupancy.shared_carveout_bytes,
            warnings=tuple(self.trace.program.warnings),
            kernel_seconds=self.kernel_seconds,
            compile_seconds=compile_seconds,
        )

    def _busy(self, end: int) -> Busy:
        """What the last use of a resource reserved beyond the end of the kernel does not count."""
        sms, sub = self.sms, self.sms["sub"]
        return Busy(
            subcore_units=sub["busy_cycles"] - np.maximum(0, sub["unit_free_at"] - end),
            register_reads=sub["bank_reads"].copy(),
            memory_accept=sms["accept_busy_cycles"] - np.maximum(0, sms["accept_free_at"] - end),
            l1_tags=sms["tag_busy_cycles"].copy(),
            l1_data=sms["data_busy_cycles"] - np.maximum(0, sms["data_free_at"] - end),
            sectors_received=sms["sectors_received"].copy(),
        )

    def _counts(self, end: int, stalls: np.ndarray, beyond: dict[str, int]) -> np.ndarray:
        """The last row of the series."""
        row = np.zeros(COLUMNS, np.int64)
        row[Sample.CYCLE] = end
        for column, counter in (
            (Sample.SM_ACTIVE_CYCLES, Counter.ACTIVE_CYCLES),
            (Sample.WARP_CYCLES, Counter.WARP_CYCLES),
            (Sample.THREAD_INSTRUCTIONS, Counter.THREAD_INSTRUCTIONS),
            (Sample.L1_SECTORS, Counter.L1_SECTORS),
            (Sample.L1_SECTOR_HITS, Counter.L1_SECTOR_HITS),
        ):
            row[column] = self.sms["counter"][:, counter].sum()
        for column, name in (
            (Sample.L2_SECTORS, "lts__t_sectors"),
            (Sample.L2_SECTOR_HITS, "lts__t_sectors_lookup_hit"),
            (Sample.DRAM_SECTORS_READ, "dram__sectors_read"),
            (Sample.DRAM_SECTORS_WRITTEN, "dram__sectors_write"),
        ):
            row[column] = beyond[name]
        row[FIRST_STALL:] = stalls.sum(axis=(0, 1))
        return row


def simulate_trace(
    trace: Trace,
    config: Config,
    *,
    max_cycles: int | None = None,
    progress: Progress | None = None,
    on_compile: Callable[[], None] | None = None,
    quantum: int | None = None,
    every_cycle: bool = False,
    threads: int = 1,
    l2: L2State | None = None,
) -> RunResult:
    """Simulate one kernel launch.

    trace: what ran; config: the GPU. max_cycles stops a run that takes longer (CycleLimit). progress(blocks done,
    blocks, cycle) is called about six times a second. on_compile is called before the kernels compile for the first
    time. quantum and every_cycle change how time is stepped, threads how many cores simulate: never the result. l2:
    what earlier kernels left there, and afterwards what this one leaves. Raises SubcoreError for a launch that does
    not fit.
    """
    machine = Machine(trace, config, quantum=quantum, every_cycle=every_cycle, threads=threads, l2=l2)
    compile_seconds = machine.compile(on_compile)
    machine.run(max_cycles, progress)
    result = machine.result(compile_seconds)
    result.check()
    if l2 is not None:
        l2.keep(machine.memory)
    return result
