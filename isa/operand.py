"""Parse the text of one SASS instruction (as `nvdisasm -json` prints it) into typed operands, losing nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from isa.disassemble import ListedInstruction
from isa.opcodes import find_opcode
from isa.program import NO_PREDICATE, NO_REGISTER, Unit
from isa.widths import address_counts, register_counts, texture_counts


class OperandKind(IntEnum):
    REGISTER = 1  # R0-R254, RZ = 255
    UNIFORM_REGISTER = 2  # UR0 ..., URZ = 255
    PREDICATE = 3  # P0-P6, PT = 7
    UNIFORM_PREDICATE = 4  # UP0-UP6, UPT = 7
    IMMEDIATE = 5
    CONSTANT = 6  # c[bank][offset], c[bank][register + offset], cx[uniform register][offset]
    ADDRESS = 7  # [R2.64+UR4+0x10], desc[UR4][R2.64]
    SPECIAL_REGISTER = 8  # SR_TID.X ...
    CONVERGENCE_BARRIER = 9  # B0-B15
    SCOREBOARD = 10  # SB0-SB5, and the set {4,3}
    TARGET = 11  # code address: byte offset in the kernel's code
    MATRIX_DESCRIPTOR = 12  # gdesc[UR8], tmem[UR4], idesc[UR4]
    OTHER = 13  # texture shapes, PR, B0-B3 lanes ...


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand. Register numbers are 255 and predicates 7 where there is none (RZ, URZ, PT, UPT).

    `register`/`count`: first register and how many consecutive ones; of ADDRESS and CONSTANT the address register
    (count 2 = 64 bits). `value`: an immediate as printed (may be negative), or the raw bits of a float: 32 bits, packed
    halves, 64 bits for FP64 instructions; of TARGET the byte offset; of SCOREBOARD the mask of a set.
    `slot`: 0-3 = A-D, the position that the reuse bits name; -1 for destinations and operands without a position.
    """

    kind: OperandKind
    text: str
    register: int = NO_REGISTER
    count: int = 1
    negate: bool = False  # "-", or "!" of a predicate
    invert: bool = False  # "~"
    absolute: bool = False
    reuse: bool = False
    suffixes: tuple[str, ...] = ()  # H0_H0, B1, ROW, U32 ... without reuse and 64
    value: int = 0
    is_float: bool = False
    bank: int = -1
    offset: int = 0  # immediate part of an address or constant offset, bytes, signed
    scale: int = 1  # of the address register: [R7.X4]
    uniform: int = NO_REGISTER  # uniform register of an address
    uniform_count: int = 0
    descriptor: int = NO_REGISTER  # uniform register pair of desc[]; bindless constant: cx[UR]
    is_destination: bool = False
    slot: int = -1


@dataclass(frozen=True, slots=True)
class Instruction:
    """One decoded instruction. `pc` is its byte offset in the kernel's code; `target` an instruction index or -1."""

    index: int
    pc: int
    mnemonic: str
    modifiers: tuple[str, ...]
    guard: int
    guard_negate: bool
    guard_uniform: bool
    operands: tuple[Operand, ...]
    encoding: int  # 128 bits
    text: str
    target: int = -1

    @property
    def destinations(self) -> tuple[Operand, ...]:
        return tuple(o for o in self.operands if o.is_destination)

    @property
    def sources(self) -> tuple[Operand, ...]:
        return tuple(o for o in self.operands if not o.is_destination)

    @property
    def opcode(self) -> str:
        return ".".join((self.mnemonic, *self.modifiers))


