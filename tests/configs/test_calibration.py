"""Shipped latencies add up to what was measured on the boards."""

import csv
from statistics import median

import pytest

from configs.load import load_config

# configuration -> board in literature/memory_latency.csv (A40 is the A6000's chip)
MEASURED_ON = {"rtx_a6000": "A40", "v100": "V100", "a100": "A100 80GB", "h100_pcie": "H100 PCIe"}


def _latencies(folder, board):
    with (folder / "literature" / "memory_latency.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["gpu"] == board and "gpu-benches" in r["source"]]
    return {r["metric"].split(" (")[0]: float(r["value"]) for r in rows if r["quality"] != "suspect"}


@pytest.mark.shared_data
@pytest.mark.parametrize("gpu", MEASURED_ON)
def test_idle_l2_hit_adds_up_to_the_pointer_chase(gpu, shared_data):
    c, measured = load_config(gpu), _latencies(shared_data, MEASURED_ON[gpu])
    beyond_l1 = c.interconnect.request_cycles + c.l2.access_cycles + c.interconnect.reply_cycles
    assert beyond_l1 == pytest.approx(measured["L2 plateau"] - measured["L1 hit"], abs=1)
    assert c.memory_unit.global_load[4] == pytest.approx(measured["L1 hit"], abs=1.5), "the chase loads 64-bit pointers"


@pytest.mark.shared_data
@pytest.mark.parametrize("gpu", MEASURED_ON)
def test_idle_dram_access_adds_up_to_the_pointer_chase(gpu, shared_data):
    c, measured = load_config(gpu), _latencies(shared_data, MEASURED_ON[gpu])
    burst_clocks = c.l2.sector_bytes / c.dram.bus_bytes / c.dram.transfers_per_clock
    device = (c.dram.tRP + c.dram.tRCD + c.dram.tCL + burst_clocks) * c.gpu.core_clock_mhz / c.dram.clock_mhz
    beyond_l2 = measured["DRAM"] - measured["L2 plateau"]
    far = c.l2.far_partition_cycles / 2  # half of the addresses belong to the other partition
    assert c.dram.access_cycles + device + far == pytest.approx(beyond_l2, rel=0.05)


@pytest.mark.parametrize(
    ("gpu", "gigabytes_per_second"),
    [
        ("rtx_a6000", 768),
        ("rtx_2080_ti", 616),
        ("rtx_5070_ti", 896),
        ("a100", 2039),
        ("h100_pcie", 2039),
        ("v100", 898),
    ],
)
def test_dram_pins_give_the_peak_bandwidth_of_the_data_sheet(gpu, gigabytes_per_second):
    d = load_config(gpu).dram
    peak = d.channels * d.bus_bytes * d.transfers_per_clock * d.clock_mhz / 1000
    assert peak == pytest.approx(gigabytes_per_second, rel=0.002)


def _empty_kernels(folder):
    path = folder / "h100pcie-kernel-times" / "h100pcie_kernel_times.csv"
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["benchmark"] == "emptykernel" and row["profiler"] == "nsys":
                shape = dict(p.split("=") for p in row["params"].split(";"))
                yield int(shape["block"]), int(shape["thread"]), float(row["duration_ns"]) * 1.755


@pytest.mark.shared_data
def test_h100_starts_blocks_at_the_rates_of_the_empty_kernel(shared_data):
    launch, times = load_config("h100_pcie").launch, list(_empty_kernels(shared_data))
    at = {
        n: median(t for blocks, threads, t in times if blocks == n and threads <= 256) for n in (64, 1024, 4096, 65536)
    }
    assert launch.block_interval_cycles == pytest.approx((at[65536] - at[4096]) / 61440, rel=0.02)
    assert launch.first_block_interval_cycles == pytest.approx((at[1024] - at[64]) / 960, rel=0.1)
