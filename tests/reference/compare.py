"""One random program on the compiled simulator and on the reference model: the differences, and a smaller program."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from configs.schema import Config
from sim.state import LogKind
from sim.stats import Stall
from tests.probe.harness import PERFECT_FETCH, SMALL, MemoryTrace, Probe, config_of, run
from tests.reference.decode import decode
from tests.reference.generate import Case, without
from tests.reference.model import Core

# One SM, and room for 16 warps per sub-core on every board.
ONE_SM = ("gpu.sms=1", "gpu.sms_per_tpc=1", "sm.max_warps=64", "sm.max_threads=2048")
MAX_CYCLES = 50_000  # more is a deadlock


@cache
def config_with(gpu: str, changes: tuple[tuple[str, Any], ...]) -> Config:
    config = config_of((*SMALL, *PERFECT_FETCH, *ONE_SM), gpu)
    for name, value in changes:
        section, knob = name.split(".")
        config = dataclasses.replace(
            config, **{section: dataclasses.replace(getattr(config, section), **{knob: value})}
        )
    return config


def find_differences(case: Case) -> list[str]:
    """In time order, one line each; a run that breaks off is one too."""
    trace = case.trace()
    config = config_with(case.gpu, tuple(sorted(case.changes.items())))
    try:
        probe = run(trace, config=config, max_cycles=MAX_CYCLES)
    except (ValueError, AssertionError) as error:
        return [f"kernel: {type(error).__name__}: {error}"]
    core = Core(trace, config)
    try:
        core.run(MAX_CYCLES)
    except (RuntimeError, AssertionError) as error:
        return [f"model: {type(error).__name__}: {error}"]
    return [*differences_of_stages(trace, probe, core), *differences_of_accounts(probe, core)]


def differences_of_stages(trace: MemoryTrace, probe: Probe, core: Core) -> Iterator[str]:
    log = np.sort(probe.log, order=["kind", "stream"])
    warps = trace.launch.warps_per_block
    found: list[tuple[int, str]] = []
    for kind in LogKind:
        entries = log[log["kind"] == kind]
        for block in range(trace.launch.blocks):
            at = np.searchsorted(entries["stream"], probe.start[block])
            for warp in range(warps):
                theirs = entries["cycle"][at[warp] : at[warp + 1]].tolist()
                ours = [cycle for _, cycle in sorted(core.passed[kind.name][block, warp].items())]
                if ours != theirs:
                    i = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), -1)
                    first = min(ours[i], theirs[i]) if i >= 0 else 1 << 30
                    where = f"entry {i}: kernel {theirs[i:][:4]}, model {ours[i:][:4]}"
                    found.append((first, f"{kind.name} of block {block} warp {warp}, {where}"))
    yield from (text for _, text in sorted(found))


def differences_of_accounts(probe: Probe, core: Core) -> Iterator[str]:
    for s, sub in enumerate(core.subcores):
        ours = [sub.stalls[reason] for reason in Stall]
        ours[Stall.NO_WARP] -= sum(ours) - core.end  # less what is behind the end
        theirs = probe.result.sm_stalls[0, s].tolist()
        for reason in Stall:
            if ours[reason] != theirs[reason]:
                yield f"{reason.name} of sub-core {s}: kernel {theirs[reason]}, model {ours[reason]} cycles"
    if core.end != probe.result.kernel_cycles:
        yield f"end: kernel {probe.result.kernel_cycles}, model {core.end}"


def smaller(case: Case) -> Iterator[Case]:
    for warps in (1, case.warps // 2, case.warps - 1):
        if 0 < warps < case.warps:
            yield dataclasses.replace(case, warps=warps)
    if case.blocks > 1:
        yield dataclasses.replace(case, blocks=1)
    if case.active > 1:
        yield dataclasses.replace(case, active=case.active - 1)
    for name in case.changes:
        if name != "issue.dependence":
            yield dataclasses.replace(case, changes={n: v for n, v in case.changes.items() if n != name})
    for path in case.paths if len(case.paths) > 1 else ():
        yield dataclasses.replace(case, paths=[p for p in case.paths if p is not path])
    for index in range(len(case.ops) - 1):
        yield without(case, index)


def reduce_case(case: Case, tries: int = 1000) -> Case:
    """Take away what is not needed for a difference."""
    found = True
    while found:
        found = False
        for candidate in smaller(case):
            tries -= 1
            if tries < 0:
                return case
            if find_differences(candidate):
                case, found = candidate, True
                break
    return case


def report(case: Case) -> str:
    """What differs, and the program."""
    trace = case.trace()
    config = config_with(case.gpu, tuple(sorted(case.changes.items())))
    lines = [*find_differences(case)[:6], f"{case.gpu} {case.changes}"]
    lines.append(f"{case.blocks} x {case.warps} warps, {case.active} sub-cores, paths {case.paths}, program:")
    for index, step in enumerate(case.ops):
        lines.append(f"  {index:2d} {step.text} {step.address} {decode(trace.program, index, config)}")
    return "\n".join(lines)
