"""Check a compiled schedule against our decoding: distances of fixed-latency results, counters of variable ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isa.latency import ConsumerClass, ProducerClass
from isa.opcodes import MNEMONICS
from isa.program import NO_COUNTER, NO_PREDICATE, Flag, Program, Unit


@dataclass(frozen=True)
class Access:
    """One register read or written: file "R", "P", "UR", "UP", number, class, slot of a source (-1 guard)."""

    file: str
    number: int
    kind: int
    slot: int = -1


def writes(record: np.void) -> Iterator[Access]:
    for slot in range(2):
        for at in range(int(record["destination_registers"][slot])):
            kind = record["produces"] if at == 0 else record["produces_high"]
            yield Access("R", int(record["destination"][slot]) + at, int(kind))
    for at in range(int(record["uniform_destination_registers"])):
        yield Access("UR", int(record["uniform_destination"]) + at, int(record["produces"]))
    for file, name in (("P", "predicate_destinations"), ("UP", "uniform_predicate_destinations")):
        for number in range(NO_PREDICATE):
            if int(record[name]) >> number & 1:
                yield Access(file, number, int(record["produces"]))


def reads(record: np.void) -> Iterator[Access]:
    for slot in range(4):
        kind = int(record["consumes"][slot])
        for at in range(int(record["source_registers"][slot])):
            high = kind == ConsumerClass.WIDE_C and at == 1
            yield Access("R", int(record["source"][slot]) + at, ConsumerClass.WIDE_C_HIGH if high else kind, slot)
        for at in range(int(record["uniform_source_registers"][slot])):
            yield Access("UR", int(record["uniform_source"][slot]) + at, kind, slot)
    for file, name in (("P", "predicate_sources"), ("UP", "uniform_predicate_sources")):
        for number in range(NO_PREDICATE):
            if int(record[name]) >> number & 1:
                yield Access(file, number, int(record["consumes_predicate"]), 0)
    if record["guard"] != NO_PREDICATE:
        kind = ConsumerClass.GUARD
        if record["flags"] & int(Flag.BRANCH) and record["guard_uniform"]:
            kind = ConsumerClass.BRANCH
        yield Access("UP" if record["guard_uniform"] else "P", int(record["guard"]), kind)


def block_starts(program: Program) -> set[int]:
    """First instructions of straight-line stretches."""
    records = program.instructions
    starts = {0}
    for index, record in enumerate(records):
        if record["target"] >= 0:
            starts.add(int(record["target"]))
        if record["flags"] & int(Flag.BRANCH) or record["unit"] == Unit.BRANCH:
            starts.add(index + 1)
    return starts


@dataclass(frozen=True)
class Pair:
    """A fixed-latency result and its next reader in the same stretch; `distance` in cycles from stall counts."""

    file: str
    producer: int
    consumer: int
    distance: int
    writer: int  # instruction indices
    reader: int


def fixed_pairs(program: Program) -> Iterator[Pair]:
    """Every fixed-latency register, predicate or uniform result with each of its readers in straight-line code."""
    starts = block_starts(program)
    written: dict[tuple[str, int], tuple[int, int, int]] = {}
    now = 0
    for index, record in enumerate(program.instructions):
        if index in starts:
            written, now = {}, 0
        for access in reads(record):
            if (access.file, access.number) in written:
                at, kind, writer = written[access.file, access.number]
                yield Pair(access.file, kind, access.kind, now - at, writer, index)
        for access in writes(record):
            if access.kind in (ProducerClass.NONE, ProducerClass.VARIABLE) or record["variable_latency"]:
                written.pop((access.file, access.number), None)
            else:
                written[access.file, access.number] = (now, access.kind, index)
        now += max(1, int(record["stall"]))


def _pipe(record: np.void, result: bool) -> tuple[int, int]:
    """Queue whose instructions read their operands (`result` False) or deliver their results (True) in order."""
    space = int(record["space"]) if result and record["unit"] == Unit.MEMORY else 0
    return int(record["unit"]), space


def _exclusive(program: Program, first: int, second: int) -> bool:
    """Whether two instructions carry opposite guards, such as @P0 and @!P0."""
    one, other = (program.text[i].split(" ")[0] for i in (first, second))
    return one.startswith("@") and one != other and one.replace("!", "") == other.replace("!", "")


def counter_hazards(program: Program) -> tuple[int, list[tuple[str, int, int, str]]]:
    """(registers tracked, hazards) of variable-latency instructions in straight-line code.

    A hazard is ("raw" or "war", index of the variable-latency instruction, index of the offender, register). A wait
    for an instruction covers the older ones of its queue too: ptxas gives only the last of several loads a counter.
    """
    starts = block_starts(program)
    results: dict[tuple[str, int], int] = {}  # register -> index of its pending producer
    sources: dict[tuple[str, int], int] = {}  # register -> index of its pending reader
    order: dict[int, list[tuple[int, bool]]] = {}  # counter -> (producer, counts the result) in issue order
    records = program.instructions
    tracked, hazards = 0, []

    def release(counter: int, keep: int = 0) -> None:
        queue = order.get(counter, [])
        done, order[counter] = queue[: len(queue) - keep], queue[len(queue) - keep :]
        for last, result in done:
            for register in [
                r for r, i in sources.items() if i <= last and _pipe(records[i], False) == _pipe(records[last], False)
            ]:
                del sources[register]
            if result:
                for register in [
                    r for r, i in results.items() if i <= last and _pipe(records[i], True) == _pipe(records[last], True)
                ]:
                    del results[register]

    for index, record in enumerate(records):
        if index in starts:
            results, sources, order = {}, {}, {}
        for counter in range(6):
            if int(record["wait_mask"]) >> counter & 1:
                release(counter)
        if record["flags"] & int(Flag.DEPENDENCE_BARRIER):
            if record["depbar_counter"] != NO_COUNTER:
                release(int(record["depbar_counter"]), int(record["depbar_threshold"]))
            for counter in range(6):
                if int(record["depbar_mask"]) >> counter & 1:
                    release(counter)
        if record["flags"] & int(Flag.BLOCK_BARRIER):  # waits in the queue of memory instructions
            sources = {r: i for r, i in sources.items() if records[i]["unit"] != Unit.MEMORY}
        for access in reads(record):
            key = (access.file, access.number)
            if key in results:
                hazards.append(("raw", results[key], index, f"{access.file}{access.number}"))
        for access in writes(record):
            key = (access.file, access.number)
            reader = sources.get(key, index)
            # One queue reads before it writes; instructions with opposite guards do not both execute.
            if _pipe(records[reader], False) != _pipe(record, False) and not _exclusive(program, reader, index):
                hazards.append(("war", reader, index, f"{access.file}{access.number}"))
            results.pop(key, None)
            sources.pop(key, None)
        if not record["variable_latency"]:
            continue
        for counter, result in ((int(record["write_counter"]), True), (int(record["read_counter"]), False)):
            if counter != NO_COUNTER:
                order.setdefault(counter, []).append((index, result))
        for access in writes(record):
            results[access.file, access.number] = index
            tracked += 1
        for access in reads(record):
            if access.file == "R":
                sources[access.file, access.number] = index
                tracked += 1
    return tracked, hazards


def mnemonic(program: Program, index: int) -> str:
    return MNEMONICS[int(program.instructions[index]["mnemonic"])]
