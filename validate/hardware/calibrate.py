"""Fit knobs to a calibration benchmark by coordinate descent, and print the fit.

    python -m validate.hardware.calibrate launch.empty launch.kernel_cycles=100 launch.block_interval_cycles=0.05

Each knob comes with its first step; steps are halved until `--rounds` rounds are done. Validation benchmarks are
refused: nothing is fitted to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from configs.load import as_flat_rows, load_config
from isa.errors import SubcoreError
from sim.gpu import simulate_trace
from traces.kernels.catalogue import load_launch
from validate.hardware.run import trace_of
from validate.hardware.suite import Benchmark, Measurement, load_suite


def mean_error(benchmark: Benchmark, points: Sequence[Measurement], knobs: Mapping[str, float]) -> float:
    """Mean absolute error of the points, as a fraction, with knobs ("section.knob" -> value) changed."""
    settings = (*benchmark.settings, *(f"{name}={value:g}" for name, value in knobs.items()))
    config = load_config(benchmark.gpu, benchmark.overlays, settings)
    total = 0.0
    for point in points:
        cycles = sum(
            simulate_trace(
                trace_of(load_launch(launch.kernel, launch.sizes(point)), config.gpu.architecture), config
            ).cycles
            for launch in benchmark.launches
        )
        simulated = cycles * 1e3 / config.gpu.core_clock_mhz if benchmark.compare == "duration" else cycles
        total += abs(simulated / benchmark.measured(point) - 1)
    return total / len(points)


def fit(
    benchmark: Benchmark, points: Sequence[Measurement], steps: Mapping[str, float], rounds: int
) -> tuple[dict[str, float], float]:
    """Knobs with the least mean error found, and that error. Integer knobs move by whole steps."""
    config = load_config(benchmark.gpu, benchmark.overlays, benchmark.settings)
    known = {name: value for name, value, _, _ in as_flat_rows(config)}
    if unknown := [name for name in steps if not isinstance(known.get(name), int | float)]:
        raise SubcoreError(f"no number {', '.join(unknown)} in the configuration: see `subcore config show`")
    whole = {name for name in steps if isinstance(known[name], int)}
    at = {name: known[name] for name in steps}
    step = dict(steps)
    best = mean_error(benchmark, points, at)
    click.echo(f"start {best:.4f} {at}")
    for _ in range(rounds):
        for name in steps:
            for sign in (1, -1):
                while True:
                    change = sign * (max(1, round(step[name])) if name in whole else step[name])
                    trial = {**at, name: at[name] + change}
                    if trial[name] < 0 or (error := mean_error(benchmark, points, trial)) >= best:
                        break
                    at, best = trial, error
                    click.echo(f"{best:.4f} {at}")
            step[name] /= 2
    return at, best


@click.command()
@click.argument("name", metavar="SUITE.BENCHMARK")
@click.argument("knobs", nargs=-1, required=True, metavar="SECTION.KNOB=STEP...")
@click.option("--rounds", default=3, show_default=True, help="Each halves the steps.")
@click.option("--only", multiple=True, metavar="PARAMETER=N,N,...", help="Points with these parameters.")
def main(name: str, knobs: tuple[str, ...], rounds: int, only: tuple[str, ...]) -> None:
    """Fit knobs to a calibration benchmark."""
    suite, _, benchmark_name = name.partition(".")
    found = [benchmark for benchmark in load_suite(suite) if benchmark.name == benchmark_name]
    if not found or found[0].role != "calibration":
        raise click.ClickException(f"{name} is no calibration benchmark: nothing is fitted to validation points")
    try:
        steps = {knob: float(text) for knob, text in (pair.split("=") for pair in knobs)}
        chosen = {key: {int(v) for v in text.split(",")} for key, text in (pair.split("=") for pair in only)}
        points = [p for p in found[0].select("all") if all(p.parameters[key] in few for key, few in chosen.items())]
    except (ValueError, KeyError) as error:
        raise click.ClickException(f"knobs are SECTION.KNOB=STEP, --only PARAMETER=N,N: {error}") from None
    if not points:
        raise click.ClickException(f"{name}: no point left by --only {' '.join(only)}")
    click.echo(f"{len(points)} points")
    try:
        at, mean = fit(found[0], points, steps, rounds)
    except SubcoreError as problem:
        raise click.ClickException(str(problem)) from None
    click.echo("\n".join([f"mean absolute error {mean:.2%}", *(f"{knob} = {value:g}" for knob, value in at.items())]))


if __name__ == "__main__":
    main()
