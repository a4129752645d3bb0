"""Two L2 partitions against the measured pointer chase of an A100."""

import numpy as np
import pytest
from memory_bench import TWO_PARTITIONS, Bench, config, requests, small, stream

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


def test_link_between_partitions_limits_far_reads():
    """Every SM of one partition reads lines of the other: two bytes per cycle are all that comes over the link."""
    cfg = small(**{k.replace(".", "__"): v for k, v in TWO_PARTITIONS.items()}, l2__partition_link_bytes_per_cycle=2)
    bench = Bench(cfg)
    far = [line for line in range(0, 1 << 16, 128) if bench.place(line)[0] >= 2][:60]
    rows = requests(sorted(((0, line, i % 2, i, 0, 15, 15, 0) for i, line in enumerate(far)), key=lambda r: r[2]))
    rows["at"] = np.concatenate([np.arange(30), np.arange(30)])
    replies = bench.run(rows)
    assert int(replies["at"].max() - replies["at"].min()) == pytest.approx(60 * 128 / 2, rel=0.1)


def test_distance_adds_up_to_its_knob():
    """From the first GPC the first slice is nearest and the last one farthest, from the last GPC it is reversed."""
    bench = Bench(small(interconnect__distance_cycles=30))
    hit = int(bench.cfg.interconnect.request_cycles + bench.cfg.l2.access_cycles + bench.cfg.interconnect.reply_cycles)
    line = {bench.place(line)[0]: line for line in range(0, 1 << 13, 128)}
    for place in range(4):
        bench.latency(line[place])
    assert [bench.latency(line[place]) - hit for place in range(4)] == [0, 10, 20, 30]
    assert [bench.latency(line[place], sm=3) - hit for place in range(4)] == [30, 20, 10, 0]
