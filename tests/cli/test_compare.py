"""`subcore compare` and `subcore plot sweep`."""

import json

import pandas
import pytest

SHIPPED = "saxpy.sm_86.sct"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    from click.testing import CliRunner

    from subcore.api import LIBRARY
    from subcore.cli import cli

    folder = tmp_path_factory.mktemp("runs")
    for name, words in (("base", []), ("small", ["--set", "l1d.mshrs=16"]), ("same", [])):
        arguments = ["simulate", str(LIBRARY / SHIPPED), "-c", "rtx_a6000", *words, "-o", str(folder / name)]
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
    return folder


def test_compare_shows_knobs_cycles_stalls_and_counters(run, runs):
    result = run("compare", str(runs / "base"), str(runs / "small"))
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    base, small = (json.loads((runs / name / "manifest.json").read_text())["cycles"] for name in ("base", "small"))
    assert base < small
    assert any(f"{small:,}" in line and f"{base / small:.3f}" in line for line in lines)
    knob = next(line for line in lines if line.startswith("l1d.mshrs"))
    assert knob.split()[1:] == ["384", "16"]
    assert any(line.startswith("gpu__cycles_elapsed") for line in lines)


def test_compare_as_json_holds_every_moved_counter(run, runs):
    found = json.loads(run("compare", "--json", str(runs / "base"), str(runs / "small")).output)
    assert found["knobs"] == {"l1d.mshrs": [384, 16]}
    assert sum(row[0] for row in found["stalls"].values()) == pytest.approx(1, abs=0.01)
    moved = found["counters"]
    assert all(len(set(row["values"])) > 1 for row in moved.values()) and len(moved) > 5


def test_equal_runs_differ_in_nothing(run, runs):
    result = run("compare", str(runs / "base"), str(runs / "same"))
    assert "the configurations are equal" in result.output
    assert json.loads(run("compare", "--json", str(runs / "base"), str(runs / "same")).output)["counters"] == {}


def test_compare_names_what_is_no_run(run, runs, tmp_path):
    result = run("compare", str(runs / "base"), str(tmp_path))
    assert result.exit_code == 1 and str(tmp_path) in result.output and "Traceback" not in result.output
    assert run("compare", str(runs / "base")).exit_code == 2


@pytest.fixture
def table(tmp_path):
    rows = []
    for workload in ("a", "b"):
        for mshrs in (16, 64):
            for policy in ("CGGTY", "LRR"):
                cycles = (
                    (1000 if workload == "a" else 500) * (2 if mshrs == 16 else 1) * (1.5 if policy == "LRR" else 1)
                )
                rows.append((len(rows), workload, "rtx_a6000", mshrs, policy, "ok", "", int(cycles)))
    columns = ["point", "workload", "gpu", "l1d.mshrs", "issue.policy", "status", "error", "cycles"]
    pandas.DataFrame(rows, columns=columns).to_csv(tmp_path / "results.csv", index=False)
    return tmp_path


def draw(run, table, kind, *words):
    target = table / f"{kind}.png"
    result = run("plot", "sweep", str(table), "--kind", kind, *words, "-o", str(target))
    assert result.exit_code == 0, result.output
    assert target.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    return pandas.read_csv(target.with_suffix(".csv"))


def test_lines_average_the_other_axis(run, table):
    data = draw(run, table, "lines", "-x", "l1d.mshrs").set_index(["workload", "l1d.mshrs"])["cycles"]
    assert data["a", 64] == pytest.approx((1000 * 1500) ** 0.5)


def test_heatmap_is_relative_to_the_best(run, table):
    data = draw(run, table, "heatmap").set_index(["issue.policy", "l1d.mshrs"])["cycles"]
    assert dict(data.round(6)) == {("CGGTY", 16): 2, ("CGGTY", 64): 1, ("LRR", 16): 3, ("LRR", 64): 1.5}


def test_bars_are_speed_ups_over_the_first_value_with_their_mean(run, table):
    data = draw(run, table, "bars", "-x", "issue.policy").set_index("workload")
    assert data.loc["geometric mean", "LRR"] == pytest.approx(1 / 1.5)
    assert (data["CGGTY"] == 1).all()


def test_tornado_needs_a_baseline(run, table):
    result = run("plot", "sweep", str(table), "--kind", "tornado", "-o", str(table / "t.svg"))
    assert result.exit_code == 1 and "one_at_a_time" in result.output and not (table / "t.svg").exists()


def test_tornado_shows_the_change_of_each_value(run, tmp_path):
    frame = pandas.DataFrame(
        {
            "point": [0, 1, 2],
            "workload": "a",
            "gpu": "x",
            "l1d.mshrs": [None, 16, None],
            "l2.bytes": [None, None, 1024],
            "status": "ok",
            "cycles": [100, 150, 80],
        }
    )
    frame.to_csv(tmp_path / "results.csv", index=False)
    data = draw(run, tmp_path, "tornado").set_index("knob")["change_percent"]
    assert data["l1d.mshrs"] == pytest.approx(50) and data["l2.bytes"] == pytest.approx(-20)


def test_plot_sweep_names_what_is_wrong(run, table, tmp_path):
    for words, text in (
        (["-x", "l1d.size"], "no axis 'l1d.size'"),
        (["-y", "joules"], "no column 'joules'"),
        (["--kind", "lines", "-x", "issue.policy"], "draw bars"),
    ):
        result = run("plot", "sweep", str(table), *words, "-o", str(tmp_path / "f.png"))
        assert result.exit_code == 1 and text in result.output, result.output
    assert run("plot", "sweep", str(tmp_path / "none"), "-o", str(tmp_path / "f.png")).exit_code == 1


def test_compare_names_what_binds_each_run(run, runs):
    found = json.loads(run("compare", "--json", str(runs / "base"), str(runs / "small")).output)
    for name, bound in zip(("base", "small"), found["bounds"], strict=True):
        rows = pandas.read_csv(runs / name / "bounds.csv")
        assert bound["resource"] == rows["resource"][0] and bound["share"] == pytest.approx(rows["share"].max())
    first = run("compare", str(runs / "base"), str(runs / "small")).output.splitlines()[1]
    assert found["bounds"][0]["resource"] in first


@pytest.mark.parametrize("words", [("compare", "{0}/base"), ("profile",), ("plot", "series", "-o", "x.svg")])
def test_missing_run_is_named_with_a_near_match(run, runs, words):
    result = run(*(word.format(runs) for word in words), str(runs / "smal"))
    assert result.exit_code == 1 and f"{runs / 'smal'}: no such folder" in result.output
    assert f"did you mean {runs / 'small'}" in result.output
