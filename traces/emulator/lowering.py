"""The tool that lowering functions work with: operands, modifiers and destinations of one instruction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isa.operand import Instruction, Operand, OperandKind
from traces.emulator import integer as i
from traces.emulator.records import (
    ALL,
    NONE,
    TRUE,
    UNIFORM_PREDICATE,
    Kind,
    Operation,
)

WORD64 = (1 << 64) - 1
REGISTER_KINDS = (OperandKind.REGISTER, OperandKind.UNIFORM_REGISTER)
PREDICATE_KINDS = (OperandKind.PREDICATE, OperandKind.UNIFORM_PREDICATE)
# Sign and magnitude masks of a source by the type it is read as.
_SIGN = {"f32": 1 << 31, "f64": 1 << 63, "f16": 0x80008000}


class Unsupported(Exception):
    """This form of the instruction has no semantics here; the text says what is missing."""


@dataclass
class Lowering:
    """One instruction on its way to a micro-operation record `op`."""

    ins: Instruction
    op: np.void
    bank_start: Mapping[int, int]  # word offset of each constant bank
    bank_bytes: Mapping[int, int]
    architecture: int

    def has(self, *modifiers: str) -> bool:
        return any(m in self.ins.modifiers for m in modifiers)

    def only(self, *known: str) -> None:
        """Refuse modifiers whose meaning is not implemented."""
        for modifier in self.ins.modifiers:
            if modifier not in known:
                raise Unsupported(f"modifier .{modifier}")

    @property
    def data(self) -> list[Operand]:
        """Sources that are values: registers, immediates, constants."""
        kinds = (*REGISTER_KINDS, OperandKind.IMMEDIATE, OperandKind.CONSTANT)
        return [o for o in self.ins.sources if o.kind in kinds]

    @property
    def predicates(self) -> list[Operand]:
        return [o for o in self.ins.sources if o.kind in PREDICATE_KINDS]

    @property
    def address(self) -> Operand:
        found = [o for o in self.ins.operands if o.kind == OperandKind.ADDRESS]
        if len(found) != 1:
            raise Unsupported("address operand")
        return found[0]

    def start(self, operation: Operation, variant: int = 0, wide_result: bool = False) -> None:
        """Set the operation and all destinations."""
        self.op["operation"], self.op["variant"] = operation, variant
        self.op["wide_result"] = wide_result
        slot = 0
        for operand in self.ins.destinations:
            if operand.kind in PREDICATE_KINDS:
                if slot == 2:
                    raise Unsupported("a third predicate destination")
                self.op["predicate_destination"][slot] = _predicate_index(operand, NONE)
                slot += 1
            elif operand.kind in REGISTER_KINDS and operand.register != NONE:
                uniform = operand.kind == OperandKind.UNIFORM_REGISTER
                self.op["destination_kind"] = Kind.UNIFORM if uniform else Kind.REGISTER
                self.op["destination"] = operand.register
                self.op["destination_registers"] = operand.count

    def predicate(self, slot: int, operand: Operand | None) -> None:
        if operand is None:
            return
        self.op["predicate_source"][slot] = _predicate_index(operand, TRUE)
        self.op["predicate_flip"][slot] = ALL if operand.negate else 0

    def source(self, slot: int, operand: Operand, kind: str = "u32", plain: bool = False) -> None:
        """Fill source a, b, c or d. `kind`: u32, u64, f32, f64, f16. `plain`: sign marks are the caller's business."""
        record = self.op["source"][slot]
        wide = kind in ("u64", "f64")
        record["wide"] = wide
        if operand.suffixes and kind != "f16" and not set(operand.suffixes) <= {"64", "U32"}:
            raise Unsupported(f"operand {operand.text}")
        sign = _SIGN.get(kind, 0)
        full = WORD64 if wide else ALL
        keep, flip, add = full, 0, 0
        if not plain:
            if operand.absolute:
                if not sign:
                    raise Unsupported(f"absolute value {operand.text}")
                keep = full & ~sign
            if operand.negate:
                flip, add = (sign, 0) if sign else (full, 1)
            if operand.invert:
                flip, add = full, 0
        if operand.kind == OperandKind.IMMEDIATE:
            record["kind"] = Kind.IMMEDIATE
            value = operand.value & full
            if not operand.is_float:
                value = ((value & keep) ^ flip) + add
            record["value"] = value & full
            return
        if operand.kind in REGISTER_KINDS:
            if operand.register == NONE:
                record["kind"], record["value"] = Kind.IMMEDIATE, (flip + add) & full
                return
            record["kind"] = Kind.UNIFORM if operand.kind == OperandKind.UNIFORM_REGISTER else Kind.REGISTER
            record["index"] = operand.register
        elif operand.kind == OperandKind.CONSTANT:
            if operand.register != NONE or operand.uniform != NONE or operand.descriptor != NONE:
                raise Unsupported(f"indexed constant operand {operand.text}")
            end = operand.offset + (8 if wide else 4)
            if operand.offset & 3 or operand.offset < 0 or end > self.bank_bytes.get(operand.bank, 0):
                raise Unsupported(f"{operand.text} lies outside its constant bank")
            record["kind"] = Kind.CONSTANT
            record["value"] = self.bank_start[operand.bank] + operand.offset // 4
        else:
            raise Unsupported(f"operand {operand.text}")
        if (keep, flip, add) != (full, 0, 0):
            record["modified"], record["keep"], record["flip"], record["add"] = 1, keep, flip, add

    def constant(self, slot: int, value: int) -> None:
        self.op["source"][slot]["kind"] = Kind.IMMEDIATE
        self.op["source"][slot]["value"] = value

    def flip_sign(self, *slots: int) -> None:
        """Flip the sign bit of integer sources, so that a signed compare orders unsigned values."""
        for slot in slots:
            record = self.op["source"][slot]
            sign = 1 << 63 if record["wide"] else 1 << 31
            if record["kind"] == Kind.IMMEDIATE:
                record["value"] = int(record["value"]) ^ sign
                continue
            full = WORD64 if record["wide"] else ALL
            if not record["modified"]:
                record["modified"], record["keep"], record["flip"], record["add"] = 1, full, sign, 0
            elif int(record["add"]):  # negation: (~v + 1) with its sign bit flipped is (~v + 1 + sign)
                record["add"] = (int(record["add"]) + sign) & full
            else:
                record["flip"] = int(record["flip"]) ^ sign


