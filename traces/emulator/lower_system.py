"""Micro-operations of lane exchange, special registers, memory and control flow."""

from __future__ import annotations

from collections.abc import Sequence

from isa.operand import Operand, OperandKind
from isa.widths import access_bytes
from traces.emulator.control import ARRIVE, REDUCE_AND, REDUCE_COUNT, REDUCE_OR, WAIT
from traces.emulator.lanes import Special
from traces.emulator.lowering import PREDICATE_KINDS, REGISTER_KINDS, Lowering, Unsupported, expect, lowers
from traces.emulator.memory import Atomic, Number
from traces.emulator.records import ALL, NONE, TRUE, Kind, Operation, Space

_SPECIAL = {
    "SRZ": Special.ZERO,
    "SR_TID.X": Special.THREAD_X,
    "SR_TID.Y": Special.THREAD_Y,
    "SR_TID.Z": Special.THREAD_Z,
    "SR_CTAID.X": Special.BLOCK_X,
    "SR_CTAID.Y": Special.BLOCK_Y,
    "SR_CTAID.Z": Special.BLOCK_Z,
    "SR_LANEID": Special.LANE,
    "SR_CLOCKLO": Special.CLOCK,
    "SR_CLOCKHI": Special.ZERO,
    "SR_EQMASK": Special.EQUAL_MASK,
    "SR_LTMASK": Special.LESS_MASK,
    "SR_LEMASK": Special.LESS_EQUAL_MASK,
    "SR_GTMASK": Special.GREATER_MASK,
    "SR_GEMASK": Special.GREATER_EQUAL_MASK,
    "SR_CgaCtaId": Special.ZERO,  # clusters of one block
    "SR_SWINHI": Special.SHARED_WINDOW_HIGH,
    "SR_LWINHI": Special.LOCAL_WINDOW_HIGH,
}


@lowers("S2R", "S2UR", "CS2R", "CS2UR")
def _special_register(low: Lowering) -> None:
    low.only("32", "64")
    name = low.ins.sources[0].text
    if name not in _SPECIAL:
        raise Unsupported(f"special register {name}")
    low.start(Operation.SPECIAL_REGISTER, _SPECIAL[name], wide_result=low.ins.destinations[0].count == 2)


@lowers("VOTE", "VOTEU")
def _vote(low: Lowering) -> None:
    modes = ("ANY", "ALL", "EQ")
    low.only(*modes)
    low.start(Operation.VOTE, modes.index(low.ins.modifiers[0]))
    low.predicate(0, low.predicates[-1])


@lowers("SHFL")
def _shuffle(low: Lowering) -> None:
    modes = ("UP", "DOWN", "BFLY", "IDX")
    low.only(*modes)
    low.start(Operation.SHUFFLE, modes.index(low.ins.modifiers[0]))
    for slot, operand in enumerate(expect(low.data, 3)):
        low.source(slot, operand)


@lowers("MATCH")
def _match(low: Lowering) -> None:
    low.only("ANY", "ALL", "U32", "U64")
    low.start(Operation.MATCH, 1 if low.has("ALL") else 0)
    low.source(0, expect(low.data, 1)[0], "u64" if low.has("U64") else "u32")


@lowers("REDUX", "CREDUX")
def _reduce(low: Lowering) -> None:
    operations = ("AND", "OR", "XOR", "SUM", "MIN", "MAX")
    low.only(*operations, "S32", "U32")
    low.start(Operation.REDUCE, next((operations.index(m) for m in low.ins.modifiers if m in operations), 0))
    low.op["extra"] = low.has("S32")
    low.source(0, expect(low.data, 1)[0])


@lowers("R2UR")
def _register_to_uniform(low: Lowering) -> None:
    low.only("FILL")
    low.start(Operation.FIRST_LANE)
    if any(o.register != TRUE for o in low.ins.destinations if o.kind in PREDICATE_KINDS):
        raise Unsupported("predicate destination")
    low.source(0, expect(low.data, 1)[0])


# ---------------------------------------------------------------- memory

_SPACES = {"LDG": Space.GLOBAL, "STG": Space.GLOBAL, "ATOMG": Space.GLOBAL, "REDG": Space.GLOBAL}
_SPACES |= {"LDS": Space.SHARED, "STS": Space.SHARED, "ATOMS": Space.SHARED, "REDS": Space.SHARED}
_SPACES |= {"LDL": Space.LOCAL, "STL": Space.LOCAL}
_SPACES |= {"LD": Space.GENERIC, "ST": Space.GENERIC, "ATOM": Space.GENERIC, "RED": Space.GENERIC}
_SCOPES = ("E", "SYS", "GPU", "SM", "CTA", "STRONG", "WEAK", "MMIO", "CONSTANT", "U", "ENL2", "PRIVATE")
_CACHING = ("EF", "EL", "LU", "EU", "NA", "LTC64B", "LTC128B", "LTC256B", "STREAM", "LASTUSE")
_SIZES = ("U8", "S8", "U16", "S16", "32", "64", "128")


