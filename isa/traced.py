"""Static records from traces without encodings (Accel-Sim and NVBit text): opcode string and register numbers only.

What such a trace does not tell stays at its default: predicates, constants, control bits, operand positions (sources
are put in text order). Register counts follow from the mnemonic and its modifiers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from isa.opcodes import OPCODES, find_opcode
from isa.program import INSTRUCTION, NO_REGISTER, Access, Flag, MemorySpace, Program
from isa.record import blank_record, describe_opcode
from isa.widths import register_counts

_ADDRESSED = {MemorySpace.GLOBAL, MemorySpace.LOCAL, MemorySpace.SHARED, MemorySpace.GENERIC, MemorySpace.CONSTANT}


def traced_instruction(
    opcode: str, destinations: Sequence[int], sources: Sequence[int], width: int, architecture: int
) -> np.void:
    """INSTRUCTION record of one traced opcode.

    `opcode` is the dotted text ("IMAD.WIDE.U32"), `destinations` and `sources` first-register numbers in text order
    (255 = RZ), `width` bytes per lane of a memory access (0: from the modifiers), `architecture` 61, 70, 86 ...
    Unknown mnemonics give an ALU record with Flag.UNKNOWN. pc and stall are the caller's to set.
    """
    mnemonic, *rest = opcode.strip().split(".")
    modifiers = tuple(rest)
    entry = find_opcode(mnemonic)
    record = blank_record()
    describe_opcode(record, entry, modifiers, architecture)
    to, counts = register_counts(mnemonic, modifiers)
    if width and record["access_bytes"] and entry.access not in (Access.MATRIX_LOAD, Access.MATRIX_STORE):
        record["access_bytes"] = width
        if entry.access in (Access.LOAD, Access.STORE):
            to, counts = max(1, width // 4), (max(1, width // 4),) * 4
    for at, register in enumerate(r for r in destinations[:2] if r != NO_REGISTER):
        record["destination"][at], record["destination_registers"][at] = register, to
    addressed = entry.space in _ADDRESSED and entry.access != Access.NONE
    wide_address = addressed and entry.space in (MemorySpace.GLOBAL, MemorySpace.GENERIC) and "E" in modifiers
    # LDGSTS names its shared address first, the 64-bit global one second
    address_at = 1 if entry.access == Access.ASYNC_COPY and len(sources) > 1 else 0
    data = 0
    for at, register in enumerate(sources[:4]):
        if addressed and (at == address_at or entry.access == Access.ASYNC_COPY):
            count = 2 if wide_address and at == address_at else 1
            if register != NO_REGISTER:
                record["address_registers"] = max(int(record["address_registers"]), count)
        else:
            count, data = counts[min(data, 3)], data + 1
        if register != NO_REGISTER:
            record["source"][at], record["source_registers"][at] = register, count
    if record["address_registers"] == 2:
        record["flags"] |= int(Flag.ADDRESS_64)
    return record


def finish_program(
    kernel: str,
    architecture: int,
    records: Mapping[int, np.void],
    text: Mapping[int, str],
    registers: int = 0,
    shared_bytes: int = 0,
    local_bytes: int = 0,
) -> Program:
    """Program of the pcs that a trace visited. `records` and `text` are keyed by pc in bytes.

    Slots between visited pcs are UNKNOWN: nobody may execute them. sm_60 and sm_61 have 8-byte slots (every fourth
    one a control word), later architectures 16-byte ones. Unknown mnemonics are named in `warnings`.
    """
    step = 8 if architecture < 70 else 16
    length = max(records) // step + 1 if records else 0
    instructions = np.empty(length, INSTRUCTION)
    empty = blank_record()
    empty["flags"] = int(Flag.UNKNOWN)
    instructions[:] = empty
    instructions["pc"] = np.arange(length) * step
    lines = [""] * length
    unknown = set()
    for pc, record in records.items():
        index = pc // step
        instructions[index] = record
        instructions[index]["pc"] = pc
        lines[index] = text.get(pc, "")
        if record["flags"] & int(Flag.UNKNOWN):
            unknown.add(lines[index].split(" ")[0].split(".")[0])
    warnings = [
        f"{name}: not in the opcode table, treated as a fixed-latency ALU instruction" for name in sorted(unknown)
    ]
    return Program(
        kernel=kernel,
        architecture=architecture,
        instructions=instructions,
        text=tuple(lines),
        pc_step=step,
        has_control_bits=False,
        registers=registers,
        shared_bytes=shared_bytes,
        local_bytes=local_bytes,
        warnings=tuple(warnings),
    )


def is_known(opcode: str) -> bool:
    """Whether the base mnemonic of a dotted opcode is in the table."""
    return opcode.split(".", 1)[0] in OPCODES
