"""Work of a run, the bytes it moved and the peaks of its GPU: the data of a roofline plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isa.errors import SubcoreError
from subcore.instructions import FILE, from_csv
from subcore.stored_run import read_run

SECTOR_BYTES = 32
LEVELS = ("L1", "L2", "DRAM")


def points(directories: Sequence[Path], flops: bool | None = None) -> list[dict[str, Any]]:
    """One row per run and memory level that moved bytes: run, gpu, level, unit, work, bytes, seconds, intensity (work
    per byte), performance (work per second).

    Work is floating-point operations, or warp instructions if `flops` is false (None: if a run has none).
    SubcoreError if a folder is no run, or has no floating-point operation although they are wanted.
    """
    found = []
    for directory in directories:
        run = read_run(directory)
        try:
            rows = from_csv((directory / FILE).read_text(encoding="utf-8"))
        except OSError as error:
            raise SubcoreError(f"{directory}: has no readable {FILE} ({error})") from None
        found.append((directory, run, sum(row["flops"] for row in rows)))
    if flops is None:
        flops = all(work for _, _, work in found)
    result = []
    for directory, run, floating in found:
        count = run.statistics
        if flops and not floating:
            raise SubcoreError(f"{directory}: {run.kernel} has no floating-point operation; choose --work instructions")
        work = floating if flops else int(count["smsp__inst_executed.sum"])
        seconds = run.manifest["cycles"] / (run.knobs["gpu.core_clock_mhz"] * 1e6)
        sectors = {
            "L1": sum(count[f"l1tex__t_sectors_op_{kind}.sum"] for kind in ("ld", "st", "atom")),
            "L2": count["lts__t_sectors"],
            "DRAM": count["dram__sectors_read"] + count["dram__sectors_write"],
        }
        for level in LEVELS:
            moved = int(sectors[level]) * SECTOR_BYTES
            if moved:
                result.append(
                    {"run": run.kernel, "gpu": run.knobs["gpu.name"], "level": level,
                     "unit": "FLOP" if flops else "instruction", "work": work, "bytes": moved, "seconds": seconds,
                     "intensity": work / moved, "performance": work / seconds}
                )  # fmt: skip
    if not result:
        raise SubcoreError("no run moved a byte: there is nothing to draw")
    return result


def roofs(directories: Sequence[Path], flops: bool) -> list[dict[str, Any]]:
    """Peaks of each GPU from its configuration: gpu, roof, kind ("work" per second or "bytes" per second), value."""
    result: dict[tuple[str, str], dict[str, Any]] = {}
    for directory in directories:
        run = read_run(directory)
        knob, name = run.knobs, run.knobs["gpu.name"]
        hertz = float(knob["gpu.core_clock_mhz"]) * 1e6
        sms = int(knob["gpu.sms"])
        per_cycle: dict[str, tuple[str, float]] = {
            "L1": ("bytes", sms * knob["l1d.bytes_per_cycle"]),
            "L2": ("bytes", knob["l2.slices"] * knob["interconnect.slice_reply_bytes_per_cycle"]),
            "DRAM": ("bytes", knob["dram.channels"] * knob["dram.bus_bytes"] * knob["dram.transfers_per_clock"]
                     * knob["dram.clock_mhz"] / knob["gpu.core_clock_mhz"]),
        }  # fmt: skip
        if flops:
            rate = 1 / knob["execute.fma_interval_cycles"]
            if knob["execute.fp32_on_alu"]:
                rate += 1 / knob["execute.alu_interval_cycles"]
            units = 1 if knob["execute.fp64_shared"] else 4
            per_cycle["FP32"] = ("work", sms * 4 * min(1.0, rate) * 64)
            per_cycle["FP64"] = ("work", sms * units / knob["execute.fp64_interval_cycles"] * 64)
            per_cycle["FP16 tensor"] = ("work", sms * 4 * knob["tensor.macs_per_cycle"] * 2)
        else:
            per_cycle["issue slots"] = ("work", sms * 4)
        for roof, (kind, value) in per_cycle.items():
            result[name, roof] = {"gpu": name, "roof": roof, "kind": kind, "value": float(value) * hertz}
    return list(result.values())
