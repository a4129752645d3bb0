"""Micro-operations of sm_90 and later: warpgroup matrix instructions, bulk and tensor copies, clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from isa.opcodes import tensor_shape
from isa.operand import OperandKind
from isa.widths import access_bytes
from traces.emulator import bulk_copy as copy
from traces.emulator import warpgroup as group
from traces.emulator.atomics import Atomic, Number
from traces.emulator.lower_system import memory_address
from traces.emulator.lowering import Lowering, Unsupported, expect, lowers
from traces.emulator.records import NONE, Operation, Space
from traces.emulator.tensor import SPARSE, Accumulator, Element

T = TypeVar("T")
_FACTORS = {
    "F16": Element.HALF, "BF16": Element.BFLOAT, "TF32": Element.TF32, "E4M3": Element.E4M3, "E5M2": Element.E5M2,
    "S8": Element.S8, "U8": Element.U8,
}  # fmt: skip
_MARKS = {
    "negA": group.NEGATE_A, "negB": group.NEGATE_B, "tnspA": group.TRANSPOSE_A, "tnspB": group.TRANSPOSE_B,
}  # fmt: skip


@lowers("HGMMA", "QGMMA", "IGMMA")
def _group_matrix(low: Lowering) -> None:
    """D, [A,] gdesc[UR], C [, predicate of C] [, metadata, selector] [, gsb0]"""
    name, modifiers = low.ins.mnemonic, low.ins.modifiers
    shape = tensor_shape(name, modifiers)
    if shape is None:
        raise Unsupported("matrix shape")
    size = next(m for m in modifiers if "x" in m)
    low.only(size, "F32", "SP", "SAT", *_FACTORS)
    types = [m for m in modifiers if m in ("F32", *_FACTORS)]
    accumulator = Accumulator.SATURATING if low.has("SAT") else Accumulator.INTEGER
    if name != "IGMMA":
        accumulator = Accumulator.HALF if types.pop(0) == "F16" else Accumulator.FLOAT
    factors = [_FACTORS[t] for t in types] or [Element.HALF]
    if len(factors) > 2 or (name == "QGMMA" and accumulator != Accumulator.FLOAT and shape.accumulator_bits != 16):
        raise Unsupported("element types")
    variant = factors[0] | factors[-1] << 4 | accumulator << 8
    descriptor = expect([o for o in low.ins.operands if o.kind == OperandKind.MATRIX_DESCRIPTOR], 1)[0]
    if descriptor.uniform == NONE and low.ins.destinations[0].register == NONE:
        low.op["operation"], low.op["variant"] = Operation.GROUP_MATRIX, group.EMPTY_GROUP
        return
    if descriptor.uniform == NONE or descriptor.offset or not set(descriptor.suffixes) <= set(_MARKS):
        raise Unsupported(f"operand {descriptor.text}")
    for mark in descriptor.suffixes:
        variant |= _MARKS[mark]
    registers = [o for o in low.ins.operands if o.kind == OperandKind.REGISTER]
    at = low.ins.operands.index(descriptor)
    result, *factor = registers[: sum(o.kind == OperandKind.REGISTER for o in low.ins.operands[:at])]
    addend, *rest = registers[1 + len(factor) :]
    if factor:
        (a,) = factor
        variant |= group.NEGATE_A if a.negate else 0
        if a.invert or a.absolute or a.suffixes or variant & group.TRANSPOSE_A:
            raise Unsupported(f"operand {a.text}")
        low.op["source"][0]["index"] = a.register
    else:
        variant |= group.FROM_MEMORY
    low.op["source"][1]["index"] = descriptor.uniform
    low.op["source"][2]["index"] = addend.register
    if shape.sparse:
        selectors = [o.value for o in low.ins.operands if o.kind == OperandKind.IMMEDIATE]
        low.op["source"][3]["index"] = expect(rest, 1)[0].register
        low.op["extra"] = 2 * expect_one(selectors or [0], "selector of the metadata")
        variant |= SPARSE
    elif rest:
        raise Unsupported("operands")
    for operand in (result, addend, *rest):
        if operand.negate or operand.invert or operand.suffixes:
            raise Unsupported(f"operand {operand.text}")
    predicates = expect(low.predicates, 0, 1)
    if predicates:
        low.predicate(0, predicates[0])
    others = [o.text for o in low.ins.operands if o.kind in (OperandKind.OTHER, OperandKind.SCOREBOARD)]
    if others not in ([], ["gsb0"]):
        raise Unsupported(f"operand {others[0]}")
    variant |= group.COMMITS if others else 0
    low.op["operation"], low.op["variant"] = Operation.GROUP_MATRIX, variant
    low.op["immediate"] = shape.n << 16 | shape.k
    low.op["data_register"] = result.register


@lowers("WARPGROUP")
def _warpgroup(low: Lowering) -> None:
    if low.has("ARRIVE"):
        low.only("ARRIVE")
        low.op["operation"] = Operation.GROUP_ARRIVE
        return
    low.only("DEPBAR", "LE")
    texts = [o.text for o in low.ins.operands if o.kind not in (OperandKind.IMMEDIATE,)]
    if not low.has("DEPBAR") or texts != ["gsb0"]:
        raise Unsupported("form of WARPGROUP")
    low.op["operation"] = Operation.GROUP_WAIT
    low.op["extra"] = next(o.value for o in low.ins.operands if o.kind == OperandKind.IMMEDIATE)


@lowers("USETMAXREG")
def _set_registers(low: Lowering) -> None:
    """The registers of a warp are all there: a request is granted."""
    low.only("TRY_ALLOC", "DEALLOC", "CTAPOOL")
    if low.has("DEALLOC"):
        low.op["operation"] = Operation.NOTHING
    else:
        low.start(Operation.VOTE)  # true where any lane runs


# ---------------------------------------------------------------- copies

_REDUCTIONS = {"ADD": Atomic.ADD, "MIN": Atomic.MINIMUM, "MAX": Atomic.MAXIMUM, "AND": Atomic.AND, "OR": Atomic.OR}
_REDUCTIONS |= {"XOR": Atomic.XOR, "INC": Atomic.INCREMENT, "DEC": Atomic.DECREMENT}
_ELEMENTS = {"S32": (Number.SIGNED, 4), "U32": (Number.UNSIGNED, 4), "S64": (Number.SIGNED, 8)}
_ELEMENTS |= {"U64": (Number.UNSIGNED, 8), "64": (Number.UNSIGNED, 8), "F16": (Number.HALVES, 2)}
_ELEMENTS |= {"BF16": (Number.BFLOATS, 2), "F32": (Number.FLOAT, 4), "F64": (Number.DOUBLE, 8)}


def _reduction(low: Lowering) -> int:
    """Flags of a reduction; sets the bytes of an element."""
    operation = expect_one([_REDUCTIONS[m] for m in low.ins.modifiers if m in _REDUCTIONS], "reduction")
    types = [_ELEMENTS[m] for m in low.ins.modifiers if m in _ELEMENTS] or [(Number.UNSIGNED, 4)]
    number, low.op["bytes"] = expect_one(types, "type of the reduction")
    packed = number in (Number.HALVES, Number.BFLOATS)
    if number > Number.SIGNED and operation != Atomic.ADD and not (packed and operation <= Atomic.MAXIMUM):
        raise Unsupported("operation on this type")
    return copy.REDUCE | operation << 8 | number << 16


def expect_one(values: Sequence[T], what: str) -> T:
    if len(values) != 1:
        raise Unsupported(what)
    return values[0]


def _uniform_addresses(low: Lowering, count: int) -> list[int]:
    """Uniform registers of the address operands: plain ones, without offset."""
    found = [o for o in low.ins.operands if o.kind == OperandKind.ADDRESS]
    if len(found) != count or any(o.offset or o.register != NONE or o.uniform == NONE for o in found):
        raise Unsupported("address operands")
    return [o.uniform for o in found]


def _amount(low: Lowering) -> int:
    found = [o.register for o in low.ins.operands if o.kind == OperandKind.UNIFORM_REGISTER]
    return expect_one(found, "operands")


@lowers("UBLKCP", "UBLKRED", "UBLKPF")
def _bulk_copy(low: Lowering) -> None:
    name = low.ins.mnemonic
    low.op["operation"] = Operation.BULK_COPY
    low.op["source"][2]["index"] = _amount(low)
    if name == "UBLKPF":
        low.only("L2")
        low.op["variant"] = copy.PREFETCH
        low.op["source"][0]["index"] = _uniform_addresses(low, 1)[0]
        return
    to, source, *_ = low.ins.modifiers
    variant = {"SG": copy.LOAD, "GS": copy.STORE, "SS": copy.BETWEEN_BLOCKS}.get(to + source)
    if variant is None or (name == "UBLKRED" and variant != copy.STORE):
        raise Unsupported("direction")
    if name == "UBLKRED":
        low.only("S", "G", "RN", *_REDUCTIONS, *_ELEMENTS)
        variant = _reduction(low)
    else:
        low.only("S", "G", "MULTICAST")
        variant |= copy.MULTICAST if low.has("MULTICAST") else 0
    low.op["variant"] = variant
    low.op["source"][0]["index"], low.op["source"][1]["index"] = _uniform_addresses(low, 2)


@lowers("UTMALDG", "UTMASTG", "UTMAREDG", "UTMAPF")
def _tensor_copy(low: Lowering) -> None:
    """A reduction takes its type from the instruction's modifiers, as far as it names one."""
    name = low.ins.mnemonic
    dimensions = expect_one([m for m in low.ins.modifiers if m in ("1D", "2D", "3D", "4D", "5D")], "dimensions")
    low.op["operation"], low.op["extra"] = Operation.TENSOR_COPY, int(dimensions[0])
    low.op["source"][2]["index"] = NONE
    if name == "UTMALDG":
        low.only(dimensions, "MULTICAST")
        variant = copy.LOAD
        if low.has("MULTICAST"):
            variant |= copy.MULTICAST
            low.op["source"][2]["index"] = _amount(low)
    elif name == "UTMASTG":
        low.only(dimensions)
        variant = copy.STORE
    elif name == "UTMAPF":
        low.only(dimensions, "L2")
        variant = copy.PREFETCH
    else:
        low.only(dimensions, *_REDUCTIONS)
        operation = expect_one([_REDUCTIONS[m] for m in low.ins.modifiers if m in _REDUCTIONS], "reduction")
        variant = copy.REDUCE | operation << 8
    low.op["variant"] = variant
    low.op["source"][0]["index"], low.op["source"][1]["index"] = _uniform_addresses(low, 2)


