"""The opcode table (`opcodes.csv`): what each base mnemonic is, and what its modifiers and architecture change."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from isa.latency import ConsumerClass, ProducerClass
from isa.program import Access, Flag, MemorySpace, TensorKind, Unit

EVERY = frozenset({60, 61, 62, 70, 72, 75, 80, 86, 87, 88, 89, 90, 100, 101, 103, 110, 120, 121})
# Architectures with a dependence counter for the result, from the control bits of compiled code; sm_60 to sm_72: guess.
COUNTER_SETS: dict[str, frozenset[int]] = {
    "never": frozenset(),
    "always": EVERY,
    "before_80": frozenset(a for a in EVERY if a < 80),
    "before_90": frozenset(a for a in EVERY if a < 90),
    "fp64": EVERY - {60, 62, 70, 90, 100, 101, 103, 110},  # full-rate FP64 of the data-centre parts is fixed from sm_90
}


@dataclass(frozen=True)
class Opcode:
    """One row of the opcode table."""

    number: int  # index into MNEMONICS, 0 = unknown
    mnemonic: str
    unit: Unit
    produces: ProducerClass
    consumes: ConsumerClass
    registers: int  # destination register operands
    predicates: int  # most predicate destinations
    space: MemorySpace
    access: Access
    counter: frozenset[int]  # architectures whose completion a dependence counter signals
    flags: Flag


UNKNOWN = Opcode(
    0,
    "",
    Unit.ALU,
    ProducerClass.ALU,
    ConsumerClass.ALU,
    1,
    0,
    MemorySpace.NONE,
    Access.NONE,
    frozenset(),
    Flag.UNKNOWN,
)


def _read_table() -> dict[str, Opcode]:
    text = resources.files("isa").joinpath("opcodes.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if line and not line.startswith("#"))
    table = {}
    for number, row in enumerate(rows, start=1):
        flags = Flag(0)
        for name in row["flags"].split("+"):
            flags |= Flag[name] if name != "-" else Flag(0)
        table[row["mnemonic"]] = Opcode(
            number=number,
            mnemonic=row["mnemonic"],
            unit=Unit[row["unit"]],
            produces=ProducerClass[row["produces"]],
            consumes=ConsumerClass[row["consumes"]],
            registers=int(row["regs"]),
            predicates=int(row["preds"]),
            space=MemorySpace[row["space"]] if row["space"] != "-" else MemorySpace.NONE,
            access=Access[row["access"]] if row["access"] != "-" else Access.NONE,
            counter=COUNTER_SETS[row["counter"]],
            flags=flags,
        )
    return table


OPCODES = _read_table()
MNEMONICS = ("", *OPCODES)  # MNEMONICS[record["mnemonic"]] is the base mnemonic; "" = unknown

# Bits of one A/B element by type modifier.
ELEMENT_BITS = {
    "F16": 16, "BF16": 16, "TF32": 32, "F32": 32, "F64": 64, "E4M3": 8, "E5M2": 8, "E3M2": 8, "E2M3": 8, "E2M1": 4,
    "S8": 8, "U8": 8, "S4": 4, "U4": 4, "B1": 1,
}  # fmt: skip
_MMA = {"HMMA": TensorKind.HMMA, "IMMA": TensorKind.IMMA, "BMMA": TensorKind.BMMA, "DMMA": TensorKind.DMMA,
        "QMMA": TensorKind.QMMA, "OMMA": TensorKind.OMMA, "HGMMA": TensorKind.HGMMA, "IGMMA": TensorKind.HGMMA,
        "QGMMA": TensorKind.HGMMA, "BGMMA": TensorKind.HGMMA, "MOVM": TensorKind.MOVM}  # fmt: skip


@dataclass(frozen=True)
class TensorShape:
    """Shape and element sizes of a matrix instruction; k counts the elements of dense A (sparse: of B)."""

    kind: TensorKind
    m: int = 0
    n: int = 0
    k: int = 0
    bits: int = 0
    accumulator_bits: int = 0
    sparse: bool = False

    def registers(self, operand: str) -> int:
        """32-bit registers per thread of operand "a", "b" or "c" (accumulator and result), 32 threads (or 128)."""
        if self.kind == TensorKind.HGMMA:
            kept = self.k // 2 if self.sparse else self.k
            words = {"a": self.m * kept * self.bits, "c": self.m * self.n * self.accumulator_bits}[operand]
            return max(1, words // 4096)
        words = {
            "a": self.m * self.k * self.bits // (2 if self.sparse else 1),
            "b": self.n * self.k * self.bits,
            "c": self.m * self.n * self.accumulator_bits,
        }[operand]
        return max(1, words // 1024)


@cache
def tensor_shape(mnemonic: str, modifiers: tuple[str, ...]) -> TensorShape | None:
    """Shape of HMMA.16816.F32 and its relatives; None for other instructions or an unreadable shape."""
    kind = _MMA.get(mnemonic)
    if kind is None:
        return None
    if kind == TensorKind.MOVM:
        return TensorShape(kind)
    size = next((m for m in modifiers if re.fullmatch(r"\d{3,6}|\d+x\d+x\d+", m)), "")
    if "x" in size:
        m, n, k = (int(part) for part in size.split("x"))
    elif size:  # 884, 8816, 1688, 16816, 168256: m is 8 or 16, n is 8
        head = 2 if size.startswith("16") else 1
        m, n, k = int(size[:head]), 8, int(size[head + 1 :] or 0)
    else:
        return None
    types = [m for m in modifiers if m in ELEMENT_BITS]
    bits, accumulator = 16, 32
    if kind in (TensorKind.HMMA, TensorKind.QMMA, TensorKind.OMMA) or mnemonic in ("HGMMA", "QGMMA"):
        accumulator = 16 if types[:1] == ["F16"] else 32
        # HMMA.884.F32.F32 of sm_70 names D and C: its factors are half precision, only TF32 ones are 32 bits wide
        operands = [t for t in types[1:] if t != "F32"]
        bits = ELEMENT_BITS[operands[0]] if operands else 8 if mnemonic == "QGMMA" else 16
        if kind == TensorKind.QMMA:
            bits = 8  # FP6 and FP4 too lie in bytes
        if kind == TensorKind.HMMA and accumulator == 16 and any(m.startswith("STEP") for m in modifiers):
            m = 16  # sm_70: a step with 16-bit accumulators covers twice the rows
    elif mnemonic in ("IMMA", "IGMMA"):
        bits = ELEMENT_BITS[types[0]] if types else 8
    elif mnemonic in ("BMMA", "BGMMA"):
        bits = 1
    elif kind == TensorKind.DMMA:
        bits = accumulator = 64
    return TensorShape(kind, m, n, k, bits, accumulator, sparse="SP" in modifiers)


_HALF_SIZE = {ProducerClass.MMA_2X: ProducerClass.MMA_1X, ProducerClass.IMMA_2X: ProducerClass.IMMA_1X}


def find_opcode(mnemonic: str) -> Opcode:
    """Row of a base mnemonic; UNKNOWN when the table has none."""
    return OPCODES.get(mnemonic, UNKNOWN)


def is_wide(mnemonic: str, modifiers: tuple[str, ...]) -> bool:
    """IMAD.WIDE and its uniform twin: the result is a register pair."""
    return mnemonic in ("IMAD", "UIMAD", "IMUL") and "WIDE" in modifiers


def producer_class(opcode: Opcode, modifiers: tuple[str, ...], architecture: int) -> ProducerClass:
    """ProducerClass of the first result register, after modifiers and architecture."""
    if architecture in opcode.counter and opcode.produces != ProducerClass.NONE:
        return ProducerClass.VARIABLE
    if opcode.mnemonic == "IMAD" and "WIDE" in modifiers:
        return ProducerClass.WIDE_LOW
    if opcode.produces == ProducerClass.DUAL_ALU and "64" in modifiers:
        return ProducerClass.ALU
    if opcode.mnemonic == "CS2R" and "32" in modifiers:
        return ProducerClass.DUAL_ALU
    if opcode.mnemonic == "HFMA2" and "MMA" in modifiers:
        return ProducerClass.HFMA2_MMA
    shape = tensor_shape(opcode.mnemonic, modifiers)
    if opcode.produces not in _HALF_SIZE or shape is None:
        return opcode.produces
    if opcode.mnemonic == "IMMA" and shape.m == 8:
        return ProducerClass.IMMA_88
    work = shape.m * shape.n * shape.k * shape.bits // (2 if shape.sparse else 1)  # HMMA.1688: 16 x 8 x 8 of 16 bits
    return _HALF_SIZE[opcode.produces] if work <= 16 * 8 * 8 * 16 else opcode.produces


def consumer_class(opcode: Opcode, modifiers: tuple[str, ...]) -> ConsumerClass:
    """ConsumerClass of the register sources, after modifiers (IMAD.WIDE: of its factors)."""
    if opcode.mnemonic == "IMAD" and "WIDE" in modifiers:
        return ConsumerClass.WIDE_AB
    if opcode.mnemonic == "HFMA2" and "MMA" in modifiers:
        return ConsumerClass.HFMA2_MMA
    return opcode.consumes
