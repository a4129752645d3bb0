"""Read SASS written as text, in the form that `subcore trace disasm` prints, into a `Program`.

    // comment                        # comment
    loop:                             a label: names the next instruction
    /*0010*/  B0-----:R-:W1:-:S04  @!P0 LDG.E R4, [R2.64+0x10] ;

A line holds: byte offset (optional, must agree with the position), control bits, guard, opcode, operands. Control bits:
wait mask `B` with a digit per counter waited for, read counter `R` (released when sources are read), write counter `W`
(released at write-back), `Y` or `-` for yield, stall count `S`. Either all instructions have them or none has; without
them the program runs in scoreboard mode. Reuse bits are the `.reuse` marks of the operands.

What only an encoding tells is lost: floating-point immediates keep their text alone, and LDG, STG and their kin of
sm_80 to sm_89 do not name the uniform register of their descriptor.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isa.disassemble import ListedInstruction
from isa.errors import SubcoreError
from isa.opcodes import EVERY, OPCODES
from isa.operand import Instruction, Operand, OperandKind, parse_instruction, split_operands
from isa.program import INSTRUCTION, NO_COUNTER, NO_REGISTER, Flag, Program
from isa.record import build_record

PC_STEP = 16  # bytes per instruction from sm_70 on
COUNTERS = 6

_CONTROL = re.compile(r"B([0-5-]{6}):R([0-5-]):W([0-5-]):([Y-]):S(\d{1,2})$")
_LABEL = re.compile(r"([A-Za-z_.$][\w.$]*):$")
_OFFSET = re.compile(r"/\*([0-9a-fA-F]+)\*/\s*")
_COMMENT = re.compile(r"//.*|#.*|/\*.*?\*/")
_GUARD = re.compile(r"@!?(P[0-6T]|UP[0-6T])$")
_OPCODE = re.compile(r"[A-Z][A-Z0-9_]*(\.[A-Za-z0-9_]+)*$")
# Operands without a register or a value: texture shapes, the predicates of P2R, the scoreboard of HGMMA.
_WORD = re.compile(r"(ARRAY_)?[123]D|(ARRAY_)?CUBE|PR|gsb\d+")
_NAMED = re.compile(r"(?<![A-Za-z0-9_])(UR|UP|SB|R|P|B)(\d+)(?![A-Za-z0-9_])")
_LAST = {"R": 254, "UR": 254, "P": 6, "UP": 6, "B": 15, "SB": 5}
_NO_NUMBERS = (OperandKind.TARGET, OperandKind.SPECIAL_REGISTER)
_NO_DESCRIPTOR = 0x3F << 32 | 0x3F << 64  # URZ in both places where an encoding has the descriptor of an address
_COMPONENTS_AT = 72  # mask of texture components in the encoding


@dataclass(frozen=True)
class Listing:
    """A program and where its labels point: instruction index by name."""

    program: Program
    labels: Mapping[str, int]


@dataclass(frozen=True)
class _Line:
    number: int
    control: re.Match[str] | None
    listed: ListedInstruction


def read_listing(text: str, architecture: int, *, kernel: str = "listing", name: str = "listing") -> Listing:
    """Read a listing for `architecture` (86 = sm_86). `kernel` names the program, `name` the text in errors.

    Raises SubcoreError naming line and token. Registers per thread are the highest that is named, and one.
    """
    if architecture not in EVERY or architecture < 70:
        known = ", ".join(str(a) for a in sorted(EVERY) if a >= 70)
        raise SubcoreError(f"{name}: sm_{architecture} cannot be listed, choose one of {known}")
    lines, labels = _split(text, name)
    offsets = {form: at * PC_STEP for label, at in labels.items() for form in (label, f"`({label})")}
    instructions, controls = [], []
    for index, line in enumerate(lines):
        where = f"{name}, line {line.number}"
        instruction = _instruction(line.listed, index, architecture, offsets, where)
        if not -1 <= instruction.target < len(lines):
            raise SubcoreError(f"{where}: branch to {instruction.target * PC_STEP:#x}, beyond the end of the listing")
        instructions.append(instruction)
        controls.append(line.control)
        if (line.control is None) != (controls[0] is None):
            has, first = ("has no" if line.control is None else "has"), lines[0].number
            raise SubcoreError(f"{where}: {has} control bits, unlike line {first}: write them on all lines or on none")
    records = np.array([build_record(i, architecture) for i in instructions], INSTRUCTION)
    for record, bits, instruction in zip(records, controls, instructions, strict=True):
        record["reuse"] = sum(1 << o.slot for o in instruction.sources if o.reuse and o.slot >= 0)
        if bits is not None:
            _set_control(record, bits)
    has_control = bool(controls) and controls[0] is not None
    program = Program(
        kernel=kernel,
        architecture=architecture,
        instructions=records,
        text=tuple(i.text for i in instructions),
        pc_step=PC_STEP,
        has_control_bits=has_control,
        registers=_registers(records),
        source_file=name,
    )
    return Listing(program, labels)


def load_listing(path: str | Path, architecture: int) -> Listing:
    """`read_listing` of a file; the kernel is named after it. OSError or SubcoreError."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SubcoreError(f"{path}: not a text file") from None
    return read_listing(text, architecture, kernel=path.stem, name=str(path))


