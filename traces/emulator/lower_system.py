"""Micro-operations of lane exchange, special registers, memory and control flow."""

from __future__ import annotations

from collections.abc import Sequence

from isa.operand import Operand, OperandKind
from isa.widths import access_bytes
from traces.emulator.atomics import Atomic, Number
from traces.emulator.control import ARRIVE, REDUCE_AND, REDUCE_COUNT, REDUCE_OR, WAIT
from traces.emulator.lanes import Special
from traces.emulator.lowering import PREDICATE_KINDS, REGISTER_KINDS, Lowering, Unsupported, expect, lowers
from traces.emulator.phase_barrier import DROPS, FROM_REGISTER, ONE, REMOVED, Barrier
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
    "SR_CgaCtaId": Special.RANK,
    "SR_SWINHI": Special.SHARED_WINDOW_HIGH,
    "SR_LWINHI": Special.LOCAL_WINDOW_HIGH,
    "SR_GLOBALTIMERLO": Special.GLOBAL_TIMER,
    "SR_GLOBALTIMERHI": Special.ZERO,
    "SR_SMEMSZ": Special.SHARED_BYTES,
    "SR_VIRTID": Special.VIRTUAL_WARP,
    "SR_VIRTCFG": Special.WARP_SLOTS,
    "SR_VIRTUALSMID": Special.ZERO,  # every block runs on SM 0
    "SR_CgaSize": Special.CLUSTER_SIZE,
}
_WARPS_PER_SM = {75: 32, 80: 64, 86: 48, 87: 48, 88: 48, 89: 48, 90: 64, 100: 64, 103: 64}  # CUDA C++ guide; else 48


@lowers("S2R", "S2UR", "CS2R", "CS2UR")
def _special_register(low: Lowering) -> None:
    low.only("32", "64")
    name = low.ins.sources[0].text
    if name not in _SPECIAL:
        raise Unsupported(f"special register {name}")
    low.start(Operation.SPECIAL_REGISTER, _SPECIAL[name], wide_result=low.ins.destinations[0].count == 2)
    low.op["extra"] = _WARPS_PER_SM.get(low.architecture, 48)


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
    operations = ("AND", "OR", "XOR", "SUM", "MIN", "MAX", "MINABS", "MAXABS")
    low.only(*operations, "S32", "U32", "F32", "NAN")
    operation = next((operations.index(m) for m in low.ins.modifiers if m in operations), 0)
    extremum = operations[operation][:3] in ("MIN", "MAX")
    if (low.has("F32") and not extremum) or (not low.has("F32") and operations[operation].endswith("ABS")):
        raise Unsupported("reduction")
    low.start(Operation.REDUCE, operation)
    low.op["extra"] = 1 if low.has("S32") else 2 if low.has("F32") else 0
    low.op["immediate"] = low.has("NAN")
    low.source(0, expect(low.data, 1)[0], "f32" if low.has("F32") else "u32")


@lowers("RPCMOV")
def _move_return_pc(low: Lowering) -> None:
    """Row 255 of the register file, which no instruction reaches as RZ, holds Rpc."""
    low.only("32")
    target, source = expect(low.ins.operands, 2)
    low.op["operation"], low.op["destination_kind"], low.op["destination_registers"] = Operation.MOVE, Kind.REGISTER, 1
    if target.text == "Rpc.LO" and source.kind == OperandKind.REGISTER:
        low.op["destination"] = NONE
        low.source(0, source)
    elif source.text == "Rpc.LO" and target.kind == OperandKind.REGISTER and target.register != NONE:
        low.op["destination"] = target.register
        low.op["source"][0]["kind"], low.op["source"][0]["index"] = Kind.REGISTER, NONE
    else:
        raise Unsupported("operands of RPCMOV")


@lowers("R2UR")
def _register_to_uniform(low: Lowering) -> None:
    low.only("FILL")
    low.start(Operation.FIRST_LANE)
    low.source(0, expect(low.data, 1)[0])


# ---------------------------------------------------------------- memory

