"""Random programs for the comparison, drawn from a seed: short ones whose instructions get in each other's way.

A program has a style: few kinds of instructions, few registers, few stall counts ..., so that the rules that only show
under pressure (ports, reuse cache, queues, grants) come into play in every other program.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from random import Random
from typing import Any

from isa.program import NO_COUNTER
from tests.probe.harness import FULL, MemoryTrace, Op, exit_, kernel, op
from tests.reference.parts import COUNTERS, MAX_COUNT, SUBCORES

ARCHITECTURE = {"rtx_2080_ti": 75, "rtx_a6000": 86, "rtx_5070_ti": 120}
FIXED = (
    "FFMA", "FADD", "FMUL", "IADD3", "IMAD", "IMAD.WIDE", "MOV",
    "LOP3", "HADD2", "HFMA2", "UIADD3", "VOTE", "CS2R", "NOP",
)  # fmt: skip
COUNTED = ("MUFU.RCP", "POPC", "F2I", "DADD", "DFMA", "R2UR")
MATRIX = ("HMMA.1688.F16", "HMMA.16816.F32")
LOADS = (
    "LDS", "LDS.64", "LDS.128", "LDG.E", "LDG.E.64", "LDG.E.128",
    "SHFL.IDX", "S2R", "ATOMS.ADD", "LDSM.16.M88", "LDSM.16.M88.2", "LDSM.16.M88.4",
)  # fmt: skip
STORES = ("STS", "STS.64", "STS.128", "STG.E", "STG.E.64", "STG.E.128")
BARRIERS = ("BAR.SYNC", "BAR.SYNC", "MEMBAR.SC.CTA", "MEMBAR.SC.GPU")
GROUPS = {"fixed": FIXED, "matrix": MATRIX, "counted": COUNTED, "load": LOADS, "store": STORES, "barrier": BARRIERS}
BYTES = {"64": 8, "128": 16, "2": 16, "4": 16, "M88": 16}  # per lane, by the last modifier; a row of LDSM has 16

KNOBS: dict[str, tuple[Any, ...]] = {
    "issue.imad_wide_port_busy_cycles": (0, 2),
    "registers.banks": (4,),
    "registers.read_ports": (2,),
    "registers.write_ports": (2,),
    "registers.read_window_cycles": (4, 5),
    "registers.reuse_cache": (False,),
    "registers.ideal": (True,),
    "registers.result_queue_entries": (1, 1, 2),
    "execute.fma_interval_cycles": (1, 2, 3),
    "execute.alu_interval_cycles": (1, 2, 5),
    "execute.fp32_on_alu": (True, False),
    "execute.pipes_alternate": (True, False),
    "execute.unified_integer": (True, False),
    "execute.fp64_shared": (True, False),
    "fetch.instruction_buffer_entries": (1, 2, 4),
    "fetch.branch_redirect_cycles": (1, 4),
    "fetch.backward_branch_redirect_cycles": (3, 12),
    "memory_unit.subcore_entries": (1, 2, 3, 6),
    "memory_unit.pending_requests": (1, 2, 4, 8),
    "memory_unit.accept_interval_cycles": (1, 3),
    "memory_unit.leave_cycles": (3, 9),
    "launch.warp_interval_cycles": (1.0, 2.5, 5.0),
    "launch.block_interval_cycles": (1.0, 7.5, 40.0),
}


@dataclass
class Style:
    """What the instructions of one program have in common."""

    architecture: int
    opcodes: list[str]
    registers: list[int]
    stalls: list[int]
    yielding: float  # probability of the yield bit, and so on
    waiting: float
    reusing: float
    reading: float
    counters: list[int]
    lanes: list[int]
    uniform: float  # addresses
    predicates: float  # and uniform registers: the scoreboard only looks at them


@dataclass
class Case:
    """A program, who executes what of it, and the knobs that differ from those of the board."""

    gpu: str
    changes: dict[str, Any]
    ops: list[Op]
    paths: list[list[int]]  # static instructions in order; the warps of a sub-core take them in turn
    warps: int
    blocks: int
    active: int  # sub-cores with work: the warps of the others exit at once
    control_bits: bool

    def trace(self) -> MemoryTrace:
        def stream(block: int, warp: int) -> list[int]:
            if warp % SUBCORES >= self.active:
                return [len(self.ops) - 1]
            return self.paths[(warp // SUBCORES + block) % len(self.paths)]

        return kernel(
            self.ops,
            warps=self.warps,
            blocks=self.blocks,
            streams=stream,
            control_bits=self.control_bits,
            shared_bytes=16384,
            architecture=ARCHITECTURE[self.gpu],
        )


def draw_style(random: Random, architecture: int) -> Style:
    groups = random.choice([list(GROUPS), ["fixed"], *(random.sample(list(GROUPS), count) for count in (1, 2, 3))])
    if groups == ["barrier"]:
        groups.append("fixed")
    opcodes = ["DEPBAR.LE"] * random.choice([0, 0, 1, 8])
    for group in groups:
        members = GROUPS[group]
        if random.random() < 0.5:
            members = tuple(random.sample(members, random.randint(1, 2)))
        # a barrier costs more cycles than all the rest
        opcodes += random.choices(members, k=1 if group == "barrier" else 12)
    return Style(
        architecture,
        opcodes,
        registers=random.choice([[2, 4], [1, 3, 5], [1, 2, 3, 4], [2, 4, 6, 9], list(range(10)), list(range(200))]),
        stalls=random.choice([[1], [1], [1, 2], [0, 1, 1, 4, 5], [10, 11, 12, 15], list(range(16))]),
        yielding=random.choice([0, 0, 0.2, 0.6]),
        waiting=random.choice([0, 0.1, 0.5]),
        reusing=random.choice([0, 0.5, 0.9]),
        reading=random.choice([0, 0.3, 0.7]),
        counters=random.sample(range(COUNTERS), random.choice([1, 2, 2, COUNTERS])),
        lanes=random.choice([[FULL], [FULL, 0, 1, 0xF00F], [random.getrandbits(32) for _ in range(8)]]),
        uniform=random.choice([0, 0.3, 1]),
        predicates=random.choice([0, 0.3]),
    )


def draw_op(random: Random, style: Style) -> Op:
    """One instruction; what raises a counter always lowers it again, so anybody may wait for it."""

    def likely(probability: float) -> bool:
        return random.random() < probability

    def registers(count: int) -> list[int]:
        return random.choices(style.registers, k=count)

    opcode = random.choice(style.opcodes)
    stall = random.choice(style.stalls)
    options: dict[str, Any] = {
        "architecture": style.architecture,
        "stall": stall,
        "yields": likely(style.yielding) if stall else likely(0.15),  # stall 0 with yield costs 45 cycles
        "wait": sorted(set(random.choices(style.counters, k=2))) if likely(style.waiting) else [],
    }
    if likely(style.predicates):
        options |= random.choice(
            [
                {"guard": random.randrange(3)},
                {"guard": random.randrange(3), "guard_uniform": 1},
                {"predicate_sources": random.randrange(8), "uniform_predicate_sources": random.randrange(8)},
                {"uniform_source": [255, random.randrange(4), 255, 255], "uniform_source_registers": [0, 2, 0, 0]},
                {"predicate_destinations": random.randrange(8), "uniform_predicate_destinations": random.randrange(8)},
                {"uniform_destination": random.randrange(4), "uniform_destination_registers": random.randint(1, 2)},
            ]
        )
    if opcode == "DEPBAR.LE":
        threshold, others = random.randrange(4), random.getrandbits(COUNTERS)
        counter = random.choice(style.counters)
        return op(opcode, depbar_counter=counter, depbar_threshold=threshold, depbar_mask=others, **options)
    if opcode in BARRIERS:
        return op(opcode, **options)
    reuse = sum(1 << slot for slot in range(3) if likely(style.reusing))
    read = random.choice(style.counters) if likely(style.reading) else NO_COUNTER
    write = random.choice(style.counters)
    if opcode in FIXED:
        read = read if likely(0.3) else NO_COUNTER
        return op(opcode, registers(1), registers(random.choice([1, 2, 3, 3])), reuse=reuse, read=read, **options)
    if opcode in MATRIX:
        sources = [register & ~1 for register in registers(3)]
        return with_counter(op(opcode, [4 * random.randrange(40)], sources, reuse=reuse, **options), write)
    options["read"] = read
    if opcode in COUNTED:
        return with_counter(op(opcode, registers(1), registers(random.randint(1, 2)), **options), write)
    is_global = opcode[2] == "G"
    options["mask"] = mask = 0 if is_global else random.choice(style.lanes)
    if opcode.startswith(("LDS", "STS", "ATOMS")):
        options["at"] = draw_addresses(random, mask, BYTES.get(opcode.split(".")[-1], 4))
    address = 255 if likely(style.uniform) and "LDSM" not in opcode else registers(1)[0]
    if opcode in LOADS:
        data = registers(1) if opcode == "ATOMS.ADD" else []
        return op(opcode, registers(1), [address, *data], write=write, **options)
    return op(opcode, [], [address, *registers(1)], **options)


def with_counter(step: Op, counter: int) -> Op:
    """A result that takes a fixed time needs no counter: HMMA from sm_80 on, R2UR from sm_90 on."""
    if step.record["variable_latency"]:
        step.record["write_counter"] = counter
    return step


def draw_addresses(random: Random, mask: int, width: int) -> Any:
    """Lane addresses within 16 KiB: a base with a stride, or words of a small window."""
    if random.random() < 0.5:
        return random.randrange(64) * width, random.choice([0, 1, 2, 3, 8, 16, 32, 33]) * width
    words = random.choice([8, 2048 // width])
    if random.random() < 0.3:  # neighbours share
        size = random.choice([2, 4, 8])
        groups = [width * random.randrange(words) for _ in range(32 // size)]
        return [groups[lane // size] for lane in range(32) if mask >> lane & 1]
    return [width * random.randrange(words) for _ in range(mask.bit_count())]


def draw_path(random: Random, length: int) -> list[int]:
    """What a warp executes: from some instruction to the EXIT behind the last one, with a few jumps."""
    first = random.choice([0, 0, random.randint(0, length), max(0, length - random.randrange(4))])
    way: list[int] = []
    while random.random() < 0.3:
        source = random.randint(first, length)
        way += range(first, source)
        first = random.randint(0, length)
    return [*way, *range(first, length + 1)]


def draw_changes(random: Random) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if random.random() < 0.6:
        changes["issue.policy"] = random.choice(["GTO", "LRR", "LRR", "OLDEST"])
    if random.random() < 0.5:
        changes |= {name: random.choice(KNOBS[name]) for name in random.sample(list(KNOBS), random.randint(1, 8))}
    return changes


def draw_case(seed: int) -> Case:
    random = Random(seed)
    gpu = random.choice(list(ARCHITECTURE))
    control_bits = random.random() < 0.75
    changes = draw_changes(random)
    if not control_bits or random.random() < 0.05:
        changes["issue.dependence"] = "auto" if not control_bits else "scoreboard"
        changes["issue.scoreboard_consumers"] = random.choice([0, 1, 2, 15, 16, 63])
    while True:
        style = draw_style(random, ARCHITECTURE[gpu])
        length = random.choice([random.randint(1, 8), random.randint(9, 24), random.randint(25, 48)])
        ops = [draw_op(random, style) for _ in range(length)]
        paths = [draw_path(random, length) for _ in range(random.randint(1, 3))]
        if all(most_raised(ops, path) <= MAX_COUNT for path in paths):
            break
    return Case(
        gpu,
        changes,
        [*ops, exit_(architecture=ARCHITECTURE[gpu])],
        paths,
        warps=random.choice([random.randint(1, 4), random.randint(4, 16), random.randint(8, 32)]),
        blocks=random.randint(1, 2),
        active=random.choice([1, 2, SUBCORES, SUBCORES]),
        control_bits=control_bits,
    )


def most_raised(ops: list[Op], path: list[int]) -> int:
    """The most that one counter could reach if nothing ever lowered it."""
    raised = [int(ops[i].record[name]) for i in path if i < len(ops) for name in ("write_counter", "read_counter")]
    return max(raised.count(counter) for counter in range(COUNTERS))


def without(case: Case, index: int) -> Case:
    """The case with one instruction taken out of the program and of every path."""
    paths = [[i - (i > index) for i in path if i != index] for path in case.paths]
    return dataclasses.replace(case, ops=case.ops[:index] + case.ops[index + 1 :], paths=paths)
