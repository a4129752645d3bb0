"""Options that several commands share, and what they all do with them."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
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

threads = click.option(
    "--threads",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Cores that simulate; results do not depend on it.",
)

_LAUNCH = (
    click.option("--launch", "launch_file", metavar="FILE.toml", help="Launch file of a .cu or .cubin."),
    click.option("--kernel", "kernel_name", metavar="NAME", help="Kernel of a .cu or .cubin that holds several."),
    click.option("--grid", metavar="X[,Y,Z]", help="Thread blocks of a .cu or .cubin without launch file."),
    click.option("--block", metavar="X[,Y,Z]", help="Threads per block."),
    click.option(
        "--arg",
        "arguments",
        multiple=True,
        metavar="TYPE[N]:FILL|out:TYPE[N]|TYPE:VALUE",
        help="One kernel argument, in order: float32[1024]:random (zeros, ones, arange, a number), out:float32[1024], "
        "int32:5, @FILE.npy, null; NAME= may precede it.",
    ),
    click.option("--shared-bytes", type=click.IntRange(0), default=0, metavar="N", help="Dynamic shared memory."),
    click.option("--stack-bytes", type=click.IntRange(0), metavar="N", help="Local memory per thread, for recursion."),
    click.option("--max-instructions", type=click.IntRange(1), metavar="N", help="Most warp instructions to emulate."),
    click.option("--cluster", metavar="X[,Y,Z]", help="Thread blocks per cluster (sm_90 and later)."),
    click.option("--cooperative", is_flag=True, help="Run all blocks at once, for barriers across the grid."),
    click.option("--allow-uninitialized", is_flag=True, help="Allow reads of shared memory before a write."),
)  # fmt: skip


@dataclass(frozen=True)
class LaunchChoice:
    """How to launch: by a launch file, or directly by kernel, grid, block and arguments."""

    file: str | None
    kernel: str | None
    grid: str | None
    block: str | None
    arguments: tuple[str, ...]
    shared_bytes: int
    options: dict[str, Any]  # of the emulator

    @property
    def direct(self) -> bool:
        return bool(self.kernel or self.grid or self.block or self.arguments or self.shared_bytes)


def launch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--launch, --kernel, --grid ... as one LaunchChoice, the parameter `choice`."""

    @wraps(command)
    def wrapped(launch_file: str | None, kernel_name: str | None, grid: str | None, block: str | None,
                arguments: tuple[str, ...], shared_bytes: int, stack_bytes: int | None,
                max_instructions: int | None, cluster: str | None, cooperative: bool, allow_uninitialized: bool,
                **others: Any) -> Any:  # fmt: skip
        emulator: dict[str, Any] = {"stack_bytes": stack_bytes, "check_uninitialized": not allow_uninitialized}
        if max_instructions is not None:
            emulator["budget"] = max_instructions
        if cluster is not None:
            from subcore.literals import read_sizes

            emulator["cluster"] = read_sizes(cluster, "--cluster")
        if cooperative:
            emulator["cooperative"] = True
        choice = LaunchChoice(launch_file, kernel_name, grid, block, arguments, shared_bytes, emulator)
        return command(choice=choice, **others)

    for option in reversed(_LAUNCH):
        wrapped = option(wrapped)
    return wrapped


def find_traces(
    source: str, architecture: int | None, parameters: Mapping[str, int], choice: LaunchChoice
) -> tuple[list[Trace], list[str]]:
    """What the command line names, as `api.find_traces` does, or a direct launch of a .cu or .cubin."""
    from subcore import api

    if not choice.direct:
        return api.find_traces(source, architecture, parameters, choice.file, **choice.options)
    from subcore.launcher import prepare
    from subcore.literals import read_arguments, read_sizes

    if choice.file is not None or parameters:
        raise click.UsageError("a launch file or -p cannot be combined with --kernel, --grid, --block or --arg")
    if Path(source).suffix not in (".cu", ".cubin"):
        raise click.UsageError(f"--kernel, --grid, --block and --arg launch a .cu or .cubin file, not {source}")
    found = read_arguments(choice.arguments)
    trace = prepare(
        source,
        choice.kernel,
        read_sizes(choice.grid or "1", "--grid"),
        read_sizes(choice.block, "--block") if choice.block else None,
        [literal.value for literal in found],
        choice.shared_bytes,
        architecture=None if source.endswith(".cubin") else architecture,
        names=[literal.name for literal in found],
        outputs=[literal.name for literal in found if literal.output],
        **choice.options,
    )
    return [trace], []


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
    module = sys.modules.get("traces.emulator.trace")  # not imported yet: the trace is of another kind
    if module is not None and isinstance(trace, module.EmulatedTrace) and trace.is_cold():
        click.echo("compiling the emulator, once per version ...", err=True)
        began = time.perf_counter()
        trace.compile()
        click.echo(f"compiled in {time.perf_counter() - began:.1f} s", err=True)


def echo_json(value: Any) -> None:
    """Print `value` as indented JSON with sorted keys."""
    click.echo(json.dumps(value, indent=2, sort_keys=True, default=_plain))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
