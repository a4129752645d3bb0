"""What must hold for every kernel: the account balances, and how time is cut into pieces changes nothing."""

import numpy as np
import pytest

from sim.gpu import quantum_cycles
from sim.stats import Counter, Stall
from tests.contract.kernels import KERNELS
from tests.probe.harness import SMALL, config_of, run, stats

COLD = ()  # real instruction caches
GPUS = ("rtx_a6000", "h100_pcie")


def simulate(name, gpu="rtx_a6000", settings=(), **options):
    """Kernel `name` with cold instruction caches; `run` checks account, instruction count and the state at the end."""
    made = {key: options.pop(key) for key in ("chunk_blocks",) if key in options}
    return run(KERNELS[name](**made), "launch.warp_interval_cycles=2.5", *settings, gpu=gpu, fetch=COLD, **options)


def assert_same(a, b, what):
    ours, theirs = stats(a), stats(b)
    different = [key for key in ours if ours[key] != theirs[key]]
    assert not different, f"{what}: {', '.join(different)} differ; cycles {ours['cycles']} and {theirs['cycles']}"
    order = ["cycle", "sm", "warp", "kind", "stream"]
    assert np.array_equal(np.sort(a.log, order=order), np.sort(b.log, order=order)), f"{what}: stage times differ"


@pytest.mark.parametrize("gpu", GPUS)
@pytest.mark.parametrize("name", KERNELS)
def test_idle_skipping_is_exact(name, gpu):
    assert_same(simulate(name, gpu), simulate(name, gpu, every_cycle=True), "skipping on and off")


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("quantum", [1, 7])
def test_length_of_the_quantum_changes_nothing(name, quantum):
    assert quantum_cycles(config_of(SMALL)) > 7
    assert_same(simulate(name), simulate(name, quantum=quantum), f"largest quantum and {quantum}")


@pytest.mark.parametrize("name", KERNELS)
def test_chunks_of_the_trace_change_nothing(name):
    whole = simulate(name)
    for size in (1, 3):
        chunked = simulate(name, chunk_blocks=size)
        assert stats(whole) == stats(chunked), f"chunks of {size} blocks"


@pytest.mark.parametrize("name", KERNELS)
def test_second_run_is_identical(name):
    first, second = simulate(name), simulate(name)
    assert_same(first, second, "two runs")
    assert first.log.tobytes() == second.log.tobytes()


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("policy", ["GTO", "LRR", "OLDEST"])
def test_other_policies_skip_exactly(name, policy):
    settings = (f"issue.policy={policy}",)
    assert_same(simulate(name, settings=settings), simulate(name, settings=settings, every_cycle=True), policy)


@pytest.mark.parametrize("name", ["memory", "many_blocks", "scoreboard"])
def test_tight_limits_skip_exactly(name):
    """Every queue at its smallest: instructions wait in places that are empty otherwise."""
    settings = (
        "l1d.mshrs=32", "l1d.outstanding_writes=4", "memory_unit.pending_requests=4", "memory_unit.subcore_entries=2",
        "fetch.l0_mshrs=1", "fetch.l1_mshrs=1", "fetch.instruction_buffer_entries=1", "l1d.tags_per_cycle=1",
        "issue.scoreboard_consumers=1",
    )  # fmt: skip
    tight = simulate(name, settings=settings)
    assert tight.result.cycles > simulate(name).result.cycles
    assert_same(tight, simulate(name, settings=settings, every_cycle=True), "tight limits")


@pytest.mark.parametrize("name", KERNELS)
def test_every_instruction_and_block_is_executed_on_one_sm(name):
    assert simulate(name, settings=("gpu.sms=1", "gpu.sms_per_tpc=1")).result.check() is None


def test_every_counter_is_moved_by_some_kernel():
    """A counter that nothing increments is a hole in the model or in these kernels.

    Those of bulk copies, which only Hopper has, are counted in test_probe_async.
    """
    elsewhere = {Counter.BULK_COPIES, Counter.COPY_SECTORS}
    total = sum(simulate(name).result.sm_counters.sum(axis=0) for name in KERNELS)
    tight = simulate("memory", settings=("l1d.mshrs=32",)).result.sm_counters.sum(axis=0)
    assert [c.name for c in Counter if total[c] + tight[c] == 0 and c not in elsewhere] == []


def test_every_stall_reason_is_charged_by_some_kernel():
    total = sum(simulate(name).result.sm_stalls.sum(axis=(0, 1)) for name in KERNELS)
    assert [s.name for s in Stall if total[s] == 0] == []
