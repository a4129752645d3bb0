"""Decoding of compiled kernels on every architecture, checked against nvdisasm's own analysis and ptxas' schedules."""

import numpy as np
import pytest
from corpus import ARCHITECTURES, cubins, kernels
from hazards import counter_hazards, fixed_pairs, mnemonic, reads, writes
from life_ranges import life_ranges

from isa.latency import (
    ConsumerClass,
    ProducerClass,
    predicate_latency,
    register_latency,
    uniform_latency,
    uniform_predicate_latency,
)
from isa.operand import OperandKind
from isa.program import NO_COUNTER, Unit

pytestmark = pytest.mark.sass
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
# Long code, and the trace library's kernels, are checked on all architectures by the slow suite only.
every_corpus = pytest.mark.parametrize(
    ("corpus", "architecture"),
    [("basic", a) for a in ARCHITECTURES]
    + [pytest.param("long", a, marks=pytest.mark.slow) for a in ARCHITECTURES]
    + [pytest.param("library", a, marks=pytest.mark.slow) for a in ARCHITECTURES],
)
LATENCY = {"R": register_latency, "P": predicate_latency, "UR": uniform_latency, "UP": uniform_predicate_latency}


@every_corpus
def test_schedule_of_the_compiler_agrees_with_our_tables(corpus, architecture):
    """Fixed-latency results are never read before our tables allow; variable ones never before a wait."""
    early, hazards, pairs, tracked = [], [], 0, 0
    for kernel in kernels(corpus, architecture):
        program = kernel.program
        for pair in fixed_pairs(program):
            pairs += 1
            needed = LATENCY[pair.file](architecture)[pair.producer, pair.consumer]
            if pair.distance < needed:
                classes = f"{ProducerClass(pair.producer).name} -> {ConsumerClass(pair.consumer).name}"
                early.append(
                    f"{program.kernel}: {program.text[pair.writer]} -> {program.text[pair.reader]}: "
                    f"{pair.distance} cycles, but the table for {classes} says {needed}"
                )
        count, problems = counter_hazards(program)
        tracked += count
        for kind, producer, offender, register in problems:
            first = mnemonic(program, producer)
            if first == "HGMMA":  # WARPGROUP.DEPBAR waits for it, not a dependence counter
                continue
            if first == "ATOM" and kind == "raw" and register[0] == "P":
                continue  # generic atomics tell with the read counter whether the address was shared
            hazards.append(f"{program.kernel}: {kind} {register}: {program.text[producer]} -> {program.text[offender]}")
    assert not early, "\n".join(early)
    assert not hazards, "\n".join(hazards)
    assert pairs > 300 and tracked > 300


@every_architecture
def test_latencies_are_tight_where_the_compiler_shows_them(architecture):
    """The commonest pairs are seen at exactly the table's distance, so the tables are no loose bounds."""
    least: dict[tuple[str, int, int], int] = {}
    for kernel in kernels("basic", architecture):
        for pair in fixed_pairs(kernel.program):
            key = pair.file, pair.producer, pair.consumer
            least[key] = min(least.get(key, 99), pair.distance)
    P, C = ProducerClass, ConsumerClass
    common = [("R", P.ALU, C.ALU), ("R", P.FMA, C.FMA), ("R", P.ALU, C.FMA), ("R", P.FMA, C.ALU), ("R", P.ALU, C.AGU),
              ("R", P.DUAL_ALU, C.ALU), ("P", P.DUAL_ALU, C.GUARD), ("P", P.DUAL_ALU, C.ALU)]  # fmt: skip
    for file, producer, consumer in common:
        assert least[file, producer, consumer] == LATENCY[file](architecture)[producer, consumer], (
            file,
            producer,
            consumer,
        )


