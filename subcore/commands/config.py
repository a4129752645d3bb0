"""`subcore config`: look at, check and compare GPU configurations."""

from __future__ import annotations

import click

from subcore import options
from subcore.text import shown, table


@click.group()
def command() -> None:
    """List, show, check and compare GPU configurations."""


@command.command("list")
@options.as_json
def list_command(as_json: bool) -> None:
    """List the shipped GPUs and ablations."""
    from configs.load import as_flat_rows, config_hash, list_ablations, list_configs

    rows = []
    for name in list_configs():
        config = options.load(name, (), ())
        sources = [source.partition(":")[0] for *_, source in as_flat_rows(config)]
        rows.append(
            {
                "name": name,
                "gpu": config.gpu.name,
                "architecture": f"sm_{config.gpu.architecture}",
                "sms": config.gpu.sms,
                "core_clock_mhz": config.gpu.core_clock_mhz,
                "knobs": len(sources),
                "guesses": sources.count("guess"),
                "hash": config_hash(config),
            }
        )
    if as_json:
        options.echo_json({"gpus": rows, "ablations": list_ablations()})
        return
    header = ["name", "GPU", "architecture", "SMs", "core MHz", "knobs", "guessed"]
    click.echo(table([list(row.values())[:7] for row in rows], header, "<<<>>>>"))
    click.echo(f"\nablations (--overlay): {', '.join(list_ablations()) or 'none'}")


@command.command()
@click.argument("gpu", metavar="GPU|FILE")
@options.overlays
@options.settings
@click.option("--sources", is_flag=True, help="Say where every value comes from.")
@click.option("--toml", "as_toml", is_flag=True, help="Print a TOML file that loads back unchanged.")
@options.as_json
def show(gpu: str, overlays: tuple, settings: tuple, sources: bool, as_toml: bool, as_json: bool) -> None:
    """Show the resolved configuration of a GPU, knob by knob."""
    from configs.load import as_flat_rows, config_hash, to_toml

    if as_toml and (as_json or sources):
        raise click.UsageError("--toml already holds the sources; it excludes --json and --sources")
    config = options.load(gpu, overlays, settings)
    rows = as_flat_rows(config)
    if as_toml:
        click.echo(to_toml(config), nl=False)
    elif as_json:
        knobs = [dict(zip(("knob", "value", "unit", "source"), row, strict=True)) for row in rows]
        options.echo_json({"gpu": gpu, "hash": config_hash(config), "knobs": knobs})
    else:
        columns = 4 if sources else 3
        cells = [(name, _written(value), unit, source)[:columns] for name, value, unit, source in rows]
        click.echo(table(cells, ["knob", "value", "unit", "source"][:columns]))
        guesses = sum(source.startswith("guess") for *_, source in rows)
        click.echo(f"\n{len(rows)} knobs, {guesses} guessed; hash {config_hash(config)[:12]}")


@command.command()
@click.argument("gpus", metavar="[GPU|FILE]...", nargs=-1)
@options.overlays
@options.settings
def check(gpus: tuple[str, ...], overlays: tuple, settings: tuple) -> None:
    """Check configurations (all shipped ones by default). Exit code 1 if any is wrong."""
    from configs.load import ConfigError, list_configs

    failed = 0
    for gpu in gpus or list_configs():
        try:
            options.load(gpu, overlays, settings)
            click.echo(f"{gpu}: ok")
        except ConfigError as error:
            failed += 1
            click.echo(f"{gpu}: {error}", err=True)
    if failed:
        raise click.exceptions.Exit(1)


@command.command()
@click.argument("first", metavar="GPU|FILE")
@click.argument("second", metavar="GPU|FILE")
@options.as_json
def diff(first: str, second: str, as_json: bool) -> None:
    """Show the knobs in which two configurations differ."""
    from configs import load

    rows = load.diff(options.load(first, (), ()), options.load(second, (), ()))
    if as_json:
        options.echo_json([{"knob": knob, first: a, second: b} for knob, a, b in rows])
    elif rows:
        click.echo(table([(knob, _written(a), _written(b)) for knob, a, b in rows], ["knob", first, second], "<>>"))
    else:
        click.echo("no difference")


@command.command()
@click.argument("gpu", metavar="GPU|FILE")
@options.overlays
@options.settings
@options.as_json
def storage(gpu: str, overlays: tuple, settings: tuple, as_json: bool) -> None:
    """Show what control bits and scoreboards cost in storage, as MICRO 2025 counts it."""
    from dataclasses import asdict

    from validate.storage import dependence_storage

    rows = dependence_storage(options.load(gpu, overlays, settings))
    if as_json:
        options.echo_json([asdict(row) for row in rows])
        return
    cells = [(r.mechanism, str(r.bits_per_warp), str(r.bits_per_sm), f"{100 * r.share:.2f} %") for r in rows]
    click.echo(table(cells, ["mechanism", "bits per warp", "bits per SM", "of the register file"], "<>>>"))


def _written(value: object) -> str:
    return value if isinstance(value, str) else shown(value) if isinstance(value, tuple | bool) else str(value)
