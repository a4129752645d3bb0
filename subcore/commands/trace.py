"""`subcore trace`: make, import, inspect and list instruction traces."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isa.errors import SubcoreError
from subcore import options
from subcore.text import dimensions, percent, shown, table

if TYPE_CHECKING:
    from traces.stream import Trace


_MIX_ROWS = 16


@click.group()
def command() -> None:
    """Emulate, import, inspect and list instruction traces."""


@command.command()
@click.argument("kernel", metavar="KERNEL|FILE")
@click.option("-a", "--arch", metavar="sm_NN", help="Architecture to compile for.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Trace file to write (.sct).")
@click.option("--outputs", type=click.Path(path_type=Path), metavar="FILE.npz", help="Write the output arrays.")
@options.launch_options
@options.parameters
@options.force
def emulate(
    kernel: str,
    arch: str | None,
    output: Path | None,
    outputs: Path | None,
    choice: options.LaunchChoice,
    parameters: tuple[str, ...],
    force: bool,
) -> None:
    """Compile a kernel, run it in the functional emulator and write its trace.

    KERNEL is a name of our library (`subcore trace kernels`); FILE a launch file, or a .cu or .cubin whose launch
    file lies beside it, or that --grid, --block and --arg launch.

    Example: subcore trace emulate saxpy.cu -a sm_86 --grid 8 --block 128 --arg int32:1024 --arg float32:2
    --arg float32[1024]:random --arg out:float32[1024] -o saxpy.sct
    """
    if arch is None and not kernel.endswith(".cubin"):
        raise click.UsageError("say which architecture to compile for: -a sm_86")
    for target in (output, outputs):
        if target is not None and target.exists() and not force:
            raise SubcoreError(f"{target}: exists already; choose another name or pass --force")
    if output is None and outputs is None:
        raise click.UsageError("say what to write: -o/--output TRACE.sct, --outputs ARRAYS.npz or both")
    sizes = options.read_parameters(parameters)
    traces, _ = options.find_traces(kernel, options.read_architecture(arch), sizes, choice)
    trace = traces[0]
    options.compile_emulator(trace)
    if output is not None:
        _write(trace, output, force, time.perf_counter())
    if outputs is not None:
        _write_outputs(trace, outputs, force)


@command.command("import")
@click.argument("source", metavar="FILE", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Trace file (.sct), or a folder.")
@options.force
def import_command(source: Path, output: Path, force: bool) -> None:
    """Convert an Accel-Sim or NVBit text trace (.traceg, .traceg.xz, kernelslist) to a trace file.

    With several kernels OUTPUT is a folder that receives one file per kernel.
    """
    from subcore import api

    traces = api.load_traces(source)
    started = time.perf_counter()
    if len(traces) == 1 and not output.is_dir():
        _write(traces[0], output, force, started)
        return
    output.mkdir(parents=True, exist_ok=True)
    for number, trace in enumerate(traces, 1):
        started = time.perf_counter()
        _write(trace, output / f"{number:04d}-{_file_name(trace.launch.kernel)}.sct", force, started)


@command.command()
@click.argument("source", metavar="TRACE", type=click.Path(exists=True, path_type=Path))
@options.as_json
def info(source: Path, as_json: bool) -> None:
    """Show launch, counts, instruction mix and memory footprint of a trace."""
    from subcore import api
    from traces.info import trace_info

    found = [trace_info(trace) for trace in api.load_traces(source)]
    if as_json:
        options.echo_json(found[0] if len(found) == 1 else found)
        return
    for number, values in enumerate(found):
        click.echo(("\n" if number else "") + _info_text(values))


@command.command()
@click.argument("source", metavar="TRACE|KERNEL|FILE.cubin")
@click.option("-a", "--arch", metavar="sm_NN", help="Architecture to compile a named kernel for.")
@click.option("--kernel", help="Kernel of a cubin that holds several.")
@click.option("--counts", is_flag=True, help="Show how often warps executed each instruction (traces).")
def disasm(source: str, arch: str | None, kernel: str | None, counts: bool) -> None:
    """List the instructions of a trace, kernel or cubin with their decoded control bits."""
    from subcore import api
    from subcore.listing import LEGEND, listing

    executed = None
    if source.endswith(".cubin"):
        from isa.load import load_program

        if counts:
            raise click.UsageError("--counts needs a trace or a kernel, a cubin has not run")
        program = load_program(Path(source), kernel)
    else:
        architecture = options.read_architecture(arch)
        if architecture is None and not Path(source).exists():
            raise click.UsageError(
                f"{source} is not a file; to list a named kernel say for which architecture: -a sm_86"
            )
        traces, _ = api.find_traces(source, architecture or 0)
        if len(traces) != 1:
            raise SubcoreError(f"{source}: holds {len(traces)} kernels; name one of its files")
        program = traces[0].program
        executed = _executions(traces[0]) if counts else None
    click.echo(
        f"// {program.kernel}, sm_{program.architecture}, {len(program)} instructions, {program.registers} registers"
    )
    click.echo(f"// {LEGEND}" if program.has_control_bits else "// no control bits in this trace")
    for line in listing(program, executed):
        click.echo(line)


@command.command()
def kernels() -> None:
    """List the kernels of our library by topic."""
    from traces.kernels.catalogue import describe_kernels

    before = ""
    for topic, name, description in describe_kernels():
        if topic != before:
            click.echo(f"{topic}:")
            before = topic
        click.echo(f"  {name:<26}{description}")


def _write(trace: Trace, output: Path, force: bool, started: float) -> None:
    from traces.store import open_trace, write_trace

    write_trace(output, trace, force=force)
    counts = open_trace(output).counts
    seconds = time.perf_counter() - started
    instructions = counts["warp_instructions"]
    click.echo(
        f"{output}: {trace.launch.kernel}, {shown(trace.launch.blocks)} blocks, "
        f"{shown(instructions)} warp instructions, {shown(output.stat().st_size)} bytes, {seconds:.1f} s"
    )


def _write_outputs(trace: Trace, path: Path, force: bool) -> None:
    import numpy as np

    from isa.files import replace_file
    from traces.emulator.trace import EmulatedTrace

    if not isinstance(trace, EmulatedTrace):
        raise SubcoreError(f"{path}: a recorded trace has no output arrays")
    arrays = trace.outputs()
    with replace_file(path, force) as file:
        np.savez(file, allow_pickle=False, **arrays)
    click.echo(f"{path}: {', '.join(arrays) or 'no arrays'}")


def _info_text(info: dict[str, Any]) -> str:
    launch, counts, lanes = info["launch"], info["counts"], info["divergence"]["mean_active_lanes"]
    total = counts["warp_instructions"]
    rows = [
        ("kernel", launch["kernel"]),
        ("architecture", f"sm_{info['architecture']}, {'with' if info['control_bits'] else 'without'} control bits"),
        ("grid, block", f"{dimensions(launch['grid'])}, {dimensions(launch['block'])}"),
        ("registers, shared memory", f"{launch['registers']} per thread, {shown(launch['shared_bytes'])} B per block"),
        ("blocks, warps", f"{shown(counts['blocks'])}, {shown(counts['warps'])}"),
        ("warp instructions", f"{shown(total)}, {lanes:.1f} active lanes on average"),
        ("memory instructions", ", ".join(f"{shown(n)} {kind}" for kind, n in info["memory"].items()) or "none"),
        *(
            (f"footprint, {space}", f"{'' if found['exact'] else 'about '}{shown(found['bytes'])} B")
            for space, found in info["footprint"].items()
        ),
    ]
    mix = [(name, n, percent(n, total)) for name, n in list(info["mix"].items())[:_MIX_ROWS]]
    rest = total - sum(n for _, n, _ in mix)
    mix += [("others", rest, percent(rest, total))] if rest else []
    warnings = [f"warning: {text}" for text in info["warnings"]]
    return "\n".join([table(rows), "", table(mix, ("mnemonic", "warp instructions", "share"), "<>>"), *warnings])


def _file_name(kernel: str) -> str:
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in kernel)[:80]


def _executions(trace: Trace):
    import numpy as np

    total = np.zeros(len(trace.program), np.int64)
    for chunk in trace.blocks():
        total += np.bincount(chunk.instruction, minlength=len(total))
    return total
