"""Neither the number of threads nor the length of a quantum changes a result, on kernels that fill their SMs too."""

from pathlib import Path

import pytest

from configs.load import load_config
from isa.errors import SubcoreError
from sim.dispatch import STOP
from sim.gpu import Machine, simulate_trace
from tests.contract.kernels import KERNELS
from tests.probe.harness import SMALL, config_of, stats_of
from traces.store import open_trace

LIBRARY = Path(__file__).resolve().parents[2] / "traces" / "library"
CASES = [
    ("vectoradd.sm_86", "rtx_a6000", ("gpu.sms=4",)),  # many waves of blocks, bound by DRAM
    ("transpose.sm_90", "h100_pcie", ("gpu.sms=3", "gpu.sms_per_tpc=1")),  # two L2 partitions
    ("reduction.sm_80", "a100_sxm4_80gb", ()),
    ("histogram.sm_75", "rtx_2080_ti", ()),  # atomics
]


def assert_equal(results, what):
    first, *others = (stats_of(result) for result in results)
    for other in others:
        different = [key for key in first if first[key] != other[key]]
        assert not different, f"{what}: {', '.join(different)} differ; cycles {first['cycles']} and {other['cycles']}"


@pytest.mark.parametrize("gpu", ["rtx_a6000", "h100_pcie"])
@pytest.mark.parametrize("name", KERNELS)
def test_number_of_threads_changes_nothing(name, gpu):
    config = config_of(SMALL, gpu)
    assert_equal([simulate_trace(KERNELS[name](), config, threads=n) for n in (1, 2, 3)], f"{name}, 1 to 3 threads")


@pytest.mark.parametrize(("trace", "gpu", "settings"), CASES, ids=[case[0] for case in CASES])
def test_threads_and_quanta_change_nothing_in_real_kernels(trace, gpu, settings):
    config = load_config(gpu, settings=settings)
    choices = [{}, {"quantum": 33}, {"quantum": 5}, {"threads": 2}, {"threads": 3, "quantum": 20}]
    kernel = open_trace(LIBRARY / f"{trace}.sct")
    assert_equal([simulate_trace(kernel, config, **choice) for choice in choices], trace)


@pytest.mark.parametrize("threads", [0, -1, 65])
def test_impossible_number_of_threads_is_refused(threads):
    with pytest.raises(SubcoreError, match=f"{threads} threads"):
        simulate_trace(KERNELS["arithmetic"](), config_of(SMALL), threads=threads)


def test_failure_on_another_thread_reaches_the_caller(monkeypatch):
    """The first thread must neither wait for ever for one that has failed nor hide its error."""
    machine = Machine(KERNELS["memory"](), config_of(SMALL), threads=2)
    make = machine._arguments

    def arguments(quanta, thread=0):
        if thread:
            raise MemoryError("no room for a second thread")
        return make(quanta)

    monkeypatch.setattr(machine, "_arguments", arguments)
    with pytest.raises(MemoryError, match="second thread"):
        machine.run()
    assert machine.exchange.control[STOP] == 1
