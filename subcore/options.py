"""Options that several commands share, and what they all do with them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from isa.errors import SubcoreError

if TYPE_CHECKING:
    from configs.schema import Config
    from traces.stream import Trace

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
force = click.option("--force", is_flag=True, help="Replace what is there already.")
settings = click.option(
    "--set", "settings", multiple=True, metavar="SECTION.KNOB=VALUE", help="Change one knob; may be repeated."
)
overlays = click.option(
    "--overlay",
    "overlays",
    multiple=True,
    metavar="NAME|FILE",
    help="Lay an ablation or a TOML file over the configuration; may be repeated.",
)
parameters = click.option(
    "-p", "parameters", multiple=True, metavar="NAME=N", help="Change a size of a named kernel; may be repeated."
)


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """-c/--config, --overlay and --set."""
    named = click.option(
        "-c", "--config", "gpu", required=True, metavar="GPU|FILE", help="GPU configuration: see `subcore config list`."
    )
    return named(overlays(settings(command)))


def read_architecture(text: str | None) -> int | None:
    """86 from "sm_86", "86" or "8.6"."""
    if text is None:
        return None
    match = re.fullmatch(r"(?:sm_|sm)?(\d{1,2})\.?(\d)a?", text.strip().lower())
    if match is None:
        raise SubcoreError(f"architecture {text!r}: must look like sm_86")
    return int(match[1] + match[2])


def read_parameters(pairs: Sequence[str]) -> dict[str, int]:
    """{"n": 256} from ["n=256"]."""
    found: dict[str, int] = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        try:
            found[name] = int(value, 0)
        except ValueError:
            name = ""
        if not name or not equals:
            raise SubcoreError(f"parameter {pair!r}: must have the form name=integer, for instance n=256")
    return found


def load(gpu: str, overlays: Sequence[str], settings: Sequence[str]) -> Config:
    from configs.load import load_config

    return load_config(gpu, overlays, settings)


def compile_emulator(trace: Trace) -> None:
    """Let an emulated trace compile its interpreter now, and say so on standard error; no effect later on."""
    from isa.jit import is_cold
    from traces.emulator.interpreter import run
    from traces.emulator.trace import EmulatedTrace

    if isinstance(trace, EmulatedTrace) and is_cold(run):
        click.echo("compiling the emulator, once per version ...", err=True)
        began = time.perf_counter()
        next(trace.blocks())
        click.echo(f"compiled in {time.perf_counter() - began:.1f} s", err=True)


def echo_json(value: Any) -> None:
    """Print `value` as indented JSON with sorted keys."""
    click.echo(json.dumps(value, indent=2, sort_keys=True, default=_plain))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
