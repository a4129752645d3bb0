"""From a cubin to what the rest of the simulator uses: the static `Program` and the decoded instructions."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isa.control import decode_control, instruction_words
from isa.cubin import Cubin, KernelCode, read_cubin
from isa.disassemble import ListedInstruction, disassemble
from isa.errors import SubcoreError
from isa.opcodes import OPCODES
from isa.operand import Instruction, parse_instruction
from isa.program import INSTRUCTION, Flag, Program
from isa.record import build_record

PC_STEP = 16  # bytes per instruction from sm_70 on


@dataclass(frozen=True)
class Kernel:
    """A kernel ready for the emulator: `instructions[i]` describes record i of `program.instructions`."""

    program: Program
    instructions: tuple[Instruction, ...]
    code: KernelCode
    cubin: Cubin


def list_kernels(source: bytes | str | Path) -> tuple[str, ...]:
    """Names of the kernels in a cubin (bytes or path). SubcoreError if it cannot be read."""
    return tuple(read_cubin(source).kernels)


def decode(code: KernelCode, listing: dict[str, list[ListedInstruction]], architecture: int) -> tuple[Instruction, ...]:
    """Decoded instructions of a kernel and the subroutines in its code section, in order of their pc."""
    words = instruction_words(code.code)
    lines: list[ListedInstruction | None] = [None] * len(words)
    for name, start in code.functions.items():
        for at, line in enumerate(listing.get(name, ())):
            if start // PC_STEP + at < len(lines):
                lines[start // PC_STEP + at] = line
    missing = [index for index, line in enumerate(lines) if line is None]
    if missing:
        raise SubcoreError(f"{code.name}: no listing for the code at {missing[0] * PC_STEP:#x}: nvdisasm is incomplete")
    return tuple(
        parse_instruction(
            line, index, index * PC_STEP, int(low) | int(high) << 64, architecture, code.functions, PC_STEP
        )
        for index, (line, (low, high)) in enumerate(zip(lines, words, strict=True))
        if line is not None
    )


def build_program(code: KernelCode, instructions: tuple[Instruction, ...], architecture: int) -> Program:
    """Static program of decoded instructions: records with control bits, source lines and warnings."""
    records = np.array([build_record(i, architecture) for i in instructions], INSTRUCTION)
    if len(records):
        records["target"][records["target"] >= len(records)] = -1  # out of the code: an error when it is taken
        control = decode_control(instruction_words(code.code)[:, 1])
        for name, values in zip(control._fields, control, strict=True):
            records[name] = values
        records["flags"] |= int(Flag.DECODED_CONTROL)
        texture = np.array([i.mnemonic.startswith(("TEX", "TLD", "TXD", "TXQ", "TMML")) for i in instructions])
        records["reuse"][texture] = 0  # these bits tell batches of texture instructions
    if code.lines:
        starts = [pc for pc, _ in code.lines]
        for record in records:
            at = bisect_right(starts, int(record["pc"])) - 1
            record["source_line"] = code.lines[at][1] if at >= 0 else 0
    unknown = sorted({i.mnemonic for i in instructions if i.mnemonic not in OPCODES})
    warnings = [f"{name}: not in the opcode table, treated as a fixed-latency ALU instruction" for name in unknown]
    return Program(
        kernel=code.name,
        architecture=architecture,
        instructions=records,
        text=tuple(i.text for i in instructions),
        pc_step=PC_STEP,
        has_control_bits=True,
        registers=code.registers,
        shared_bytes=code.shared_bytes,
        local_bytes=code.local_bytes,
        barriers=code.barriers,
        parameter_base=code.parameter_base,
        parameters=code.parameters,
        source_file=code.source_file,
        warnings=tuple(warnings),
    )


def load_kernel(source: bytes | str | Path | Cubin, kernel: str | None = None) -> Kernel:
    """Load one kernel of a cubin (bytes, path or a read Cubin); without a name, the only one.

    Raises SubcoreError: unreadable or unsupported cubin, no such kernel, disassembler not installed.
    """
    cubin = source if isinstance(source, Cubin) else read_cubin(source)
    code = cubin.kernel(kernel)
    instructions = decode(code, disassemble(cubin.data), cubin.architecture)
    return Kernel(build_program(code, instructions, cubin.architecture), instructions, code, cubin)


def load_program(source: bytes | str | Path | Cubin, kernel: str | None = None) -> Program:
    """The `Program` of one kernel of a cubin; see `load_kernel`."""
    return load_kernel(source, kernel).program
