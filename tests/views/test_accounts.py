"""Every captured trace keeps its accounts: lower bounds of its cycles, sums per instruction, intervals over time."""

import numpy as np
import pytest

from configs.load import load_config
from isa.program import Unit
from sim.gpu import simulate_trace
from sim.stats import Counter, Stall
from subcore import api
from subcore.bounds import bound_rows, bounds, text_table
from subcore.instructions import instruction_rows
from subcore.series import series_rows
from tests.contract.kernels import KERNELS
from tests.probe.harness import GLOBAL_BASE, exit_, kernel, line_of_ops, op, run
from traces.store import open_trace

GPUS = {"sm_75": "rtx_2080_ti", "sm_80": "a100", "sm_86": "rtx_a6000", "sm_90": "h100_pcie", "sm_120": "rtx_5070_ti"}
TRACES = sorted(api.LIBRARY.glob("*.sct"))


def check(result):
    """Every bound holds, and so do the accounts it was made from."""
    found = bounds(result)
    beyond = [bound for bound in found if bound.cycles > result.cycles]
    assert not beyond, f"{result.kernel}: {result.cycles} cycles, but {beyond}"
    assert len({bound.resource for bound in found}) == len(found)
    assert {"launch", "latency of a warp", "issue slots"} <= {bound.resource for bound in found}
    for name in ("subcore_units", "register_reads", "memory_accept", "l1_tags", "l1_data", "sectors_received"):
        assert (getattr(result.busy, name) >= 0).all(), name
    assert result.chains.blocks == result.launch.blocks
    return found


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_library_trace_is_never_faster_than_its_bounds(path):
    trace = open_trace(path)
    result = simulate_trace(trace, load_config(GPUS[path.name.split(".")[-2]]))
    check(result)
    check_instructions(trace, result)
    check_series(result)


def check_instructions(trace, result):
    """The account per instruction sums to the stall table and to the counters."""
    rows = instruction_rows(trace.program, result)
    total = {name: sum(row[name] for row in rows) for name in rows[0] if name not in ("pc", "sass", "line")}
    for row in result.stall_rows():
        assert total[row["reason"]] == row["cycles"], row["reason"]
    sectors = (Counter.L1_SECTORS, Counter.L1_STORE_SECTORS, Counter.L1_ATOMIC_SECTORS)
    assert total["active_lanes"] == result.counter(Counter.THREAD_INSTRUCTIONS)
    assert total["sectors"] == sum(result.counter(counter) for counter in sectors)
    assert total["sector_hits"] == result.counter(Counter.L1_SECTOR_HITS)
    assert total["tags"] == result.counter(Counter.L1_TAGS)
    assert total["passes"] >= result.counter(Counter.SHARED_WAVEFRONTS)
    assert total["conflicts"] >= result.counter(Counter.SHARED_CONFLICTS)
    assert all(row["cycles"] >= row["issued"] and row["passes"] >= row["conflicts"] for row in rows)


def check_series(result):
    """Intervals fill the kernel; every sub-core cycle lies in one of them."""
    rows = series_rows(result)
    config = result.config.gpu
    assert all(value >= 0 for row in rows for value in row.values())
    assert [row["first_cycle"] for row in rows[1:]] == list(np.cumsum([row["cycles"] for row in rows[:-1]]))
    for row in rows:
        assert sum(row[reason.name.lower()] for reason in Stall) == 4 * config.sms * row["cycles"]
        assert row["sm_active_cycles"] <= config.sms * row["cycles"]
        assert row["warp_cycles"] <= result.config.sm.max_warps * row["sm_active_cycles"]
    for name, expected in (
        ("cycles", result.kernel_cycles),
        ("issued", result.warp_instructions),
        ("warp_cycles", result.counter(Counter.WARP_CYCLES)),
        ("l2_sectors", result.memory_counters["lts__t_sectors"]),
    ):
        assert sum(row[name] for row in rows) == expected, name


@pytest.mark.parametrize("gpu", ["rtx_a6000", "h100_pcie", "v100"])
@pytest.mark.parametrize("name", KERNELS)
def test_contract_kernels_hold_their_bounds(name, gpu):
    """Small kernels through every part of the model, on one GPU with few SMs and slow paths."""
    for settings in ((), ("l1d.tags_per_cycle=1", "interconnect.sm_reply_bytes_per_cycle=8", "registers.read_ports=1")):
        probe = run(KERNELS[name](), *settings, gpu=gpu, fetch=())
        check(probe.result)


