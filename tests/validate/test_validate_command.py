"""`subcore validate core`: the table, JSON, exit code."""

import json

import pytest
from click.testing import CliRunner

from subcore.cli import cli


def run(*arguments):
    done = CliRunner().invoke(cli, ["validate", "core", *arguments], standalone_mode=False)
    return done.return_value if done.exception is None else done.exception, done.output


def test_agreeing_case_exits_with_zero():
    code, output = run("--case", "yield")
    assert code in (0, None)
    assert "stall 0 and yield" in output and "5 cells" in output and "DIFFERS" not in output


def test_difference_that_is_not_listed_exits_with_one():
    code, output = run("--case", "yield", "--set", "issue.stall0_yield_cycles=40")
    assert code == 1
    (line,) = [line for line in output.splitlines() if "DIFFERS" in line]
    assert line.split()[-4:] == ["45", "40", "-5", "DIFFERS"]


def test_listed_difference_is_marked_and_explained():
    code, output = run("--case", "result_latency")
    assert code in (0, None)
    assert (
        "listed" in output and "2 of them listed in DEVIATIONS.md, 0 not" in output and "One latency for POPC" in output
    )


def test_json_holds_every_cell_with_its_source():
    _, output = run("--case", "port_conflicts", "--json")
    values = json.loads(output)
    assert [(c["cell"], c["measured"], c["simulated"]) for c in values["cells"]] == [
        ("odd, odd", 5, 5), ("even, odd", 6, 6), ("odd, even", 6, 6), ("even, even", 7, 7),
    ]  # fmt: skip
    assert values["differences"] == 0
    assert all(c["source"].startswith("paper: MICRO 2025") for c in values["cells"])


def test_gpu_selects_the_cases_of_its_architecture():
    _, output = run("-c", "rtx_2080_ti", "--case", "latency_turing_matrix_reader", "--case", "table_1", "--json")
    assert {c["case"] for c in json.loads(output)["cells"]} == {"latency_turing_matrix_reader"}


def test_configuration_file_runs_the_cases_of_its_architecture(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('inherits = "rtx_a6000"\n[issue]\nstall0_yield_cycles = { value = 44, source = "guess: a test" }\n')
    code, output = run("-c", str(path), "--case", "yield")
    assert code == 1 and "44" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--case", "nothing"), "no case nothing in the core suite; there are"), (("-c", "gtx_1"), "gtx_1")],
)
def test_unknown_name_is_one_clear_error(arguments, message):
    error, _ = run(*arguments)
    assert message in str(error) and "internal error" not in str(error)


def test_tensor_suite_prints_its_table_and_what_is_left_out():
    done = CliRunner().invoke(cli, ["validate", "tensor", "--case", "h800_rate"], standalone_mode=False)
    assert done.exception is None and done.return_value in (0, None)
    assert "2 figures, 1 differ, 1 of them listed in DEVIATIONS.md, 0 not" in done.output
    assert "left out: RTX 5090 D, *: export-limited card" in done.output


def test_tensor_suite_fails_on_a_difference_that_is_not_listed():
    arguments = ["validate", "tensor", "--case", "h800_rate", "--set", "tensor.operand_step_cycles=1", "--json"]
    done = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert done.return_value == 1
    values = json.loads(done.output)
    assert values["differences_unlisted"] == 1
    assert values["cells"][0]["source"].startswith("Luo et al.") and values["cells"][0]["limit"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--case", "nothing"), "no case nothing in the tensor suite"), (("-c", "gtx_1"), "no row of the tensor suite")],
)
def test_unknown_name_in_the_tensor_suite_is_one_clear_error(arguments, message):
    done = CliRunner().invoke(cli, ["validate", "tensor", *arguments], standalone_mode=False)
    assert message in str(done.exception)
