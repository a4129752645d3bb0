"""Kernels of different streams on one GPU: hand-counted cases, and laws for random kernels."""

from dataclasses import replace

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.load import load_config
from isa.errors import SubcoreError
from sim.gpu import occupancy, simulate_trace
from sim.host.device import Device, KernelCost, SmCapacity, kernel_cost, sm_capacity
from sim.host.model import load_host
from sim.host.timeline import HostTimeline
from subcore.api import LIBRARY, find_traces, load_trace

SMALL = SmCapacity(2, (4, 64, 8, 100, 100))
BLOCK = (1, 16, 2, 25, 0)  # four fit on an SM


def play(capacity, *submissions, max_grids=128):
    """(begin, end) of kernels given as (time, cost)."""
    environment = simpy.Environment()
    device = Device(environment, capacity, max_grids)
    spans = {}

    def kernel(number, at, cost):
        yield environment.timeout(at)
        begin = yield from device.run(cost)
        spans[number] = (begin, environment.now)

    for number, (at, cost) in enumerate(submissions):
        environment.process(kernel(number, at, cost))
    environment.run()
    return [spans[number] for number in range(len(submissions))]


def cost(block_ns, blocks, **others):
    return KernelCost(**{"block_ns": block_ns, "blocks": blocks, "blocks_per_sm": 4, "need": BLOCK, **others})


def test_kernels_that_fit_together_run_at_the_same_time():
    assert play(SMALL, (0, cost(100, 4)), (0, cost(70, 4))) == [(0, 100), (0, 70)]


def test_second_kernel_waits_for_room():
    assert play(SMALL, (0, cost(100, 8)), (0, cost(70, 8))) == [(0, 100), (0, 170)]


def test_tail_of_the_first_kernel_overlaps_the_second():
    """12 blocks of 50 ns on 8 slots: the second wave leaves 4 of them to the other kernel."""
    assert play(SMALL, (0, cost(50, 12)), (0, cost(30, 8))) == [(0, 100), (0, 110)]


def test_blocks_of_a_later_kernel_do_not_pass_those_of_an_earlier_one():
    large = cost(40, 1, need=(1, 16, 2, 100, 0), blocks_per_sm=1)
    spans = play(SMALL, (0, cost(100, 7)), (10, large), (20, cost(5, 1)))
    assert spans[1] == (10, 140), "its block needs all registers of an SM"
    assert spans[2][1] == 105, "one slot is free all along, but the large block is first in the queue"


def test_shared_memory_limits_residence():
    needy = cost(50, 2, need=(1, 16, 2, 25, 60), blocks_per_sm=1)
    assert play(SMALL, (0, needy), (0, needy)) == [(0, 50), (0, 100)]


def test_launch_and_drain_of_one_kernel_overlap_blocks_of_another():
    first, second = cost(100, 8, launch_ns=20, drain_ns=10), cost(60, 8, launch_ns=20, drain_ns=10)
    assert play(SMALL, (0, first), (0, second)) == [(0, 130), (0, 120 + 60 + 10)]


def test_dispatcher_places_one_block_per_sm_at_a_time_and_kernel_after_kernel():
    """5 ns per block: pairs of blocks at 0 and 10 ns, the other kernel's at 20 ns."""
    spans = play(SMALL, (0, cost(100, 4, place_ns=5)), (0, cost(100, 2, place_ns=5)))
    assert spans == [(0, 110), (0, 120)]


def test_blocks_of_another_kernel_go_to_the_emptiest_sm():
    """Where two blocks share an SM they share its pipe; apart they do not meet."""
    pipe = {"FMA": 0.8}
    assert play(SMALL, *[(0, cost(100, 1, sm_demand=pipe))] * 2) == [(0, 100)] * 2
    assert play(SMALL, *[(0, cost(100, 2, sm_demand=pipe))] * 2) == [(0, 160)] * 2


def test_only_blocks_beside_others_are_slowed():
    """Two blocks of the first kernel, one beside the other kernel's: its mean rate is (1 + 1 / 1.6) / 2, so 124 ns.

    The other has done 124 / 1.6 of its 100 ns by then and goes on alone.
    """
    pipe = {"FMA": 0.8}
    spans = play(SMALL, (0, cost(100, 2, sm_demand=pipe)), (0, cost(100, 1, sm_demand=pipe)))
    assert spans == [(0, 124), (0, 147)]


def test_common_resource_is_shared_in_proportion():
    half = {"DRAM": 0.2}  # 4 blocks: 0.8 of the bandwidth
    spans = play(SMALL, (0, cost(100, 4, chip_demand=half)), (0, cost(100, 4, chip_demand=half)))
    assert spans == [(0, 160), (0, 160)]
    spans = play(SMALL, (0, cost(100, 4, chip_demand=half)), (0, cost(100, 4, chip_demand={"L2": 0.2})))
    assert spans == [(0, 100), (0, 100)], "different resources do not meet"


def test_full_speed_returns_when_the_other_has_ended():
    heavy = {"DRAM": 0.25}
    spans = play(SMALL, (0, cost(100, 4, chip_demand=heavy)), (50, cost(50, 4, chip_demand=heavy)))
    assert spans == [(0, 150), (50, 150)]
    spans = play(SMALL, (0, cost(100, 4, chip_demand=heavy)), (50, cost(10, 4, chip_demand=heavy)))
    assert spans == [(0, 110), (50, 70)]