@every_corpus
def test_reuse_bits_equal_the_text(corpus, architecture):
    checked = 0
    for kernel in kernels(corpus, architecture):
        for instruction in kernel.instructions:
            if instruction.mnemonic in ("TEX", "TLD"):  # the bits group texture instructions into batches
                continue
            bits = instruction.encoding >> 122 & 0xF
            marked = [o.slot for o in instruction.operands if o.reuse]
            if "SP" in instruction.modifiers:  # the disassembler repeats the mark of A at the metadata
                marked = [slot for slot in marked if slot < 3]
            text = sum(1 << slot for slot in marked)
            assert bits == text, f"{kernel.program.kernel}: {instruction.text}: bits {bits:04b}, text {text:04b}"
            checked += bool(bits)
    assert checked > 20


@every_corpus
def test_defined_and_used_registers_equal_life_ranges(corpus, architecture):
    ranges = {name: r for cubin in cubins(corpus, architecture) for name, r in life_ranges(cubin.data).items()}
    checked = 0
    for kernel in kernels(corpus, architecture):
        for instruction, record in zip(kernel.instructions, kernel.program.instructions, strict=True):
            if instruction.mnemonic in ("CALL", "P2R", "R2P") or instruction.pc not in ranges[kernel.program.kernel]:
                continue  # shows what a callee clobbers, hides P2R's predicates, omits the padding behind the code
            if instruction.mnemonic in ("TEX", "TLD") and architecture >= 100:
                continue  # nvdisasm 13.2 shows three of four destinations there
            defined, used, shown = ranges[kernel.program.kernel][instruction.pc]
            ours = {f"{a.file}{a.number}" for a in writes(record)}, {f"{a.file}{a.number}" for a in reads(record)}
            where = f"{kernel.program.kernel} {instruction.pc:#x}: {instruction.text}"
            assert ours[0] & shown == defined, f"{where}: defines"
            assert ours[1] & shown == used, f"{where}: uses"
            checked += 1
    assert checked > 1000


@every_corpus
def test_immediates_equal_the_encoding(corpus, architecture):
    checked = 0
    for kernel in kernels(corpus, architecture):
        for instruction, record in zip(kernel.instructions, kernel.program.instructions, strict=True):
            immediate = [o for o in instruction.sources if o.kind == OperandKind.IMMEDIATE and o.slot in (1, 2)]
            if record["unit"] not in (Unit.FMA, Unit.ALU, Unit.FP16) or not immediate or "64" in instruction.modifiers:
                continue
            if instruction.mnemonic in ("LEA", "P2R", "R2P", "PLOP3") or instruction.encoding >> 9 & 7 not in (2, 4):
                continue  # small immediates in fields of their own
            first = immediate[0]
            assert first.value & 0xFFFFFFFF == instruction.encoding >> 32 & 0xFFFFFFFF, instruction.text
            checked += 1
    assert checked > 50


@every_corpus
def test_every_mnemonic_is_in_the_table(corpus, architecture):
    for kernel in kernels(corpus, architecture):
        assert kernel.program.warnings == ()
        assert all(o.kind != OperandKind.OTHER or o.text in OTHER for i in kernel.instructions for o in i.operands)


# Operands that are words, not registers: texture shapes, all predicates, the warpgroup's counter.
OTHER = {"1D", "2D", "PR", "gsb0"}


@every_corpus
def test_only_variable_latency_instructions_use_dependence_counters(corpus, architecture):
    """The opcode table's counter column against the control bits of every compiled instruction."""
    seen = 0
    for kernel in kernels(corpus, architecture):
        records = kernel.program.instructions
        counted = (records["write_counter"] != NO_COUNTER) | (records["read_counter"] != NO_COUNTER)
        for index in np.flatnonzero(counted & (records["variable_latency"] == 0)):
            pytest.fail(f"{kernel.program.kernel}: {kernel.program.text[index]} is fixed-latency in the table")
        seen += int(counted.sum())
    assert seen > 100


@every_corpus
def test_control_flow_stays_in_the_kernel(corpus, architecture):
    branches = 0
    for kernel in kernels(corpus, architecture):
        records = kernel.program.instructions
        direct = [
            i for i in kernel.instructions if i.mnemonic in ("BRA", "BSSY") or (i.mnemonic == "CALL" and i.target >= 0)
        ]
        for instruction in direct:
            assert 0 <= instruction.target < len(records), instruction.text
        branches += len(direct)
    assert branches > 20