@lowers("STAS", "REDAS")
def _store_async(low: Lowering) -> None:
    reduces = low.ins.mnemonic == "REDAS"
    low.op["operation"] = Operation.STORE_ASYNC
    low.only("32", "64", "128", *(_REDUCTIONS if reduces else ()), *(_ELEMENTS if reduces else ()))
    memory_address(low, low.address, Space.SHARED, access_bytes(low.ins.mnemonic, low.ins.modifiers))
    if reduces:
        low.op["variant"] = _reduction(low)
        if low.op["bytes"] != 4:
            raise Unsupported("type of the reduction")
    if low.op["address_register"] == NONE or low.address.offset or low.address.uniform != NONE:
        raise Unsupported(f"address {low.address.text}")
    low.op["address_wide"] = 0
    (data,) = expect([o for o in low.data if o.kind == OperandKind.REGISTER], 1)
    low.op["data_register"] = data.register


@lowers("UTMACCTL", "UTMACMDFLUSH", "PREEXIT", "ACQBULK")
def _nothing(low: Lowering) -> None:
    """Copies are complete when issued; the grid before this one has ended."""
    low.op["operation"] = Operation.NOTHING


# ---------------------------------------------------------------- clusters


@lowers("UCGABAR_ARV", "UCGABAR_WAIT")
def _cluster_barrier(low: Lowering) -> None:
    low.only()
    arrives = low.ins.mnemonic == "UCGABAR_ARV"
    low.op["operation"] = Operation.CLUSTER_ARRIVE if arrives else Operation.CLUSTER_WAIT


@lowers("UCGABAR_GET", "UCGABAR_SET")
def _cluster_barrier_state(low: Lowering) -> None:
    raise Unsupported("state of the cluster barrier")
