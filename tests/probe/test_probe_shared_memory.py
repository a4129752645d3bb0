"""Shared memory: bank conflicts, phases of wide accesses, broadcasts, atomics, matrix loads."""

import pytest

from sim.state import LogKind
from sim.stats import Counter
from tests.probe.harness import GLOBAL_BASE, exit_, op, run


def passes(access, bytes_=4096):
    """(passes, conflicts, extra cycles against the conflict-free access of the same kind)."""
    probe = run([access, exit_(wait=[0])], shared_bytes=bytes_)
    return probe.count(Counter.SHARED_WAVEFRONTS), probe.count(Counter.SHARED_CONFLICTS), probe.gaps()[0]


def load(at, suffix="", mask=0xFFFFFFFF):
    return op(f"LDS{suffix}", [8], [2], stall=2, write=0, at=at, mask=mask)


@pytest.mark.parametrize(
    ("stride", "count"), [(4, 1), (8, 2), (16, 4), (32, 8), (64, 16), (128, 32), (132, 1), (12, 1)]
)
def test_stride_conflicts_of_32_bit_loads(stride, count):
    wavefronts, conflicts, gap = passes(load((0, stride)), 8192)
    assert (wavefronts, conflicts, gap) == (count, count - 1, 24 + count - 1)


def test_one_word_is_broadcast():
    assert passes(load((64, 0)))[:2] == (1, 0)


def test_lanes_on_different_bytes_of_a_word_share_the_pass():
    assert passes(load([i for i in range(32)], ".U8"))[:2] == (1, 0)


@pytest.mark.parametrize(("suffix", "bytes_", "phases"), [(".64", 8, 2), (".128", 16, 4)])
def test_wide_loads_take_one_pass_per_phase(suffix, bytes_, phases):
    wavefronts, conflicts, _ = passes(load((0, bytes_), suffix))
    assert (wavefronts, conflicts) == (phases, 0)


