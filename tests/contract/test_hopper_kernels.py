"""Our Hopper kernels end, do not depend on the number of threads, and use the parts that they were written for."""

import pytest

import subcore
from sim.stats import Counter

pytestmark = pytest.mark.sass

# kernel -> counters that must have counted
KERNELS = {
    "copy_bulk": (Counter.BULK_COPIES, Counter.COPY_SECTORS),
    "reduction_cluster": (Counter.SHARED_WAVEFRONTS,),
    "gemm_wgmma": (Counter.BULK_COPIES, Counter.ISSUE_TENSOR),
    "gemm_wgmma_cluster": (Counter.BULK_COPIES, Counter.ISSUE_TENSOR),
    "flash_attention_wgmma_64": (Counter.BULK_COPIES, Counter.ISSUE_TENSOR),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_with_asynchronous_parts_simulates(name):
    alone, helped = (subcore.simulate(name, "h100_pcie", threads=threads, max_cycles=1_000_000) for threads in (1, 2))
    assert all(alone.counter(counter) > 0 for counter in KERNELS[name])
    assert alone.cycles == helped.cycles
    assert (alone.sm_counters == helped.sm_counters).all()
