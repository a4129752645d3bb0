"""Disassembly with decoded control bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from isa.errors import SubcoreError

if TYPE_CHECKING:
    import numpy as np

    from isa.program import Program

LEGEND = "Bwait mask:Read counter:Write counter:Yield:Stall cycles"


def control_text(instruction: np.void) -> str:
    """Control bits of one INSTRUCTION record, such as "B01----:R0:W1:Y:S04"."""
    from isa.program import NO_COUNTER

    waits = "".join(str(i) if int(instruction["wait_mask"]) >> i & 1 else "-" for i in range(6))
    read, write = (
        "-" if c == NO_COUNTER else str(c) for c in (instruction["read_counter"], instruction["write_counter"])
    )
    return f"B{waits}:R{read}:W{write}:{'Y' if instruction['yield_hint'] else '-'}:S{int(instruction['stall']):02d}"


def listing(program: Program, counts: np.ndarray | None = None) -> Iterator[str]:
    """One line per instruction: byte offset, control bits (where the program has them), text.

    `counts`, shape (len(program),): how often warps executed each instruction, as one more column.
    """
    if counts is not None and len(counts) != len(program):
        raise SubcoreError(f"{program.kernel}: {len(counts)} counts for {len(program)} instructions")
    digits = max(4, len(f"{len(program) * program.pc_step:x}"))
    width = 0 if counts is None else max(len(f"{int(n):,}") for n in counts)
    for i, text in enumerate(program.text):
        instruction = program.instructions[i]
        parts = [f"/*{int(instruction['pc']):0{digits}x}*/"]
        if counts is not None:
            parts.append(f"{int(counts[i]):>{width},}")
        if program.has_control_bits:
            parts.append(control_text(instruction))
        yield "  ".join([*parts, text or "-"])
