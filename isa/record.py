"""Fill the INSTRUCTION record of `isa.program` from a decoded instruction."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from isa.latency import ConsumerClass, ProducerClass
from isa.opcodes import Opcode, consumer_class, find_opcode, is_wide, producer_class, tensor_shape
from isa.operand import Instruction, OperandKind
from isa.program import (
    INSTRUCTION,
    NO_COUNTER,
    NO_PREDICATE,
    NO_REGISTER,
    Access,
    CacheHint,
    Flag,
    MemorySpace,
)
from isa.widths import access_bytes, matrices

_KIND = OperandKind
_BLOCK_BARRIERS = ("SYNC", "RED", "SCAN")


def blank_record() -> np.void:
    """A record with nothing in it: no operands, always executed, no counters, not wide, not memory."""
    record: np.void = np.zeros(1, INSTRUCTION)[0]
    for name in ("source", "destination", "uniform_source"):
        record[name][:] = NO_REGISTER
    record["uniform_destination"] = NO_REGISTER
    record["guard"] = NO_PREDICATE
    record["constant_bank"] = -1
    record["stall"] = 1
    for name in ("write_counter", "read_counter", "depbar_counter"):
        record[name] = NO_COUNTER
    record["target"] = -1
    return record


def describe_opcode(record: np.void, opcode: Opcode, modifiers: tuple[str, ...], architecture: int) -> None:
    """Set everything that follows from mnemonic, modifiers and architecture alone."""
    flags = opcode.flags
    if is_wide(opcode.mnemonic, modifiers):
        flags |= Flag.WIDE
    if opcode.mnemonic == "BAR":
        if "ARV" in modifiers:
            flags |= Flag.BARRIER_ARRIVE
        elif any(m in modifiers for m in _BLOCK_BARRIERS) or not modifiers:
            flags |= Flag.BLOCK_BARRIER
    record["mnemonic"] = opcode.number
    record["unit"] = opcode.unit
    record["variable_latency"] = architecture in opcode.counter
    record["flags"] = flags
    produces = producer_class(opcode, modifiers, architecture)
    record["produces"] = produces
    record["produces_high"] = ProducerClass.WIDE_HIGH if produces == ProducerClass.WIDE_LOW else produces
    consumes = consumer_class(opcode, modifiers)
    record["consumes"][:] = consumes
    if consumes == ConsumerClass.WIDE_AB:
        record["consumes"][2] = ConsumerClass.WIDE_C
    record["consumes_predicate"] = ConsumerClass.FMA if consumes == ConsumerClass.WIDE_AB else consumes
    record["space"], record["access"] = opcode.space, opcode.access
    if opcode.access in (Access.LOAD, Access.STORE, Access.ATOMIC, Access.REDUCTION, Access.ASYNC_COPY):
        record["access_bytes"] = access_bytes(opcode.mnemonic, modifiers)
    elif opcode.access in (Access.MATRIX_LOAD, Access.MATRIX_STORE):
        record["access_bytes"] = 16  # each of the first 8 x matrices lanes names a 16-byte row
        record["matrices"] = matrices(modifiers)
    elif opcode.access == Access.BULK_COPY:
        record["space"] = _copy_target(opcode.mnemonic, modifiers)
    record["cache_hint"] = _cache_hint(modifiers)
    shape = tensor_shape(opcode.mnemonic, modifiers)
    if shape:
        record["tensor_kind"] = shape.kind
        record["tensor_m"], record["tensor_n"], record["tensor_k"] = shape.m, shape.n, shape.k
        record["tensor_bits"], record["tensor_accumulator_bits"] = shape.bits, shape.accumulator_bits
        record["tensor_sparse"] = shape.sparse


def _copy_target(mnemonic: str, modifiers: tuple[str, ...]) -> MemorySpace:
    if mnemonic in ("UBLKPF", "UTMAPF"):
        return MemorySpace.NONE
    return MemorySpace.SHARED if mnemonic == "UTMALDG" or modifiers[:1] == ("S",) else MemorySpace.GLOBAL


def _cache_hint(modifiers: Iterable[str]) -> CacheHint:
    present = set(modifiers)
    if "BYPASS" in present:
        return CacheHint.BYPASS_L1
    if "STRONG" in present:
        return (
            CacheHint.STRONG_SYS
            if "SYS" in present
            else CacheHint.STRONG_GPU
            if present & {"GPU", "VC"}
            else CacheHint.STRONG_SM
        )
    if "CONSTANT" in present:
        return CacheHint.READ_ONLY
    if present & {"EF", "NA"}:
        return CacheHint.EVICT_FIRST
    return CacheHint.EVICT_LAST if "EL" in present else CacheHint.DEFAULT


def _fill_registers(record: np.void, name: str, slot: int, register: int, count: int) -> int:
    """Put a register into its slot, or the next free one; returns the slot, -1 if there is nothing to place."""
    if register == NO_REGISTER or count == 0:
        return -1
    values = record[name]
    free = [s for s in ((slot,) if slot >= 0 else ()) if values[s] == NO_REGISTER] or [
        s for s in range(len(values)) if values[s] == NO_REGISTER
    ]
    if free:
        values[free[0]] = register
        record[f"{name}_registers"][free[0]] = count
    return free[0] if free else -1


def build_record(instruction: Instruction, architecture: int) -> np.void:
    """INSTRUCTION record of a decoded instruction, control bits and source line excluded."""
    record = blank_record()
    opcode = find_opcode(instruction.mnemonic)
    describe_opcode(record, opcode, instruction.modifiers, architecture)
    record["pc"] = instruction.pc
    record["guard"] = instruction.guard
    record["guard_uniform"] = instruction.guard_uniform
    record["target"] = instruction.target if 0 <= instruction.target < 1 << 31 else -1
    predicates = {"predicate_sources": 0, "predicate_destinations": 0}
    uniform_predicates = {"uniform_predicate_sources": 0, "uniform_predicate_destinations": 0}
    destination = 0
    for o in instruction.operands:
        if o.kind in (_KIND.PREDICATE, _KIND.UNIFORM_PREDICATE):
            if o.register != NO_PREDICATE:
                role = "destinations" if o.is_destination else "sources"
                bank = predicates if o.kind == _KIND.PREDICATE else uniform_predicates
                bank[f"{'' if bank is predicates else 'uniform_'}predicate_{role}"] |= 1 << o.register
        elif o.is_destination and o.kind == _KIND.REGISTER:
            if o.register != NO_REGISTER:
                record["destination"][destination] = o.register
                record["destination_registers"][destination] = o.count
            destination += 1
        elif o.is_destination and o.kind == _KIND.UNIFORM_REGISTER:
            if o.register != NO_REGISTER:
                record["uniform_destination"] = o.register
                record["uniform_destination_registers"] = o.count
        elif o.kind == _KIND.REGISTER:
            _fill_registers(record, "source", o.slot, o.register, o.count)
        elif o.kind == _KIND.UNIFORM_REGISTER:
            _fill_registers(record, "uniform_source", o.slot, o.register, o.count)
        elif o.kind == _KIND.MATRIX_DESCRIPTOR:
            _fill_registers(record, "uniform_source", o.slot, o.uniform, o.count)
            _fill_registers(record, "source", o.slot, o.register, 1)
        elif o.kind in (_KIND.ADDRESS, _KIND.CONSTANT):
            _fill_registers(record, "source", -1, o.register, o.count)
            _fill_registers(record, "uniform_source", -1, o.uniform, o.uniform_count)
            slot = _fill_registers(record, "uniform_source", -1, o.descriptor, 2)
            if o.kind == _KIND.CONSTANT:
                if slot >= 0 and record["source"][slot] == NO_REGISTER:
                    record["consumes"][slot] = ConsumerClass.CONSTANT_ADDRESS
                record["constant_bank"], record["constant_offset"] = o.bank, o.offset
                record["address_registers"] = o.count if o.register != NO_REGISTER else 0
            elif o.register != NO_REGISTER:
                record["address_registers"] = max(int(record["address_registers"]), o.count)
                if o.count == 2:
                    record["flags"] |= Flag.ADDRESS_64
    if instruction.mnemonic in ("P2R", "R2P"):  # moves of the predicates that the mask names, 7 at most
        masks = [o.value for o in instruction.operands if o.kind == _KIND.IMMEDIATE]
        role = "sources" if instruction.mnemonic == "P2R" else "destinations"
        predicates[f"predicate_{role}"] = (masks[-1] if masks else 0x7F) & 0x7F
    for name, mask in (predicates | uniform_predicates).items():
        record[name] = mask
    _fill_barriers(record, instruction)
    return record


def _fill_barriers(record: np.void, instruction: Instruction) -> None:
    operands = instruction.operands
    if instruction.mnemonic == "DEPBAR":
        for o in operands:
            if o.kind == _KIND.SCOREBOARD and o.text.startswith("{"):
                record["depbar_mask"] = o.value
            elif o.kind == _KIND.SCOREBOARD:
                record["depbar_counter"] = o.register
            elif o.kind == _KIND.IMMEDIATE:
                record["depbar_threshold"] = o.value
    elif instruction.mnemonic == "USETMAXREG":
        registers = next((o.value for o in operands if o.kind == _KIND.IMMEDIATE), 0)
        record["barrier_threads"] = -registers if "DEALLOC" in instruction.modifiers else registers
    elif instruction.mnemonic == "BAR":
        numbers = [o for o in operands if o.kind in (_KIND.IMMEDIATE, _KIND.REGISTER, _KIND.UNIFORM_REGISTER)]
        if numbers:
            record["barrier"] = numbers[0].value if numbers[0].kind == _KIND.IMMEDIATE else 255
        if len(numbers) > 1:
            record["barrier_threads"] = numbers[1].value if numbers[1].kind == _KIND.IMMEDIATE else -1
