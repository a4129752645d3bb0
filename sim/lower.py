"""From a static program and a configuration to the small integer records that the timing kernels read."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from configs.schema import Config, Dependence
from isa.errors import SubcoreError
from isa.latency import (
    ConsumerClass,
    ProducerClass,
    overwrite_latency,
    predicate_latency,
    register_latency,
    uniform_latency,
    uniform_predicate_latency,
)
from isa.opcodes import MNEMONICS
from isa.program import (
    NO_COUNTER,
    NO_PREDICATE,
    NO_REGISTER,
    Access,
    Flag,
    MemorySpace,
    Program,
    TensorKind,
    Unit,
)
from sim.async_state import Async
from sim.lower_async import BULK_COPIES, PHASE_BARRIERS, map_dimensions, request_of, set_traits
from sim.lower_tensor import chain_cycles, operand_cycles, tensor_interval, tensor_latency
from sim.state import (
    BANKS,
    GROUP_COUNTER,
    NONE,
    PREDICATE_ENTRY,
    UNIFORM_ENTRY,
    UNIFORM_PREDICATE_ENTRY,
    Path,
    record_dtype,
)

OP = record_dtype(
    [
        ("unit", "i2"),
        ("second_unit", "i2"),  # another unit that may take it, 0 = none
        ("path", "i2"),
        ("counted_as", "i2"),
        ("line", "i4"),  # of the code, as the L0 instruction cache numbers it
        ("traits", "i4"),  # Flag members (`flags` is an attribute of numpy records)
        ("stall_cycles", "i2"),  # issue -> earliest issue of the next instruction of the warp
        ("port_busy_cycles", "i2"),
        ("interval_cycles", "i2"),
        ("latency_cycles", "i4"),
        ("read_window", "i2"),
        ("variable_latency", "i2"),
        ("long_latency", "i2"),
        ("tracked", "i2"),  # scoreboard mode
        ("write_counter", "i2"),
        ("read_counter", "i2"),
        ("wait_mask", "i2"),
        ("reuse", "i2"),
        ("uses_reuse", "i2"),
        ("operands", "i2"),  # register operand slots in use
        ("source", "i2", (4,)),
        ("source_registers", "i2", (4,)),
        ("result", "i2"),  # first register written
        ("chain_cycles", "i2"),  # issue -> issue of the next one on its accumulator, 0 = no limit
        ("result_banks", "i2"),  # bit per register bank written
        ("bank_writes", "i2", (BANKS,)),  # registers written in each
        ("packed_writes", "i8"),  # the same, a byte for each bank
        ("many_writes", "i2"),  # more to a bank than it has write ports
        ("packed_reads", "i8"),  # register-file reads without the reuse cache, a byte for each bank
        ("produces", "i2"),
        ("constant_line", "i4"),
        ("depbar_counter", "i2"),
        ("depbar_threshold", "i2"),
        ("depbar_mask", "i2"),
        ("barrier", "i2"),
        ("barrier_threads", "i2"),
        ("space", "i2"),
        ("access", "i2"),
        ("bytes", "i2"),
        ("hint", "i2"),
        ("request", "i2"),  # sim.async_state.Async
        ("matrices", "i2"),
        ("is_cached", "i2"),
        ("is_copy", "i2"),
        ("is_queued", "i2"),  # waits for its unit in a queue, not in the control stage
        ("commits_copies", "i2"),
        ("address_cycles", "i2"),
        ("accept_cycles", "i2"),  # the shared unit accepts nothing else for so long
        ("leave_cycles", "i2"),  # issue -> leaves the sub-core
        ("read_cycles", "i2"),  # issue -> sources may be overwritten
        ("done_cycles", "i4"),  # issue -> result may be used, on a hit
        ("reads_first", "i4"),
        ("reads", "i2"),
        ("writes_first", "i4"),
        ("writes", "i2"),
    ]
)


class Code(NamedTuple):
    """A program as the kernels see it."""

    op: np.ndarray  # the first fields of sim.run.Run, in its order
    read_entry: np.ndarray
    read_class: np.ndarray
    write_entry: np.ndarray
    write_class: np.ndarray
    latency: np.ndarray
    overwrite: np.ndarray
    length: int
    pc_step: int
    tracked: int


# Minimum issue distance behind control instructions, as the compiler emits it on every architecture; used where a
# trace has no control bits.
_CONTROL_STALLS = {
    "BRA": 5, "BRX": 5, "JMP": 5, "JMX": 5, "EXIT": 5, "BSYNC": 5, "CALL": 5, "RET": 5, "BREAK": 5, "SYNC": 5,
    "BAR": 6, "MEMBAR": 6, "DEPBAR": 4,
}  # fmt: skip
_FP32 = frozenset({"FFMA", "FADD", "FMUL", "FFMA32I", "FADD32I", "FMUL32I", "FSWZADD"})
# Half rate on 12.0 where integer additions have the full one (CUDA best practices guide 13.4, arithmetic throughput).
_ONE_PIPE = frozenset({"LOP3", "LOP32I", "SHF", "FMNMX", "FMNMX3"})
_MUFU = frozenset({"MUFU"})
# Timed by memory_unit.other, a guess.
_OTHER_MEMORY = frozenset(
    {"CCTL", "CCTLL", "CCTLT", "QSPC", "GETLMEMBASE", "SETLMEMBASE", "SETCTAID", "B2R", "R2B", "LDGDEPBAR"}
)
_WAITS_LONG = frozenset({MemorySpace.GLOBAL, MemorySpace.LOCAL, MemorySpace.GENERIC, MemorySpace.TEXTURE})
_CACHED = frozenset({MemorySpace.GLOBAL, MemorySpace.LOCAL, MemorySpace.GENERIC})
_CACHED_ACCESS = frozenset({Access.LOAD, Access.STORE, Access.ATOMIC, Access.REDUCTION, Access.ASYNC_COPY})
# Unit -> counter of instructions issued to it, relative to Counter.ISSUE_FMA.
_COUNTED = {Unit.FMA: 0, Unit.ALU: 1, Unit.FP16: 2, Unit.FP64: 3, Unit.SFU: 4, Unit.TENSOR: 5, Unit.UNIFORM: 6,
            Unit.BRANCH: 7, Unit.MEMORY: 8}  # fmt: skip
_OTHER = 9


def uses_scoreboard(program: Program, config: Config) -> bool:
    """Whether dependences come from the latency tables: chosen, or because the trace has no control bits."""
    mode = Dependence[config.issue.dependence]
    if mode == Dependence.control_bits and not program.has_control_bits:
        raise SubcoreError(
            f"issue.dependence = control_bits, but the trace of {program.kernel} has none: "
            "capture it from a cubin, or use issue.dependence = auto"
        )
    return mode == Dependence.scoreboard or not program.has_control_bits


def lower(program: Program, config: Config) -> Code:
    """Resolve every knob that an instruction's timing depends on."""
    tracked = uses_scoreboard(program, config)
    op = np.zeros(len(program), OP)
    reads: list[tuple[int, int]] = []
    writes: list[tuple[int, int]] = []
    for index, record in enumerate(program.instructions):
        mnemonic = MNEMONICS[record["mnemonic"]]
        target = op[index]
        target["line"] = index * program.pc_step // config.fetch.line_bytes
        _common(target, record, mnemonic, tracked, program, config)
        set_traits(target, record, mnemonic, program.text[index])
        if target["path"] == Path.MEMORY:
            _memory(target, record, mnemonic, program.text[index], config)
        else:
            _execution(target, record, mnemonic, program.text[index], program.architecture, config)
        target["reads_first"], target["writes_first"] = len(reads), len(writes)
        if record["tensor_kind"] == TensorKind.HGMMA or "WARPGROUP.DEPBAR" in program.text[index]:
            _warpgroup(target, record, program.text[index])
        elif tracked:
            reads += _reads(record)
            writes += _writes(record)
        target["reads"] = len(reads) - target["reads_first"]
        target["writes"] = len(writes) - target["writes_first"]
    tables = [
        table(program.architecture)
        for table in (register_latency, uniform_latency, predicate_latency, uniform_predicate_latency)
    ]
    read = np.array(reads, np.int32).reshape(-1, 2)
    write = np.array(writes, np.int32).reshape(-1, 2)
    overwrite = np.array(
        [[overwrite_latency(a, b, ConsumerClass.ALU) for b in ProducerClass] for a in ProducerClass], np.int32
    )
    return Code(
        op,
        np.ascontiguousarray(read[:, 0]),
        np.ascontiguousarray(read[:, 1]),
        np.ascontiguousarray(write[:, 0]),
        np.ascontiguousarray(write[:, 1]),
        np.stack(tables).astype(np.int32),
        overwrite,
        len(program),
        program.pc_step,
        int(tracked),
    )


