"""trace_info: the numbers a user reads about a trace."""

import numpy as np
import pytest
import synthetic_traces as synthetic

from traces.accelsim import open_accelsim
from traces.info import LineCounter, trace_info


@pytest.fixture
def info(tmp_path):
    path = tmp_path / "kernel-1.traceg"
    path.write_text(synthetic.grouped())
    return trace_info(open_accelsim(path))


def test_counts_and_mix(info):
    assert info["counts"] == {
        "blocks": 2,
        "warps": 4,
        "warp_instructions": 20,
        "thread_instructions": 4 * (4 * 32 + 16),
        "memory_instructions": 8,
        "static_instructions": 5,
        "program_slots": 5,
    }
    assert info["mix"] == {"EXIT": 4, "FADD": 4, "LDG": 4, "MOV": 4, "STG": 4}
    assert info["units"] == {"memory": 8, "alu": 4, "branch": 4, "fma": 4}
    assert info["memory"] == {"load": 4, "store": 4}
    assert info["control_bits"] is False
    assert info["launch"]["block"] == (64, 1, 1)
    assert info["warp_length"] == {"shortest": 5, "mean": 5.0, "longest": 5}


def test_footprint_counts_distinct_lines(info):
    # two blocks of two warps, each warp loads one 128-byte line and stores to its first half
    assert info["footprint"] == {"global": {"lines": 4, "bytes": 512, "exact": True}}


def test_divergence(info):
    assert info["divergence"]["mean_active_lanes"] == pytest.approx((4 * 32 + 16) / 5)
    assert info["divergence"]["full_warp_share"] == pytest.approx(0.8)
    assert info["divergence"]["predicated_off_share"] == 0.0


def test_access_that_crosses_a_line_touches_both(tmp_path):
    path = tmp_path / "k"
    lines = ["0000 00000001 1 R4 LDG.E.64 1 R2 8 2 0x107c 0 ", "0010 ffffffff 0 EXIT 0 0 0 "]
    path.write_text(synthetic.grouped(lambda b, w: lines, grid=(1, 1, 1), block=(32, 1, 1)))
    assert trace_info(open_accelsim(path))["footprint"]["global"]["lines"] == 2


def test_memory_instruction_without_addresses_is_a_warning(tmp_path):
    path = tmp_path / "k"
    lines = ["0000 ffffffff 1 R4 LDG.E 1 R2 0 0 ", "0010 ffffffff 0 EXIT 0 0 0 "]
    path.write_text(synthetic.grouped(lambda b, w: lines))
    warnings = trace_info(open_accelsim(path))["warnings"]
    assert "pc 0000: LDG.E R4, R2 lacks addresses in the trace" in warnings
    assert "4 executed memory instructions have no addresses" in warnings


def test_line_counter_is_exact_below_its_bound_and_close_above():
    values = np.arange(50_000) * 7919
    counter = LineCounter(kept=4096)
    for part in np.array_split(values[:4096], 5):
        counter.add(np.concatenate([part, part]))
    assert (counter.count, counter.exact) == (4096, True)
    for part in np.array_split(values, 11):
        counter.add(part)
    assert not counter.exact
    assert counter.count == pytest.approx(50_000, rel=0.06)  # four standard errors of 1/sqrt(4096)


def test_info_of_a_stored_trace_equals_the_original(tmp_path):
    from traces.store import open_trace, write_trace

    trace = synthetic.random_trace(2)
    write_trace(tmp_path / "a.sct", trace)
    assert trace_info(open_trace(tmp_path / "a.sct")) == trace_info(trace)