_TOKEN = re.compile(
    r"""\s*(
      [-~!]?\|?cx?\[[^\]]*\]\s*\[[^\]]*\]\|?(?:\.\w+)*    # constant bank
    | desc\[[^\]]*\]\s*\[[^\]]*\](?:\.\w+)*               # address with a descriptor
    | [a-z]+\[[^\]]*\](?:\.\w+)*                          # matrix and tensor-memory descriptors
    | \[[^\]]*\](?:\.\w+)*                                # address
    | \{[^}]*\}
    | `\([^)]*\)
    | (?:(?!desc\[)[^,\[\s])+
    )\s*,?""",
    re.VERBOSE,
)
_REGISTER = re.compile(r"([-~!]?)(\|?)(UR|UP|SB|R|P|B)(\d+|Z|T)((?:\.\w+)*)(\|?)((?:\.\w+)*)$")
_CONSTANT = re.compile(r"([-~!]?)(\|?)(cx?)\[([^\]]*)\]\s*\[([^\]]*)\](\|?)((?:\.\w+)*)$")
_ADDRESS = re.compile(r"(?:desc\[(UR\d+|URZ)\]\s*)?\[([^\]]*)\]((?:\.\w+)*)$")
_DESCRIPTOR = re.compile(r"[a-z]+\[(?:(UR|R)(\d+|Z))?([^\]]*)\]((?:\.\w+)*)$")
_FLOAT = re.compile(r"[-+]?(\d+(\.\d*)?(e[-+]?\d+)?|INF|[QS]?NAN)$", re.IGNORECASE)
_HEX = re.compile(r"-?0x[0-9a-f]+$")
_KINDS = {
    "R": OperandKind.REGISTER, "UR": OperandKind.UNIFORM_REGISTER, "P": OperandKind.PREDICATE,
    "UP": OperandKind.UNIFORM_PREDICATE, "B": OperandKind.CONVERGENCE_BARRIER, "SB": OperandKind.SCOREBOARD,
}  # fmt: skip
_PREDICATES = (OperandKind.PREDICATE, OperandKind.UNIFORM_PREDICATE)
_REGISTERS = (OperandKind.REGISTER, OperandKind.UNIFORM_REGISTER)
_POSITIONED = (*_REGISTERS, OperandKind.IMMEDIATE, OperandKind.CONSTANT, OperandKind.MATRIX_DESCRIPTOR)
_POSITION_UNITS = (Unit.ALU, Unit.FMA, Unit.FP16, Unit.FP64)
_TARGETS = {"BRA", "BSSY", "CALL", "JMP", "RET", "SSY", "PBK", "CAL", "LEPC", "WARPSYNC", "PRET", "BRX"}
_HALF = {"HADD2", "HMUL2", "HFMA2", "HMNMX2", "HSET2", "HSETP2"}
# Position (A = 0 ...) of each source of instructions that leave a position free, read off the reuse bits of
# compiled code: additions are multiplications-and-additions without B; one-source moves read B.
_POSITIONS = {
    "FADD": (0, 2), "FADD2": (0, 2), "DADD": (0, 2), "HADD2": (0, 2), "HSET2": (0, 2), "HSETP2": (0, 2),
    "DSETP": (0, 2), "FSWZADD": (0, 2), "R2UR": (0,),
}  # fmt: skip
_ONE_SOURCE_POSITION = 1
# Lowest bit of the descriptor's uniform register, which the text of sm_80 to sm_89 leaves out (from -plr).
_HIDDEN_DESCRIPTOR = {"LDG": 32, "LD": 32, "STG": 64, "ST": 64, "ATOMG": 64, "ATOM": 64, "RED": 64, "LDGSTS": 64}


def _number(text: str) -> int:
    return NO_REGISTER if text in ("Z", "") else NO_PREDICATE if text == "T" else int(text)


def _suffixes(text: str) -> tuple[str, ...]:
    return tuple(s for s in text.split(".") if s and s != "reuse")


def _parse_address(text: str, mnemonic: str, modifiers: tuple[str, ...], architecture: int, encoding: int) -> Operand:
    match = _ADDRESS.match(text)
    if match is None:
        return Operand(OperandKind.OTHER, text)
    base, count, scale, uniform, uniform_count, offset = NO_REGISTER, 0, 1, NO_REGISTER, 0, 0
    explicit = False  # ".64" is written out: the form with a descriptor
    suffixes = [*_suffixes(match[3])]
    wide = "E" in modifiers
    for part in match[2].replace("+-", "+ -").split("+"):
        name, *marks = part.strip().split(".")
        marks = [m for m in marks if m != "reuse"]
        if name.startswith("UR"):
            uniform = _number(name[2:])
            # A uniform base alone is the whole address; on sm_75 it is 64 bits beside a register as well.
            uniform_count = 2 if wide and (architecture < 80 or {"64", "U32"} & {*marks, *suffixes} or not count) else 1
        elif name.startswith("R"):
            base = _number(name[1:])
            explicit = "64" in marks
            count = 2 if explicit or (wide and not marks) else 1
            scale = next((int(m[1:]) for m in marks if re.fullmatch(r"X\d+", m)), 1)
            suffixes += [m for m in marks if m != "64" and not re.fullmatch(r"X\d+", m)]
        elif name:
            offset += int(name, 0)
    descriptor = _number(match[1][2:]) if match[1] else NO_REGISTER
    if 80 <= architecture < 90 and explicit and uniform == NO_REGISTER and mnemonic in _HIDDEN_DESCRIPTOR:
        descriptor = encoding >> _HIDDEN_DESCRIPTOR[mnemonic] & 0x3F
        descriptor = NO_REGISTER if descriptor == 63 else descriptor
    return Operand(
        OperandKind.ADDRESS,
        text,
        base,
        count,
        suffixes=tuple(suffixes),
        offset=offset,
        scale=scale,
        uniform=uniform,
        uniform_count=uniform_count if uniform != NO_REGISTER else 0,
        descriptor=descriptor,
    )