_SPACES = {"LDG": Space.GLOBAL, "STG": Space.GLOBAL, "ATOMG": Space.GLOBAL, "REDG": Space.GLOBAL}
_SPACES |= {"LDS": Space.SHARED, "STS": Space.SHARED, "ATOMS": Space.SHARED, "REDS": Space.SHARED}
_SPACES |= {"LDL": Space.LOCAL, "STL": Space.LOCAL}
_SPACES |= {"LD": Space.GENERIC, "ST": Space.GENERIC, "ATOM": Space.GENERIC, "RED": Space.GENERIC}
SCOPES = ("E", "SYS", "GPU", "SM", "CTA", "STRONG", "WEAK", "MMIO", "CONSTANT", "U", "ENL2", "PRIVATE")
CACHING = ("EF", "EL", "LU", "EU", "NA", "LTC64B", "LTC128B", "LTC256B", "STREAM", "LASTUSE")
SIZES = ("U8", "S8", "U16", "S16", "32", "64", "128", "256")


def _memory(low: Lowering, operation: Operation, predicate_result: bool = False) -> None:
    """Space, width and address of a memory operand, and refusal of predicates that the form does not explain."""
    low.start(operation)
    low.op["space"] = _SPACES[low.ins.mnemonic]
    low.op["bytes"] = access_bytes(low.ins.mnemonic, low.ins.modifiers)
    low.op["signed"] = low.has("S8", "S16")
    if low.op["bytes"] == 32 and operation == Operation.ATOMIC:
        raise Unsupported("atomic of 32 bytes")
    predicates = [o for o in low.ins.operands if o.kind in PREDICATE_KINDS and o.register != TRUE]
    if any(not (predicate_result and o.is_destination) for o in predicates):
        raise Unsupported("predicate operand")
    memory_address(low, low.address, low.op["space"], low.op["bytes"])


def memory_address(low: Lowering, operand: Operand, space: int, size: int) -> None:
    """Space, width in bytes and address of an access."""
    if not set(operand.suffixes) <= {"U32"}:
        raise Unsupported(f"address {operand.text}")
    low.op["space"], low.op["bytes"] = space, size
    low.op["immediate"] = operand.offset
    low.op["address_register"] = operand.register
    low.op["address_wide"] = operand.count == 2
    low.op["address_scale"] = operand.scale
    low.op["address_uniform"] = operand.uniform
    narrow = low.has("E") and operand.count == 1 and (operand.register != NONE or "U32" in operand.suffixes)
    low.op["address_uniform_wide"] = operand.uniform_count == 2 or narrow


@lowers("LDG", "LDS", "LDL", "LD")
def _load(low: Lowering) -> None:
    low.only(*SCOPES, *CACHING, *SIZES)
    _memory(low, Operation.LOAD)
    if low.op["bytes"] == 32:  # the upper half is named first
        high, last = expect([o for o in low.ins.destinations if o.kind == OperandKind.REGISTER], 2)
        low.op["swap_register"] = high.register


def _data_register(low: Lowering, operands: Sequence[Operand], at: int) -> int:
    operand = operands[at]
    if operand.kind != OperandKind.REGISTER or operand.negate or operand.invert or operand.suffixes:
        raise Unsupported(f"data operand {operand.text}")
    return operand.register


@lowers("STG", "STS", "STL", "ST")
def _store(low: Lowering) -> None:
    low.only(*SCOPES, *CACHING, *SIZES)
    _memory(low, Operation.STORE)
    values = low.data
    if low.op["bytes"] == 32:
        low.op["swap_register"] = _data_register(low, expect(values, 2), 1)
    low.op["data_register"] = _data_register(low, values, 0)


_ATOMICS = {"ADD": Atomic.ADD, "MIN": Atomic.MINIMUM, "MAX": Atomic.MAXIMUM, "AND": Atomic.AND, "OR": Atomic.OR}
_ATOMICS |= {"XOR": Atomic.XOR, "INC": Atomic.INCREMENT, "DEC": Atomic.DECREMENT, "EXCH": Atomic.EXCHANGE}
_ATOMICS |= {"CAS": Atomic.COMPARE_AND_SWAP, "CAST": Atomic.COMPARE_AND_SWAP_TEST, "POPC": Atomic.INCREMENT_ONE}
_ATOMICS |= {"ARRIVE": Atomic.ARRIVE}


