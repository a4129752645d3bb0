"""One campaign: compile, time the kernels, run the clocks, profile; every result is written as soon as it is there."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import shutil
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from isa.errors import SubcoreError
from traces.kernels.catalogue import load_launch
from validate.campaign import jobs
from validate.campaign.native import HOPPER, PROGRAMS, Builder, Program, command, find_cupti, find_tool, query_card
from validate.campaign.plan import Point, read_plan
from validate.campaign.table import Row, write_rows, write_text

JOB_SECONDS, CASE_SECONDS, CHECK_SECONDS = 60.0, 90.0, 60.0
SHARES = {"kernels": 0.55, "clocks": 0.85, "ncu": 1.0}  # of the budget, at which a part has to end
QUICK_CLOCKS = (
    "alu_fp32", "alu_int", "alu_half", "alu_special", "mma_f16", "chase_global", "chase_shared", "coalescing_load",
    "bank_conflict_load", "bandwidth_l2", "bandwidth_dram", "barrier", "launch_empty", "launch_dispatch",
)  # fmt: skip
STATE = "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,temperature.gpu,power.draw,power.limit"
# what `validate.ncu` compares; a name that this version of the profiler does not know is left out
METRICS = (
    "gpc__cycles_elapsed.max", "sm__cycles_elapsed.max", "gpu__time_duration.sum", "sm__cycles_active.sum",
    "smsp__inst_executed.sum", "smsp__thread_inst_executed.sum", "sm__warps_active.avg.pct_of_peak_sustained_active",
    *(f"sm__inst_executed_pipe_{pipe}.sum" for pipe in
      ("fma", "alu", "fp16", "fp64", "xu", "tensor", "uniform", "lsu")),
    *(f"l1tex__t_sectors_pipe_lsu_mem_global_op_{op}{kind}.sum" for op in ("ld", "st")
      for kind in ("", "_lookup_hit", "_lookup_miss")),
    "l1tex__data_pipe_lsu_wavefronts_mem_shared.sum", "l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum",
    "lts__t_sectors.sum", "lts__t_sectors_op_read.sum", "lts__t_sectors_op_write.sum", "lts__t_sectors_lookup_hit.sum",
    "dram__sectors_read.sum", "dram__sectors_write.sum", "dram__bytes_read.sum", "dram__bytes_write.sum",
    *(f"smsp__average_warps_issue_stalled_{reason}_per_issue_active.ratio" for reason in
      ("barrier", "branch_resolving", "dispatch_stall", "drain", "imc_miss", "lg_throttle", "long_scoreboard",
       "math_pipe_throttle", "membar", "mio_throttle", "no_instruction", "not_selected", "selected", "short_scoreboard",
       "sleeping", "tex_throttle", "wait", "gmma")),
)  # fmt: skip


@dataclass
class Campaign:
    """Settings and state of one run. `deadline` is a time of `time.monotonic`."""

    output: Path
    build: Path
    scratch: Path
    nvcc: str
    architecture: int
    quick: bool
    kernels: tuple[str, ...]
    repeats: int
    deadline: float
    runner: str | None = None
    rows: list[Row] = field(default_factory=list)
    clocks: list[dict[str, str]] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.output.mkdir(parents=True, exist_ok=True)
        self.builder = Builder(self.nvcc, self.architecture, self.build)
        self._log: list[str] = []
        self.points = [
            point
            for point in read_plan(self.quick)
            if self.architecture in load_launch(point.kernel).architectures
            and (not self.kernels or point.kernel in self.kernels)
        ]
        if not self.points:
            raise SubcoreError(f"no kernel of the plan is called {', '.join(self.kernels)} and runs on this card")

    # ---- what is said ----------------------------------------------------------------------------------------
    def log(self, text: str) -> None:
        self._log.append(f"[{time.monotonic() - self.began:6.1f} s] {text}")
        print(self._log[-1], flush=True)
        write_text(self.output / "log.txt", "\n".join(self._log) + "\n")

    def leave_out(self, what: str, why: str) -> None:
        self.left_out.append(f"{what}: {why}")
        self.log(f"left out: {what}: {why}")

    def save_state(self) -> None:
        self.state["left_out"] = self.left_out
        self.state["seconds"] = round(time.monotonic() - self.began, 1)
        write_text(self.output / "device.json", json.dumps(self.state, indent=1, sort_keys=True) + "\n")

    def save_rows(self) -> None:
        write_rows(self.output / "kernels.csv", [asdict(row) for row in self.rows])

    def until(self, part: str) -> float:
        return self.began + (self.deadline - self.began) * SHARES[part]

    # ---- building --------------------------------------------------------------------------------------------
    def compile(self, parts: Sequence[str]) -> int:
        """Compile everything that a run would need; 1 if something does not compile."""
        self._build(parts)
        self.log(f"compiled into {self.build}; {len(self.left_out)} left out")
        return 1 if self.left_out else 0

    def _build(self, parts: Sequence[str]) -> tuple[dict[Path, Path], dict[str, Path], Path | None]:
        """Cubins by source, clock programs by name, and the runner; what fails is left out."""
        sources = sorted({load_launch(point.kernel).source for point in self.points})
        objects: list[str] = []
        if "clocks" in parts:
            wanted = [name for name in PROGRAMS if name not in HOPPER or self.architecture == 90]
            # the quick clocks need no instruction-cache code, whose compilation is the longest
            skipped = {"fetch"} if self.quick else set()
            objects = sorted({part for name in wanted for group in PROGRAMS[name] for part in group} - skipped)
        found: dict[str, Future[Path]] = {}
        with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
            for name in sorted(objects, key=lambda name: name not in ("arithmetic", "fetch")):
                found[name] = pool.submit(self.builder.clock_object, name)
            runner = pool.submit(self.builder.runner) if not self.runner else None
            cubins = {source: pool.submit(self.builder.cubin, source) for source in sources}
            code = {source: path for source, work in cubins.items() if (path := self._result(source.name, work))}
            compiled = {name: path for name, work in found.items() if (path := self._result(name, work))}
            runner_path = Path(self.runner) if self.runner else self._result("runner", runner)
        programs = {}
        for name in PROGRAMS if objects else ():
            if name in HOPPER and self.architecture != 90:
                continue
            try:
                programs[name] = self.builder.clock_program(name, compiled)
            except SubcoreError as error:
                self.leave_out(name, str(error))
        self.log(f"built {len(code)} of {len(cubins)} kernel files, {len(programs)} clock programs")
        return code, programs, runner_path

    def _result(self, name: str, work: Future[Path] | None) -> Path | None:
        try:
            return work.result() if work is not None else None
        except SubcoreError as error:
            self.leave_out(name, str(error))
            return None

    # ---- everything ------------------------------------------------------------------------------------------
    def run(self, parts: Sequence[str]) -> int:
        """Measure; 0 if every kernel that ran gave the right results."""
        self.state["card"] = dict(zip(STATE.split(","), query_card(STATE), strict=False))
        self.state["compiler"] = self.builder.version
        self.state["architecture"] = self.architecture
        self.state["host"] = {"machine": platform.machine(), "python": platform.python_version()}
        self.state["quick"] = self.quick
        code, programs, runner = self._build(parts)
        (self.output / "code").mkdir(exist_ok=True)
        for source, cubin in code.items():
            shutil.copyfile(cubin, self.output / "code" / f"{source.stem}.sm_{self.architecture}.cubin")
        if "clocks" in programs:
            status, text = command([str(programs["clocks"]), "--device"], 30)
            if status == 0:
                self.state["properties"] = json.loads(text)
        self.save_state()
        prepared: list[jobs.Job] = []
        if runner is not None and {"kernels", "ncu"} & set(parts):
            prepared = self._kernels(code, runner, timed="kernels" in parts, keep="ncu" in parts)
        for name, path in programs.items():
            self._clocks(name, path)
        if "ncu" in parts and runner is not None:
            self._profile(prepared, runner)
        self.state["card_after"] = dict(zip(STATE.split(","), query_card(STATE), strict=False))
        self.save_state()
        wrong = sorted(
            {f"{row.benchmark} {row.parameters}" for row in self.rows if row.check not in ("ok", "unchecked")}
        )
        checked = len({(row.benchmark, row.parameters) for row in self.rows if row.check == "ok"})
        self.log(f"{len(self.rows)} rows; {checked} launches right, {len(wrong)} wrong {wrong[:5]}")
        self.log(f"{len(self.left_out)} left out")
        return 1 if wrong else 0

    # ---- kernels ---------------------------------------------------------------------------------------------
    def _kernels(self, code: dict[Path, Path], runner: Path, timed: bool, keep: bool) -> list[jobs.Job]:
        """Time every point. Inputs are made and outputs checked in worker processes beside the measurement."""
        until = self.until("kernels") if timed else self.deadline
        points = [point for point in self.points if load_launch(point.kernel).source in code]
        workers = max(1, (os.cpu_count() or 2) - 1)
        done: list[jobs.Job] = []
        checks: list[tuple[jobs.Job, Future[str]]] = []
        program: Program | None = None
        # forked from a clean server: this process has threads
        with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("forkserver")) as pool:
            waiting = deque(enumerate(points))
            ahead: deque[tuple[Point, Future[jobs.Job]]] = deque()
            while waiting or ahead:
                while waiting and len(ahead) < workers + 2:
                    number, point = waiting.popleft()
                    cubin = code[load_launch(point.kernel).source]
                    folder = self.scratch / str(number)
                    ahead.append((point, pool.submit(jobs.prepare, point, cubin, folder, self.repeats)))
                point, work = ahead.popleft()
                if time.monotonic() > until:
                    self.leave_out(point.label, "the budget is used up")
                    continue
                try:
                    job = work.result(timeout=max(1.0, until - time.monotonic()))
                except FutureTimeout:
                    self.leave_out(point.label, "its inputs were not ready in time")
                    continue
                except Exception as error:  # also of a worker that ran out of memory: one point less
                    self.leave_out(point.label, f"inputs: {type(error).__name__}: {error}")
                    continue
                if timed:
                    if program is None:
                        program = self._start(runner)
                    rows, alive = self._time(program, job, until)
                    if not alive:
                        program.end()
                        program = None
                    if rows:
                        self.rows += rows
                        self.save_rows()
                        checks.append((job, pool.submit(jobs.check, job)))
                    elif job.path.parent.is_dir():
                        shutil.rmtree(job.path.parent)
                        continue
                done.append(job)
                if len(done) % 50 == 0:
                    self.log(f"{len(done)} of {len(points)} launches")
                self._collect(checks, keep, final=False)
            if program is not None:
                program.end()
            self._collect(checks, keep, final=True)
            pool.shutdown(wait=False, cancel_futures=True)
        self.save_state()
        return done

    def _start(self, runner: Path) -> Program:
        cupti = find_cupti(self.nvcc)
        program = Program([str(runner), *(["--cupti", cupti] if cupti else [])])
        try:
            line = program.line(time.monotonic() + 60)
        except TimeoutError:
            line = None
        if line is None or not line.startswith("ready"):
            program.end()
            raise SubcoreError(f"the runner does not start: {line or 'no answer within 60 s'}")
        self.state["cupti"] = line.endswith("=1")
        return program

    def _time(self, program: Program, job: jobs.Job, until: float) -> tuple[list[Row], bool]:
        """Rows of a job, and whether the program can go on."""
        program.write(str(job.path))
        limit = min(time.monotonic() + JOB_SECONDS, until + 5)
        rows: list[Row] = []
        registers = blocks = ""
        while True:
            try:
                line = program.line(limit)
            except TimeoutError:
                self.leave_out(job.point.label, "no answer in time")
                return rows, False
            word, _, rest = (line or "").partition(" ")
            if line is None:
                self.leave_out(job.point.label, "the runner ended")
                return rows, False
            if word == "done":
                return rows, True
            if word == "error":
                self.leave_out(job.point.label, rest)
                # a lost context ends the runner; a launch that was refused does not
                try:
                    return [], program.line(time.monotonic() + 0.3) is not None
                except TimeoutError:
                    return [], True
            if word == "attributes":
                registers, _, _, blocks = rest.split()
            elif word == "time":
                method, caches, repeats, median, low, high, clock = rest.split()
                rows.append(
                    Row(
                        benchmark=job.point.kernel,
                        profiler=method if caches == "copied" else f"{method}_{caches}",
                        parameters=job.point.text,
                        clock_mhz=clock,
                        duration_ns=median,
                        min_ns=low,
                        max_ns=high,
                        repeats=repeats,
                        caches=caches,
                        grid="x".join(map(str, job.grid)),
                        block="x".join(map(str, job.block)),
                        registers=registers,
                        blocks_per_sm=blocks,
                    )
                )

    def _collect(self, checks: list[tuple[jobs.Job, Future[str]]], keep: bool, final: bool) -> None:
        """Enter the checks that are done into the rows; at the end wait for the others."""
        until = min(time.monotonic() + CHECK_SECONDS, self.deadline)
        for job, work in list(checks):
            if not final and not work.done():
                continue
            checks.remove((job, work))
            try:
                text = work.result(timeout=max(0.0, until - time.monotonic()))
            except FutureTimeout:
                text = "unchecked"
            except Exception as error:  # a reference that fails is a finding, not the end of the campaign
                text = f"check failed: {type(error).__name__}: {error}"
            if text not in ("ok", "unchecked"):
                self.log(f"WRONG {job.point.label}: {text}")
            mine = (job.point.kernel, job.point.text)
            self.rows = [replace(r, check=text) if (r.benchmark, r.parameters) == mine else r for r in self.rows]
            if not keep:
                shutil.rmtree(job.path.parent, ignore_errors=True)
        self.save_rows()

    # ---- clocks ----------------------------------------------------------------------------------------------
    def _clocks(self, name: str, path: Path) -> None:
        """Run the cases of a clock program; one that hangs or loses the context is left out and the rest goes on."""
        status, text = command([str(path), "--list"], 30)
        left = [case for case in text.split() if not self.quick or case in QUICK_CLOCKS] if status == 0 else []
        until, silent = self.until("clocks"), 0
        while left and time.monotonic() < until and silent < 3:
            program = Program([str(path), *left])
            header: list[str] = []
            current, began, hung = "", time.monotonic(), False
            while True:
                try:
                    line = program.line(min(until, began + CASE_SECONDS))
                except TimeoutError:
                    hung = True
                    break
                if line is None:
                    break
                if line.startswith("# begin "):
                    current, began = line[8:], time.monotonic()
                elif line.startswith("# end "):
                    left.remove(line[6:])
                    self.log(f"{name} {line[6:]}: {time.monotonic() - began:.1f} s")
                    current, began = "", time.monotonic()
                    self._save_clocks()
                elif not header:
                    header = line.split(",")
                elif "," in line:
                    self.clocks.append(dict(zip(header, next(csv.reader([line])), strict=False)))
            status = program.end()
            if current in left:
                left.remove(current)
                self.leave_out(f"{name} {current}", "hung" if hung else f"the program ended with {status}")
            elif status == 0:
                break
            else:
                silent += 1
        for case in left:
            self.leave_out(f"{name} {case}", "not run")
        self._save_clocks()
        self.save_state()

    def _save_clocks(self) -> None:
        columns = ("case", "parameter", "value", "unit", "repeats", "min", "median", "max", "notes")
        write_rows(self.output / "clocks.csv", self.clocks, columns)

    # ---- Nsight Compute --------------------------------------------------------------------------------------
    def _profile(self, prepared: list[jobs.Job], runner: Path) -> None:
        """Counters of one launch of each job; first a trial, for a profiler may be there but not allowed to count."""
        ncu = find_tool("ncu")
        if ncu is None or not prepared:
            self.leave_out("ncu", "no ncu on the path" if ncu is None else "no kernel ran")
            return
        known = command([ncu, "--query-metrics"], 60)[1]
        metrics = [metric for metric in METRICS if metric.split(".")[0] in known] or list(METRICS[:5])
        names = self.scratch / "names"

        def collect(batch: Sequence[jobs.Job], seconds: float) -> tuple[list[jobs.Job], list[list[str]]]:
            names.write_text("".join(f"{job.path}\n" for job in batch), encoding="utf-8")
            raw = self.scratch / "ncu.csv"
            raw.unlink(missing_ok=True)
            profiler = [ncu, "--clock-control", "none", "--csv", "--page", "raw", "--print-units", "base"]
            profiler += ["--metrics", ",".join(metrics), "--log-file", str(raw), str(runner), "--once"]
            status, text = command(["sh", "-c", 'exec "$@" < "$0"', str(names), *profiler], seconds)
            answers = [line for line in text.splitlines() if line == "launched" or line.startswith("error")]
            launched = [job for job, answer in zip(batch, answers, strict=False) if answer == "launched"]
            lines = raw.read_text(errors="replace").splitlines() if raw.is_file() else []
            table = list(csv.reader(io.StringIO("\n".join(line for line in lines if line.startswith('"')))))
            if len(table) < 3:
                self.log(f"ncu: exit {status}: {' '.join((text + ' '.join(lines))[-400:].split())}")
            return launched, table

        _, trial = collect(prepared[:1], min(90.0, max(1.0, self.deadline - time.monotonic())))
        if len(trial) < 3:
            self.leave_out("ncu", "the trial gave no counters (see the log)")
            return
        header, units, body = trial[0], trial[1], []
        profiled: list[jobs.Job] = []
        step = 25  # few enough that a time limit costs little
        for first in range(0, len(prepared), step):
            if time.monotonic() > self.deadline - 15:
                self.leave_out(f"ncu of {len(prepared) - first} launches", "the budget is used up")
                break
            launched, table = collect(prepared[first : first + step], max(1.0, self.deadline - time.monotonic() - 5))
            if len(table) < 3 or table[0] != header or len(table) - 2 != len(launched):
                self.leave_out(
                    f"ncu of launches {first} to {first + step}", f"{max(0, len(table) - 2)} rows for {len(launched)}"
                )
                continue
            body += table[2:]
            profiled += launched
            self._save_ncu(header, units, body, profiled)
        self.log(f"ncu: {len(body)} launches, {len(metrics)} metrics")

    def _save_ncu(self, header: list[str], units: list[str], body: list[list[str]], profiled: list[jobs.Job]) -> None:
        """The raw page of all batches, and its cycles and durations as rows of the kernel table."""
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(["Launch", *header])
        writer.writerow(["", *units])
        for job, row in zip(profiled, body, strict=True):
            writer.writerow([job.point.label, *row])
        write_text(self.output / "ncu.csv", text.getvalue())

        def cell(row: list[str], metric: str) -> str:
            return row[header.index(metric)].replace(",", "") if metric in header else ""

        checks = {(row.benchmark, row.parameters): row.check for row in self.rows}
        self.rows = [row for row in self.rows if row.profiler != "ncu"]
        for job, row in zip(profiled, body, strict=True):
            cycles, duration = cell(row, METRICS[0]) or cell(row, METRICS[1]), cell(row, METRICS[2])
            if not cycles or not duration or float(duration) <= 0:
                continue
            self.rows.append(
                Row(
                    benchmark=job.point.kernel,
                    profiler="ncu",
                    parameters=job.point.text,
                    clock_mhz=f"{1e3 * float(cycles) / float(duration):.1f}",
                    duration_ns=f"{float(duration):.1f}",
                    cycles=cycles,
                    repeats="1",
                    caches="flushed",
                    grid="x".join(map(str, job.grid)),
                    block="x".join(map(str, job.block)),
                    check=checks.get((job.point.kernel, job.point.text), "unchecked"),
                )
            )
        self.save_rows()
