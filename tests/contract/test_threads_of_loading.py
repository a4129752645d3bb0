"""What threads do beside simulating: parts of a loop, the chunk that comes next."""

from pathlib import Path
from threading import Event

import pytest

import sim.arena
import sim.chains
import sim.lists
from configs.load import load_config
from isa.errors import SubcoreError
from sim.gpu import Machine, simulate_trace
from sim.threads import Threads
from tests.probe.harness import stats_of
from traces.store import open_trace

LIBRARY = Path(__file__).resolve().parents[2] / "traces" / "library"


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize(("length", "least"), [(0, 4), (3, 4), (9, 4), (1000, 4)])
def test_parts_cover_a_loop_once_and_in_order(threads, length, least):
    parts = Threads(threads).each_part(length, least, lambda first, stop: (first, stop))
    assert [i for first, stop in parts for i in range(first, stop)] == list(range(length))
    assert len(parts) == max(1, min(threads, length // least))


@pytest.mark.parametrize("failing", [0, 1])
def test_error_of_a_part_reaches_the_caller(failing):
    def work(part):
        if part == failing:
            raise MemoryError(f"part {part}")
        return part

    with pytest.raises(MemoryError, match=f"part {failing}"):
        Threads(2).map(work, [0, 1])


def test_next_item_is_made_while_the_one_before_is_used():
    made = Event()

    def items():
        yield "first"
        made.set()
        yield "second"

    ahead = Threads(2).ahead(items())
    assert next(ahead) == "first"
    assert made.wait(60), "nobody made the second item"
    assert list(ahead) == ["second"]


def test_one_thread_makes_no_item_before_it_is_asked_for():
    made = []
    ahead = Threads(1).ahead(made.append(i) or i for i in range(3))
    assert next(ahead) == 0
    assert made == [0]


@pytest.mark.parametrize("threads", [1, 2])
def test_error_of_a_trace_comes_behind_the_chunks_before_it(threads):
    def items():
        yield 1
        raise SubcoreError("bad chunk")

    ahead = Threads(threads).ahead(items())
    assert next(ahead) == 1
    with pytest.raises(SubcoreError, match="bad chunk"):
        next(ahead)


@pytest.mark.parametrize(("name", "gpu"), [("matmul_tiled.sm_86", "rtx_a6000"), ("bfs_step.sm_80", "a100_sxm4_80gb")])
def test_loading_in_parts_changes_nothing(name, gpu, monkeypatch):
    trace, config = open_trace(LIBRARY / f"{name}.sct"), load_config(gpu)
    whole = Machine(trace, config)
    whole.run()
    for module, least in (
        (sim.arena, "_ROWS_OF_A_PART"),
        (sim.chains, "_WARPS_OF_A_PART"),
        (sim.lists, "_ACCESSES_OF_A_PART"),
    ):
        monkeypatch.setattr(module, least, 1)
    parts = Machine(trace, config, threads=3)
    parts.run()
    assert parts.meter.chains == whole.meter.chains
    for one, other in zip(whole.arena.streams[:3], parts.arena.streams[:3], strict=True):
        assert (one == other).all()
    assert stats_of(parts.result()) == stats_of(whole.result())
    assert stats_of(simulate_trace(trace, config, threads=2)) == stats_of(whole.result())