def _parse_constant(match: re.Match[str], text: str) -> Operand:
    bank, descriptor = -1, NO_REGISTER
    if match[4].startswith("UR"):
        descriptor = _number(match[4].split(".")[0][2:])
    else:
        bank = int(match[4], 0)
    register, count, uniform, offset = NO_REGISTER, 0, NO_REGISTER, 0
    for part in match[5].replace("+-", "+ -").split("+"):
        part = part.strip()
        if part.startswith("UR"):
            uniform = _number(part[2:].split(".")[0])
        elif part.startswith("R"):
            register, count = _number(part[1:].split(".")[0]), 1
        elif part:
            offset += int(part, 0)
    return Operand(
        OperandKind.CONSTANT,
        text,
        register,
        count,
        negate=match[1] in ("-", "!"),
        invert=match[1] == "~",
        absolute=bool(match[2]),
        suffixes=_suffixes(match[7]),
        bank=bank,
        offset=offset,
        uniform=uniform,
        uniform_count=int(uniform != NO_REGISTER),
        descriptor=descriptor,
    )


def _parse_operand(
    token: str, mnemonic: str, modifiers: tuple[str, ...], architecture: int, encoding: int, labels: Mapping[str, int]
) -> Operand:
    if match := _REGISTER.match(token):
        sign, bar, family, number, first, _, second = match.groups()
        return Operand(
            _KINDS[family],
            token,
            _number(number),
            negate=sign in ("-", "!") and bool(sign),
            invert=sign == "~",
            absolute=bool(bar),
            reuse=".reuse" in token,
            suffixes=_suffixes(first + second),
        )
    if match := _CONSTANT.match(token):
        return _parse_constant(match, token)
    if token.startswith(("[", "desc[")):
        return _parse_address(token, mnemonic, modifiers, architecture, encoding)
    if _HEX.match(token):
        return Operand(OperandKind.IMMEDIATE, token, value=int(token, 16))
    if _FLOAT.match(token):
        value = encoding >> 32 & 0xFFFFFFFF
        value = value << 32 if mnemonic.startswith("D") else value
        return Operand(OperandKind.IMMEDIATE, token, value=value, is_float=True)
    if token.startswith("SR"):
        return Operand(OperandKind.SPECIAL_REGISTER, token)
    if token.startswith("{"):
        mask = sum(1 << int(n) for n in re.findall(r"\d+", token))
        return Operand(OperandKind.SCOREBOARD, token, value=mask)
    if token in labels:
        return Operand(OperandKind.TARGET, token, value=labels[token])
    if match := _DESCRIPTOR.match(token):
        family, number, rest, suffix = match.groups()
        offset = sum(int(n, 0) for n in re.findall(r"-?0x[0-9a-f]+", rest))
        uniform = family != "R"
        return Operand(
            OperandKind.MATRIX_DESCRIPTOR,
            token,
            NO_REGISTER if uniform else _number(number),
            uniform=_number(number) if uniform and number else NO_REGISTER,
            offset=offset,
            suffixes=_suffixes(suffix),
        )
    return Operand(OperandKind.OTHER, token)


def split_operands(text: str) -> list[str]:
    """Operand tokens. The JSON listing omits the comma before an address: `R2[R4.64]`, `R2desc[UR4][R6.64]`."""
    return [m[1] for m in _TOKEN.finditer(text)]


def _merge_half_pairs(operands: list[Operand]) -> list[Operand]:
    """Packed half immediates print as two numbers and are one operand."""
    merged: list[Operand] = []
    for operand in operands:
        if operand.is_float and merged and merged[-1].is_float and "," not in merged[-1].text:
            merged[-1] = replace(merged[-1], text=f"{merged[-1].text},{operand.text}")
        else:
            merged.append(operand)
    return merged


