"""`subcore simulate`, its run directory, and the Python interface behind it."""

import csv
import json
import subprocess
import sys
import tomllib

import pytest

import subcore
from isa.errors import SubcoreError


def simulate(run, *arguments):
    result = run("simulate", *arguments)
    assert result.exit_code == 0, result.output
    return result


def test_text_shows_the_main_figures_in_100_columns(run, text_trace):
    lines = simulate(run, text_trace, "-c", "rtx_a6000").stdout.splitlines()
    first_words = {line.split("  ")[0] for line in lines}
    assert {"cycles", "warp instructions", "IPC", "occupancy", "L1 hit rate", "L2 hit rate", "DRAM"} <= first_words
    assert {"issued", "no_warp"} <= first_words, "the stall table is missing"
    assert any(line.startswith("warning:") and "scoreboard" in line for line in lines), "no control bits: say so"
    assert any(line.startswith("warning:") and "guesses" in line for line in lines)
    assert any(line.startswith("simulated 20 warp instructions") for line in lines)
    assert max(map(len, lines)) <= 100


def test_json_holds_statistics_with_units_and_a_balanced_stall_table(run, text_trace):
    result = json.loads(simulate(run, text_trace, "-c", "rtx_a6000", "--json").stdout)
    statistics = {row["name"]: row for row in result["statistics"]}
    assert statistics["smsp__inst_executed.sum"]["value"] == 20
    assert statistics["smsp__inst_executed.sum"]["unit"] == "inst"
    charged = sum(row["cycles"] for row in result["stalls"])
    assert charged == statistics["sm__cycles_elapsed"]["value"] * 84 * 4
    assert next(row["cycles"] for row in result["stalls"] if row["reason"] == "issued") == 20


