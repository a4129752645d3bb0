"""Coalescing and the L1 data cache: lines, sectors, hits, merges, replacement, limits, stores, atomics."""

from typing import Any

import pytest

from sim.state import LogKind
from sim.stats import Counter, Stall
from tests.probe.harness import GLOBAL_BASE, exit_, kernel, op, run

WAIT: dict[str, Any] = {"stall": 2, "write": 0}


def load(at, suffix="", **options):
    return op(f"LDG.E{suffix}", [8], [2], at=at, **{**WAIT, **options})


def wait():
    return op("NOP", wait=[0], stall=2)


def counts(probe, *names):
    return tuple(probe.count(Counter[n]) for n in names)


@pytest.mark.parametrize(
    ("suffix", "at", "lines", "sectors"),
    [
        ("", (GLOBAL_BASE, 4), 1, 4),
        ("", (GLOBAL_BASE, 0), 1, 1),
        ("", (GLOBAL_BASE + 16, 4), 2, 5),
        ("", (GLOBAL_BASE, 8), 2, 8),
        ("", (GLOBAL_BASE, 32), 8, 32),
        ("", (GLOBAL_BASE, 128), 32, 32),
        ("", (GLOBAL_BASE + 124, -4), 1, 4),
        ("", [GLOBAL_BASE + 4 * (31 - i) for i in range(32)], 1, 4),
        (".64", (GLOBAL_BASE, 8), 2, 8),
        (".128", (GLOBAL_BASE, 16), 4, 16),
        (".U8", (GLOBAL_BASE, 1), 1, 1),
    ],
)
def test_lines_and_sectors_of_an_access(suffix, at, lines, sectors):
    probe = run([load(at, suffix), exit_()])
    assert counts(probe, "L1_TAGS", "L1_SECTORS", "L1_SECTOR_HITS") == (lines, sectors, 0)
    assert probe.count(Counter.REQUESTS_SENT) == lines


def test_inactive_lanes_touch_nothing():
    probe = run([load((GLOBAL_BASE, 128), mask=0b101), exit_()])
    assert counts(probe, "L1_TAGS", "L1_SECTORS") == (2, 2)


def test_second_access_to_a_line_hits():
    probe = run([load((GLOBAL_BASE, 4)), wait(), load((GLOBAL_BASE, 4)), wait(), exit_()])
    assert counts(probe, "L1_SECTORS", "L1_SECTOR_HITS", "REQUESTS_SENT") == (8, 4, 1)
    assert probe.gaps()[2] == 32


def test_other_sector_of_a_present_line_misses():
    ops = [load((GLOBAL_BASE, 0)), wait(), load((GLOBAL_BASE + 32, 0)), wait(), exit_()]
    assert counts(run(ops), "L1_SECTORS", "L1_SECTOR_HITS", "REQUESTS_SENT") == (2, 0, 2)


def test_access_to_a_sector_on_its_way_is_merged():
    ops = [load((GLOBAL_BASE, 4)), load((GLOBAL_BASE, 4), write=1), exit_(wait=[0, 1])]
    probe = run(ops)
    assert counts(probe, "L1_SECTORS", "L1_SECTOR_HITS", "REQUESTS_SENT") == (8, 0, 1)
    done = probe.stage(LogKind.DONE)
    assert 0 < done[1] - done[0] <= 4, "one fill answers both; the path to the sub-core carries them one by one"


def test_l2_hit_latency_is_that_of_the_interconnect_and_the_slice():
    """A second SM-local miss to a line that the L2 holds: L1 hit time + request + L2 + reply."""
    far = GLOBAL_BASE + (1 << 20)
    evict = [load((far + 4096 * i, 128), write=1) for i in range(40)]
    ops = [
        load((GLOBAL_BASE, 4)),
        wait(),
        *evict,
        op("NOP", wait=[1], stall=2),
        load((GLOBAL_BASE, 4)),
        wait(),
        exit_(),
    ]
    probe = run(ops)
    knobs = probe.machine.config
    on_the_way = knobs.interconnect.request_cycles + knobs.l2.access_cycles + knobs.interconnect.reply_cycles
    assert probe.count(Counter.L1_SECTOR_HITS) == 0, "1280 lines replaced the first one of 840"
    assert probe.gaps()[-2] == pytest.approx(32 + on_the_way, abs=3)


