"""`subcore config`."""

import json

import pytest


def test_list_names_every_shipped_gpu(run):
    from configs.load import list_configs

    result = run("config", "list")
    assert result.exit_code == 0, result.output
    rows = json.loads(run("config", "list", "--json").stdout)["gpus"]
    assert [row["name"] for row in rows] == list_configs()
    assert all(name in result.stdout for name in list_configs())


def test_show_applies_settings_and_names_their_source(run):
    rows = json.loads(run("config", "show", "rtx_a6000", "--set", "l1d.mshrs=7", "--json").stdout)["knobs"]
    knob = next(row for row in rows if row["knob"] == "l1d.mshrs")
    assert knob["value"] == 7 and knob["source"].startswith("user")
    text = run("config", "show", "rtx_a6000", "--sources").stdout
    assert len(text.splitlines()) == len(rows) + 3, "one header, one line per knob, one blank, one summary"


def test_shown_toml_loads_back_unchanged(run, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(run("config", "show", "rtx_a6000", "--toml").stdout)
    assert run("config", "diff", "rtx_a6000", path).stdout == "no difference\n"


def test_diff_shows_only_what_differs(run, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('inherits = "gpus/rtx_a6000"\n[l1d]\nmshrs = 7\n')
    rows = json.loads(run("config", "diff", "rtx_a6000", path, "--json").stdout)
    assert [row["knob"] for row in rows] == ["l1d.mshrs"] and rows[0][str(path)] == 7


def test_check_accepts_the_shipped_and_refuses_a_wrong_one(run, tmp_path):
    assert run("config", "check").exit_code == 0
    path = tmp_path / "wrong.toml"
    path.write_text('inherits = "gpus/rtx_a6000"\n[l1d]\nmshrs = -1\nwais = 3\n')
    result = run("config", "check", "rtx_a6000", path)
    assert result.exit_code == 1
    assert "rtx_a6000: ok" in result.stdout
    assert "l1d.mshrs" in result.stderr and "wais" in result.stderr, "all problems at once"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["config", "show", "rtx_a600"], 1, "rtx_a6000"),
        (["config", "show", "missing.toml"], 1, "missing.toml"),
        (["config", "show", "rtx_a6000", "--set", "l1d.mshr=7"], 1, "did you mean 'mshrs'"),
        (["config", "show", "rtx_a6000", "--set", "l1d.mshrs=many"], 1, "l1d.mshrs"),
        (["config", "show", "rtx_a6000", "--set", "nonsense"], 1, "section.knob=value"),
        (["config", "show", "rtx_a6000", "--overlay", "no_such"], 1, "no_such"),
        (["config", "show", "rtx_a6000", "--toml", "--json"], 2, "--toml"),
        (["config", "show"], 2, "Missing argument"),
        (["config", "frob"], 2, "frob"),
    ],
)
def test_wrong_use_gives_a_message_and_an_exit_code(run, arguments, code, message):
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr and "Traceback" not in result.output
    assert not result.stdout