def lanes_sharing(group: int, bytes_: int, apart: bool = False) -> list[int]:
    """Byte address per lane when `group` neighbours, or (apart) every group-th lane, read the same vector."""
    return [(lane % (32 // group) if apart else lane // group) * bytes_ for lane in range(32)]


@pytest.mark.parametrize("group", [2, 4, 8])
@pytest.mark.parametrize(("suffix", "bytes_", "phases"), [(".64", 8, 2), (".128", 16, 4)])
def test_wide_loads_shared_by_neighbours_take_half_the_passes(group, suffix, bytes_, phases):
    """`smem_bank_rules.csv`, counted on an H800."""
    assert passes(load(lanes_sharing(group, bytes_), suffix))[0] == phases // 2


def test_wide_loads_shared_by_lanes_i_and_i_xor_2_take_half_the_passes():
    assert passes(load([((lane >> 2 << 1) + (lane & 1)) * 16 for lane in range(32)], ".128"))[0] == 2


@pytest.mark.parametrize("group", [2, 4, 8])
def test_wide_loads_shared_by_lanes_far_apart_take_all_passes(group):
    assert passes(load(lanes_sharing(group, 16, apart=True), ".128"))[0] == 4


@pytest.mark.parametrize(("suffix", "bytes_", "phases"), [(".64", 8, 2), (".128", 16, 4)])
def test_wide_stores_never_merge_phases(suffix, bytes_, phases):
    store = op(f"STS{suffix}", [], [2, 8], stall=2, read=0, at=lanes_sharing(2, bytes_))
    assert passes(store)[0] == phases


def test_merged_phases_keep_their_conflicts():
    """Pairs of lanes 256 bytes apart: 8 vectors per half, all in the same banks."""
    assert passes(load([(lane // 2) * 256 for lane in range(32)], ".128"), 8192)[0] == 16


def test_sharing_is_judged_among_active_lanes():
    """Lanes 0, 1 and 9: 0 and 1 share, 9 has no active neighbour; both phases of the half go together."""
    assert passes(load([0, 0, 16], ".128", mask=0x203))[0] == 1
    assert passes(load([0, 16, 32, 48, 64], ".128", mask=0x20F))[0] == 2, "no lane shares with a neighbour"


PAIRS = [8 * (i // 2) for i in range(32)]


@pytest.mark.parametrize(
    ("suffix", "lanes", "count"),
    [
        (".64", [0] * 32, 1),
        (".64", PAIRS, 1),
        (".64", [8 * (i // 4) for i in range(32)], 1),
        (".64", [8 * (i // 4 * 2 + i % 2) for i in range(32)], 1),  # lanes 2 apart
        (".64", [8 * (i // 8 * 4 + i % 4) for i in range(32)], 2),  # lanes 4 apart
        (".64", [8 * (i & 15) for i in range(32)], 2),
        (".64", [256 * (i // 16) + 8 * (i // 2 % 8) for i in range(32)], 2),  # the halves meet in their banks
        (".128", [0] * 32, 2),
        (".128", [2 * a for a in PAIRS], 2),
        (".128", [16 * (i // 8) for i in range(32)], 2),
        (".128", [16 * (i // 8 * 4 + i % 4) for i in range(32)], 4),
        (".128", [16 * i for i in range(32)], 4),
    ],
)
def test_wide_loads_merge_lane_groups_that_share_in_pairs(suffix, lanes, count):
    """Measured with ncu on RTX 5090 and H800: broadcasts, pairs, quads and octets halve the passes, others do not."""
    assert passes(load(lanes, suffix), 8192)[0] == count


@pytest.mark.parametrize(("suffix", "lanes", "count"), [(".64", [0] * 32, 2), (".128", [0] * 32, 4), (".64", PAIRS, 2)])
def test_wide_stores_never_merge_lane_groups(suffix, lanes, count):
    store = op(f"STS{suffix}", [], [2, 4], stall=2, read=0, at=lanes)
    probe = run([store, exit_(wait=[0])], shared_bytes=4096)
    assert probe.count(Counter.SHARED_WAVEFRONTS) == count


@pytest.mark.parametrize(
    ("suffix", "source", "target", "busy"),
    [
        ("", (GLOBAL_BASE, 4), (0, 4), 1),
        ("", (GLOBAL_BASE, 0), (0, 4), 32),  # lanes on one word do not merge
        ("", (GLOBAL_BASE, 4), (0, 16), 4),
        (".64", (GLOBAL_BASE, 8), (0, 8), 2),
        (".64", (GLOBAL_BASE, 8), (0, 16), 4),
        (".128", (GLOBAL_BASE, 16), (0, 16), 4),
        (".128", (GLOBAL_BASE, 0), (0, 16), 32),
    ],
)
def test_copy_to_shared_memory_takes_the_data_path_of_both_sides(suffix, source, target, busy):
    """Wavefronts of LDGSTS on RTX 5090 (ncu): lane groups as LDS, no merging, the slower side counts."""
    copy = op(f"LDGSTS.E{suffix}", [], [6, 2], stall=2, write=0, at=(source, target))
    warm = [op("LDG.E.128", [8], [2], stall=2, write=1, at=(GLOBAL_BASE, 16)), op("NOP", wait=[1])]

    def done(at):
        step = op("LDGSTS.E.128", [], [6, 2], stall=2, write=0, at=at)
        return run([*warm, step, exit_(wait=[0])], shared_bytes=8192).gaps()[2]

    gap = run([*warm, copy, exit_(wait=[0])], shared_bytes=8192).gaps()[2]
    assert gap - done(((GLOBAL_BASE, 16), (0, 16))) == busy - int(suffix[1:] or 32) // 32


def test_conflict_inside_a_phase_of_a_wide_load():
    """128-bit: lanes 0-7 form a phase; a stride of 32 bytes makes lanes i and i + 4 meet in their banks."""
    assert passes(load((0, 32), ".128"))[:2] == (8, 4)


def test_lanes_that_are_off_cause_no_conflict():
    assert passes(load((0, 128), mask=0x3))[:2] == (2, 1)
    assert passes(load([0, 128 * 7], mask=0x80000001))[:2] == (2, 1)


def test_listed_addresses_and_stride_agree():
    assert passes(load((4, 12))) == passes(load([4 + 12 * i for i in range(32)]))


def test_conflict_delays_the_next_access_of_another_subcore():
    def second_done(stride):
        probe = run([load((0, stride)), exit_(wait=[0])], warps=2, shared_bytes=8192)
        return probe.stage(LogKind.DONE, 1)[0]

    assert second_done(4) == 24 + 2, "accepted two cycles after the first"
    assert second_done(128) == 9 + 32 + (24 - 9) + 31, "waits for 32 passes, then takes 32 itself"


@pytest.mark.parametrize("lanes", [1, 2, 32])
def test_atomics_on_one_word_add_their_lanes_one_after_the_other(lanes):
    add = op("ATOMS.ADD", [8], [2, 4], stall=2, write=0, at=[0] * lanes, mask=(1 << lanes) - 1)
    probe = run([add, exit_(wait=[0])], shared_bytes=512)
    knobs = probe.machine.config
    assert (
        probe.gaps()[0] == knobs.memory_unit.shared_atomic[1] + (lanes - 1) * knobs.shared_memory.atomic_cycles_per_lane
    )


def test_atomics_on_different_words_do_not_collide():
    add = op("ATOMS.ADD", [8], [2, 4], stall=2, write=0, at=(0, 4))
    probe = run([add, exit_(wait=[0])], shared_bytes=512)
    assert probe.gaps()[0] == probe.machine.config.memory_unit.shared_atomic[1]


@pytest.mark.parametrize(("matrices", "suffix"), [(1, ""), (2, ".2"), (4, ".4")])
def test_matrix_load_takes_one_pass_per_matrix(matrices, suffix):
    """Rows of 16 bytes side by side: eight rows of a matrix cover all banks once."""
    rows = [16 * i for i in range(32)]
    ldsm = op(f"LDSM.16.M88{suffix}", [8], [2], stall=2, write=0, at=rows)
    assert passes(ldsm)[:2] == (matrices, 0)


def test_matrix_rows_in_one_bank_conflict():
    ldsm = op("LDSM.16.M88.4", [8], [2], stall=2, write=0, at=[128 * i for i in range(32)])
    assert passes(ldsm, 8192)[:2] == (32, 28)


@pytest.mark.parametrize(("matrices", "suffix"), [(1, ""), (2, ".2"), (4, ".4")])
def test_each_further_matrix_adds_its_write_back_time(matrices, suffix):
    """128 bytes per matrix over a path of 64 bytes per cycle; ldmatrix x1, x2, x4 takes 23, 25, 29 cycles on A100."""
    ldsm = op(f"LDSM.16.M88{suffix}", [8], [2], stall=2, write=0, at=[16 * i for i in range(32)])
    probe = run([ldsm, exit_(wait=[0])], shared_bytes=512)
    assert probe.gaps()[0] == probe.machine.config.memory_unit.matrix_load[1] + 2 * (matrices - 1)


def test_shared_instructions_are_counted():
    probe = run([load((0, 4)), op("STS", [], [2, 6], at=(0, 4)), exit_(wait=[0])], shared_bytes=512)
    assert probe.count(Counter.SHARED_INSTRUCTIONS) == 2
    assert probe.count(Counter.GLOBAL_INSTRUCTIONS) == 0
