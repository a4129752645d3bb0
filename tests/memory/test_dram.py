"""DRAM channels: order of service, bank timing, refresh, write drain, bandwidth."""

import numpy as np
import pytest
from memory_bench import Bench, config, requests, small, steady_bytes_per_cycle, stream

from sim.memory.dram import STARVATION_BURSTS
from sim.memory.state import RequestKind

READ, WRITE = RequestKind.READ, RequestKind.WRITE


def lines_by_place(bench: Bench, count: int = 1 << 12) -> dict[tuple[int, int, int], list[int]]:
    """Line addresses by (channel, bank, row)."""
    places: dict[tuple[int, int, int], list[int]] = {}
    for line in range(0, count * 128, 128):
        places.setdefault(bench.dram_place(line), []).append(line)
    return places


def rows_of_one_bank(bench: Bench, count: int = 1 << 12) -> tuple[list[int], list[int]]:
    """Lines of two rows of the same bank, among the first `count` of the address space."""
    places = lines_by_place(bench, count)
    key, first = next(iter(places.items()))
    other = next(k for k in places if k[:2] == key[:2] and k != key)
    return first, places[other]


def order_of_replies(bench: Bench, lines: list[int]) -> list[int]:
    rows = requests([(bench.now + i, line, 0, i, READ, 15, 0, 0) for i, line in enumerate(lines)])
    replies = bench.run(rows)
    return replies["tag"][np.argsort(replies["at"], kind="stable")].tolist()


def test_row_hits_overtake_older_requests():
    bench = Bench(small())
    row, other = rows_of_one_bank(bench)
    assert order_of_replies(bench, [row[0], other[0], row[1], row[2]]) == [0, 2, 3, 1]


def test_hits_do_not_starve_an_older_request():
    bench = Bench(small(dram__row_bytes=1 << 14, dram__queue_entries=256, l2__mshrs=2048, l2__bytes=4 * 4 * 64 * 128))
    row, other = rows_of_one_bank(bench, 1 << 14)
    overtaking = STARVATION_BURSTS // 4
    order = order_of_replies(bench, [row[0], other[0], *row[1 : overtaking + 11]])
    assert order.index(1) == overtaking + 1


def test_banks_open_rows_in_parallel():
    """Reads of several closed banks cost one activate-to-activate delay each, not one row cycle."""
    cfg = small(dram__channels=1)
    places = lines_by_place(Bench(cfg), 1 << 10)
    by_bank = {place[1]: lines[0] for place, lines in places.items()}
    lines = [by_bank[b] for b in sorted(by_bank)][:8]
    alone = Bench(cfg)
    first = alone.latency(lines[0])
    bench = Bench(cfg)
    replies = bench.run(requests([(i, line, 0, i, READ, 1, 0, 0) for i, line in enumerate(lines)]))
    clocks = int(cfg.dram.tRRD) * 7
    expected = clocks * float(cfg.gpu.core_clock_mhz) / float(cfg.dram.clock_mhz)
    assert int(replies["at"].max()) - first == pytest.approx(expected, abs=8)


@pytest.mark.parametrize(("same_group", "knob"), [(True, "tCCD_L"), (False, "tCCD_S")])
def test_column_spacing(same_group, knob):
    """A row that stays open delivers a burst per tCCD_L, rows of all bank groups one per tCCD_S."""
    cfg = small(
        dram__channels=1,
        dram__row_bytes=1 << 14,
        dram__queue_entries=256,
        l2__mshrs=2048,
        l2__bytes=4 * 4 * 64 * 128,
        dram__tCCD_S=2,
        dram__tCCD_L=5,
    )
    bench = Bench(cfg)
    lines = next(iter(lines_by_place(bench).values()))[:96] if same_group else list(range(0, 96 * 128, 128))
    replies = bench.run(requests([(i, line, i % 4, i, READ, 15, 0, 0) for i, line in enumerate(lines)]))
    at = np.sort(replies["at"])[24:72]
    clocks = (at[-1] - at[0]) * float(cfg.dram.clock_mhz) / float(cfg.gpu.core_clock_mhz)
    assert clocks / (4 * 47) == pytest.approx(int(cfg.dram[knob]), rel=0.05)


