"""`subcore trace`."""

import json

import pytest


def test_import_then_info_tells_the_same_as_the_text_trace(run, text_trace, tmp_path):
    stored = tmp_path / "tiny.sct"
    result = run("trace", "import", text_trace, "-o", stored)
    assert result.exit_code == 0, result.output
    assert "2 blocks, 20 warp instructions" in result.stdout
    from_text = json.loads(run("trace", "info", text_trace, "--json").stdout)
    from_store = json.loads(run("trace", "info", stored, "--json").stdout)
    assert from_text["counts"] == from_store["counts"]
    assert from_store["counts"]["warp_instructions"] == 20 and from_store["counts"]["memory_instructions"] == 8
    assert from_store["mix"] == from_text["mix"] and from_store["mix"]["LDG"] == 4


def test_info_text_shows_launch_counts_and_mix(run, text_trace):
    lines = run("trace", "info", text_trace).stdout.splitlines()
    assert any(line.split() == ["grid,", "block", "2,", "64"] for line in lines), lines
    assert any(line.split() == ["LDG", "4", "20.0", "%"] for line in lines), lines
    assert max(map(len, lines)) <= 100


def test_import_twice_gives_identical_bytes(run, text_trace, tmp_path):
    for name in "ab":
        assert run("trace", "import", text_trace, "-o", tmp_path / f"{name}.sct").exit_code == 0
    assert (tmp_path / "a.sct").read_bytes() == (tmp_path / "b.sct").read_bytes()


def test_nothing_is_overwritten_without_force(run, text_trace, tmp_path):
    target = tmp_path / "kept.sct"
    target.write_bytes(b"precious")
    result = run("trace", "import", text_trace, "-o", target)
    assert result.exit_code == 1 and "kept.sct" in result.stderr and "--force" in result.stderr
    assert target.read_bytes() == b"precious"
    assert run("trace", "import", text_trace, "-o", target, "--force").exit_code == 0
    assert target.read_bytes() != b"precious"


def test_kernelslist_imports_into_a_folder(run, tmp_path, traceg):
    for number, kernel in enumerate(("first", "second"), 1):
        (tmp_path / f"kernel-{number}.traceg").write_text(traceg(kernel))
    (tmp_path / "kernelslist.g").write_text("MemcpyHtoD,0x10000,512\nkernel-1.traceg\nkernel-2.traceg\n")
    result = run("trace", "import", tmp_path / "kernelslist.g", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0001-first.sct", "0002-second.sct"]


def test_disasm_lists_every_slot_with_its_count(run, text_trace):
    result = run("trace", "disasm", text_trace, "--counts")
    assert result.exit_code == 0, result.output
    listed = [line for line in result.stdout.splitlines() if line.startswith("/*")]
    assert len(listed) == 5
    assert listed[2].split()[:2] == ["/*0020*/", "4"] and "LDG.E" in listed[2]
    assert "no control bits" in result.stdout


@pytest.mark.sass
def test_disasm_of_a_named_kernel_shows_control_bits(run):
    result = run("trace", "disasm", "vectoradd", "-a", "sm_86")
    assert result.exit_code == 0, result.output
    load = next(line for line in result.stdout.splitlines() if "LDG.E" in line)
    assert ":W" in load and ":S0" in load and "/*" in load


@pytest.mark.sass
def test_emulated_trace_is_stored_and_identical_twice(run, tmp_path):
    for name in "ab":
        result = run("trace", "emulate", "vectoradd", "-a", "86", "-o", tmp_path / f"{name}.sct")
        assert result.exit_code == 0, result.output
    assert (tmp_path / "a.sct").read_bytes() == (tmp_path / "b.sct").read_bytes()
    info = json.loads(run("trace", "info", tmp_path / "a.sct", "--json").stdout)
    assert info["control_bits"] and info["architecture"] == 86


def test_kernels_lists_the_library(run):
    names = run("trace", "kernels").stdout.split()
    assert {"matmul_tiled", "transpose", "vectoradd"} <= set(names)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("empty.traceg", lambda text: "", "empty.traceg"),
        ("noise.traceg", lambda text: "lorem ipsum\n", "noise.traceg"),
        ("malformed.traceg", lambda text: text.replace("1 R4 LDG.E", "x R4 LDG.E", 1), "line 25"),
        ("short.traceg", lambda text: text.split("#END_TB")[0], "short.traceg"),
        ("cut.sct", lambda text: "PK\x03\x04 cut", "cut.sct"),
    ],
)
def test_bad_trace_gives_one_message_that_names_the_place(run, traceg, tmp_path, name, damage, message):
    path = tmp_path / name
    path.write_text(damage(traceg()))
    target = tmp_path / "out.sct"
    for arguments in (["trace", "info", path], ["trace", "import", path, "-o", target]):
        result = run(*arguments)
        assert result.exit_code == 1, result.output
        assert message in result.stderr and not result.stdout
        assert not target.exists(), "a failed import must leave no file"
    assert not list(tmp_path.glob(".*.partial"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["trace", "emulate", "vectorad", "-a", "86", "-o", "x.sct"], 1, "vectoradd"),
        (["trace", "emulate", "vectoradd", "-a", "eighty", "-o", "x.sct"], 1, "sm_86"),
        (["trace", "emulate", "vectoradd", "-a", "86", "-p", "n", "-o", "x.sct"], 1, "name=integer"),
        (["trace", "emulate", "vectoradd", "-a", "86"], 2, "--output"),
        (["trace", "emulate", "vectoradd", "-o", "x.sct"], 2, "-a sm_86"),
        (["trace", "emulate", "absent.cu", "-a", "86", "-o", "x.sct"], 1, "absent.cu"),
        (["trace", "disasm", "vectoradd"], 2, "-a sm_86"),
        (["trace", "disasm", "absent.cubin"], 1, "absent.cubin"),
    ],
)
def test_wrong_use_gives_a_message_and_an_exit_code(run, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr and not result.stdout
    assert not list(tmp_path.iterdir()), "nothing may be left behind"
