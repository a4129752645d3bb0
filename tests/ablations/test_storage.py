"""Storage of the dependence mechanisms against MICRO 2025, section 7.5 and Table 7."""

import json

import pytest
from click.testing import CliRunner

from configs.load import load_config
from isa.errors import SubcoreError
from subcore.commands.config import command
from validate.storage import dependence_storage, scoreboard_bits_per_warp


@pytest.mark.parametrize(
    ("gpu", "percent"), [("rtx_a6000", [0.09, 1.52, 2.28, 5.32]), ("h100_pcie", [0.13, 2.03, 3.04, 7.09])]
)
def test_shares_of_the_register_file_are_those_of_the_paper(gpu, percent):
    # 1 and 3 consumers with 64 warps are not in the paper: 64 / 48 of its figures
    assert [round(100 * row.share, 2) for row in dependence_storage(load_config(gpu))] == percent


def test_bits_per_warp_and_sm_are_those_of_the_paper():
    control, *_, scoreboard = dependence_storage(load_config("rtx_a6000"))
    assert (control.bits_per_warp, control.bits_per_sm) == (41, 1968)
    assert (scoreboard.bits_per_warp, scoreboard.bits_per_sm) == (2324, 111_552)


@pytest.mark.parametrize(("consumers", "counter_bits"), [(1, 1), (2, 2), (3, 2), (4, 3), (63, 6), (64, 7)])
def test_counter_is_wide_enough_for_its_consumers(consumers, counter_bits):
    assert scoreboard_bits_per_warp(consumers) == 332 * (1 + counter_bits)


def test_unlimited_scoreboard_has_no_size():
    with pytest.raises(SubcoreError, match="no finite size"):
        scoreboard_bits_per_warp(0)


def test_config_storage_shows_the_shares():
    run = CliRunner().invoke(command, ["storage", "rtx_a6000"])
    assert run.exit_code == 0, run.output
    assert "0.09 %" in run.output and "5.32 %" in run.output
    run = CliRunner().invoke(command, ["storage", "rtx_a6000", "--json", "--set", "sm.registers=131072"])
    shares = [row["share"] for row in json.loads(run.output)]
    assert shares[0] == pytest.approx(41 * 48 / (131072 * 32)), "the share follows the register file"