def _split(text: str, name: str) -> tuple[list[_Line], dict[str, int]]:
    lines: list[_Line] = []
    labels: dict[str, int] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        where = f"{name}, line {number}"
        rest = raw.strip()
        offset = _OFFSET.match(rest)
        rest = _COMMENT.sub("", rest[offset.end() :] if offset else rest).strip().removesuffix(";").strip()
        if not rest:
            continue
        if label := _LABEL.match(rest):
            if label[1] in labels:
                raise SubcoreError(f"{where}: label {label[1]} is defined twice")
            labels[label[1]] = len(lines)
            continue
        if offset and int(offset[1], 16) != len(lines) * PC_STEP:
            raise SubcoreError(f"{where}: offset {offset[1]} of an instruction that lies at {len(lines) * PC_STEP:#x}")
        first, _, behind = rest.partition(" ")
        control = _CONTROL.match(first)
        if control is None and ":" in first:
            raise SubcoreError(f"{where}: control bits {first!r}: must look like B0-----:R-:W1:-:S04")
        if control is not None:
            _check_control(control, where)
            rest = behind.strip()
        guard = ""
        if rest.startswith("@"):
            guard, _, rest = rest.partition(" ")
            if not _GUARD.match(guard):
                raise SubcoreError(f"{where}: guard {guard!r}: must look like @P0 or @!UP1")
        opcode, _, operands = rest.strip().partition(" ")
        if not opcode:
            raise SubcoreError(f"{where}: no instruction behind {(guard or first)!r}")
        lines.append(_Line(number, control, ListedInstruction(guard, opcode, operands.strip())))
    if not lines:
        raise SubcoreError(f"{name}: no instructions")
    if last := [named for named, at in labels.items() if at == len(lines)]:
        raise SubcoreError(f"{name}: no instruction behind label {last[0]}")
    return lines, labels


def _check_control(control: re.Match[str], where: str) -> None:
    for at, mark in enumerate(control[1]):
        if mark not in ("-", str(at)):
            raise SubcoreError(f"{where}: wait mask B{control[1]}: position {at} holds {at} or -, not {mark}")
    if int(control[5]) > 15:
        raise SubcoreError(f"{where}: stall count {int(control[5])}: 0 to 15")


def _instruction(
    listed: ListedInstruction, index: int, architecture: int, offsets: Mapping[str, int], where: str
) -> Instruction:
    mnemonic = listed.opcode.split(".")[0]
    if not _OPCODE.match(listed.opcode):
        raise SubcoreError(f"{where}: {listed.opcode!r} is no opcode")
    if mnemonic not in OPCODES:
        near = difflib.get_close_matches(mnemonic, OPCODES, 1)
        raise SubcoreError(f"{where}: unknown instruction {mnemonic}" + (f"; did you mean {near[0]}?" if near else ""))
    tokens = split_operands(listed.operands)
    kept, given = "".join(tokens), listed.operands
    if re.sub(r"[\s,]", "", kept) != re.sub(r"[\s,]", "", given):
        raise SubcoreError(f"{where}: cannot read the operands {given!r}")
    encoding = _NO_DESCRIPTOR
    if mnemonic.startswith(("TEX", "TLD", "TXD", "TXQ", "TMML")):  # behind the shape, where not all four are wanted
        mask = int(tokens[-1], 16) if tokens and re.fullmatch(r"0x[0-9a-f]", tokens[-1]) else 0xF
        encoding |= mask << _COMPONENTS_AT
    try:
        instruction = parse_instruction(listed, index, index * PC_STEP, encoding, architecture, offsets, PC_STEP)
    except ValueError:
        raise SubcoreError(f"{where}: cannot read the operands {given!r}") from None
    for operand in instruction.operands:
        _check_operand(operand, where)
    return instruction


def _check_operand(operand: Operand, where: str) -> None:
    if operand.kind == OperandKind.OTHER and not _WORD.fullmatch(operand.text):
        raise SubcoreError(
            f"{where}: cannot read the operand {operand.text!r}: no register, value, address or label of the listing"
        )
    if operand.kind not in _NO_NUMBERS and any(int(n) > _LAST[family] for family, n in _NAMED.findall(operand.text)):
        raise SubcoreError(f"{where}: operand {operand.text!r}: no such register")


def _set_control(record: np.void, control: re.Match[str]) -> None:
    waits, read, write, yields, stall = control.groups()
    record["wait_mask"] = sum(1 << at for at in range(COUNTERS) if waits[at] != "-")
    record["read_counter"] = NO_COUNTER if read == "-" else int(read)
    record["write_counter"] = NO_COUNTER if write == "-" else int(write)
    record["yield_hint"], record["stall"] = yields == "Y", int(stall)
    record["flags"] |= int(Flag.DECODED_CONTROL)


def _registers(records: np.ndarray) -> int:
    """Registers per thread that the operands name."""
    last = 0
    for name in ("source", "destination"):
        used = (records[name] != NO_REGISTER) & (records[f"{name}_registers"] > 0)
        ends = np.where(used, records[name].astype(int) + records[f"{name}_registers"], 0)
        last = max(last, int(ends.max(initial=0)))
    return max(1, last)
