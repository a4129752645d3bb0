"""What the memory suite computes from curves, and the inputs of its kernels."""

import numpy as np
import pytest

from validate.memory.chase import FIRST_ARRAY_AT, LANES, bisect, bracket, chain, crossing, curve_error
from validate.memory.rules import lane_offsets
from validate.memory.suite import Cell, Point


def follow(memory, at, word=0):
    return int(memory[(at - FIRST_ARRAY_AT) // 8 + word])


@pytest.mark.parametrize(("nodes", "distance", "words"), [(40, 64, 1), (50, 128, 8)])
def test_chain_visits_every_line_in_each_round_and_closes(nodes, distance, words):
    memory, start = chain(nodes, distance, words, nodes * words)
    at, lines = int(start[0]), []
    for _ in range(nodes * words):
        lines.append((at - FIRST_ARRAY_AT) // distance)
        at = follow(memory, at)
    assert at == start[0]
    rounds = np.array(lines).reshape(words, nodes)
    assert (np.sort(rounds, axis=1) == np.arange(nodes)).all()
    assert (rounds == rounds[0]).all(), "each round takes the lines in the same order"
    assert (rounds[0] != np.arange(nodes)).any(), "the order is random"


def test_second_word_of_a_node_leads_32_nodes_on():
    memory, start = chain(100, 128, 1, 100)
    at = int(start[0])
    far = follow(memory, at, 1)
    for _ in range(LANES):
        at = follow(memory, at)
    assert at == far


def test_lanes_start_at_consecutive_nodes():
    memory, start = chain(64, 64, 1, 64)
    assert [follow(memory, int(s)) for s in start[:-1]] == [int(s) for s in start[1:]]


def test_crossing_interpolates_over_log_x():
    assert crossing([1, 16], [10, 20], 15) == pytest.approx(4)
    assert crossing([1, 2, 4], [10, 10, 30], 20) == pytest.approx(2 * 2**0.5)


def test_bracket_finds_the_first_point_at_the_level():
    assert bracket([1, 2, 4, 8], [5, 6, 20, 30], 20) == (2, 4)
    assert bracket([1, 2], [5, 6], 20) == (2, 2), "never reached: no interval"


def test_bisect_comes_within_two_per_cent():
    assert bisect(lambda x: x, 100, 800, 333) == pytest.approx(333, rel=0.02)


def test_curve_error_weighs_points_by_their_share_of_the_axis():
    wrong_at_one_of_a_cluster = [Point("", x, 10, 20 if x == 2.0 else 10) for x in (1, 2.0, 2.01, 2.02, 4)]
    assert curve_error(wrong_at_one_of_a_cluster) == pytest.approx(25, abs=0.5)
    assert curve_error([Point("", x, 10, 9) for x in (1, 2, 4)]) == pytest.approx(10)


@pytest.mark.parametrize(
    ("rule", "limit", "simulated", "agrees"),
    [
        ("relative", 0.05, 104.9, True),
        ("relative", 0.05, 94.9, False),
        ("absolute", 0, 100, True),
        ("absolute", 0, 101, False),
        ("at most", 12, 12.1, False),
        ("at least", 90, 89, False),
        ("at least", 90, 91, True),
    ],
)
def test_cell_is_judged_by_its_rule(rule, limit, simulated, agrees):
    assert Cell("", "", "", 100, simulated, "", limit, rule, "").agrees is agrees


def test_lane_patterns():
    assert list(lane_offsets("stride 33", 4)[:3]) == [0, 132, 264]
    assert set(lane_offsets("same", 16)) == {0}
    assert list(lane_offsets("adjacent 4", 16)[:9]) == [0] * 4 + [16] * 4 + [32]
    apart = lane_offsets("apart 4", 16)
    assert all(apart[i] == apart[i + 4] for i in range(32) if i % 8 < 4) and len(set(apart)) == 16
    assert set(lane_offsets("one of 32 elsewhere", 4)) == {0, 128}
    with pytest.raises(ValueError, match="lane pattern 'zigzag'"):
        lane_offsets("zigzag", 4)
