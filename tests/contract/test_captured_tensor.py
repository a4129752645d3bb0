"""Captured matrix kernels: every tensor and copy instruction has a time of its own, none falls through to a default."""

import dataclasses

import numpy as np
import pytest

from configs.load import load_config
from isa.errors import SubcoreError
from isa.opcodes import MNEMONICS, find_opcode
from isa.program import Access, Flag, MemorySpace, TensorKind, Unit
from sim.gpu import simulate_trace
from sim.lower import lower
from sim.stats import Counter
from traces.accelsim import open_accelsim

pytestmark = pytest.mark.shared_data

# file, GPU, cycles of each matrix instruction on its tensor core, copies of the kernel
KERNELS = {
    "flashinfer-sm80/flashinfer-prefill/traces/kernel-1.traceg.xz": ("a100_sxm4_80gb", {"HMMA": 8}, True),
    "hyfiss-wmma-sm70/kernel-1.traceg": ("v100", {"HMMA": 2}, False),
}


@pytest.fixture(scope="module", params=KERNELS, ids=["prefill", "wmma"])
def captured(request, shared_data):
    gpu, intervals, copies = KERNELS[request.param]
    return open_accelsim(shared_data / request.param), load_config(gpu), intervals, copies


def executed(trace):
    """Times that each static instruction was executed."""
    counts = np.zeros(len(trace.program), np.int64)
    for chunk in trace.blocks():
        counts += np.bincount(chunk.instruction, minlength=len(counts))
    return counts


def test_every_executed_instruction_has_an_entry_in_the_opcode_table(captured):
    trace, *_ = captured
    records, counts = trace.program.instructions, executed(trace)
    unknown = [trace.program.text[i] for i in np.flatnonzero(counts) if records["flags"][i] & Flag.UNKNOWN]
    assert not unknown


def test_matrix_and_copy_instructions_have_their_own_times(captured):
    trace, config, intervals, copies = captured
    records, op, counts = trace.program.instructions, lower(trace.program, config).op, executed(trace)
    for name, cycles in intervals.items():
        mine = (records["unit"] == Unit.TENSOR) & (counts > 0) & (records["mnemonic"] == find_opcode(name).number)
        assert mine.any() and set(op["interval_cycles"][mine]) == {cycles}
    copied = (records["access"] == Access.ASYNC_COPY) & (counts > 0)
    committed = (op["commits_copies"] != 0) & (counts > 0)
    assert copied.any() == committed.any() == copies
    assert set(op["done_cycles"][copied]) <= {config.memory_unit.async_copy[3]}
    matrix = (records["access"] == Access.MATRIX_LOAD) & (counts > 0)
    more = config.memory_unit.matrix_load_further_cycles
    for load, record in zip(op[matrix], records[matrix], strict=True):
        assert load["done_cycles"] == config.memory_unit.matrix_load[1] + more * (record["matrices"] - 1)


def test_replay_issues_what_was_captured_and_feels_the_tensor_core(captured):
    trace, config, _, _ = captured
    result = simulate_trace(trace, config)
    counts, records = executed(trace), trace.program.instructions
    assert result.counter(Counter.ISSUE_TENSOR) == counts[records["unit"] == Unit.TENSOR].sum()
    slow = dataclasses.replace(config, tensor=dataclasses.replace(config.tensor, macs_per_cycle=2))
    assert simulate_trace(trace, slow).cycles > 1.5 * result.cycles


@pytest.mark.parametrize("mnemonic", ["LDTM", "ALD"])
def test_memory_instruction_without_a_time_is_a_named_error(captured, mnemonic):
    trace, config, *_ = captured
    records = trace.program.instructions.copy()
    at = int(np.flatnonzero(records["unit"] == Unit.MEMORY)[0])
    records["mnemonic"][at] = MNEMONICS.index(mnemonic)
    records["access"][at], records["space"][at], records["flags"][at] = Access.OTHER, MemorySpace.NONE, 0
    with pytest.raises(SubcoreError, match=f"{mnemonic} has no timing"):
        lower(dataclasses.replace(trace.program, instructions=records), config)


def test_matrix_instruction_without_a_shape_is_a_named_error(captured):
    trace, config, *_ = captured
    records = trace.program.instructions.copy()
    records["tensor_kind"][records["unit"] == Unit.TENSOR] = TensorKind.NONE
    with pytest.raises(SubcoreError, match="no timing without a shape"):
        lower(dataclasses.replace(trace.program, instructions=records), config)