_NUMBERS = {"S32": Number.SIGNED, "S64": Number.SIGNED, "F64": Number.DOUBLE}
_NUMBERS |= {f"F32{n}": Number.FLOAT for n in ("", "x2", "x4")}
_NUMBERS |= {f"F16x{n}": Number.HALVES for n in (2, 4, 8)} | {f"BF16x{n}": Number.BFLOATS for n in (2, 4, 8)}


@lowers("ATOMG", "ATOMS", "ATOM", "RED", "REDG", "REDS")
def _atomic(low: Lowering) -> None:
    low.only(*SCOPES, *CACHING, *_ATOMICS, *_NUMBERS, "U32", "U64", "32", "64", "128", "FTZ", "RN", "SPIN")
    generic = low.ins.mnemonic == "ATOM"
    _memory(low, Operation.ATOMIC, predicate_result=low.has("CAST") or generic)
    names = [m for m in low.ins.modifiers if m in _ATOMICS]
    if names not in (["POPC", "INC"], *([n] for n in _ATOMICS)):
        raise Unsupported("atomic operation")
    number = next((_NUMBERS[m] for m in low.ins.modifiers if m in _NUMBERS), Number.UNSIGNED)
    operation = _ATOMICS[names[0]]
    packed = number in (Number.HALVES, Number.BFLOATS)
    allowed = (Atomic.ADD, Atomic.MINIMUM, Atomic.MAXIMUM) if packed else (Atomic.ADD,)
    if (number > Number.SIGNED and operation not in allowed) or (
        low.has("128") and operation not in (Atomic.EXCHANGE, Atomic.COMPARE_AND_SWAP)
    ):
        raise Unsupported("operation on this type")
    if number == Number.FLOAT and low.has("FTZ"):
        number = Number.FLUSHED_FLOAT
    if generic and low.has("CAST") and low.op["predicate_destination"][0] != NONE:
        raise Unsupported("predicate destination")
    low.op["variant"], low.op["extra"] = operation, number
    if operation == Atomic.ARRIVE and not low.has("64"):
        raise Unsupported("arrival of 32 bits")
    if operation in (Atomic.INCREMENT_ONE, Atomic.ARRIVE):
        return
    values = low.data
    if operation in (Atomic.COMPARE_AND_SWAP, Atomic.COMPARE_AND_SWAP_TEST):
        low.op["swap_register"] = _data_register(low, expect(values, 2), 1)
    low.op["data_register"] = _data_register(low, expect(values, 1, 2), 0)


@lowers("QSPC")
def _query_space(low: Lowering) -> None:
    """True where a generic address lies in the space; .D is the shared memory of other blocks of a cluster."""
    spaces = {"G": Space.GLOBAL, "S": Space.SHARED, "L": Space.LOCAL, "D": Space.GENERIC}
    low.only("E", *spaces)
    low.start(Operation.QUERY_SPACE, next(spaces[m] for m in low.ins.modifiers if m in spaces))
    memory_address(low, low.address, Space.GENERIC, 1)
    low.op["destination_kind"] = Kind.NONE


@lowers("LDC", "ULDC", "LDCU")
def _load_constant(low: Lowering) -> None:
    low.only(*SIZES)
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


_TRANSACTIONS = {"A1T0": ONE, "ART0": FROM_REGISTER, "A0T1": ONE << 2, "A0TR": FROM_REGISTER << 2, "A0TX": REMOVED << 2}


