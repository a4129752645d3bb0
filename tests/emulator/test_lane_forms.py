"""SASS forms that look across lanes or end them, run on one warp."""

import numpy as np

from tests.emulator.sass import Warp


def test_exit_needs_its_guard_and_its_operand():
    warp = Warp(120)
    warp.predicate[0], warp.predicate[1] = 0x0000FFFF, 0x00FF00FF
    warp.register[2] = 7
    warp.run("@!P0 EXIT P1", "MOV R8,R2")
    ended = 0x00FF0000
    assert warp.register[8].tolist() == [0 if ended >> lane & 1 else 7 for lane in range(32)]


def test_elect_chooses_the_lowest_lane_that_runs():
    warp = Warp(90)
    warp.predicate[2] = 0xFFFFF0F0
    warp.run("@P2 ELECT P0,UR4,PT", "@!P2 ELECT P1,UR6,PT")
    assert (int(warp.predicate[0]), int(warp.uniform[4])) == (1 << 4, 4)
    assert (int(warp.predicate[1]), int(warp.uniform[6])) == (1, 0)


def test_uniform_move_tells_whether_lanes_agree():
    warp = Warp(90)
    warp.register[2], warp.register[3] = 5, np.arange(32)
    warp.run("R2UR P0,UR4,R2", "R2UR P1,UR5,R3")
    assert (warp.predicate[0], warp.predicate[1]) == (0xFFFFFFFF, 0)
    assert (warp.uniform[4], warp.uniform[5]) == (5, 0)


def test_float_reduction_knows_nan_and_magnitude():
    warp, values = Warp(100), np.linspace(-3, 4, 32).astype(np.float32)
    values[5], values[7] = np.nan, -9
    warp.register[2] = values.view(np.uint32)
    warp.run("CREDUX.MIN.F32 UR4,R2", "CREDUX.MAXABS.F32 UR5,R2", "CREDUX.MAX.F32.NAN UR6,R2")
    assert warp.uniform[[4, 5]].view(np.float32).tolist() == [-9, 9]
    assert warp.uniform[6] == 0x7FFFFFFF


def test_votes_count_active_lanes_only():
    warp = Warp(90)
    warp.predicate[2], warp.predicate[3] = 0x0F0F0F0F, 0x00FF00FF
    warp.run("@P3 VOTE.ANY R8,P0,P2", "@P3 VOTE.ALL R9,P1,P2", "@P3 VOTE.EQ R10,P4,P3")
    assert set(warp.register[8][:8].tolist()) == {0x000F000F}
    assert (int(warp.predicate[0]) & 0xFF, int(warp.predicate[1]) & 0xFF, int(warp.predicate[4]) & 0xFF) == (
        0xFF,
        0,
        0xFF,
    )


def test_halves_of_a_uniform_matrix_survive_a_double_transpose():
    warp = Warp(90)
    warp.register[2] = np.random.default_rng(1).integers(0, 2**32, 32)
    warp.run("MOVM.16.MT88 R8,R2", "MOVM.16.MT88 R9,R8")
    assert warp.register[9].tolist() == warp.register[2].tolist()
    matrix = warp.register[2].copy().view(np.uint16).reshape(8, 8)
    assert np.array_equal(warp.register[8].copy().view(np.uint16).reshape(8, 8), matrix.T)
