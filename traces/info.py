"""What a trace holds, as plain data: launch, counts, instruction mix, memory footprint, divergence."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from isa.opcodes import MNEMONICS
from isa.program import Access, MemorySpace, Unit
from traces.columns import active_lanes, has_addresses, lane_addresses
from traces.stream import Trace

LINE_BYTES = 128  # cache line of L1 and L2
_KEPT = 1 << 18  # exact footprint up to 32 MiB of lines, beyond it an estimate within about 0.2 %


class LineCounter:
    """Number of distinct values in bounded memory: keeps the smallest hashes (k minimum values, Bar-Yossef 2002)."""

    def __init__(self, kept: int = _KEPT):
        self._kept = kept
        self._smallest = np.empty(0, np.uint64)
        self.exact = True

    def add(self, values: np.ndarray) -> None:
        # splitmix64 finaliser: a bijection, so distinct values keep distinct hashes
        x = np.unique(values).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        found = np.union1d(self._smallest, x ^ (x >> np.uint64(31)))
        self.exact = self.exact and len(found) <= self._kept
        self._smallest = found[: self._kept]

    @property
    def count(self) -> int:
        if self.exact:
            return len(self._smallest)
        return round((self._kept - 1) / (float(self._smallest[-1]) / 2.0**64))


def trace_info(trace: Trace) -> dict[str, Any]:
    """Summary of `trace`, reading all of it once in bounded memory. Keys are stable; counts are integers.

    `mix` and `units` count warp instructions. `footprint` counts distinct 128-byte lines per memory space
    (`exact` false: an estimate). `divergence.mean_active_lanes` is thread per warp instruction.
    """
    program, launch = trace.program, trace.launch
    records, addressed = program.instructions, has_addresses(trace.program)
    executed, threads = np.zeros(len(program), np.int64), np.zeros(len(program), np.int64)
    with_record = np.zeros(len(program), np.int64)
    lines: dict[int, LineCounter] = {}
    predicated_off = full = warps = 0
    shortest, longest = np.iinfo(np.int64).max, 0
    for chunk in trace.blocks():
        lanes = active_lanes(chunk.active_mask)
        executed += np.bincount(chunk.instruction, minlength=len(program))
        threads += np.bincount(chunk.instruction, weights=lanes, minlength=len(program)).astype(np.int64)
        with_record += np.bincount(chunk.instruction[(chunk.access >= 0) | (lanes == 0)], minlength=len(program))
        predicated_off += int((lanes == 0).sum())
        full += int((lanes == 32).sum())
        length = np.diff(chunk.warp_start)
        warps += len(length)
        shortest, longest = min(shortest, int(length.min())), max(longest, int(length.max()))
        for at, _, address in lane_addresses(chunk):
            slot = chunk.instruction[at]
            space = records["space"][slot]
            for kind in np.unique(space):
                first = address[space == kind]
                last = first + np.maximum(records["access_bytes"][slot[space == kind]].astype(np.int64), 1) - 1
                lines.setdefault(int(kind), LineCounter()).add(np.concatenate([first, last]) // LINE_BYTES)
    total = int(executed.sum())
    missing = int((executed - with_record)[addressed].sum())
    warnings = list(program.warnings)
    if missing:
        warnings.append(f"{missing} executed memory instructions have no addresses")
    if unknown := sorted({program.text[i] for i in np.flatnonzero((executed > 0) & (records["mnemonic"] == 0))}):
        warnings.append(f"unknown instructions: {', '.join(unknown[:8])}")
    return {
        "kernel": launch.kernel,
        "architecture": launch.architecture,
        "launch": asdict(launch),
        "control_bits": program.has_control_bits,
        "provenance": dict(getattr(trace, "provenance", {})),
        "counts": {
            "blocks": launch.blocks,
            "warps": warps,
            "warp_instructions": total,
            "thread_instructions": int(threads.sum()),
            "memory_instructions": int(executed[addressed].sum()),
            "static_instructions": int((executed > 0).sum()),
            "program_slots": len(program),
        },
        "warp_length": {"shortest": shortest, "mean": total / warps, "longest": longest},
        "mix": _by_name(executed, records["mnemonic"], lambda n: MNEMONICS[n] or "unknown"),
        "units": _by_name(executed, records["unit"], lambda n: Unit(n).name.lower()),
        "memory": {
            Access(kind).name.lower(): int(executed[addressed & (records["access"] == kind)].sum())
            for kind in np.unique(records["access"][addressed & (executed > 0)])
        },
        "footprint": {
            MemorySpace(kind).name.lower(): {
                "lines": counter.count,
                "bytes": counter.count * LINE_BYTES,
                "exact": counter.exact,
            }
            for kind, counter in sorted(lines.items())
        },
        "divergence": {
            "mean_active_lanes": int(threads.sum()) / total,
            "full_warp_share": full / total,
            "predicated_off_share": predicated_off / total,
        },
        "warnings": warnings,
    }


def _by_name(executed: np.ndarray, key: np.ndarray, name: Any) -> dict[str, int]:
    """Executed warp instructions per key, most frequent first, ties by name."""
    counts = {name(int(k)): int(executed[key == k].sum()) for k in np.unique(key[executed > 0])}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
