"""What the reference model knows about one instruction, worked out from the static record and the knobs alone."""

from __future__ import annotations

from dataclasses import dataclass

from configs.schema import Config
from isa.latency import register_latency
from isa.opcodes import MNEMONICS
from isa.program import NO_COUNTER, NO_REGISTER, Access, Flag, MemorySpace, Program, TensorKind, Unit

FIXED, UNIT, MEMORY = "fixed latency", "variable-latency unit", "memory"
TWO_PIPES = frozenset({"FFMA", "FADD", "FMUL"})
NOT_QUEUED = (Unit.NONE, Unit.BRANCH, Unit.BARRIER)


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
    # memory
    is_shared: bool = False
    is_load: bool = False
    waits_long: bool = False  # global, local or texture
    width: int = 4  # bytes per lane
    war: int = 0  # issue -> sources may be overwritten
    leave: int = 0  # issue -> leaves the sub-core
    done: int = 0  # issue -> result may be used
    spacing: int = 0  # time in the address unit
    accept: int = 0  # time in which the shared part takes nothing else


def decode(program: Program, index: int, config: Config) -> Instruction:
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
    wide = unit == Unit.TENSOR and any(len(registers) >= 4 for _, registers, _ in sources)
    mnemonic = MNEMONICS[record["mnemonic"]]
    instruction = Instruction(
        text=program.text[index],
        path=MEMORY if in_memory else UNIT if variable and unit not in NOT_QUEUED else FIXED,
        unit=unit,
        also_on=Unit.ALU if config.execute.fp32_on_alu and mnemonic in TWO_PIPES else None,
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
            if first != NO_REGISTER
        ],
        window=config.registers.read_window_wide_cycles if wide else config.registers.read_window_cycles,
        interval=1,
        latency=1,
        port_busy=config.issue.imad_wide_port_busy_cycles if flags & Flag.WIDE else 0,
    )
    if flags & Flag.DEPENDENCE_BARRIER:
        instruction.depbar = (
            int(record["depbar_counter"]),
            int(record["depbar_threshold"]),
            _members(record["depbar_mask"]),
        )
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
    elif unit != Unit.NONE:
        instruction.interval = getattr(execute, f"{unit.name.lower()}_interval_cycles")
        if variable:
            instruction.latency = execute.fp64_latency_cycles if unit == Unit.FP64 else execute.uniform_latency_cycles
    if instruction.path == FIXED:
        instruction.latency = max(
            1, int(register_latency(program.architecture)[record["produces"], record["consumes"][0]])
        )
    return instruction


def _counter(number: int) -> int | None:
    return None if number == NO_COUNTER else int(number)


def _members(mask: int) -> list[int]:
    return [bit for bit in range(6) if mask >> bit & 1]


def _registers(first: int, count: int) -> list[int]:
    return list(range(int(first), int(first) + int(count)))


def _tensor(record, config: Config) -> tuple[int, int]:
    """(interval, latency where a counter signals it) of an HMMA with 16-bit inputs."""
    if record["tensor_kind"] != TensorKind.HMMA or record["tensor_bits"] != 16 or record["tensor_sparse"]:
        raise ValueError("the reference model has dense HMMA with 16-bit inputs only")
    tensor = config.tensor
    cycles = int(record["tensor_m"]) * int(record["tensor_n"]) * int(record["tensor_k"]) / tensor.macs_per_cycle
    if record["tensor_accumulator_bits"] == 32:
        cycles *= tensor.f32_accumulate_factor
    return max(1, round(cycles / tensor.warp_level_factor)), tensor.hmma_latency_cycles


def _memory(instruction: Instruction, record, config: Config) -> None:
    """Tables 1 and 2 of the paper, as the configuration holds them: shared and global loads and stores, SHFL, S2R."""
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
