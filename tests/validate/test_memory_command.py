"""`subcore validate memory`: kernels that run, the table, figures, exit code."""

import json

import pytest
from click.testing import CliRunner

from configs.load import load_config
from subcore.cli import cli
from validate.memory.chase import chase_cycles
from validate.memory.launches import with_sms
from validate.memory.rules import constant_cycles
from validate.memory.throughput import stride_cycles

pytestmark = pytest.mark.sass


def run(*arguments):
    done = CliRunner().invoke(cli, ["validate", "memory", *arguments], standalone_mode=False)
    return done.return_value if done.exception is None else done.exception, done.output


def test_32_bit_bank_conflicts_are_exact():
    _, output = run("--only", "wavefronts", "--json")
    values = json.loads(output[output.index("{") :])
    words = [c for c in values["cells"] if " 4 B, " in c["cell"]]
    assert len(words) == 18
    assert [c["simulated"] for c in words] == [c["measured"] for c in words]
    assert values["differences"] == sum(not c["agrees"] for c in values["cells"])


def test_curve_is_drawn_with_its_data_and_twice_the_same(tmp_path):
    arguments = ("--only", "atomics", "-c", "rtx_2080_ti", "-o")
    for folder in ("one", "two"):
        run(*arguments, str(tmp_path / folder))
    one, two = tmp_path / "one", tmp_path / "two"
    assert sorted(p.name for p in one.iterdir()) == ["atomics.rtx_2080_ti.csv", "atomics.rtx_2080_ti.svg"]
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes(), file.name
    data = (one / "atomics.rtx_2080_ti.csv").read_text().splitlines()
    assert data[0] == "series,x,measured,simulated" and len(data) == 7
    code, _ = run(*arguments, str(one))
    assert "exists already" in str(code)


def test_cell_beyond_its_limit_exits_with_one():
    code, output = run("--only", "atomics", "-c", "rtx_2080_ti", "--set", "shared_memory.atomic_cycles_per_lane=20")
    assert code == 1 and "DIFFERS" in output


def test_unknown_benchmark_and_board_are_named():
    assert "no benchmark chase in the memory suite; there are atomics, " in str(run("--only", "chase")[0])
    assert "no board h300 in the memory suite; there are a100_sxm4_80gb, " in str(run("-c", "h300")[0])


def test_chase_sees_l1_then_l2_then_dram():
    config = load_config("v100")
    l1, l2, dram = (chase_cycles(size, 128, config, 256) for size in (16 << 10, 1 << 20, 16 << 20))
    interconnect = config.interconnect
    beyond = interconnect.request_cycles + config.l2.access_cycles + interconnect.reply_cycles
    assert l1 < 40
    assert l2 - l1 == pytest.approx(beyond, rel=0.03)
    assert dram - l2 > 100


def test_warm_chase_that_fits_the_l1_never_leaves_it():
    config = load_config("v100")
    assert chase_cycles(64 << 10, 128, config, 256) == chase_cycles(4 << 10, 128, config, 256)


def test_strided_doubles_pay_for_bank_conflicts():
    config = with_sms(load_config("a100_sxm4_80gb"), 2)
    assert stride_cycles("float", "stride", 1, config) == pytest.approx(1, rel=0.25)
    assert stride_cycles("double", "stride", 4, config) == pytest.approx(8, rel=0.05)


def test_constants_beyond_the_first_level_miss_in_each_round():
    config = load_config("v100")
    hit = constant_cycles(config.constant.variable_bytes // 2, config)
    miss = constant_cycles(8 * config.constant.variable_bytes, config)
    there_and_back = config.fetch.l0_to_l1_cycles + config.fetch.l1_access_cycles + config.fetch.l1_to_l0_cycles
    assert miss - hit == pytest.approx(there_and_back, abs=2)
