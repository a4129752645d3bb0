"""Random programs: the compiled kernel against the reference model, cycle by cycle, stage by stage."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from isa.program import NO_COUNTER
from sim.state import LogKind
from sim.stats import Stall
from tests.probe.harness import PERFECT_FETCH, SMALL, MemoryTrace, Probe, config_of, exit_, kernel, op, run
from tests.reference.decode import decode
from tests.reference.model import MAX_COUNT, SUBCORES, Core

ARCHITECTURE = {"rtx_a6000": 86, "rtx_2080_ti": 75}
# One SM, and room for 16 warps per sub-core on every board.
ONE_SM = ("gpu.sms=1", "gpu.sms_per_tpc=1", "sm.max_warps=64", "sm.max_threads=2048")
FIXED = (
    "FFMA", "FADD", "FMUL", "IADD3", "IMAD", "IMAD.WIDE", "MOV",
    "LOP3", "HADD2", "HFMA2", "UIADD3", "VOTE", "CS2R", "NOP",
)  # fmt: skip
COUNTED = ("MUFU.RCP", "POPC", "F2I", "DADD", "DFMA", "R2UR")
MATRIX = ("HMMA.1688.F16", "HMMA.16816.F32")
LOADS = ("LDS", "LDS.64", "LDS.128", "LDG.E", "LDG.E.128", "SHFL.IDX", "S2R")
STORES = ("STS", "STS.64", "STS.128", "STG.E", "STG.E.64")
register = st.one_of(st.integers(0, 3), st.integers(0, 9), st.integers(0, 200))
counter = st.integers(0, 5)
lanes = st.one_of(st.just(0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))


@st.composite
def control_bits(draw) -> dict[str, Any]:
    stall = draw(st.integers(0, 15))
    return {
        "stall": stall,
        # stall 0 with yield costs 45 cycles: seldom
        "yields": draw(st.booleans()) if stall else draw(st.integers(0, 15)) == 15,
        "wait": draw(st.lists(counter, max_size=2, unique=True)) if draw(st.booleans()) else [],
    }


@st.composite
def shared_addresses(draw, mask: int, width: int):
    """Lane addresses within 16 KiB: a base with a stride, or any word of 2 KiB."""
    if draw(st.booleans()):
        return draw(st.integers(0, 63)) * width, draw(st.integers(0, 34)) * width
    word = st.integers(0, 2048 // width - 1)
    return [width * w for w in draw(st.lists(word, min_size=mask.bit_count(), max_size=mask.bit_count()))]


@st.composite
def instruction(draw, architecture: int, kinds: list[int]):
    """One instruction; what raises a counter always lowers it again, so anybody may wait for it."""
    options: dict[str, Any] = {**draw(control_bits()), "architecture": architecture}
    sources = draw(st.lists(register, min_size=1, max_size=3))
    kind = draw(st.sampled_from(kinds))
    if kind < 5:
        options["reuse"] = draw(st.integers(0, 7))
        options["read"] = draw(st.sampled_from([NO_COUNTER, NO_COUNTER, NO_COUNTER, 1]))
        return op(draw(st.sampled_from(FIXED)), [draw(register)], sources, **options)
    if kind == 5:
        threshold, others = draw(st.integers(0, 3)), draw(st.integers(0, 63))
        return op("DEPBAR.LE", depbar_counter=draw(counter), depbar_threshold=threshold, depbar_mask=others, **options)
    if kind == 6:
        opcode = draw(st.sampled_from(MATRIX))
        if architecture < 80:
            options["write"] = draw(counter)
        return op(
            opcode, [4 * draw(st.integers(0, 40))], [r & ~1 for r in sources], reuse=draw(st.integers(0, 7)), **options
        )
    options["read"] = draw(st.one_of(st.just(NO_COUNTER), counter))
    if kind < 9:
        opcode = draw(st.sampled_from(COUNTED))
        return op(opcode, [draw(register)], sources[:2], write=draw(counter), **options)
    opcode = draw(st.sampled_from(LOADS if kind < 11 else STORES))
    is_global, is_shared = opcode[2:3] == "G", opcode[2:3] == "S" and opcode != "S2R"
    options["mask"] = 0 if is_global else draw(lanes)
    if is_shared:
        width = {"64": 8, "128": 16}.get(opcode.split(".")[-1], 4)
        options["at"] = draw(shared_addresses(options["mask"], width))
    address = draw(st.booleans())  # in a register, or uniform
    sources = [sources[0] if address else 255, *sources[1:2]]
    if opcode in LOADS:
        return op(opcode, [draw(register)], sources[:1], write=draw(counter), **options)
    return op(opcode, [], [sources[0], draw(register)], **options)


@st.composite
def path(draw, length: int) -> list[int]:
    """What a warp executes: from some instruction to the EXIT behind the last one, with at most one jump."""
    first = draw(st.integers(0, length))
    way = list(range(first, length + 1))
    if draw(st.integers(0, 3)) == 0:
        source, target = draw(st.integers(first, length)), draw(st.integers(0, length))
        way = [*range(first, source), *range(target, length + 1)]
    return way


@st.composite
def program(draw, gpu: str) -> MemoryTrace:
    architecture = ARCHITECTURE[gpu]
    length = draw(st.integers(1, 40))
    kinds = draw(st.one_of(st.just(list(range(12))), st.lists(st.integers(0, 11), min_size=1, max_size=3, unique=True)))
    body = draw(st.lists(instruction(architecture, kinds), min_size=length, max_size=length))
    ops = [*body, exit_(architecture=architecture)]
    paths = draw(st.lists(path(len(body)), min_size=1, max_size=3))
    active = draw(st.integers(1, SUBCORES))  # sub-cores with work: the warps of the others exit at once
    blocks = draw(st.integers(1, 2))
    trace = kernel(
        ops,
        warps=draw(st.one_of(st.integers(1, 4), st.integers(1, 32))),
        blocks=blocks,
        streams=lambda block, warp: (
            paths[(warp // SUBCORES + block) % len(paths)] if warp % SUBCORES < active else [len(body)]
        ),
        shared_bytes=16384,
        architecture=architecture,
    )
    raised = [(step.record["write_counter"], step.record["read_counter"]) for step in ops]
    assume(all(sum(raised[i].count(c) for i in way) <= MAX_COUNT for way in paths for c in range(6)))
    return trace


knobs = st.fixed_dictionaries(
    {},
    optional={
        "issue.policy": st.sampled_from(["GTO", "LRR", "OLDEST"]),
        "registers.read_ports": st.just(2),
        "registers.reuse_cache": st.just("false"),
        "registers.ideal": st.just("true"),
        "registers.result_queue_entries": st.integers(1, 2),
        "fetch.instruction_buffer_entries": st.integers(1, 4),
        "memory_unit.subcore_entries": st.integers(1, 6),
        "memory_unit.pending_requests": st.integers(1, 8),
        "launch.warp_interval_cycles": st.integers(1, 5),
        "launch.block_interval_cycles": st.integers(1, 40),
    },
)


@st.composite
def case(draw) -> tuple[str, MemoryTrace, dict[str, Any]]:
    gpu = draw(st.sampled_from(sorted(ARCHITECTURE)))
    return gpu, draw(program(gpu)), draw(knobs) if draw(st.booleans()) else {}


def compare(gpu: str, trace: MemoryTrace, changes: dict[str, Any]) -> None:
    """Fails with the first difference in a stage, an account or the end."""
    named = (*ONE_SM, *(f"{name}={value}" for name, value in changes.items()))
    probe = run(trace, *named, gpu=gpu, max_cycles=100_000)
    config = config_of((*SMALL, *PERFECT_FETCH, *named), gpu)
    core = Core(trace, config)
    core.run()
    found = differences(trace, probe, core)
    if found:
        lines = [f"{gpu} {changes}: the compiled kernel and the reference model differ", *found[:6], "program:"]
        for index, step in enumerate(trace.ops):
            lines.append(f"  {index:2d} {step.text} {step.address} {decode(trace.program, index, config)}")
        pytest.fail("\n".join(lines), pytrace=False)
    event(f"{gpu}, {'knobs changed' if changes else 'as it is'}")


def differences(trace: MemoryTrace, probe: Probe, core: Core) -> list[str]:
    """In time order, one line each."""
    found: list[tuple[int, str]] = []
    for kind in LogKind:
        noted = core.passed[kind.name]
        for block in range(trace.launch.blocks):
            for warp in range(trace.launch.warps_per_block):
                ours = [cycle for _, cycle in sorted(noted[block, warp].items())]
                theirs = probe.absolute(kind, warp, block)
                if ours != theirs:
                    at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), -1)
                    first = min(ours[at], theirs[at]) if at >= 0 else 1 << 30
                    where = f"entry {at}: kernel {theirs[at:][:4]}, model {ours[at:][:4]}"
                    found.append((first, f"{kind.name} of block {block} warp {warp}, {where}"))
    found.sort()
    lines = [text for _, text in found]
    for s, sub in enumerate(core.subcores):
        mine = {reason.name: count for reason, count in sorted(sub.stalls.items()) if count}
        kernels = {r.name: int(probe.result.sm_stalls[0, s, r]) for r in Stall if probe.result.sm_stalls[0, s, r]}
        mine["NO_WARP"] = mine.get("NO_WARP", 0) - (sum(mine.values()) - core.end)  # less what is behind the end
        if mine != {"NO_WARP": 0, **kernels}:
            lines.append(f"account of sub-core {s}: kernel {kernels}, model {mine}")
    if core.end != probe.result.kernel_cycles:
        lines.append(f"end: kernel {probe.result.kernel_cycles}, model {core.end}")
    return lines


QUIET: dict[str, Any] = dict(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@settings(max_examples=150, **QUIET)
@given(case())
def test_kernel_equals_reference_model(drawn):
    compare(*drawn)


@pytest.mark.slow
@settings(max_examples=10_000, **QUIET)
@given(case())
def test_kernel_equals_reference_model_on_many_programs(drawn):
    compare(*drawn)
