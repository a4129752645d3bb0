"""Jobs of the native runner: files that say what to launch, and the check of what came out.

Runs in worker processes; needs numpy and `traces.kernels` only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isa.errors import SubcoreError
from traces.kernels.catalogue import Tile, load_launch
from validate.campaign.plan import Point

TENSOR_TYPES = {  # CUtensorMapDataType of the driver API
    "int8": 0, "uint8": 0, "uint16": 1, "uint32": 2, "int32": 3, "uint64": 4, "int64": 5, "float16": 6, "float32": 7,
    "float64": 8,
}  # fmt: skip
CHECK_BYTES = 64 << 20  # arrays larger than this in all are timed but not checked


@dataclass(frozen=True)
class Job:
    """Files of one launch; `path` goes to the runner."""

    point: Point
    path: Path
    grid: tuple[int, ...]
    block: tuple[int, ...]
    checked: bool  # small enough for the reference


def prepare(point: Point, cubin: Path, folder: Path, repeats: int) -> Job:
    """Make the inputs of a point and write its job file. SubcoreError as `load_launch`."""
    case = load_launch(point.kernel, dict(point.parameters))
    grid, block = ((*size, 1, 1)[:3] for size in (case.grid, case.block))
    lines = [f"cubin {cubin}", f"kernel {case.kernel}", f"shared {case.dynamic_shared_bytes}"]
    lines += ["grid {} {} {}".format(*grid), "block {} {} {}".format(*block)]
    lines += [f"stack {case.stack_bytes or 0}", f"repeats {repeats}"]
    lines += [f"data {folder / 'data'}", f"output {folder / 'output'}"]
    folder.mkdir(parents=True, exist_ok=True)
    lines += [f"cooperative {int(case.cooperative)}"]
    if case.cluster is not None:
        lines.append("cluster {} {} {}".format(*(*case.cluster, 1, 1)[:3]))
    buffers: dict[int, int] = {}  # arrays by identity: several arguments may see the same one
    with (folder / "data").open("wb") as data:
        for argument in case.arguments:
            value = argument.value
            if not isinstance(value, np.ndarray):
                lines.append(f"value {(value if isinstance(value, bytes) else value.tobytes()).hex()}")
                continue
            if id(value) not in buffers:
                buffers[id(value)] = len(buffers)
                data.write(value.tobytes())
                lines.append(f"buffer {value.nbytes} {int(argument.output)}")
            number = buffers[id(value)]
            lines.append(f"pointer {number}" if argument.tile is None else _map(number, value, argument.tile))
    total = (folder / "data").stat().st_size
    path = folder / "job"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Job(point, path, grid, block, case.reference is not None and total <= CHECK_BYTES)


def _map(number: int, array: np.ndarray, tile: Tile) -> str:
    """Line of a tensor map: buffer, number type, swizzle bytes, rank, then sizes and box, the contiguous one first."""
    shape = tile.shape or array.shape
    sizes = " ".join(map(str, shape[::-1]))
    box = " ".join(map(str, tile.box[::-1]))
    return f"map {number} {TENSOR_TYPES[array.dtype.name]} {array.itemsize} {tile.swizzle} {len(shape)} {sizes} {box}"


def check(job: Job) -> str:
    """`ok`, `unchecked`, or how the outputs differ from the reference of the launch file, on one line."""
    if not job.checked:
        return "unchecked"
    case = load_launch(job.point.kernel, dict(job.point.parameters))
    raw, outputs, at = (job.path.parent / "output").read_bytes(), {}, 0
    for argument in case.arguments:
        if argument.output:
            assert isinstance(argument.value, np.ndarray)
            size = argument.value.nbytes
            outputs[argument.name] = np.frombuffer(raw, argument.value.dtype, argument.value.size, at).reshape(
                argument.value.shape
            )
            at += size
    if at != len(raw):
        raise SubcoreError(f"{job.point.label}: {len(raw)} bytes came back, {at} are expected")
    return "; ".join(case.check(outputs)).replace("\n", " ") or "ok"