def test_run_directory_is_complete_and_identical_twice(run, text_trace, tmp_path):
    for name in "ab":
        simulate(run, text_trace, "-c", "rtx_a6000", "--set", "l1d.mshrs=64", "-o", tmp_path / name)
    files = {"manifest.json", "stats.json", "stalls.csv", "instructions.csv", "bounds.csv", "series.csv", "config.toml"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == files
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), f"{name} differs"
    manifest = json.loads((tmp_path / "a/manifest.json").read_text())
    assert manifest["inputs"]["settings"] == ["l1d.mshrs=64"] and manifest["config"]["values"]["l1d.mshrs"] == 64
    assert len(manifest["trace"]["hash"]) == 64 and manifest["trace"]["launch"]["grid"] == [2, 1, 1]
    assert tomllib.loads((tmp_path / "a/config.toml").read_text())["l1d"]["mshrs"]["value"] == 64
    with open(tmp_path / "a/stalls.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1)
    assert str(tmp_path) not in json.dumps(manifest["config"]), "a configuration must not name this machine"


def test_saved_configuration_repeats_the_run(run, text_trace, tmp_path):
    simulate(run, text_trace, "-c", "rtx_a6000", "--set", "l1d.mshrs=64", "-o", tmp_path / "a")
    simulate(run, text_trace, "-c", tmp_path / "a/config.toml", "-o", tmp_path / "b")
    assert (tmp_path / "a/stats.json").read_bytes() == (tmp_path / "b/stats.json").read_bytes()


def test_run_directory_is_not_overwritten_without_force(run, text_trace, tmp_path):
    target = tmp_path / "run"
    simulate(run, text_trace, "-c", "rtx_a6000", "-o", target)
    before = (target / "manifest.json").read_bytes()
    refused = run("simulate", text_trace, "-c", "v100", "--any-arch", "-o", target)
    assert refused.exit_code == 1 and "--force" in refused.stderr and not refused.stdout
    assert (target / "manifest.json").read_bytes() == before
    simulate(run, text_trace, "-c", "rtx_a6000", "--set", "l1d.mshrs=64", "-o", target, "--force")
    assert (target / "manifest.json").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_force_never_replaces_a_folder_that_is_no_run(run, text_trace, tmp_path):
    target = tmp_path / "photos"
    target.mkdir()
    (target / "holiday.jpg").write_text("precious")
    refused = run("simulate", text_trace, "-c", "rtx_a6000", "-o", target, "--force")
    assert refused.exit_code == 1 and "not a run directory" in refused.stderr
    assert (target / "holiday.jpg").read_text() == "precious"


def test_kill_during_the_write_leaves_no_run_directory(text_trace, tmp_path):
    target = tmp_path / "run"
    code = (
        "import sys, time, subcore.rundir as rundir; write = rundir._write\n"
        "def slow(path, text):\n    write(path, text); print(path.name, flush=True); time.sleep(60)\n"
        "rundir._write = slow\n"
        "from subcore.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "simulate", str(text_trace), "-c", "rtx_a6000", "-o", str(target), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.strip() == "manifest.json":
                break
        else:
            pytest.fail("the write never began:\n" + "".join(lines))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert not target.exists()
    assert all(path.name.startswith(".run.") for path in tmp_path.iterdir() if path != text_trace)


def test_kernelslist_gives_one_result_and_one_folder_per_kernel(run, traceg, tmp_path):
    for number, kernel in enumerate(("first", "second"), 1):
        (tmp_path / f"kernel-{number}.traceg").write_text(traceg(kernel))
    (tmp_path / "kernelslist.g").write_text("kernel-1.traceg\nkernel-2.traceg\n")
    result = simulate(run, tmp_path / "kernelslist.g", "-c", "rtx_a6000", "--json", "-o", tmp_path / "run")
    assert [row["kernel"] for row in json.loads(result.stdout)] == ["first", "second"]
    runs = json.loads((tmp_path / "run/manifest.json").read_text())["runs"]
    assert [row["kernel"] for row in runs] == ["first", "second"]
    assert all((tmp_path / "run" / row["directory"] / "stats.json").is_file() for row in runs)


def test_trace_of_another_architecture_needs_to_be_allowed(run, traceg, tmp_path):
    path = tmp_path / "hopper.traceg"
    path.write_text(traceg(architecture=90))
    refused = run("simulate", path, "-c", "rtx_a6000")
    assert refused.exit_code == 1 and "sm_90" in refused.stderr and "--any-arch" in refused.stderr
    simulate(run, path, "-c", "rtx_a6000", "--any-arch")


def test_impossible_launch_names_the_limit(run, traceg, tmp_path):
    path = tmp_path / "greedy.traceg"
    path.write_text(traceg().replace("-shmem = 0", "-shmem = 1000000"))
    refused = run("simulate", path, "-c", "rtx_a6000")
    assert refused.exit_code == 1 and not refused.stdout
    assert "1000000" in refused.stderr and "shared memory" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["absent.sct", "-c", "rtx_a6000"], 1, "absent.sct"),
        (["matmul_tild", "-c", "rtx_a6000"], 1, "matmul_tiled"),
        (["{trace}", "-c", "rtx_a600"], 1, "rtx_a6000"),
        (["{trace}", "-c", "rtx_a6000", "--set", "sm.max_wraps=8"], 1, "max_warps"),
        (["{trace}", "-c", "rtx_a6000", "-p", "n=4"], 1, "recorded trace"),
        (["{trace}", "-c", "rtx_a6000", "-p", "n"], 1, "name=integer"),
        (["{trace}", "-c", "rtx_a6000", "-a", "hopper"], 1, "sm_86"),
        (["{trace}", "-c", "rtx_a6000", "--max-cycles", "10"], 1, "--max-cycles 10"),
        (["{trace}", "-c", "rtx_a6000", "--max-cycles", "0"], 2, "--max-cycles"),
        (["{trace}"], 2, "--config"),
        ([], 2, "TRACE|KERNEL"),
    ],
)
def test_wrong_use_gives_a_message_and_an_exit_code(run, text_trace, tmp_path, arguments, code, message):
    before = sorted(tmp_path.iterdir())
    output = ["-o", tmp_path / "run"]
    result = run("simulate", *[str(a).format(trace=text_trace) for a in arguments], *output)
    assert result.exit_code == code, result.output
    assert message in result.stderr and "Traceback" not in result.output and not result.stdout
    assert sorted(tmp_path.iterdir()) == before, "nothing may be left behind"


def test_python_interface_gives_pandas_objects(text_trace):
    result = subcore.simulate(text_trace, "rtx_a6000", settings=["l1d.mshrs=64"])
    assert result.cycles > 0
    assert result.counters.loc["smsp__inst_executed.sum", "value"] == 20
    assert list(result.counters.columns) == ["value", "unit", "description"]
    assert result.stalls.share.sum() == pytest.approx(1)
    config = subcore.load_config("rtx_a6000", settings=["l1d.mshrs=64"])
    again = subcore.simulate(subcore.load_trace(text_trace), config)
    assert again.cycles == result.cycles and again.counters.equals(result.counters)


def test_python_interface_refuses_what_it_would_ignore(text_trace):
    config = subcore.load_config("rtx_a6000")
    with pytest.raises(SubcoreError, match="given by name"):
        subcore.simulate(text_trace, config, settings=["l1d.mshrs=64"])
    with pytest.raises(SubcoreError, match="cannot be changed"):
        subcore.simulate(subcore.load_trace(text_trace), config, parameters={"n": 4})
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        subcore.simulat  # noqa: B018


@pytest.mark.sass
def test_named_kernel_is_compiled_for_the_gpu_and_resized(run):
    cycles = {}
    for n in (1024, 65536):
        result = json.loads(simulate(run, "vectoradd", "-c", "rtx_a6000", "-p", f"n={n}", "--json").stdout)
        cycles[n] = result["cycles"]
    assert cycles[65536] > cycles[1024]
    assert not any("scoreboard" in text for text in result["warnings"]), "a compiled kernel has control bits"