def _memory(low: Lowering, operation: Operation, predicate_result: bool = False) -> None:
    """Space, width and address of a memory operand, and refusal of predicates that the form does not explain."""
    low.start(operation)
    low.op["space"] = _SPACES[low.ins.mnemonic]
    low.op["bytes"] = access_bytes(low.ins.mnemonic, low.ins.modifiers)
    low.op["signed"] = low.has("S8", "S16")
    if low.op["bytes"] > 16:
        raise Unsupported("accesses of more than 16 bytes per lane")
    predicates = [o for o in low.ins.operands if o.kind in PREDICATE_KINDS and o.register != TRUE]
    if any(not (predicate_result and o.is_destination) for o in predicates):
        raise Unsupported("predicate operand")
    operand = low.address
    if not set(operand.suffixes) <= {"U32"}:
        raise Unsupported(f"address {operand.text}")
    low.op["immediate"] = operand.offset
    low.op["address_register"] = operand.register
    low.op["address_wide"] = operand.count == 2
    low.op["address_scale"] = operand.scale
    low.op["address_uniform"] = operand.uniform
    narrow = low.has("E") and operand.count == 1 and operand.register != NONE
    low.op["address_uniform_wide"] = operand.uniform_count == 2 or narrow


@lowers("LDG", "LDS", "LDL", "LD")
def _load(low: Lowering) -> None:
    low.only(*_SCOPES, *_CACHING, *_SIZES)
    _memory(low, Operation.LOAD)


def _data_register(low: Lowering, operands: Sequence[Operand], at: int) -> int:
    operand = operands[at]
    if operand.kind != OperandKind.REGISTER or operand.negate or operand.invert or operand.suffixes:
        raise Unsupported(f"data operand {operand.text}")
    return operand.register


@lowers("STG", "STS", "STL", "ST")
def _store(low: Lowering) -> None:
    low.only(*_SCOPES, *_CACHING, *_SIZES)
    _memory(low, Operation.STORE)
    low.op["data_register"] = _data_register(low, expect(low.data, 1), 0)


_ATOMICS = {"ADD": Atomic.ADD, "MIN": Atomic.MINIMUM, "MAX": Atomic.MAXIMUM, "AND": Atomic.AND, "OR": Atomic.OR}
_ATOMICS |= {"XOR": Atomic.XOR, "INC": Atomic.INCREMENT, "DEC": Atomic.DECREMENT, "EXCH": Atomic.EXCHANGE}
_ATOMICS |= {"CAS": Atomic.COMPARE_AND_SWAP, "CAST": Atomic.COMPARE_AND_SWAP_TEST, "POPC": Atomic.INCREMENT_ONE}


@lowers("ATOMG", "ATOMS", "ATOM", "RED", "REDG")
def _atomic(low: Lowering) -> None:
    types = {"S32": Number.SIGNED, "S64": Number.SIGNED, "F32": Number.FLOAT, "F64": Number.FLOAT}
    halves = ("F16x2", "F16x2.RN")
    low.only(*_SCOPES, *_CACHING, *_ATOMICS, *types, *halves, "U32", "U64", "32", "64", "FTZ", "RN", "SPIN")
    _memory(low, Operation.ATOMIC, predicate_result=low.has("CAST"))
    names = [m for m in low.ins.modifiers if m in _ATOMICS]
    if names not in (["POPC", "INC"], *([n] for n in _ATOMICS)):
        raise Unsupported("atomic operation")
    number = next((types[m] for m in low.ins.modifiers if m in types), Number.UNSIGNED)
    number = Number.HALVES if low.has(*halves) else number
    operation = _ATOMICS[names[0]]
    if number in (Number.FLOAT, Number.HALVES) and operation != Atomic.ADD:
        raise Unsupported("floating-point atomic other than ADD")
    low.op["variant"], low.op["extra"] = operation, number
    values = low.data
    if operation in (Atomic.COMPARE_AND_SWAP, Atomic.COMPARE_AND_SWAP_TEST):
        low.op["swap_register"] = _data_register(low, expect(values, 2), 1)
    if operation != Atomic.INCREMENT_ONE:
        low.op["data_register"] = _data_register(low, expect(values, 1, 2), 0)


@lowers("LDC", "ULDC", "LDCU")
def _load_constant(low: Lowering) -> None:
    low.only(*_SIZES)
    low.start(Operation.LOAD_CONSTANT)
    operand = expect(low.data, 1)[0]
    if operand.kind != OperandKind.CONSTANT or operand.descriptor != NONE or operand.bank not in low.bank_start:
        raise Unsupported(f"operand {operand.text}")
    record = low.op["source"][0]
    if operand.register != NONE:
        record["kind"], record["index"] = Kind.REGISTER, operand.register
    elif operand.uniform != NONE:
        record["kind"], record["index"] = Kind.UNIFORM, operand.uniform
    else:
        record["kind"] = Kind.IMMEDIATE
    low.op["variant"], low.op["immediate"] = operand.bank, operand.offset
    low.op["bytes"] = access_bytes(low.ins.mnemonic, low.ins.modifiers)
    low.op["signed"] = low.has("S8", "S16")


