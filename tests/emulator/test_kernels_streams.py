"""Streams of emulated kernels are complete, deterministic and independent of chunking."""

import numpy as np
import pytest

from traces.kernels import load_launch

pytestmark = pytest.mark.sass


def collect(trace):
    return list(trace.blocks())


def lanes(chunk, access, mask):
    """Addresses of the active lanes of one MEMORY_ACCESS."""
    active = [lane for lane in range(32) if mask >> lane & 1]
    if access["list_at"] < 0:
        return [int(access["base"]) + lane * int(access["stride"]) for lane in active]
    return chunk.lane_address[access["list_at"] : access["list_at"] + len(active)].tolist()


def flatten(chunks):
    """Per block and warp: (instruction, mask, addresses) rows."""
    rows = {}
    for chunk in chunks:
        warps = len(chunk.warp_start) - 1
        for slot in range(warps):
            first, last = chunk.warp_start[slot], chunk.warp_start[slot + 1]
            rows[chunk.first_block * 8 + slot] = [
                (
                    int(chunk.instruction[k]),
                    int(chunk.active_mask[k]),
                    lanes(chunk, chunk.accesses[chunk.access[k]], int(chunk.active_mask[k]))
                    if chunk.access[k] >= 0
                    else None,
                )
                for k in range(first, last)
            ]
    return rows


def test_streams_do_not_depend_on_chunks_or_repetition():
    from traces.emulator import emulate

    case = load_launch("histogram", {"n": 8192, "blocks": 6})
    assert case.block == (256,), "flatten assumes 8 warps per block"
    trace = emulate(case, architecture=86)
    whole = collect(trace)
    again = collect(trace)
    for a, b in zip(whole, again, strict=True):
        for name in ("warp_start", "instruction", "active_mask", "access", "accesses", "lane_address"):
            assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name
    small = collect(emulate(case, architecture=86, chunk_instructions=1))
    assert len(small) == 6
    assert [c.first_block for c in small] == list(range(6))
    assert flatten(small) == flatten(whole)


def test_streams_of_vectoradd_are_the_instructions_in_order_with_affine_addresses():
    from traces.emulator import emulate

    trace = emulate(load_launch("vectoradd", {"n": 1000}), architecture=86)
    (chunk,) = trace.blocks()
    assert len(chunk.warp_start) == 4 * 8 + 1
    assert chunk.warp_start[-1] == len(chunk.instruction) == trace.executed_instructions
    text = trace.program.text
    loads = [k for k in range(len(chunk.instruction)) if "LDG" in text[chunk.instruction[k]] and chunk.active_mask[k]]
    assert len(loads) == 2 * 32
    records = chunk.accesses[chunk.access[loads]]
    assert (records["list_at"] == -1).all()
    assert (records["stride"] == 4).all()
    first = chunk.instruction[chunk.warp_start[0] : chunk.warp_start[1]]
    assert (np.diff(first) == 1).all()
    last_warp = chunk.active_mask[chunk.warp_start[31] : chunk.warp_start[32]]
    assert last_warp[-1] == 0xFF, "1000 = 31 * 32 + 8: the last warp ends with 8 active lanes"


def test_outputs_after_iteration_equal_outputs_of_a_fresh_run():
    from traces.emulator import emulate, run

    case = load_launch("bitonic_sort")
    trace = emulate(case, architecture=86)
    for _ in trace.blocks():
        pass
    assert np.array_equal(trace.outputs()["keys"], run(case, 86)["keys"])
    assert not np.array_equal(trace.outputs()["keys"], case.arguments[0].value), "inputs must stay as they were"
