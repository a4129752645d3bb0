"""A kernel that cannot end says why: deadlock report, counter faults, cycle limit, impossible requests."""

import pytest

import sim.gpu
from isa.errors import SubcoreError
from sim.gpu import CycleLimit, Machine, SimulationError
from tests.probe.harness import GLOBAL_BASE, PERFECT_FETCH, SMALL, config_of, exit_, kernel, op

CONFIG = config_of((*SMALL, *PERFECT_FETCH))


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(sim.gpu, "DEADLOCK_CYCLES", 4000)


def failure(ops, config=CONFIG, kind=SimulationError, **options):
    machine = Machine(kernel(ops, **options), config)
    with pytest.raises(kind) as caught:
        machine.run()
    return str(caught.value)


def test_barrier_that_never_fills_is_reported_with_its_number():
    text = failure([op("BAR.SYNC", barrier=3, barrier_threads=128), exit_()], warps=2)
    assert "deadlock" in text and "waits at barrier 3" in text
    assert "2 warps stuck" in text
    assert "SM 0 sub-core 0 warp 0, block 0: pc 0x10 EXIT" in text


def test_counter_that_never_falls_is_named():
    machine = Machine(kernel([op("MEMBAR.SC.SYS"), op("FADD", [9], [8], wait=[4]), exit_()]), CONFIG)
    machine.step()
    warp = machine.sms[0]["sub"][0]["warp"][0]
    warp["counter"][4], warp["waiting"] = 1, 1 << 4  # as if a completion were lost
    with pytest.raises(SimulationError, match="pc 0x10 FADD: waits for SB4 = 1"):
        machine.run()


def test_lost_reply_is_reported_as_outstanding_work():
    machine = Machine(kernel([op("MEMBAR.SC.SYS"), exit_()]), CONFIG)
    machine.step()
    machine.sms[0]["sub"][0]["warp"][0]["loads"] = 1
    with pytest.raises(SimulationError, match="has issued everything; 1 loads and 0 stores outstanding"):
        machine.run()


def test_lost_acknowledgement_of_a_store_is_reported():
    machine = Machine(kernel([op("NOP"), exit_()]), CONFIG)
    machine.sms[1]["l1_writes"] = 1
    with pytest.raises(SimulationError, match="SM 1: 1 stores not acknowledged by the L2"):
        machine.run()


def test_counter_overflow_is_a_clear_error():
    """Six bits: 64 loads outstanding on one counter cannot be."""
    loads = [op("LDG.E", [8], [2], write=0, at=(GLOBAL_BASE + 4096 * i, 128)) for i in range(70)]
    text = failure([*loads, exit_(wait=[0])])
    assert "counter_overflow" in text and "probe" in text and "SM 0" in text


def test_cycle_limit_names_progress():
    machine = Machine(kernel([*[op("NOP", stall=15, yields=True)] * 400, exit_()], blocks=4), CONFIG)
    with pytest.raises(CycleLimit, match=r"cycles passed, --max-cycles 1000; 0 of 4 blocks done"):
        machine.run(1000)


def test_long_wait_that_ends_is_no_deadlock():
    """MEMBAR.SYS of 2900 cycles, several in a row."""
    machine = Machine(kernel([*[op("MEMBAR.SC.SYS")] * 4, exit_()]), CONFIG)
    machine.run()
    assert machine.result().kernel_cycles > 4 * 2900


def test_quantum_beyond_the_lookahead_is_refused():
    with pytest.raises(SubcoreError, match="quantum of 100000 cycles: 1 to 150 are exact"):
        Machine(kernel([exit_()]), CONFIG, quantum=100_000)


def test_trace_that_ends_early_is_refused():
    trace = kernel([exit_()], blocks=8)
    chunk = next(iter(kernel([exit_()], blocks=3).blocks()))
    trace.given = [chunk]
    with pytest.raises(SubcoreError, match="ends after block 3 of 8"):
        Machine(trace, CONFIG).run()


def test_chunk_out_of_order_is_refused():
    trace = kernel([exit_()], blocks=4)
    chunks = list(kernel([exit_()], blocks=4, chunk_blocks=2).blocks())
    trace.given = chunks[::-1]
    with pytest.raises(SubcoreError, match="block 0"):
        Machine(trace, CONFIG).run()


def test_structures_beyond_the_records_are_refused_by_name():
    with pytest.raises(SubcoreError, match=r"memory_unit.pending_requests = 1024: at most"):
        Machine(kernel([exit_()]), config_of((*SMALL, "memory_unit.pending_requests=1024")))