def test_least_recently_used_line_is_replaced():
    """256 sets of 4 ways: fill a set, touch its first line again, add one line: the second line has gone."""
    number = [n for n in range(1 << 16) if (n + n // 1024) % 256 == 0]
    lines = [GLOBAL_BASE + 128 * n for n in number[:5]]
    steps = [load([a], mask=1) for a in (*lines[:4], lines[0], lines[4], lines[0], lines[1])]
    whole = ("sm.shared_reserved_bytes_per_block=0", "l1d.reserved_bytes=0", "l1d.ways=4")
    probe = run([*[x for step in steps for x in (step, wait())], exit_()], *whole)
    assert probe.machine.occupancy.l1_bytes == 1 << 17, "no carve-out"
    assert counts(probe, "L1_SECTORS", "L1_SECTOR_HITS") == (8, 2), "lines[0] twice; lines[1] was replaced"


def turns(lines, shared_bytes):
    """Share of hits in the second walk through `lines` consecutive lines."""
    walk = [load((GLOBAL_BASE + 4096 * i, 128), stall=4) for i in range(lines // 32)]
    for step in walk[::16]:
        step.record["wait_mask"] = 1
    n = len(walk)
    twice = kernel([*walk, wait(), exit_()], streams=lambda b, w: [*range(n + 1), *range(n + 1), n + 1],
                   shared_bytes=shared_bytes)  # fmt: skip
    return run(twice).count(Counter.L1_SECTOR_HITS) / lines


@pytest.mark.parametrize(("blocks_shared", "l1_kib"), [(0, 105), (5 * 1024, 21), (99 * 1024, 21)])
def test_carve_out_is_the_smallest_that_keeps_the_occupancy(blocks_shared, l1_kib):
    """16 blocks with 1 KiB of the system each take 16 KiB; 5 KiB more each fill the 100 KiB of the SM. 7 KiB are
    neither."""
    occupied = run([exit_()], shared_bytes=blocks_shared).machine.occupancy
    assert occupied.l1_bytes == l1_kib * 1024


def test_what_the_carve_out_leaves_is_the_capacity():
    assert turns(832, 0) >= 0.99, "105 KiB; one set may hold a line too many where the numbering begins anew"
    assert turns(160, 99 * 1024) >= 0.97, "21 KiB"
    assert turns(160 + 64, 99 * 1024) <= 0.06, "nearly all sets of 56 hold a line too many"


def test_lines_beyond_the_capacity_cost_their_sets():
    """n lines in cyclic order with room for C in sets of W: (W + 1) (n - C) of them miss."""
    assert turns(896, 0) == pytest.approx(1 - 4 * (896 - 840) / 896, abs=0.01)


def test_outstanding_sector_limit_stalls_the_tag_stage():
    ops = [load((GLOBAL_BASE + 4096 * i, 128), write=i) for i in range(4)]
    free, limited = (run([*ops, exit_()], f"l1d.mshrs={n}") for n in (384, 32))
    assert free.count(Counter.L1_STALL_CYCLES) == 0 < limited.count(Counter.L1_STALL_CYCLES)
    assert limited.result.kernel_cycles > free.result.kernel_cycles + 400
    assert counts(limited, "L1_SECTORS") == (128,)


def test_tag_stage_takes_four_lines_per_cycle():
    """32 lines: the last tag is looked up seven cycles after the first, so its data come later."""

    def done(tags):
        ops = [load((GLOBAL_BASE, 128)), wait(), load((GLOBAL_BASE, 128)), wait(), exit_()]
        return run(ops, f"l1d.tags_per_cycle={tags}").gaps()[2]

    assert done(4) - done(32) == 7


def test_store_writes_through_and_is_acknowledged():
    probe = run([op("STG.E", [], [2, 6], stall=2, at=(GLOBAL_BASE, 4)), exit_()])
    assert counts(probe, "L1_STORE_SECTORS", "REQUESTS_SENT", "REPLIES_RECEIVED", "L1_SECTORS") == (4, 1, 1, 0)


def test_full_sector_store_makes_its_sectors_readable():
    store = op("STG.E", [], [2, 6], stall=2, read=1, at=(GLOBAL_BASE, 4))
    ops = [store, op("NOP", wait=[1]), load((GLOBAL_BASE, 4)), wait(), exit_()]
    assert run(ops).count(Counter.L1_SECTOR_HITS) == 4
    assert run(ops, "l1d.write_allocate=false").count(Counter.L1_SECTOR_HITS) == 0


def test_partial_sector_store_does_not_make_a_sector_readable():
    store = op("STG.E", [], [2, 6], stall=2, read=1, at=(GLOBAL_BASE, 8))
    ops = [store, op("NOP", wait=[1]), load((GLOBAL_BASE, 4)), wait(), exit_()]
    assert run(ops).count(Counter.L1_SECTOR_HITS) == 0


def test_store_limit_stalls_the_tag_stage():
    ops = [op("STG.E", [], [2, 6], stall=2, at=(GLOBAL_BASE + 4096 * i, 128)) for i in range(2)]
    free, limited = (run([*ops, exit_()], f"l1d.outstanding_writes={n}") for n in (1024, 8))
    assert limited.result.kernel_cycles > free.result.kernel_cycles
    assert counts(limited, "L1_STORE_SECTORS") == (64,)


def test_atomic_returns_after_a_round_trip_and_drops_the_copy():
    atomic = op("ATOMG.E.ADD.STRONG.GPU", [10], [2, 6], at=(GLOBAL_BASE, 4), **WAIT)
    ops = [load((GLOBAL_BASE, 4)), wait(), atomic, wait(), load((GLOBAL_BASE, 4)), wait(), exit_()]
    probe = run(ops)
    assert counts(probe, "L1_ATOMIC_SECTORS", "L1_SECTOR_HITS", "REQUESTS_SENT") == (4, 0, 3)
    assert probe.gaps()[2] > probe.machine.config.interconnect.request_cycles * 2


def test_reduction_completes_without_an_answer_for_the_warp():
    red = op("RED.E.ADD.STRONG.GPU", [], [2, 6], stall=2, read=0, at=(GLOBAL_BASE, 4))
    probe = run([red, wait(), exit_()])
    assert probe.gaps()[0] == 14, "WAR of a store"
    assert counts(probe, "L1_ATOMIC_SECTORS", "REPLIES_RECEIVED") == (4, 1)


def test_strong_gpu_load_bypasses_the_l1():
    strong = load((GLOBAL_BASE, 4), ".STRONG.GPU")
    probe = run([strong, wait(), strong, wait(), exit_()])
    assert counts(probe, "L1_SECTORS", "L1_SECTOR_HITS", "REQUESTS_SENT") == (8, 0, 2)


def test_miss_is_charged_to_the_long_scoreboard():
    probe = run([load((GLOBAL_BASE, 4)), wait(), exit_()])
    assert probe.stalled(Stall.LONG_SCOREBOARD) == probe.gaps()[0] - 2


def test_two_sms_do_not_share_an_l1():
    probe = run(kernel([load((GLOBAL_BASE, 4)), wait(), exit_()], blocks=2))
    assert counts(probe, "L1_SECTOR_HITS", "REQUESTS_SENT") == (0, 2)


def test_merge_limit_stalls_the_tag_stage():
    ops = [load((GLOBAL_BASE, 4), write=i) for i in range(3)]
    free, limited = (run([*ops, exit_(wait=[0, 1, 2])], f"l1d.mshr_merges={n}") for n in (48, 1))
    assert free.count(Counter.L1_STALL_CYCLES) == 0 < limited.count(Counter.L1_STALL_CYCLES)
    assert counts(limited, "L1_SECTORS", "REQUESTS_SENT") == (12, 1), "what had to wait finds the line filled"


def test_overlapping_lanes_do_not_fill_a_sector():
    """Eight lanes write 32 bytes in all, but two of them the same word: one word of the sector stays unwritten."""
    lanes = [GLOBAL_BASE + a for a in (0, 0, 4, 8, 12, 16, 20, 24)]
    store = op("STG.E", [], [2, 6], stall=2, read=1, at=lanes, mask=0xFF)
    probe = run([store, op("NOP", wait=[1]), load((GLOBAL_BASE, 0)), wait(), exit_()])
    assert probe.count(Counter.L1_SECTOR_HITS) == 0


@pytest.mark.parametrize(
    ("lines", "turns"),
    [
        (range(4), 1),
        (range(32), 8),
        ([0, 5, 10, 15], 4),  # 5 = 01 01: folds to bank 0, as 10 = 10 10 and 15 = 11 11
        ([0, 16, 32, 48], 1),
        ([0, 17, 34, 51], 4),
        ([7], 1),
    ],
)
def test_tag_bank_is_the_folded_line_number(lines, turns):
    """Each bank looks up one line per cycle (measured on RTX 5090: bits 0, 2, 4 ... and 1, 3, 5 ... of the number)."""
    lanes = [GLOBAL_BASE + 128 * lines[i % len(lines)] for i in range(32)]

    def hit(banks):
        return run([load(lanes), wait(), load(lanes), wait(), exit_()], f"l1d.tags_per_cycle={banks}").gaps()[2]

    assert hit(4) - hit(32) == turns - 1, "with 32 banks none of these lines collide"
