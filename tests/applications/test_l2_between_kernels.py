"""What one kernel leaves in the L2 is there for the next one, and only for addresses of the same allocations."""

import numpy as np
import pytest

from configs.load import load_config
from sim.gpu import simulate_trace
from sim.host.l2 import L2State
from tests.probe.harness import GLOBAL_BASE, exit_, kernel, op

CONFIG = load_config("rtx_a6000", settings=["gpu.sms=2"])
LINES = [GLOBAL_BASE + 128 * i for i in range(16)]


def loads(lines=LINES):
    return kernel(
        [*[op("LDG.E", [8], [2], stall=2, write=0, wait=[0], mask=1, at=[line]) for line in lines], exit_(wait=[0])]
    )


def stores(lines=LINES):
    return kernel([*[op("STG.E", [], [2, 6], stall=2, read=0, at=(line, 4)) for line in lines], exit_(wait=[0])])


def dram(result):
    return result.memory_counters["dram__sectors_read"], result.memory_counters["dram__sectors_write"]


def test_empty_state_changes_nothing():
    alone, carried = simulate_trace(loads(), CONFIG), simulate_trace(loads(), CONFIG, l2=L2State())
    assert alone.values() == carried.values()


def test_second_kernel_finds_the_lines_of_the_first():
    state = L2State()
    first, second = (simulate_trace(loads(), CONFIG, l2=state) for _ in range(2))
    assert dram(first) == (16, 0) and dram(second) == (0, 0)
    assert second.cycles < first.cycles


def test_stored_lines_are_read_without_the_dram():
    state = L2State()
    simulate_trace(stores(), CONFIG, l2=state)
    assert dram(simulate_trace(loads(), CONFIG, l2=state)) == (0, 0)


def test_other_allocations_never_hit_but_stay():
    state = L2State()
    simulate_trace(loads(), CONFIG, l2=state)
    state.space = 1
    assert dram(simulate_trace(loads(), CONFIG, l2=state)) == (16, 0), (
        "equal addresses of another allocation are other data"
    )
    assert dram(simulate_trace(loads(), CONFIG, l2=state)) == (0, 0)
    state.space = 0
    assert dram(simulate_trace(loads(), CONFIG, l2=state)) == (0, 0), (
        "the lines of the first allocation are still there"
    )


@pytest.mark.parametrize("space", [0, 3])
def test_dirty_lines_are_written_back_by_whoever_displaces_them(space):
    """A small L2 that the second kernel fills: every dirty sector of the first must reach the DRAM."""
    config = load_config("rtx_a6000", settings=["gpu.sms=2", "l2.bytes=786432"])
    state = L2State()
    simulate_trace(stores(), config, l2=state)
    state.space = space
    many = kernel(
        [
            *[op("LDG.E.128", [8], [2], stall=2, write=0, wait=[0], at=(GLOBAL_BASE + (1 << 24), 16))] * 1,
            exit_(wait=[0]),
        ],
        blocks=4096,
        move=lambda block, warp, turn: 512 * block,
    )
    written = dram(simulate_trace(many, config, l2=state))[1]
    assert written == 4 * len(LINES)


def test_digest_recurs_when_a_loop_of_kernels_has_settled():
    state, seen = L2State(), []
    for _ in range(4):
        for lines in (LINES, LINES[:4]):
            simulate_trace(loads(lines), CONFIG, l2=state)
            seen.append(state.digest())
    assert seen[2:4] == seen[4:6] == seen[6:8]
    assert seen[0] != "empty"


def test_state_of_another_configuration_is_refused():
    state = L2State()
    simulate_trace(loads(), CONFIG, l2=state)
    with pytest.raises(ValueError, match="another configuration"):
        simulate_trace(loads(), load_config("v100"), l2=state)


def test_state_does_not_change_while_it_is_laid():
    state = L2State()
    simulate_trace(loads(), CONFIG, l2=state)
    before = state.digest()
    simulate_trace(loads(LINES[:1]), CONFIG, l2=_copy(state))
    assert state.digest() == before


def _copy(state):
    from copy import deepcopy

    copied = deepcopy(state)
    assert isinstance(copied._tag, np.ndarray) and copied._tag is not state._tag
    return copied