def _common(target, record, mnemonic: str, tracked: bool, program: Program, config: Config) -> None:
    unit = Unit(record["unit"])
    flags = Flag(int(record["flags"]))
    variable = bool(record["variable_latency"])
    target["unit"] = unit
    target["counted_as"] = _COUNTED.get(unit, _OTHER)
    target["traits"] = int(flags)
    if flags & Flag.COPY_COMMIT:
        target["path"] = Path.FIXED
    elif unit in (Unit.MEMORY, Unit.TEXTURE):
        target["path"] = Path.MEMORY
    elif variable and unit not in (Unit.NONE, Unit.BRANCH, Unit.BARRIER):
        target["path"] = Path.UNIT
    else:
        target["path"] = Path.FIXED
    target["variable_latency"] = target["path"] != Path.FIXED
    target["produces"] = ProducerClass.VARIABLE if target["variable_latency"] else record["produces"]
    target["tracked"] = tracked
    target["write_counter"] = target["read_counter"] = NO_COUNTER
    target["stall_cycles"] = _CONTROL_STALLS.get(mnemonic, 1)
    if not tracked:
        target["stall_cycles"] = _stall(int(record["stall"]), bool(record["yield_hint"]), config)
        for name in ("write_counter", "read_counter", "wait_mask"):
            target[name] = record[name]
    target["commits_copies"] = bool(flags & Flag.COPY_COMMIT)
    if target["commits_copies"] and target["write_counter"] == NO_COUNTER:
        target["write_counter"] = 0  # LDGDEPBAR counts on SB0
    for name in ("depbar_counter", "depbar_threshold", "depbar_mask", "barrier", "barrier_threads"):
        target[name] = record[name]
    if flags & Flag.DEPENDENCE_BARRIER and target["depbar_counter"] == NO_COUNTER:
        target["depbar_counter"] = 0
    target["constant_line"] = NONE
    if record["constant_bank"] >= 0:
        address = (int(record["constant_bank"]) << 16) + max(0, int(record["constant_offset"]))
        target["constant_line"] = address // config.constant.line_bytes
    target["source"] = NO_REGISTER
    slots = [s for s in range(4) if record["source"][s] != NO_REGISTER and record["source_registers"][s]]
    target["operands"] = slots[-1] + 1 if slots else 0
    for s in slots:
        target["source"][s] = record["source"][s]
        target["source_registers"][s] = record["source_registers"][s]
    target["result"] = record["destination"][0]
    target["chain_cycles"] = chain_cycles(record, config)
    target["reuse"] = record["reuse"]
    target["uses_reuse"] = bool(flags & Flag.REUSE_CACHE)
    for first, count in zip(record["destination"], record["destination_registers"], strict=True):
        if first != NO_REGISTER:
            for register in range(int(first), int(first) + int(count)):
                bank = register % config.registers.banks
                target["result_banks"] |= 1 << bank
                target["bank_writes"][bank] += 1
                target["packed_writes"] += 1 << 8 * bank
    target["many_writes"] = max(target["bank_writes"]) > config.registers.write_ports
    for register in _registers_read(target):
        target["packed_reads"] += 1 << 8 * (register % config.registers.banks)
    target["read_window"] = max(
        config.registers.read_window_cycles, operand_cycles(record, config), _fewest_read_cycles(target, config)
    )