def test_number_of_grids_is_limited():
    assert play(SMALL, (0, cost(10, 1)), (0, cost(10, 1)), max_grids=1) == [(0, 10), (10, 20)]


def test_block_that_can_never_fit_is_refused():
    with pytest.raises(SubcoreError, match="does not fit"):
        HostTimeline(gpu=SMALL).kernel(cost(10, 1, need=(1, 16, 2, 101, 0)))


COST = st.builds(
    lambda blocks, block, launch, drain, place, per_sm, share: cost(
        block,
        blocks,
        launch_ns=launch,
        drain_ns=drain,
        place_ns=place,
        blocks_per_sm=per_sm,
        chip_demand={"DRAM": share / min(blocks, 2 * per_sm)} if share else {},
    ),
    st.integers(1, 60),
    st.integers(0, 500),
    st.integers(0, 50),
    st.integers(0, 50),
    st.sampled_from([0.0, 0.3, 1.0, 7.5]),
    st.integers(1, 4),
    st.floats(0, 1),
)


@settings(max_examples=150, deadline=None)
@given(COST, st.integers(0, 100))
def test_kernel_alone_takes_its_own_time_exactly(kernel, at):
    assert play(SMALL, (at, kernel)) == [(at, at + kernel.alone_ns(SMALL.sms))]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), COST), min_size=2, max_size=6))
def test_kernels_together_are_not_faster_than_the_machine(submissions):
    spans = play(SMALL, *submissions)
    for (begin, end), (at, kernel) in zip(spans, submissions, strict=True):
        assert begin == at and end - begin >= kernel.launch_ns + kernel.block_ns + kernel.drain_ns
    length = max(end for _, end in spans) - min(at for at, _ in submissions)
    work = [(kernel, kernel.blocks * kernel.block_ns) for _, kernel in submissions]
    assert length * SMALL.sms * 4 >= sum(block_ns for _, block_ns in work), "more blocks at a time than there are slots"
    dram = sum(block_ns * kernel.chip_demand.get("DRAM", 0) for kernel, block_ns in work)
    assert length >= dram * (1 - 1e-6) - 1, "more bandwidth than there is"


@pytest.mark.parametrize("name", sorted(path.name for path in LIBRARY.glob("*.sm_86.sct")))
def test_library_kernel_alone_on_the_timeline_takes_its_simulated_time(name):
    config = load_config("rtx_a6000")
    trace = load_trace(LIBRARY / name)
    result = simulate_trace(trace, config)
    kernel = kernel_cost(result)
    assert kernel.blocks_per_sm == occupancy(trace.launch, config).blocks
    fits = min(have // need for have, need in zip(sm_capacity(config).each, kernel.need, strict=True) if need)
    assert fits >= kernel.blocks_per_sm, "the SM must hold as many blocks as in the simulation"
    assert {"issue"} < kernel.sm_demand.keys() and all(0 < share <= 1 for share in kernel.sm_demand.values())
    assert all(0 < share <= 1 for share in kernel.chip_demand.values())
    model = load_host()
    timeline = HostTimeline(model, config)
    timeline.kernel(kernel)
    rows = timeline.run()
    assert rows.start_ns[0] == model.launch_latency_ns
    assert rows.end_ns[0] - rows.start_ns[0] == round(result.cycles * 1e3 / config.gpu.core_clock_mhz)


PAIRS = [
    ("vectoradd", {"n": 1 << 16}, "n"),
    ("vectoradd", {"n": 1 << 18}, "n"),
    ("sgemm_register_tiled", {"m": 512, "n": 256, "k": 64}, "m"),
    ("gemm_mma", {"m": 512, "n": 512, "k": 128}, "m"),
    ("softmax", {"rows": 1024}, "rows"),
    ("transpose", {"width": 512, "height": 512}, "height"),
]


@pytest.mark.slow
@pytest.mark.sass
def test_pair_of_equal_kernels_takes_about_as_long_as_a_launch_of_twice_the_blocks():
    """The one case of sharing that the cycle-level model can answer too; docs/applications.md has the figures."""
    config = load_config("rtx_a6000")
    errors = []
    for name, sizes, doubled in PAIRS:
        (one,), _ = find_traces(name, 86, sizes)
        (two,), _ = find_traces(name, 86, {**sizes, doubled: 2 * sizes[doubled]})
        assert two.launch.blocks == 2 * one.launch.blocks
        pair = kernel_cost(simulate_trace(one, config))
        timeline = HostTimeline(replace(load_host(), call_ns=0), config)
        timeline.kernel(pair, stream=0)
        timeline.kernel(pair, stream=1)
        rows = timeline.run()
        truth = simulate_trace(two, config).cycles * 1e3 / config.gpu.core_clock_mhz
        errors.append((int(rows.end_ns.max()) - int(rows.start_ns.min())) / truth - 1)
        assert abs(errors[-1]) < abs(2 * pair.alone_ns(config.gpu.sms) / truth - 1), f"{name}: no better than in series"
    assert max(map(abs, errors)) < 0.25 and sum(map(abs, errors)) / len(errors) < 0.12, errors
