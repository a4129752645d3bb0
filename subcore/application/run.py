"""Simulate the kernels of an application once, then play it on as many hosts as wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.host.metrics import Summary, idle_gaps, summarize
from sim.host.model import HostModel, load_host
from sim.host.timeline import Graph, HostTimeline
from subcore.application.kernels import KernelRun, Options, Progress, simulate_launches
from subcore.application.spec import Application, Step, read_application

if TYPE_CHECKING:
    import pandas

    from configs.schema import Config
    from traces.stream import Trace


@dataclass(frozen=True)
class Played:
    """The application on one host. `rows`: one per command (see `HostTimeline.run`), and for kernels `launch`, the
    number of the launch in `ApplicationResult.launches`, else -1."""

    host: HostModel
    rows: pandas.DataFrame
    summary: Summary
    gaps: pandas.DataFrame  # see sim.host.metrics.idle_gaps


@dataclass(frozen=True)
class ApplicationResult:
    """Every launch of an application, and its time line on each host."""

    application: Application
    config: Config
    launches: list[KernelRun]
    played: tuple[Played, ...]
    traces: Mapping[str, Trace]  # by the name of the kernel in the application
    warm: bool
    warnings: tuple[str, ...] = ()

    def kernels(self, played: Played) -> pandas.DataFrame:
        """One row per kernel name, most time first: launches, of them simulated, times in ns, share of the sum."""
        import pandas

        rows = played.rows[played.rows.kind == "kernel"].copy()
        rows["kernel"] = [self.launches[number].result.kernel for number in rows.launch]
        rows["simulated"] = [self.launches[number].reused < 0 for number in rows.launch]
        rows["duration_ns"] = rows.end_ns - rows.start_ns
        rows["alone_ns"] = [self.launches[number].alone_ns for number in rows.launch]
        rows["launch_and_queue_ns"] = rows.start_ns - rows.call_ns
        grouped = rows.groupby("kernel", sort=False)
        table = pandas.DataFrame(
            {
                "launches": grouped.size(),
                "simulated": grouped.simulated.sum(),
                "total_ns": grouped.duration_ns.sum(),
                "mean_ns": grouped.duration_ns.mean(),
                "alone_ns": grouped.alone_ns.sum(),
                "launch_and_queue_ns": grouped.launch_and_queue_ns.sum(),
            }
        )
        table["share"] = table.total_ns / max(1, int(table.total_ns.sum()))
        return table.sort_values("total_ns", ascending=False, kind="stable").reset_index()


def run_application(
    source: str | Path | Application,
    gpu: str,
    hosts: Sequence[str | Path | HostModel] = (),
    *,
    overlays: Sequence[str] = (),
    settings: Sequence[str] = (),
    warm: bool = True,
    jobs: int = 1,
    threads: int = 1,
    dispatch_ns: int = 0,
    any_architecture: bool = False,
    max_cycles: int | None = None,
    progress: Progress = lambda done, of: None,
    on_compile: Callable[[], None] | None = None,
) -> ApplicationResult:
    """Simulate every kernel of an application on `gpu` and play it on each of `hosts` (default: PCI Express 4.0).

    `source`: a TOML file, an Accel-Sim kernelslist, a folder of traces, or an `Application`. `warm`: a kernel finds in
    the L2 what those before it left. `dispatch_ns`: host work of the program before each of its calls that launches or
    copies, which captures do not hold. `jobs`: processes, where launches do not depend on each other; `threads`: cores
    for each of them. SubcoreError for anything wrong with the input.
    """
    from configs.load import load_config

    application = source if isinstance(source, Application) else read_application(source)
    models = [host if isinstance(host, HostModel) else load_host(host) for host in hosts] or [load_host()]
    config = load_config(gpu, overlays, settings)
    options = Options(gpu, tuple(overlays), tuple(settings), any_architecture, max_cycles, threads)
    launches, opened = simulate_launches(
        application, config, options, warm=warm, jobs=jobs, progress=progress, on_compile=on_compile
    )
    played = tuple(play(application, launches, config, model, dispatch_ns) for model in models)
    traces = {run.name: opened.trace(application.sources[run.name]) for run in launches}
    return ApplicationResult(application, config, launches, played, traces, warm, tuple(opened.remarks))


def play(
    application: Application, launches: Sequence[KernelRun], config: Config, host: HostModel, dispatch_ns: int = 0
) -> Played:
    """The time line of an application whose kernels have been simulated."""
    timeline = HostTimeline(host, config)
    number = 0

    def record(recorder: HostTimeline | Graph, step: Step) -> None:
        nonlocal number
        if step.kind == "launch":
            recorder.kernel(launches[number].cost, name=step.value, stream=step.stream)
            number += 1
        elif step.kind == "copy":
            direction: Any = step.value
            recorder.copy(step.bytes, direction, stream=step.stream, blocking=step.blocking)
        elif step.kind == "record":
            recorder.record(step.value, stream=step.stream)
        elif step.kind == "wait":
            recorder.wait(step.value, stream=step.stream)

    for call in application.calls():
        if dispatch_ns and call.kind in ("launch", "copy", "graph"):
            timeline.work(dispatch_ns, name="dispatch")
        if call.kind == "graph":
            graph = Graph()
            for node in application.nodes(call.value):
                record(graph, node)
            timeline.launch(graph, name=call.value, stream=call.stream)
        elif call.kind == "work_us":
            timeline.work(call.work_ns)
        elif call.kind == "synchronize":
            target = call.value
            if target == "device":
                timeline.synchronize()
            elif target.startswith("stream ") and target[7:].isdigit():
                timeline.synchronize(stream=int(target[7:]))
            else:
                timeline.synchronize(event=target)
        else:
            record(timeline, call)
    rows = timeline.run()
    kernels = rows.kind == "kernel"
    rows["launch"] = -1
    rows.loc[kernels, "launch"] = range(int(kernels.sum()))
    return Played(host, rows, summarize(rows, host), idle_gaps(rows))
