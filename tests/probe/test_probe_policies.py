"""Order in which a sub-core issues from its warps: CGGTY as MICRO 2025 Fig. 4 shows it, and the other policies."""

import pytest

from sim.state import LogKind
from sim.stats import Stall
from tests.probe.harness import PERFECT_FETCH, exit_, kernel, op, run

LENGTH = 32


def four_warps(ops, *settings, fetch=PERFECT_FETCH, synchronised=True, first=2):
    """Warps 0, 4, 8, 12 of a block share sub-core 0 as W0 (oldest) to W3. Unless told otherwise they leave a barrier
    together, W3 the last to arrive, so that instruction buffers are full and W3 is the greedy warp. Returns their
    stretches of issue without EXIT, (warp, first, end), the first at 0; and the run. `first` is the slot of the first
    instruction in the code."""
    before = [op("NOP", stall=15, yields=True), op("BAR.SYNC", stall=2)]
    code = [*before, *[op("NOP")] * (first - len(before)), *ops, exit_(), exit_()]
    last = len(code) - 2
    mine = range(first, last + 1)

    def stream(block, warp):
        if warp % 4:
            return [last + 1]
        return [*([0] * (warp == 12) + [1]) * synchronised, *mine]

    # warps elsewhere have left by the time W3 arrives: the barrier counts those that live
    probe = run(kernel(code, warps=13, streams=stream), *settings, fetch=fetch)
    log = probe.log[(probe.log["kind"] == LogKind.ISSUE) & (probe.log["op"] >= first) & (probe.log["op"] < last)]
    start = int(log["cycle"].min())
    stretches: list[tuple[str, int, int]] = []
    for entry in log:
        warp, cycle = f"W{entry['warp']}", int(entry["cycle"]) - start
        if stretches and stretches[-1][0] == warp and stretches[-1][2] == cycle:
            stretches[-1] = (warp, stretches[-1][1], cycle + 1)
        else:
            stretches.append((warp, cycle, cycle + 1))
    return stretches, probe


def independent(count=LENGTH, second=None):
    """Independent instructions of alternating pipes; `second`: control fields of the second one."""
    ops = [op("NOP") for _ in range(count)]
    if second:
        ops[1] = op("NOP", **second)
    return ops


def without_exit(stretches):
    """EXIT takes a cycle of its own between the blocks of the figure: drop it from the time axis."""
    out: list[tuple[str, int, int]] = []
    shift = previous_end = 0
    for warp, first, end in stretches:
        if first - previous_end == 1 and out and done(out, out[-1][0]) == LENGTH:
            shift += 1
        out.append((warp, first - shift, end - shift))
        previous_end = end
    return out


def done(stretches, warp):
    return sum(end - first for w, first, end in stretches if w == warp)


def test_cggty_without_hints_runs_each_warp_to_its_end_youngest_first():
    stretches, _ = four_warps(independent())
    assert without_exit(stretches) == [("W3", 0, 32), ("W2", 32, 64), ("W1", 64, 96), ("W0", 96, 128)]


def test_cggty_figure_4a_cold_instruction_cache():
    """The first 256 B line of cold code lasts for 16 instructions; W2 runs while W3 waits for the second one."""
    stretches, _ = four_warps(independent(), fetch=(), synchronised=False, first=16)
    assert without_exit(stretches) == [("W3", 0, 16), ("W2", 16, 48), ("W3", 48, 64), ("W1", 64, 96), ("W0", 96, 128)]


def test_cggty_figure_4b_stall_count_of_the_second_instruction():
    """The figure shows W0 idle for four cycles; Listing 2 of the paper makes a stall count of 4 a distance of 4, so
    three idle cycles: W0 ends one cycle earlier than drawn."""
    stretches, _ = four_warps(independent(second={"stall": 4}))
    assert without_exit(stretches) == [
        *[("W3", 0, 2), ("W2", 2, 4), ("W1", 4, 6), ("W3", 6, 36), ("W2", 36, 66), ("W1", 66, 96)],
        *[("W0", 96, 98), ("W0", 101, 131)],
    ]


def test_cggty_figure_4c_yield_of_the_second_instruction():
    stretches, _ = four_warps(independent(second={"yields": True}))
    assert without_exit(stretches) == [
        *[("W3", 0, 2), ("W2", 2, 4), ("W3", 4, 34), ("W2", 34, 64), ("W1", 64, 66), ("W0", 66, 68)],
        *[("W1", 68, 98), ("W0", 98, 128)],
    ]


def test_gto_prefers_the_oldest_when_the_greedy_warp_stalls():
    stretches, _ = four_warps(independent(8, {"stall": 4}), "issue.policy=GTO")
    assert stretches[:5] == [("W3", 0, 2), ("W0", 2, 4), ("W1", 4, 6), ("W2", 6, 8), ("W0", 8, 14)]


def test_oldest_first_returns_to_the_oldest_at_once():
    stretches, _ = four_warps(independent(8, {"stall": 4}), "issue.policy=OLDEST")
    assert stretches[:5] == [("W0", 0, 2), ("W1", 2, 4), ("W2", 4, 5), ("W0", 5, 11), ("W1", 12, 18)]


def test_loose_round_robin_changes_the_warp_every_cycle():
    stretches, _ = four_warps(independent(4), "issue.policy=LRR")
    assert stretches == [(f"W{i % 4}", i, i + 1) for i in range(16)]


@pytest.mark.parametrize("policy", ["CGGTY", "GTO", "LRR", "OLDEST"])
def test_every_policy_issues_each_cycle_while_any_warp_is_ready(policy):
    stretches, probe = four_warps(independent(), f"issue.policy={policy}")
    assert stretches[-1][2] <= 4 * (LENGTH + 1)
    assert probe.stalled(Stall.WAIT) < 16
