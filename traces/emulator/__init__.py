"""Functional emulator: runs SASS on the CPU and yields the instruction stream of every warp."""

from traces.emulator.trace import EmulatedTrace, emulate, run

__all__ = ["EmulatedTrace", "emulate", "run"]
