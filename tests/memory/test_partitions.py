"""Two L2 partitions against the measured pointer chase of an A100."""

import numpy as np
import pytest
from memory_bench import Bench, config, requests, stream

# A100 80GB at 1410 MHz, cycles by working set in MiB: RRZE-HPC gpu-benches, gpu-latency/a100_80.txt.
MEASURED = {10: 206, 30: 410, 70: 545}


@pytest.fixture(scope="module")
def chase() -> dict[int, float]:
    """Mean latency beyond the SM, from one SM, of working sets walked over and over in the same random order."""
    cfg = config("a100_sxm4_80gb")
    random = np.random.default_rng(1)
    latencies = {}
    for mebibytes in MEASURED:
        bench = Bench(cfg)
        order = random.permutation(mebibytes * (1 << 20) // 128) * 128
        bench.quantum = int(cfg.interconnect.request_cycles + cfg.interconnect.reply_cycles)
        stream(bench, order[None, :], 256)
        bench.run(requests([]))
        latencies[mebibytes] = float(np.mean([bench.latency(int(line)) for line in order[:500]]))
    return latencies


@pytest.mark.parametrize("mebibytes", [30, 70])
def test_latency_beyond_the_near_partition(chase, mebibytes):
    """What is added to a near hit; the SM's own share of the chase cancels out."""
    added = chase[mebibytes] - chase[10]
    print(f"{mebibytes} MiB: {added:.0f} cycles over a near hit, {MEASURED[mebibytes] - MEASURED[10]} measured")
    assert added == pytest.approx(MEASURED[mebibytes] - MEASURED[10], rel=0.1)


def test_working_set_of_one_partition_is_near(chase):
    cfg = config("a100_sxm4_80gb")
    hit = int(cfg.interconnect.request_cycles + cfg.l2.access_cycles + cfg.interconnect.reply_cycles)
    assert chase[10] == hit
