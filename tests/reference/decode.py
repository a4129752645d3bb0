"""What the reference model knows about one instruction, worked out from the static record and the knobs alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from configs.schema import Config
from isa.latency import (
    ConsumerClass,
    ProducerClass,
    predicate_latency,
    register_latency,
    uniform_latency,
    uniform_predicate_latency,
)
from isa.opcodes import MNEMONICS
from isa.program import NO_COUNTER, NO_PREDICATE, NO_REGISTER, Access, Flag, MemorySpace, Program, TensorKind, Unit

FIXED, UNIT, MEMORY = "fixed latency", "variable-latency unit", "memory"
TWO_PIPES = frozenset({"FFMA", "FADD", "FMUL"})
ONE_PIPE = frozenset({"LOP3", "SHF", "FMNMX"})  # integer operations that stay on their pipe on Blackwell
NOT_QUEUED = (Unit.NONE, Unit.BRANCH, Unit.BARRIER)
# Issue distance behind control instructions where a trace has no control bits, as the compiler emits it.
DISTANCE = {"BRA": 5, "EXIT": 5, "BAR": 6, "MEMBAR": 6, "DEPBAR": 4}
TABLE = {
    "register": register_latency,
    "uniform": uniform_latency,
    "predicate": predicate_latency,
    "uniform predicate": uniform_predicate_latency,
}
Name = tuple[str, int]  # a table and the number of a register or predicate


@dataclass
class Instruction:
    """One static instruction. Times in cycles; registers by number."""

    text: str
    path: str
    unit: Unit
    also_on: Unit | None  # a second pipe that takes it when its own is busy
    distance: int  # stall counter that it leaves behind
    yields: bool
    write_counter: int | None
    read_counter: int | None
    wait: list[int]
    depbar: tuple[int, int, list[int]] | None  # counter, threshold, further counters that must be zero
    sources: list[tuple[int, list[int], bool]]  # operand position, registers, reuse bit
    caches_operands: bool
    results: list[int]  # registers written
    window: int  # cycles in which the operands are read
    interval: int
    latency: int
    port_busy: int  # cycles that the issue port stays busy afterwards
    is_variable: bool
    counts_reads: bool = False  # by the scoreboard
    reads: set[tuple[Name, int]] = field(default_factory=set)  # scoreboard only: what, and how it is read
    writes: list[tuple[Name, ProducerClass]] = field(default_factory=list)
    produces: ProducerClass = ProducerClass.NONE
    distances: dict[str, Any] = field(default_factory=dict, repr=False)  # TABLE of the architecture
    is_barrier: bool = False
    membar: int | None = None
    accumulator: int | None = None  # register of a matrix instruction: first one read and written,
    chain: int = 0  # cycles to the next one that adds to it
    # memory
    is_shared: bool = False
    matrices: int = 0  # LDSM
    lane_cycles: int = 0  # atomic: for each further lane on the same word
    is_load: bool = False
    waits_long: bool = False  # global, local or texture
    width: int = 4  # bytes per lane
    war: int = 0  # issue -> sources may be overwritten
    leave: int = 0  # issue -> leaves the sub-core
    done: int = 0  # issue -> result may be used
    spacing: int = 0  # time in the address unit
    accept: int = 0  # time in which the shared part takes nothing else


def without_control_bits(program: Program, config: Config) -> bool:
    return config.issue.dependence == "scoreboard" or not program.has_control_bits


def decode(program: Program, index: int, config: Config) -> Instruction:
    """Instruction of a program; without control bits the scoreboard fields are filled in their place."""
    record = program.instructions[index]
    unit, flags = Unit(record["unit"]), Flag(int(record["flags"]))
    variable = bool(record["variable_latency"])
    in_memory = unit in (Unit.MEMORY, Unit.TEXTURE)
    stall, yields = int(record["stall"]), bool(record["yield_hint"])
    if stall == 0 and yields:
        stall = config.issue.stall0_yield_cycles + 1
    elif stall > 11 and not yields:
        stall = 2  # "one or two cycles", section 4
    sources = [
        (slot, _registers(record["source"][slot], record["source_registers"][slot]), bool(record["reuse"] >> slot & 1))
        for slot in range(4)
        if record["source"][slot] != NO_REGISTER and record["source_registers"][slot]
    ]
    mnemonic = MNEMONICS[record["mnemonic"]]
    also_on = None
    if config.execute.fp32_on_alu and mnemonic in TWO_PIPES:
        also_on = Unit.ALU
    elif config.execute.unified_integer and unit == Unit.ALU and mnemonic not in ONE_PIPE:
        also_on = Unit.FMA
    instruction = Instruction(
        text=program.text[index],
        path=MEMORY if in_memory else UNIT if variable and unit not in NOT_QUEUED else FIXED,
        unit=unit,
        also_on=also_on,
        distance=stall,
        yields=yields,
        write_counter=_counter(record["write_counter"]),
        read_counter=_counter(record["read_counter"]),
        wait=_members(record["wait_mask"]),
        depbar=None,
        sources=sources,
        caches_operands=bool(flags & Flag.REUSE_CACHE),
        results=[
            r
            for first, count in zip(record["destination"], record["destination_registers"], strict=True)
            for r in _registers(first, count)
        ],
        window=max(config.registers.read_window_cycles, _operand_cycles(record, config)),
        interval=1,
        latency=1,
        port_busy=config.issue.imad_wide_port_busy_cycles if flags & Flag.WIDE else 0,
        is_variable=variable and unit not in NOT_QUEUED,
        is_barrier=bool(flags & Flag.BLOCK_BARRIER),
    )
    if flags & Flag.MEMORY_BARRIER:
        scope = "sys" if ".SYS" in program.text[index] else "gpu" if ".GPU" in program.text[index] else "block"
        instruction.membar = max(1, getattr(config.barrier, f"membar_{scope}_cycles"))
    if flags & Flag.DEPENDENCE_BARRIER:
        instruction.depbar = (
            int(record["depbar_counter"]),
            int(record["depbar_threshold"]),
            _members(record["depbar_mask"]),
        )
    if without_control_bits(program, config):
        _scoreboard(instruction, record, program.architecture, config)
        instruction.distance = DISTANCE.get(mnemonic, 1)
    if instruction.path == MEMORY:
        _memory(instruction, record, config)
        return instruction
    execute = config.execute
    if unit == Unit.SFU:
        kind = "sfu" if mnemonic == "MUFU" else "conversion"
        instruction.interval = getattr(execute, f"{kind}_interval_cycles")
        instruction.latency = getattr(execute, f"{kind}_latency_cycles")
    elif unit == Unit.TENSOR:
        instruction.interval, instruction.latency = _tensor(record, config)
        instruction.chain = config.tensor.f32_chain_cycles if record["tensor_accumulator_bits"] == 32 else 0
        instruction.accumulator = int(record["source"][2])
    elif unit not in (Unit.NONE, Unit.BARRIER):
        instruction.interval = getattr(execute, f"{unit.name.lower()}_interval_cycles")
        if variable:
            instruction.latency = execute.fp64_latency_cycles if unit == Unit.FP64 else execute.uniform_latency_cycles
    if instruction.path == FIXED:
        instruction.latency = max(
            1, int(register_latency(program.architecture)[record["produces"], record["consumes"][0]])
        )
    return instruction


def _scoreboard(instruction: Instruction, record, architecture: int, config: Config) -> None:
    """Names read and written, in place of the control bits."""
    instruction.write_counter = instruction.read_counter = None
    instruction.wait, instruction.yields = [], False
    instruction.distances = {name: table(architecture) for name, table in TABLE.items()}
    # the few cycles until a fixed-latency instruction has read are seen by a small limit only
    instruction.counts_reads = instruction.is_variable or 0 < config.issue.scoreboard_consumers <= 15
    for slot, consumer in enumerate(record["consumes"]):
        for turn, register in enumerate(_registers(record["source"][slot], record["source_registers"][slot])):
            reads_as = consumer
            if consumer == ConsumerClass.WIDE_C:  # the high half of the addend is read later
                reads_as = ConsumerClass.WIDE_C_HIGH if turn else ConsumerClass.FMA
            instruction.reads.add((("register", register), int(reads_as)))
        for register in _registers(record["uniform_source"][slot], record["uniform_source_registers"][slot]):
            instruction.reads.add((("uniform", register), int(consumer)))
    for name, field_name in (("predicate", "predicate"), ("uniform predicate", "uniform_predicate")):
        for number in _members(record[f"{field_name}_sources"]):
            instruction.reads.add(((name, number), int(record["consumes_predicate"])))
    if record["guard"] != NO_PREDICATE:
        name = "uniform predicate" if record["guard_uniform"] else "predicate"
        instruction.reads.add(((name, int(record["guard"])), int(ConsumerClass.GUARD)))
    low = ProducerClass(record["produces"])
    high = ProducerClass(record["produces_high"]) or low
    for first, count in zip(record["destination"], record["destination_registers"], strict=True):
        for turn, register in enumerate(_registers(first, count)):
            instruction.writes.append((("register", register), high if turn else low))
    for register in _registers(record["uniform_destination"], record["uniform_destination_registers"]):
        instruction.writes.append((("uniform", register), low))
    for name, field_name in (("predicate", "predicate"), ("uniform predicate", "uniform_predicate")):
        for number in _members(record[f"{field_name}_destinations"]):
            instruction.writes.append(((name, number), low))
    instruction.produces = ProducerClass.VARIABLE if instruction.is_variable else low


def _counter(number: int) -> int | None:
    return None if number == NO_COUNTER else int(number)


def _members(mask: int) -> list[int]:
    return [bit for bit in range(7) if mask >> bit & 1]


def _registers(first: int, count: int) -> list[int]:
    return [] if first == NO_REGISTER else list(range(int(first), int(first) + int(count)))


def _tensor(record, config: Config) -> tuple[int, int]:
    """(interval, latency where a counter signals it) of an HMMA with 16-bit inputs."""
    if record["tensor_kind"] != TensorKind.HMMA or record["tensor_bits"] != 16 or record["tensor_sparse"]:
        raise ValueError("the reference model has dense HMMA with 16-bit inputs only")
    tensor = config.tensor
    cycles = int(record["tensor_m"]) * int(record["tensor_n"]) * int(record["tensor_k"]) / tensor.macs_per_cycle
    if record["tensor_accumulator_bits"] == 32:
        cycles *= tensor.f32_accumulate_factor
    return max(round(cycles), _operand_cycles(record, config)), tensor.hmma_latency_cycles


def _operand_cycles(record, config: Config) -> int:
    """Four registers in a step: a row of A holds k elements, a column of B too, each accumulator takes a register."""
    if not record["tensor_kind"]:
        return 0
    m, n, k = int(record["tensor_m"]), int(record["tensor_n"]), int(record["tensor_k"])
    halves = (m + n) * k
    return math.ceil(int(halves / 64 + m * n / 32) / 4) * config.tensor.operand_step_cycles


def _memory(instruction: Instruction, record, config: Config) -> None:
    """Tables 1 and 2 of the paper, as the configuration holds them: shared and global accesses, SHFL, S2R."""
    knobs = config.memory_unit
    space, access = MemorySpace(record["space"]), Access(record["access"])
    uniform = record["address_registers"] == 0
    instruction.width = int(record["access_bytes"]) or 4
    instruction.is_shared = space == MemorySpace.SHARED
    instruction.is_load = access == Access.LOAD
    instruction.waits_long = space == MemorySpace.GLOBAL
    instruction.accept = knobs.accept_interval_cycles
    if access == Access.SHUFFLE:
        instruction.war, instruction.done, instruction.interval = knobs.shuffle
        instruction.accept = instruction.interval
    elif access == Access.SPECIAL_REGISTER:
        instruction.war, instruction.done, instruction.interval = knobs.special_register
    elif access == Access.MATRIX_LOAD:
        instruction.war, instruction.done, instruction.interval = knobs.matrix_load
        instruction.matrices = int(record["matrices"])
        instruction.width = 4 * instruction.matrices
        instruction.done += knobs.matrix_load_further_cycles * (instruction.matrices - 1)
    elif space == MemorySpace.SHARED and access == Access.ATOMIC:
        instruction.war, instruction.done, _ = knobs.shared_atomic
        instruction.lane_cycles = config.shared_memory.atomic_cycles_per_lane
    elif space in (MemorySpace.SHARED, MemorySpace.GLOBAL) and access in (Access.LOAD, Access.STORE):
        if space == MemorySpace.GLOBAL and record["address_registers"] == 1:
            raise ValueError("the reference model has global accesses with 64-bit or uniform addresses only")
        table = getattr(knobs, f"{space.name}_{access.name}{'_uniform' if uniform else ''}".lower())
        column = {4: 0, 8: 1, 16: 2}[instruction.width]
        instruction.war, instruction.done = table[column], table[3 + column]
    else:
        raise ValueError(f"the reference model has no {instruction.text}")
    # A source that may be overwritten has been read, and it is read when the instruction leaves.
    instruction.leave = max(2, min(knobs.leave_cycles, instruction.war))
    instruction.done = max(instruction.done, instruction.leave + 1)
    instruction.spacing = knobs.address_cycles
    if uniform or instruction.is_shared:  # shared addresses are calculated in the shared part (section 5.4)
        instruction.spacing = knobs.uniform_address_cycles
    if access == Access.STORE:  # the data of 32 lanes follow
        instruction.spacing = max(instruction.spacing, 32 * instruction.width // knobs.writeback_bytes_per_cycle)
