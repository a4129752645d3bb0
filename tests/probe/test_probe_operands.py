"""Register-file read ports, operand reuse cache, write ports (MICRO 2025, section 5.3)."""

import pytest

from sim.state import LogKind
from sim.stats import Counter, Stall
from tests.probe.harness import exit_, op, run


@pytest.mark.parametrize(("x", "y", "elapsed"), [(17, 19, 5), (18, 19, 6), (17, 18, 6), (18, 20, 7)])
def test_listing_1_port_conflicts_of_two_ffma(x, y, elapsed):
    ops = [
        op("CS2R.32", [1]),
        op("NOP"),
        op("FFMA", [11], [10, 12, 14]),
        op("FFMA", [13], [16, x, y]),
        op("NOP"),
        op("CS2R.32", [3]),
        exit_(),
    ]
    clocks = run(ops).stage(LogKind.CONTROL)
    assert clocks[5] - clocks[0] == elapsed


def test_port_conflict_is_absorbed_when_nothing_follows_in_time():
    """Listing 1 without the NOP behind the last FFMA: the allocate stage hides the wait from issue."""
    ops = [op("FFMA", [11], [10, 12, 14]), op("FFMA", [13], [16, 18, 19]), op("NOP"), exit_()]
    assert run(ops).issue()[:3] == [0, 1, 2]


def steady_gap(ops, *settings):
    """Mean issue distance of the last half of a long run of `ops` repeated."""
    issues = run([*ops * 24, exit_()], *settings).issue()
    half = len(ops) * 12
    return (issues[2 * half - 1] - issues[half - 1]) / half


@pytest.mark.parametrize(
    ("opcode", "sources", "gap"),
    [
        ("FMUL", [10, 13], 1),
        ("FMUL", [10, 12], 2),
        ("FFMA", [10, 13, 14], 2),
        ("FFMA", [10, 12, 14], 3),
        ("FFMA", [11, 13, 15], 3),
    ],
)
def test_sources_in_one_bank_cost_a_bubble_each(opcode, sources, gap):
    assert steady_gap([op(opcode, [20], sources)]) == gap


def test_mixed_banks_share_the_window():
    """Three reads of bank 0 and three of bank 1 over two instructions fit at three cycles per pair."""
    assert steady_gap([op("FFMA", [20], [10, 13, 14]), op("FFMA", [21], [11, 12, 15])]) == 1.5


def test_same_register_twice_is_read_once():
    assert steady_gap([op("FFMA", [20], [10, 10, 10])]) == 1


def test_second_read_port_removes_the_bubbles_of_two_conflicts():
    assert steady_gap([op("FMUL", [20], [10, 12])], "registers.read_ports=2") == 1


def test_ideal_register_file_has_no_bubbles():
    probe = run([*[op("FFMA", [20], [10, 12, 14])] * 8, exit_()], "registers.ideal=true")
    assert probe.gaps() == [1] * 8
    assert probe.count(Counter.PORT_STALL_CYCLES) == 0


def test_port_wait_is_charged_to_the_dispatch_stall():
    probe = run([*[op("FFMA", [20], [10, 12, 14])] * 4, exit_()])
    assert probe.stalled(Stall.DISPATCH_STALL) > 0
    assert probe.count(Counter.REGISTER_READS) == 12


# Listing 4: IADD3 R1, R2.reuse, R3, R4 / second / IADD3 R10, R2, ...; hits in order of the program.
@pytest.mark.parametrize(
    ("second", "reuse", "hits"),
    [
        ([2, 7, 8], 0, 1),  # hit in the second, which empties the entry
        ([2, 7, 8], 1, 2),  # kept again by the second
        ([7, 2, 8], 0, 1),  # other position: the second misses; R7 lies in the other bank, so the third hits
        ([4, 7, 8], 0, 0),  # R4 takes R2's place in bank 0, position A
    ],
)
def test_listing_4_reuse_cache(second, reuse, hits):
    ops = [
        op("IADD3", [1], [2, 3, 4], stall=2, reuse=1),
        op("FFMA", [5], second, stall=2, reuse=reuse),
        op("IADD3", [10], [2, 12, 13], stall=2),
        exit_(),
    ]
    probe = run(ops)
    assert probe.count(Counter.REUSE_HITS) == hits
    assert probe.count(Counter.REGISTER_READS) == 9 - hits


def test_reuse_cache_belongs_to_one_warp():
    """Warps 0 and 4 share sub-core 0 and take turns: each read of a position empties it for the other."""
    ops = [op("IADD3", [1], [2, 3, 5], stall=4, reuse=1), op("IADD3", [10], [2, 3, 5], stall=4), exit_()]
    assert run(ops, warps=1).count(Counter.REUSE_HITS) == 1
    both = run(ops, warps=5, streams=lambda block, warp: [0, 1, 2] if warp in (0, 4) else [2])
    assert both.order()[0][0] == 1, "the youngest warp of the sub-core goes first"
    assert both.count(Counter.REUSE_HITS) == 0


def test_reuse_cache_removes_port_bubbles():
    plain = steady_gap([op("FFMA", [20], [10, 12, 14])])
    cached = steady_gap([op("FFMA", [20], [10, 12, 14], reuse=0b011)])
    assert (plain, cached) == (3, 1)
    assert steady_gap([op("FFMA", [20], [10, 12, 14], reuse=0b011)], "registers.reuse_cache=false") == 3


def test_memory_instruction_does_not_touch_the_reuse_cache():
    ops = [
        op("IADD3", [1], [2, 3, 5], stall=4, reuse=1),
        op("STS", [], [4, 6], stall=4, at=(0, 4)),
        op("IADD3", [10], [2, 3, 5], stall=4),
        exit_(),
    ]
    assert run(ops, shared_bytes=512).count(Counter.REUSE_HITS) == 1


def test_write_port_conflict_delays_no_fixed_latency_consumer():
    """Two results of one bank in one cycle: the result queue takes one; only the counter shows it."""
    ops = [
        op("HADD2", [8], [9], stall=1),
        op("FFMA", [10], [11, 12, 13], stall=4),
        op("IADD3", [14], [10, 8, 15]),
        exit_(),
    ]
    probe = run(ops)
    assert probe.gaps()[:2] == [1, 4]


def test_load_that_meets_a_result_at_its_write_port_waits_one_cycle():
    def done(filler):
        load = op("LDS", [8], [2], stall=2, write=0, at=(0, 4))
        probe = run([load, *[op("FADD", [r], [13, 14]) for r in filler], exit_(wait=[0])], shared_bytes=512)
        return probe.stage(LogKind.DONE)[0], probe.count(Counter.WRITE_CONFLICTS)

    free, _ = done([21] * 30)
    late, conflicts = done([20] * 30)
    assert free == 24
    assert late > free and conflicts > 0