def _mark_destinations(operands: list[Operand], registers: int, predicates: int) -> list[Operand]:
    """The table says how many destinations there are; they lead the text, predicates before or behind registers."""
    marked = list(operands)
    for at, operand in enumerate(operands):
        barrier = operand.kind == OperandKind.CONVERGENCE_BARRIER and at == 0
        if operand.kind in _PREDICATES and predicates and not operand.negate:
            predicates -= 1
        elif (operand.kind in _REGISTERS or barrier) and registers and not operand.negate:
            registers -= 1
        else:
            break
        marked[at] = replace(operand, is_destination=True)
    return marked


def _source_slots(mnemonic: str, sources: list[Operand]) -> tuple[int, ...]:
    """Position (A = 0 ... D = 3) of each positioned source."""
    if mnemonic in _POSITIONS:
        return _POSITIONS[mnemonic]
    if len(sources) == 1 and find_opcode(mnemonic).unit in _POSITION_UNITS:
        return (_ONE_SOURCE_POSITION,)
    if sources and sources[0].kind == OperandKind.MATRIX_DESCRIPTOR:  # gdesc describes A and B
        return (1, 2, 3)
    return (0, 1, 2, 3)


def _assign(operands: list[Operand], mnemonic: str, modifiers: tuple[str, ...], encoding: int) -> list[Operand]:
    """Give destinations and sources their register counts, and sources their slots."""
    to, counts = register_counts(mnemonic, modifiers)
    destinations, addresses = [to, to], list(address_counts(mnemonic, modifiers))
    if texture := texture_counts(mnemonic, modifiers, [o.text for o in operands], encoding):
        destinations, counts = list(texture[0]), texture[1]
    positioned = [o for o in operands if not o.is_destination and o.kind in _POSITIONED]
    slots = list(_source_slots(mnemonic, positioned))
    result = []
    for operand in operands:
        if operand.kind == OperandKind.ADDRESS and addresses:
            base, uniform = addresses.pop(0)
            operand = replace(operand, count=base, uniform_count=uniform if operand.uniform != NO_REGISTER else 0)
        elif operand.is_destination and operand.kind in _REGISTERS:
            operand = replace(operand, count=destinations.pop(0))
        elif not operand.is_destination and operand.kind in _POSITIONED:
            slot = slots.pop(0) if slots else -1
            sized = operand.kind in (*_REGISTERS, OperandKind.MATRIX_DESCRIPTOR)
            operand = replace(operand, slot=slot, count=counts[slot] if sized else operand.count)
        result.append(operand)
    return result


def parse_instruction(
    listed: ListedInstruction,
    index: int,
    pc: int,
    encoding: int,
    architecture: int,
    labels: Mapping[str, int],
    pc_step: int = 16,
) -> Instruction:
    """Decode one line of a listing. `labels` maps function symbols to byte offsets in the kernel's code.

    Never raises on unknown instructions: operands that are not understood keep their text as OTHER.
    """
    mnemonic, *rest = listed.opcode.split(".")
    modifiers = tuple(rest)
    guard = re.match(r"@(!?)(U?)P(\d|T)", listed.guard)
    tokens = split_operands(listed.operands)
    operands = [_parse_operand(t, mnemonic, modifiers, architecture, encoding, labels) for t in tokens]
    if mnemonic in _HALF:
        operands = _merge_half_pairs(operands)
    target = -1
    if mnemonic in _TARGETS:
        for at in range(len(operands) - 1, -1, -1):
            operand = operands[at]
            mask = mnemonic == "WARPSYNC" and "COLLECTIVE" not in modifiers
            if operand.kind == OperandKind.IMMEDIATE and mnemonic not in ("BRX", "RET") and not mask:
                operands[at] = operand = replace(operand, kind=OperandKind.TARGET)
            if operand.kind == OperandKind.TARGET:
                indirect = any(o.kind in _REGISTERS for o in operands) and mnemonic in ("CALL", "RET", "BRX", "LEPC")
                target = -1 if indirect else operand.value // pc_step
                break
    opcode = find_opcode(mnemonic)
    registers = 2 if opcode.registers and "256" in modifiers else opcode.registers
    operands = _mark_destinations(operands, registers, opcode.predicates)
    operands = _assign(operands, mnemonic, modifiers, encoding)
    return Instruction(
        index=index,
        pc=pc,
        mnemonic=mnemonic,
        modifiers=modifiers,
        guard=_number(guard[3]) if guard else NO_PREDICATE,
        guard_negate=bool(guard and guard[1]),
        guard_uniform=bool(guard and guard[2]),
        operands=tuple(operands),
        encoding=encoding,
        text=listed.text,
        target=target,
    )