def test_refresh_takes_its_share():
    rates = []
    for refresh_clocks, interval in ((400, 1 << 40), (400, 2000)):
        cfg = config("rtx_a6000", dram__tRFC=refresh_clocks, dram__tREFI=interval)
        rates.append(streaming_rate(cfg, 300))
    assert rates[1] / rates[0] == pytest.approx(1 - 400 / 2000, abs=0.04)


def test_refresh_of_one_bank_leaves_the_others_busy():
    """A tenth of the time for each bank: all at once cost a tenth of the rate, one at a time nearly nothing."""
    rates = {}
    for interval, banks in ((1 << 40, 16), (2000, 16), (2000, 1)):
        cfg = config("rtx_a6000", dram__tRFC=200, dram__tREFI=interval, dram__refresh_banks=banks)
        rates[interval, banks] = streaming_rate(cfg, 300)
    without = rates[1 << 40, 16]
    assert rates[2000, 16] / without < 0.91
    assert rates[2000, 1] / without > 0.96


@pytest.mark.parametrize("banks", [1, 16])
def test_refreshes_missed_while_idle_close_every_row(banks):
    bench = Bench(small(dram__tREFI=160_000, dram__refresh_banks=banks))
    row, _ = rows_of_one_bank(bench)
    closed, hit = bench.latency(row[0]), bench.latency(row[1])
    bench.now += 1_003_000
    assert bench.latency(row[2]) == pytest.approx(closed, abs=3)
    assert hit < closed - 10


def test_idle_machine_does_not_pay_for_refreshes_it_slept_through():
    cfg = small(dram__tREFI=3800)
    bench = Bench(cfg)
    first = bench.latency(0)
    bench.now += 100_000_000
    row_closed = bench.latency(128 * 4 * 64)
    assert row_closed <= first + int(cfg.dram.tRFC * cfg.gpu.core_clock_mhz / cfg.dram.clock_mhz) + 1


def test_writes_drain_in_batches():
    cfg = small(l2__bytes=4 * 4 * 4 * 128)
    bench = Bench(cfg)
    lines = (np.arange(600)[None, :] * 4 + np.arange(4)[:, None]) * 128
    stream(bench, lines, 32, kind=WRITE)
    bench.run(requests([]))
    stream(bench, lines + (1 << 24), 32)
    counters = bench.counters()
    assert counters["dram__sectors_write"] == 4 * 2400
    batches = counters["dram_turnarounds"] / int(cfg.dram.channels)
    assert batches < 20, f"{batches} direction changes per channel for {2400 // 4} lines written and read"


def streaming_rate(cfg, lines_per_sm: int, window: int = 64) -> float:
    bench = Bench(cfg)
    bench.replies = np.zeros(1 << 18, bench.replies.dtype)
    sms = int(cfg.gpu.sms)
    lines = (np.arange(lines_per_sm)[None, :] * sms + np.arange(sms)[:, None]) * 128
    return steady_bytes_per_cycle(*stream(bench, lines, window))


def peak_bytes_per_cycle(cfg) -> float:
    pins = int(cfg.dram.channels * cfg.dram.bus_bytes * cfg.dram.transfers_per_clock)
    return pins * float(cfg.dram.clock_mhz) / float(cfg.gpu.core_clock_mhz)


# Measured read bandwidth over peak: RRZE-HPC gpu-benches (gpu-stream) and Jia et al., arXiv 1804.06826; A6000: the A40,
# same chip and memory.
MEASURED = {"v100": 867 / 898, "a100_sxm4_80gb": 1776 / 2039, "rtx_a6000": 680 / 696, "h100_pcie": 1942 / 2039}


@pytest.mark.parametrize("name", MEASURED)
def test_streaming_reads_come_close_to_the_measured_share_of_peak(name):
    cfg = config(name)
    share = streaming_rate(cfg, 500) / peak_bytes_per_cycle(cfg)
    print(f"{name}: {share:.3f} of the peak simulated, {MEASURED[name]:.3f} measured")
    assert share <= 1.01, "more than the pins can carry: the window ends with fewer reads under way than it began"
    assert share == pytest.approx(MEASURED[name], abs=0.08)