def busiest(ops, **options):
    """Binding bound of a kernel of one block on one SM, with its share of the simulated cycles."""
    probe = run(kernel(ops, blocks=1, **options), "launch.kernel_cycles=0", "launch.drain_cycles=0")
    first = check(probe.result)[0]
    return first.resource, first.cycles / probe.result.cycles


def test_each_resource_binds_the_kernel_that_is_made_for_it():
    """Kernels that use one resource only come within a fifth of its bound."""
    many = {"warps": 16}
    shared = [op("LDS", [8], [3], stall=1, write=0, at=(0, 128)) for _ in range(40)]
    cases = {
        "FP16 pipe": ([*line_of_ops(600, "HADD2"), exit_()], many),
        "SFU (XU) pipe": ([*[op("MUFU.EX2", [8], [9], stall=2, write=0)] * 100, exit_(wait=[0])], many),
        "latency of a warp": ([*[op("FADD", [8], [8, 9], stall=4)] * 600, exit_()], {"warps": 1}),
        "L1 and shared data": ([*shared, exit_(wait=[0])], {**many, "shared_bytes": 8192}),
    }
    for resource, (ops, options) in cases.items():
        name, share = busiest(ops, **options)
        assert (name, share > 0.8) == (resource, True), f"{resource} expected: {name} at {share:.2f}"


def test_wait_for_a_result_counts_with_its_idle_latency():
    """A dependent load chain is bound by the hit latency of each step; without the wait only issue is left."""
    step = [op("LDG.E", [8], [8], stall=2, write=0, at=(GLOBAL_BASE, 4)), op("IADD3", [8], [8], wait=[0], stall=4)]
    longest = {}
    for name, ops in (("chain", step * 20), ("free", [s for s in step[:1] * 20])):
        probe = run(kernel([*ops, exit_(wait=[0])], blocks=1, warps=1))
        check(probe.result)
        longest[name] = probe.result.chains.longest_cycles
    hit = load_config("rtx_a6000").memory_unit.global_load[3]
    assert longest["chain"] >= 20 * hit
    assert longest["free"] < 3 * hit


def test_chain_in_scoreboard_mode_is_that_of_the_control_bits():
    """The same dependences give about the same chain, whichever way they are known."""
    ops = [op("FADD", [8], [8, 9], stall=4) for _ in range(100)]
    made = {}
    for bits in (True, False):
        result = run(kernel([*ops, exit_()], blocks=1, warps=1, control_bits=bits)).result
        check(result)
        made[bits] = result.chains.longest_cycles
    assert made[True] == pytest.approx(made[False], abs=8) and made[True] >= 400


def test_busy_cycles_follow_from_the_instructions():
    """FMA cycles of a trace are its FMA instructions times their interval, summed over the units that took them."""
    trace = open_trace(api.LIBRARY / "sgemm_register_tiled.sm_80.sct")
    config = load_config("a100")
    result = simulate_trace(trace, config)
    issued = result.profile[:-1, 0]
    units = trace.program.instructions["unit"]
    expected = int(issued[units == Unit.FMA].sum()) * config.execute.fma_interval_cycles
    assert int(result.busy.subcore_units[:, :, Unit.FMA].sum()) == expected > 0


def test_rows_name_the_binding_bound_first_and_shares_are_of_the_cycles():
    result = simulate_trace(open_trace(api.LIBRARY / "saxpy.sm_86.sct"), load_config("rtx_a6000"))
    rows = bound_rows(result)
    assert [row["cycles"] for row in rows] == sorted((row["cycles"] for row in rows), reverse=True)
    assert all(row["share"] == pytest.approx(row["cycles"] / result.cycles) and row["share"] <= 1 for row in rows)
    lines = text_table(rows, result.cycles).splitlines()
    assert lines[1].startswith(rows[0]["resource"]) and "binding:" in lines[1] and "binding" not in lines[2]
    assert np.isfinite([row["share"] for row in rows]).all()