def _registers_read(target) -> set[int]:
    """Operand positions that name the same register share its read."""
    return {
        register
        for first, count in zip(target["source"], target["source_registers"], strict=True)
        for register in range(int(first), int(first) + int(count))
    }


def _fewest_read_cycles(target, config: Config) -> int:
    """Cycles that the registers of the fullest bank need at the least."""
    reads = [0] * config.registers.banks
    for first, count in zip(target["source"], target["source_registers"], strict=True):
        for register in range(int(first), int(first) + int(count)):
            reads[register % len(reads)] += 1
    return -(-max(reads) // config.registers.read_ports)


def _warpgroup(target, record, text: str) -> None:
    """wgmma: registers of a group are free when its counter says so; gsb0 on the last of a group raises it.

    Of a trace without operands every one does.
    """
    if record["tensor_kind"] == TensorKind.HGMMA:
        target["is_queued"] = 1
        if "gsb0" in text or "," not in text:
            target["write_counter"] = GROUP_COUNTER
        return
    target["traits"] |= int(Flag.DEPENDENCE_BARRIER)
    target["depbar_counter"], target["depbar_mask"] = GROUP_COUNTER, 0
    found = re.search(r",\s*(0x[0-9a-f]+|\d+)", text)
    target["depbar_threshold"] = int(found[1], 0) if found else 0


def _stall(stall: int, yields: bool, config: Config) -> int:
    """Issue distance from the stall count and yield bits (MICRO 2025, section 4)."""
    if stall == 0 and yields:
        return config.issue.stall0_yield_cycles + 1
    if stall > 11 and not yields:
        return 2  # "one or two cycles"; the compiler never emits it
    return max(stall, 2 if yields else 1)


def _execution(target, record, mnemonic: str, text: str, architecture: int, config: Config) -> None:
    unit = Unit(record["unit"])
    execute = config.execute
    conversion = unit == Unit.SFU and mnemonic not in _MUFU
    target["interval_cycles"] = {
        Unit.FMA: execute.fma_interval_cycles,
        Unit.ALU: execute.alu_interval_cycles,
        Unit.FP16: execute.fp16_interval_cycles,
        Unit.FP64: execute.fp64_interval_cycles,
        Unit.SFU: execute.conversion_interval_cycles if conversion else execute.sfu_interval_cycles,
        Unit.UNIFORM: execute.uniform_interval_cycles,
        Unit.BRANCH: execute.branch_interval_cycles,
        Unit.TENSOR: tensor_interval(record, text, config) if unit == Unit.TENSOR else 1,
        Unit.NONE: 1,  # leaves no unit busy: barriers and waits have their own times
        Unit.BARRIER: 1,
        Unit.MEMORY: 1,  # only the commits of copies come here
    }[unit]
    if unit == Unit.FMA and execute.fp32_on_alu and mnemonic in _FP32:
        target["second_unit"] = Unit.ALU
    elif unit == Unit.ALU and execute.unified_integer and mnemonic not in _ONE_PIPE:
        target["second_unit"] = Unit.FMA
    if target["variable_latency"]:
        latencies = {
            Unit.FP64: execute.fp64_latency_cycles,
            Unit.SFU: execute.conversion_latency_cycles if conversion else execute.sfu_latency_cycles,
            Unit.UNIFORM: execute.uniform_latency_cycles,
            Unit.ALU: execute.uniform_latency_cycles,  # R2UR
        }
        if unit == Unit.TENSOR:
            latencies[unit] = tensor_latency(record, int(target["interval_cycles"]), config)
        if unit not in latencies:
            raise SubcoreError(f"{text or mnemonic}: no latency for a result of {unit.name} that a counter signals")
        target["latency_cycles"] = latencies[unit]
    else:
        same = register_latency(architecture)[record["produces"], record["consumes"][0]]
        target["latency_cycles"] = max(1, int(same))
    if Flag(int(record["flags"])) & Flag.MEMORY_BARRIER:
        barrier = config.barrier
        target["latency_cycles"] = (
            barrier.membar_sys_cycles
            if ".SYS" in text
            else barrier.membar_gpu_cycles
            if ".GPU" in text or ".GL" in text or ".VC" in text
            else barrier.membar_block_cycles
        )
    if Flag(int(record["flags"])) & Flag.WIDE:
        target["port_busy_cycles"] = config.issue.imad_wide_port_busy_cycles


def _memory(target, record, mnemonic: str, text: str, config: Config) -> None:
    unit = config.memory_unit
    space, access = MemorySpace(record["space"]), Access(record["access"])
    width = int(record["access_bytes"]) or 4
    uniform = record["address_registers"] == 0
    if access in (Access.MATRIX_LOAD, Access.MATRIX_STORE):
        width = 4 * max(1, int(record["matrices"]))  # a lane gets or gives a register per matrix
    for name in ("space", "access", "matrices"):
        target[name] = record[name]
    target["hint"] = record["cache_hint"]
    target["bytes"] = width
    target["long_latency"] = space in _WAITS_LONG
    target["is_cached"] = space in _CACHED and access in _CACHED_ACCESS
    target["is_copy"] = access == Access.ASYNC_COPY
    war, raw, interval = _distances(record, mnemonic, space, access, width, uniform, config)
    if space in _CACHED and not uniform and not int(record["flags"]) & Flag.ADDRESS_64 and access != Access.ASYNC_COPY:
        war = max(1, war - unit.address_32_saving_cycles)
        raw = max(0, raw - unit.address_32_saving_cycles)
    spacing = unit.uniform_address_cycles if uniform or space == MemorySpace.SHARED else unit.address_cycles
    if access in (Access.STORE, Access.MATRIX_STORE):
        # store data leave the sub-core at 64 bytes per cycle
        spacing = max(spacing, width * 32 // unit.writeback_bytes_per_cycle)
    target["interval_cycles"] = interval
    target["address_cycles"] = spacing
    # 32 lanes of SHFL per clock and SM (CUDA programming guide), where loads take two cycles
    target["accept_cycles"] = interval if access == Access.SHUFFLE else unit.accept_interval_cycles
    target["leave_cycles"] = max(2, min(unit.leave_cycles, war))
    target["read_cycles"] = war
    target["done_cycles"] = max(raw, target["leave_cycles"] + 1)
    target["request"] = request = request_of(record, mnemonic, text)
    if request in (Async.STORE, Async.REDUCE):
        target["is_copy"] = 1
    if Async.LOAD <= request <= Async.TO_CLUSTER:
        bulk = config.bulk_copy
        target["latency_cycles"] = bulk.start_cycles + map_dimensions(text) * bulk.map_dimension_cycles
    if request not in (Async.NONE, Async.GENERIC):
        target["space"] = MemorySpace.NONE  # its addresses are not those of a load


def _distances(record, mnemonic: str, space, access, width: int, uniform: bool, config: Config) -> tuple[int, ...]:
    """(WAR, RAW, interval in the shared unit) of a memory instruction, from the tables of the configuration."""
    unit = config.memory_unit
    suffix = "_uniform" if uniform else ""
    if access == Access.SHUFFLE:
        return unit.shuffle
    if access == Access.SPECIAL_REGISTER:
        return unit.special_register
    if access == Access.MATRIX_LOAD:
        war, raw, interval = unit.matrix_load
        return war, raw + unit.matrix_load_further_cycles * (max(1, int(record["matrices"])) - 1), interval
    if access == Access.MATRIX_STORE:
        return unit.matrix_store
    if access == Access.MATCH:
        return unit.match
    if space == MemorySpace.TEXTURE or record["unit"] == Unit.TEXTURE:
        return unit.other[0], config.execute.texture_latency_cycles, config.execute.texture_interval_cycles
    if space == MemorySpace.CONSTANT:
        table = unit.constant_load_immediate if uniform else unit.constant_load
    elif space == MemorySpace.SHARED and access in (Access.ATOMIC, Access.REDUCTION):
        return unit.shared_atomic[0], unit.shared_atomic[1], 1
    elif space == MemorySpace.SHARED and access in (Access.LOAD, Access.STORE):
        table = getattr(unit, f"shared_{access.name.lower()}{suffix}")
    elif access == Access.ASYNC_COPY:
        table = unit.async_copy
    elif access in (Access.STORE, Access.REDUCTION):
        table = getattr(unit, f"global_store{suffix}")
    elif access in (Access.LOAD, Access.ATOMIC):
        table = getattr(unit, f"global_load{suffix}")
    elif mnemonic in ("REDUX", "CREDUX", "VOTE"):
        return unit.vote
    elif mnemonic in PHASE_BARRIERS:
        return config.bulk_copy.mbarrier
    elif mnemonic in BULK_COPIES:
        return config.bulk_copy.instruction
    elif mnemonic in _OTHER_MEMORY or record["flags"] & Flag.UNKNOWN:
        return unit.other
    else:
        raise SubcoreError(f"{mnemonic} has no timing: name it in sim.lower, or in a table of [memory_unit]")
    column = 0 if width <= 4 else 1 if width == 8 else 2
    war = next((table[c] for c in range(column, -1, -1) if table[c]), table[0])
    raw = next((table[3 + c] for c in range(column, -1, -1) if table[3 + c]), 0)
    if access == Access.ATOMIC:
        raw += config.memory_unit.global_atomic_extra_cycles
    return war, raw, 1


def _reads(record) -> list[tuple[int, int]]:
    """Scoreboard entries read, with the ConsumerClass of each."""
    found: dict[tuple[int, int], None] = {}
    other = int(record["consumes_predicate"])
    for s in range(4):
        consumer = int(record["consumes"][s])
        first = int(record["source"][s])
        if first != NO_REGISTER:
            for i in range(int(record["source_registers"][s])):
                reads_as = consumer
                if consumer == ConsumerClass.WIDE_C:
                    reads_as = ConsumerClass.WIDE_C_HIGH if i else ConsumerClass.FMA
                if first + i < NO_REGISTER:
                    found.setdefault((first + i, int(reads_as)), None)
        first = int(record["uniform_source"][s])
        if first != NO_REGISTER:
            for i in range(int(record["uniform_source_registers"][s])):
                found.setdefault((UNIFORM_ENTRY + min(255, first + i), consumer), None)
    for base, mask in (
        (PREDICATE_ENTRY, int(record["predicate_sources"])),
        (UNIFORM_PREDICATE_ENTRY, int(record["uniform_predicate_sources"])),
    ):
        for bit in range(7):
            if mask >> bit & 1:
                found.setdefault((base + bit, other), None)
    if record["guard"] != NO_PREDICATE:
        base = UNIFORM_PREDICATE_ENTRY if record["guard_uniform"] else PREDICATE_ENTRY
        found.setdefault((base + int(record["guard"]), int(ConsumerClass.GUARD)), None)
    return list(found)


def _writes(record) -> list[tuple[int, int]]:
    """Scoreboard entries written, with the ProducerClass of each."""
    found = []
    low, high = int(record["produces"]), int(record["produces_high"]) or int(record["produces"])
    for first, count in zip(record["destination"], record["destination_registers"], strict=True):
        if first != NO_REGISTER:
            found += [(int(first) + i, high if i else low) for i in range(int(count)) if int(first) + i < NO_REGISTER]
    first = int(record["uniform_destination"])
    if first != NO_REGISTER:
        found += [
            (UNIFORM_ENTRY + min(255, first + i), low) for i in range(int(record["uniform_destination_registers"]))
        ]
    for base, mask in (
        (PREDICATE_ENTRY, int(record["predicate_destinations"])),
        (UNIFORM_PREDICATE_ENTRY, int(record["uniform_predicate_destinations"])),
    ):
        found += [(base + bit, low) for bit in range(7) if mask >> bit & 1]
    return found