# ---------------------------------------------------------------- control flow


def _barrier_number(low: Lowering) -> int:
    found = [o.register for o in low.ins.operands if o.kind == OperandKind.CONVERGENCE_BARRIER]
    if len(found) != 1:
        raise Unsupported("convergence barrier operand")
    return found[0]


@lowers("BRA", "CALL", "JMP")
def _branch(low: Lowering) -> None:
    low.only("U", "DIV", "CONV", "REL", "NOINC")
    if low.ins.target < 0:
        raise Unsupported("branch target")
    low.op["immediate"] = low.ins.target
    if low.has("DIV", "CONV"):
        low.op["operation"], low.op["variant"] = Operation.BRANCH_DIVERGED, int(low.has("CONV"))
        if low.data:
            low.source(0, low.data[0])
        else:
            low.constant(0, ALL)
        return
    low.op["operation"] = Operation.BRANCH
    for slot, operand in enumerate(expect(low.predicates, 0, 1, 2)):
        low.predicate(slot, operand)


@lowers("RET", "BRX", "BRXU")
def _branch_indirect(low: Lowering) -> None:
    low.only("REL", "NODEC")
    register = next(o for o in low.ins.operands if o.kind in REGISTER_KINDS)
    low.op["operation"] = Operation.BRANCH_INDIRECT
    low.source(0, register)
    others = [o for o in low.ins.operands if o.kind in (OperandKind.TARGET, OperandKind.IMMEDIATE)]
    if low.ins.mnemonic == "RET":  # relative to the start of the function that the operand names
        if not low.has("REL") or len(others) != 1 or others[0].kind != OperandKind.TARGET:
            raise Unsupported("form of RET")
        low.op["immediate"] = others[0].value
    else:  # relative to the next instruction
        low.op["immediate"] = low.ins.pc + 16 + sum(o.value for o in others)


@lowers("EXIT")
def _exit(low: Lowering) -> None:
    low.only()
    low.op["operation"] = Operation.EXIT


@lowers("BSSY", "BSYNC", "BREAK")
def _convergence(low: Lowering) -> None:
    low.only("RECONVERGENT", "RELIABLE")
    low.op["operation"] = {
        "BSSY": Operation.SET_CONVERGENCE,
        "BSYNC": Operation.CONVERGE,
        "BREAK": Operation.BREAK,
    }[low.ins.mnemonic]
    low.op["variant"] = _barrier_number(low)
    if low.predicates:
        if low.ins.mnemonic != "BREAK":
            raise Unsupported("predicate operand")
        low.predicate(0, expect(low.predicates, 1)[0])


@lowers("YIELD")
def _yield(low: Lowering) -> None:
    low.only()
    low.op["operation"] = Operation.YIELD


@lowers("WARPSYNC")
def _warp_sync(low: Lowering) -> None:
    low.only("ALL")
    low.op["operation"] = Operation.WARP_SYNC
    if low.has("ALL"):
        low.constant(0, ALL)
    else:
        low.source(0, low.data[-1])


@lowers("BMOV")
def _move_barrier(low: Lowering) -> None:
    low.only("32", "CLEAR")
    saves = low.ins.operands[0].kind in REGISTER_KINDS
    low.start(Operation.SAVE_CONVERGENCE if saves else Operation.RESTORE_CONVERGENCE, _barrier_number(low))
    if saves:
        low.op["extra"] = low.has("CLEAR")
    else:
        low.source(0, expect(low.data, 1)[0])


@lowers("BAR")
def _block_barrier(low: Lowering) -> None:
    low.only("SYNC", "SYNCALL", "ARV", "RED", "POPC", "AND", "OR", "DEFER_BLOCKING")
    low.op["operation"] = Operation.BLOCK_BARRIER
    low.op["variant"] = WAIT
    if low.has("ARV"):
        low.op["variant"] = ARRIVE
    elif low.has("RED"):
        low.op["variant"] = REDUCE_AND if low.has("AND") else REDUCE_OR if low.has("OR") else REDUCE_COUNT
    values = expect(low.data, 0, 1, 2)
    for slot in range(2):
        if slot < len(values):
            low.source(slot, values[slot])
        else:
            low.constant(slot, 0)
    if low.predicates:
        low.predicate(0, expect(low.predicates, 1)[0])


@lowers("B2R")
def _barrier_result(low: Lowering) -> None:
    low.only("RESULT")
    low.start(Operation.BARRIER_RESULT)