@lowers("SYNCS", "ARRIVES")
def _phase_barrier(low: Lowering) -> None:
    low.only(*_TRANSACTIONS, "EXCH", "64", "ARRIVE", "TRANS64", "RED", "OPTOUT", "PHASECHK", "TRYWAIT", "CCTL", "IV",
             "LDGSTSBAR", "TRANSCNT", "ARVCNT")  # fmt: skip
    if low.has("CCTL"):
        low.op["operation"] = Operation.NOTHING
        return
    low.start(Operation.PHASE_BARRIER)
    memory_address(low, low.address, Space.SHARED, 8)
    if low.ins.mnemonic == "ARRIVES":  # the copies before it are complete
        variant = Barrier.ARRIVE if low.has("TRANSCNT", "ARVCNT") else Barrier.ARRIVE_80
        low.constant(0, 1)
        low.op["extra"] = REMOVED << 2 if low.has("TRANSCNT") else ONE
    elif low.has("EXCH"):
        variant = Barrier.EXCHANGE
        low.source(0, expect(low.data, 1)[0], "u64")
    elif low.has("PHASECHK"):
        variant = Barrier.TRY if low.has("TRYWAIT") else Barrier.TEST
        low.source(0, expect(low.data, 1)[0])
    elif low.has("ARRIVE"):
        variant = Barrier.ARRIVE
        low.source(0, expect(low.data, 1)[0])
        named = [m for m in low.ins.modifiers if m in _TRANSACTIONS]
        low.op["extra"] = _TRANSACTIONS[named[0]] if named else ONE | FROM_REGISTER << 2
        low.op["extra"] |= DROPS if low.has("OPTOUT") else 0
        if low.op["destination_kind"] != Kind.NONE:  # the old word, a register pair
            low.op["destination_registers"] = 2
    else:
        raise Unsupported("form of SYNCS")
    low.op["variant"] = variant


# ---------------------------------------------------------------- control flow


@lowers("BPT")
def _trap(low: Lowering) -> None:
    raise Unsupported("a trap ends the kernel")


@lowers("LEPC")
def _code_address(low: Lowering) -> None:
    raise Unsupported("addresses of code")


def _barrier_number(low: Lowering) -> int:
    found = [o.register for o in low.ins.operands if o.kind == OperandKind.CONVERGENCE_BARRIER]
    if len(found) != 1:
        raise Unsupported("convergence barrier operand")
    return found[0]


@lowers("BRA", "CALL", "JMP")
def _branch(low: Lowering) -> None:
    low.only("U", "DIV", "CONV", "REL", "NOINC", "ANY")
    if low.ins.mnemonic == "CALL" and low.data:
        start = expect([o for o in low.ins.operands if o.kind == OperandKind.TARGET], 1)[0]
        low.op["operation"], low.op["immediate"] = Operation.BRANCH_INDIRECT, start.value
        low.source(0, expect(low.data, 1)[0])
        return
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
    low.op["operation"], low.op["variant"] = Operation.BRANCH, int(low.has("ANY"))
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
    low.only("KEEPREFCOUNT", "PREEMPTED", "NO_ATEXIT")
    low.op["operation"] = Operation.EXIT
    for slot, operand in enumerate(expect(low.predicates, 0, 1)):
        low.predicate(slot, operand)


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


@lowers("YIELD", "NANOSLEEP")
def _yield(low: Lowering) -> None:
    low.only("WARP", "SYNCS")
    low.op["operation"] = Operation.YIELD if low.ins.mnemonic == "YIELD" else Operation.SLEEP


@lowers("WARPSYNC")
def _warp_sync(low: Lowering) -> None:
    """.COLLECTIVE and .EXCLUSIVE run the lanes of each mask apart from the others."""
    low.only("ALL", "COLLECTIVE", "EXCLUSIVE")
    low.op["operation"], low.op["variant"] = Operation.WARP_SYNC, int(low.has("COLLECTIVE", "EXCLUSIVE"))
    if low.has("ALL"):
        low.constant(0, ALL)
    else:
        low.source(0, low.data[0])


@lowers("ELECT")
def _elect(low: Lowering) -> None:
    """The lowest lane that runs becomes the leader."""
    low.only()
    low.start(Operation.ELECT)
    low.predicate(0, expect(low.predicates, 0, 1)[0] if low.predicates else None)


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
