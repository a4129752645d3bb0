"""`subcore validate ncu`: a user's Nsight Compute export beside a simulated trace."""

from __future__ import annotations

from pathlib import Path

import click

from isa.errors import SubcoreError
from subcore import options
from subcore.text import table


@click.command("ncu")
@click.argument("export", type=click.Path(path_type=Path), metavar="FILE.csv")
@click.option("--trace", "source", required=True, metavar="TRACE|KERNEL", help="As `subcore simulate`.")
@options.config_options
@options.parameters
@click.option("--kernel", "pattern", metavar="REGEX", help="Kernel of the export, instead of the trace's name.")
@click.option("--number", type=int, metavar="N", help="The N-th launch that fits, from 1.")
@click.option("--core-clock", type=float, metavar="MHZ", help="Clock of the profiled run; ncu locks it to the base.")
@options.as_json
def command(
    export: Path,
    source: str,
    gpu: str,
    overlays: tuple[str, ...],
    settings: tuple[str, ...],
    parameters: tuple[str, ...],
    pattern: str | None,
    number: int | None,
    core_clock: float | None,
    as_json: bool,
) -> None:
    """Counters of a kernel as Nsight Compute measured them, beside those of the simulated trace.

    FILE.csv is the raw page (`ncu --csv --page raw`). Quantities that the export lacks are listed with the metrics to
    collect. The profiler flushes caches: `--overlay cold_l2` matches it.
    """
    from subcore.api import check_architecture, find_traces
    from validate.ncu import choose_kernel, compare, read_export

    kernels = read_export(export)
    changed = (*settings, *((f"gpu.core_clock_mhz={core_clock:g}",) if core_clock else ()))
    config = options.load(gpu, overlays, changed)
    traces, _ = find_traces(source, config.gpu.architecture, options.read_parameters(parameters))
    if len(traces) != 1:
        raise SubcoreError(f"{source}: holds {len(traces)} kernels; give the trace of one")
    trace = traces[0]
    launch = trace.launch
    profiled = choose_kernel(kernels, launch.kernel, launch.grid, launch.block, pattern=pattern, number=number)
    check_architecture(trace, config)
    options.compile_emulator(trace)
    from sim.gpu import simulate_trace

    rows = compare(profiled, simulate_trace(trace, config))
    missing = [row for row in rows if row.profiled is None]
    if as_json:
        options.echo_json(
            {
                "kernel": profiled.name,
                "line": profiled.line,
                "gpu": config.gpu.name,
                "rows": [
                    {
                        "group": row.group,
                        "name": row.name,
                        "unit": row.unit,
                        "profiled": row.profiled,
                        "simulated": row.simulated,
                        "error": row.error,
                        "metrics": list(row.wanted),
                    }
                    for row in rows
                ],
            }
        )
        return
    click.echo(f"{profiled.label}\non {config.gpu.name} at {config.gpu.core_clock_mhz:g} MHz\n")
    shown = [
        (
            row.group,
            row.name,
            f"{row.profiled:,.6g}" if row.unit == "%" or row.unit == "inst/cycle" else f"{row.profiled:,.0f}",
            f"{row.simulated:,.6g}" if row.unit == "%" or row.unit == "inst/cycle" else f"{row.simulated:,.0f}",
            row.unit,
            f"{row.simulated - row.profiled:+.1f} points" if row.unit == "%" else _error(row.error),
        )
        for row in rows
        if row.profiled is not None
    ]
    click.echo(table(shown, ("", "quantity", "ncu", "subcore", "unit", "difference"), "<<>><>"))
    if any(row.group == "stalls" and row.profiled is not None for row in rows):
        click.echo("\nstalls: ncu counts warps, subcore the cycles of sub-cores, both as shares of the reasons shown")
    if missing:
        click.echo(f"\nnot in the export, {len(missing)} of {len(rows)} quantities; collect one of")
        click.echo("\n".join(f"  {row.group} {row.name}: {' | '.join(row.wanted)}" for row in missing))


def _error(error: float | None) -> str:
    return "-" if error is None else f"{error:+.1%}"
