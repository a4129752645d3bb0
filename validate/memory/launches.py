"""Compile, emulate and simulate the kernels of the memory suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from configs.schema import Config
from isa.compile import compile_cuda
from isa.load import Kernel, load_kernel
from sim.gpu import Machine
from sim.state import LogKind
from traces.emulator.launch import GLOBAL_BASE, Value
from traces.emulator.trace import EmulatedTrace
from traces.stream import BlockStreams

KERNELS = Path(__file__).resolve().parents[2] / "traces" / "kernels" / "memory"
FIRST_ARRAY_AT = GLOBAL_BASE  # the emulator places the first array of a launch here
OLDEST_COMPILED = 75  # NVRTC 13; Volta runs Turing's code, whose encoding it shares, with its own latencies
_LOG_PER_INSTRUCTION = 6  # members of LogKind: an instruction passes each stage once


@cache
def kernel(file: str, name: str, architecture: int, options: tuple[str, ...] = ()) -> Kernel:
    """Kernel `name` of `file`.cu, compiled for a GPU of `architecture`."""
    return load_kernel(compile_cuda(KERNELS / f"{file}.cu", max(OLDEST_COMPILED, architecture), options), name)


class RecordedTrace:
    """A Trace whose streams are kept in memory, to be simulated more than once."""

    def __init__(self, emulated: EmulatedTrace) -> None:
        self.launch, self.program = emulated.launch, emulated.program
        self._chunks = list(emulated.blocks())

    def blocks(self) -> Iterator[BlockStreams]:
        return iter(self._chunks)

    @property
    def instructions(self) -> int:
        """Warp instructions of the launch."""
        return sum(len(chunk.instruction) for chunk in self._chunks)


def emulate(
    file: str,
    name: str,
    config: Config,
    grid: int,
    block: int,
    arguments: Sequence[Value],
    *,
    options: tuple[str, ...] = (),
    shared_bytes: int = 0,
    constants: Mapping[str, np.ndarray] | None = None,
) -> EmulatedTrace:
    """A launch of kernel `name` of `file`.cu on the GPU of `config`; nothing runs yet."""
    code = kernel(file, name, config.gpu.architecture, options)
    return EmulatedTrace(
        code,
        grid,
        block,
        arguments,
        outputs=(),
        dynamic_shared_bytes=shared_bytes,
        constants=constants,
        check_uninitialized=False,  # the benchmarks time accesses, whatever they read
    )


def cycles(trace: EmulatedTrace | RecordedTrace, config: Config) -> int:
    """Cycles of the whole launch."""
    return simulate(trace, config).result().kernel_cycles


def simulate(trace: EmulatedTrace | RecordedTrace, config: Config, log_entries: int = 0) -> Machine:
    """The machine after the launch; its accounts are checked."""
    machine = Machine(trace, config, log_entries=log_entries)
    machine.run()
    machine.result().check()
    return machine


def with_sms(config: Config, sms: int) -> Config:
    """The same GPU with fewer SMs, for what one SM does alone."""
    return replace(config, gpu=replace(config.gpu, sms=sms))


def block_ends(trace: EmulatedTrace, config: Config, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Cycles, and the blocks that have ended by then, from block `first` to block `last` to end."""
    machine = Machine(trace, config)
    times: list[tuple[int, int]] = []
    done = False
    while not done:
        done = machine.step()
        finished = int(machine.grid[0]["finished_blocks"])
        if finished >= first and (not times or finished > times[-1][1]):
            times.append((machine.now, finished))
            if finished >= last:
                break
    cycle, ended = np.array(times, float).T
    return cycle, ended


def block_rate(trace: EmulatedTrace, config: Config, first: int, last: int) -> float:
    """Blocks that end per cycle, from block `first` to block `last` to end.

    Blocks end in crowds: the slope through all ends comes within 1 % where the first and the last alone are 5 % off.
    """
    cycle, ended = block_ends(trace, config, first, last)
    cycle, ended = cycle - cycle.mean(), ended - ended.mean()
    return float((cycle @ ended) / (cycle @ cycle))


def last_interval(trace: RecordedTrace, config: Config, mnemonic: str, count: int, source: str = "") -> float:
    """Mean issue interval of the last `count` instructions whose text holds `source` after a mnemonic that starts so.

    The launch has one warp.
    """
    machine = simulate(trace, config, _LOG_PER_INSTRUCTION * trace.instructions)
    log = machine.log[: int(machine.log_count[0])]
    wanted = np.array([f" {mnemonic}" in f" {text}" and source in text for text in trace.program.text])
    issued = log["cycle"][(log["kind"] == LogKind.ISSUE) & wanted[log["op"]]]
    return float(issued[-1] - issued[-count]) / (count - 1)