Lower = Callable[[Lowering], None]
LOWER: dict[str, Lower] = {}


def lowers(*mnemonics: str) -> Callable[[Lower], Lower]:
    def register(function: Lower) -> Lower:
        LOWER.update(dict.fromkeys(mnemonics, function))
        return function

    return register


def _predicate_index(operand: Operand, absent: int) -> int:
    if operand.register == TRUE:
        return absent
    return operand.register + (UNIFORM_PREDICATE if operand.kind == OperandKind.UNIFORM_PREDICATE else 0)


def expect(operands: Sequence[Operand], *counts: int) -> Sequence[Operand]:
    if len(operands) not in counts:
        raise Unsupported(f"{len(operands)} source operands")
    return operands


RELATIONS = {"LT": i.LESS, "EQ": i.EQUAL, "LE": i.LESS | i.EQUAL, "GT": i.GREATER, "NE": i.LESS | i.GREATER}
RELATIONS |= {"GE": i.GREATER | i.EQUAL, "F": 0, "T": i.LESS | i.EQUAL | i.GREATER}
FLOAT_RELATIONS = {**RELATIONS, "NUM": i.LESS | i.EQUAL | i.GREATER, "NAN": i.UNORDERED}
FLOAT_RELATIONS |= {f"{name}U": bits | i.UNORDERED for name, bits in RELATIONS.items() if name not in "FT"}
FLOAT_RELATIONS["T"] = i.LESS | i.EQUAL | i.GREATER | i.UNORDERED
COMBINE = {"AND": i.AND, "OR": i.OR, "XOR": i.XOR}


def relation(low: Lowering, relations: Mapping[str, int]) -> int:
    found = [relations[m] for m in low.ins.modifiers if m in relations]
    combine = [COMBINE[m] for m in low.ins.modifiers if m in COMBINE]
    if len(found) != 1 or len(combine) != 1:
        raise Unsupported("relation")
    low.op["extra"] = combine[0]
    return found[0]
