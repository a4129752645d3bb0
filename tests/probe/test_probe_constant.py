"""Constant operands of fixed-latency instructions, LDC, and the L1.5 behind both (MICRO 2025, sections 5.1.1, 5.4)."""

from sim.stats import Counter, Stall
from tests.probe.harness import exit_, kernel, op, run

L15_HIT = 79


def operand(offset, **options):
    return op("FFMA", [20], [9], constant_bank=0, constant_offset=offset, **options)


def warmed(*ops):
    """The first operand misses everywhere; its 128-byte line of the L1.5 also holds the 64 bytes at offset 64."""
    return [operand(0), op("NOP", stall=15, yields=True), *ops, exit_()]


def test_constant_hit_costs_nothing():
    assert run(warmed(operand(4), operand(8), op("NOP"))).gaps()[2:4] == [1, 1]


def test_constant_miss_delays_issue_by_79_cycles():
    gaps = run(warmed(op("NOP"), operand(64), op("NOP"))).gaps()
    assert gaps[2:5] == [1 + L15_HIT, 1, 1]


def test_load_constant_does_not_warm_the_operand_cache():
    """LDC and c[][] operands have different L0 caches; the second still pays the way to the L1.5."""
    ldc = op("LDC", [8], stall=2, write=0, at=(64, 0))
    gaps = run(warmed(ldc, op("NOP", wait=[0]), operand(64), op("NOP"))).gaps()
    assert gaps[3] == 1 + L15_HIT


def test_constant_miss_is_charged_to_imc():
    probe = run(warmed(op("NOP"), operand(64)))
    assert probe.stalled(Stall.IMC_MISS) >= L15_HIT
    assert probe.count(Counter.CONSTANT_MISSES) == 2
    assert probe.count(Counter.CONSTANT_REQUESTS) == 2 + 2, "two look-ups that missed and two that then issued"


def test_scheduler_holds_four_cycles_for_its_greedy_warp():
    """W1 (younger, greedy) misses at its second instruction; W0 is ready but gets the port only after four cycles."""
    ops = [
        operand(0),
        op("NOP", stall=11),
        op("BAR.SYNC", stall=2),
        op("NOP"),
        operand(64),
        op("NOP"),
        exit_(),
        exit_(),
    ]
    # W1 fills the L1.5 and arrives last, so it is the greedy warp
    streams = {0: [2, 5, 6], 4: [0, 1, 2, 3, 4, 5, 6]}
    probe = run(kernel(ops, warps=5, streams=lambda b, w: streams.get(w, [7])))
    w0, w1 = probe.issue(0), probe.issue(4)
    missed_at = w1[3] + 1
    assert w0[1] == missed_at + 4
    assert w1[4] == missed_at + L15_HIT


def test_miss_of_a_warp_that_is_not_greedy_holds_nothing():
    """W0 is greedy with NOPs; W1 is tried only when W0 stalls, and its miss does not keep W0 from going on."""
    code = [
        operand(0),
        op("NOP", stall=11),
        op("BAR.SYNC", stall=2),
        op("NOP", stall=2),
        operand(64),
        exit_(),
        exit_(),
    ]
    streams = {0: [0, 1, 2, 3, 3, 3, 3, 5], 4: [2, 4, 5]}
    probe = run(kernel(code, warps=5, streams=lambda b, w: streams.get(w, [6])))
    w0 = probe.issue(0)
    assert [b - a for a, b in zip(w0[3:6], w0[4:7], strict=True)] == [3, 3, 3], (
        "stall 2 and the refill of a branch to itself"
    )


def test_two_warps_that_miss_one_line_ask_once():
    ops = [operand(0), op("NOP"), exit_()]
    probe = run(kernel([*ops, exit_()], warps=5, streams=lambda b, w: [0, 1, 2] if w % 4 == 0 else [3]))
    assert probe.count(Counter.REQUESTS_SENT) == 2  # the two halves of one 256 B line of the L1.5


def test_ldc_miss_adds_the_round_trip_to_its_latency():
    def gap(offset):
        warm = [op("LDC", [8], stall=2, write=1, at=(0, 0)), op("NOP", wait=[1])]
        probe = run([*warm, op("LDC", [9], stall=2, write=0, at=(offset, 0)), op("NOP", wait=[0]), exit_()])
        return probe.gaps()[2]

    assert gap(64) - gap(4) == L15_HIT
