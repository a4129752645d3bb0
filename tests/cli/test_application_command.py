"""subcore application: table, JSON, run directory, time line; what it refuses."""

import json

import pandas
import pytest

from subcore.application.spec import read_application


@pytest.fixture
def application(tmp_path, traceg):
    """Two kernels and copies between them, as Accel-Sim lists them; the second launch list entry repeats the first."""
    folder = tmp_path / "app"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"kernel-{number}.traceg").write_text(traceg(f"k{number}"))
    copy = "MemcpyHtoD,0x0000000000010000,512"
    lines = [
        copy,
        "kernel-1.traceg",
        copy,
        "kernel-2.traceg",
        "kernel-1.traceg",
        "kernel-1.traceg",
        "MemcpyDtoH,0x10000,64",
    ]
    (folder / "kernelslist.g").write_text("\n".join(lines) + "\n")
    return folder


def test_kernelslist_gives_copies_launches_and_a_last_wait(application):
    calls = read_application(application).calls()
    assert [(c.kind, c.value, c.bytes) for c in calls] == [
        ("copy", "h2d", 512),
        ("launch", "kernel-1", 0),
        ("copy", "h2d", 512),
        *[("launch", f"kernel-{n}", 0) for n in (2, 3, 4)],
        ("copy", "d2h", 64),
        ("synchronize", "device", 0),
    ]
    assert all(call.blocking for call in calls if call.kind == "copy")
    assert read_application(application / "kernelslist.g").calls() == calls


def test_table_names_kernels_times_and_what_was_reused(run, application):
    shown = run("application", application, "-c", "rtx_a6000", "--host", "pcie_gen4_x86", "--host", "gh200")
    assert shown.exit_code == 0, shown.output
    assert "app on NVIDIA RTX A6000" in shown.output and "4 launches" in shown.output
    assert "x86, PCIe 4.0 x16  GH200, NVLink-C2C" in shown.output
    assert "launch and queue" in shown.output and "knobs of host" in shown.output
    assert all(len(line) <= 150 for line in shown.output.splitlines())


def test_json_times_add_up(run, application):
    shown = run("application", application, "-c", "rtx_a6000", "--json", "--l2", "cold", "--dispatch-us", "7")
    values = json.loads(shown.stdout)
    (host,) = values["hosts"]
    summary = host["summary"]
    assert summary["busy_ns"] + summary["idle_ns"] == summary["total_ns"]
    assert summary["kernel_ns"] == sum(kernel["total_ns"] for kernel in host["kernels"])
    assert summary["tklqt_ns"] == summary["launch_floor_ns"] + summary["queue_ns"]
    assert summary["host_ns"] >= 7 * 7000, "seven copies and launches with dispatch before them"
    assert [kernel["simulated"] for kernel in sorted(host["kernels"], key=lambda k: k["kernel"])] == [2, 1]


def test_run_directory_is_whole_and_the_same_twice(run, application, tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        shown = run("application", application, "-c", "rtx_a6000", "-o", folder)
        assert shown.exit_code == 0, shown.output
    files = [sorted(p.relative_to(f) for p in f.rglob("*") if p.is_file()) for f in folders]
    assert files[0] == files[1] and len(files[0]) > 7
    for name in files[0]:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    commands = pandas.read_csv(folders[0] / "x86_pcie_4_0_x16" / "commands.csv")
    assert list(commands.kind) == ["copy", "kernel", "copy", "kernel", "kernel", "kernel", "copy", "synchronize"]
    manifest = json.loads((folders[0] / "manifest.json").read_text())
    simulated = [n for n, launch in enumerate(manifest["launches"]) if launch["reused"] < 0]
    assert [int(p.name) for p in sorted((folders[0] / "launches").iterdir())] == simulated
    refused = run("application", application, "-c", "rtx_a6000", "-o", folders[0])
    assert refused.exit_code == 1 and "--force" in refused.output
    assert run("application", application, "-c", "rtx_a6000", "-o", folders[0], "--force").exit_code == 0


def test_launch_folder_is_a_run_directory(run, application, tmp_path):
    run("application", application, "-c", "rtx_a6000", "-o", tmp_path / "out")
    shown = run("profile", tmp_path / "out" / "launches" / "0")
    assert shown.exit_code == 0 and "EXIT" in shown.output


def test_perfetto_file_follows_the_trace_event_format(run, application, tmp_path):
    path = tmp_path / "line.json"
    assert run("application", application, "-c", "rtx_a6000", "--perfetto", path).exit_code == 0
    events = json.loads(path.read_text())["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X", "s", "f", "C"}
    named = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    open_until = {}
    for event in events:
        if event["ph"] == "X":
            assert event["dur"] >= 0 and (event["pid"], event["tid"]) in named
            track = event["pid"], event["tid"]
            assert event["ts"] >= open_until.get(track, 0) - 1e-9, f"slices overlap on {named[track]}"
            open_until[track] = event["ts"] + event["dur"]
    starts, ends = ({e["id"] for e in events if e["ph"] == phase} for phase in "sf")
    assert starts == ends and len(starts) == 7
    running = [e["args"]["kernels"] for e in events if e["ph"] == "C"]
    assert max(running) == 1 and running[-1] == 0
    refused = run("application", application, "-c", "rtx_a6000", "--perfetto", path)
    assert refused.exit_code == 1 and "--force" in refused.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-c", "rtx_a6000", "--host", "gh20"], "no host named 'gh20'; did you mean 'gh200'?"),
        (["-c", "rtx_a600"], "did you mean 'rtx_a6000'"),
        (["-c", "v100"], "code for sm_86 does not run on"),
    ],
)
def test_wrong_names_are_answered_with_the_near_one(run, application, arguments, message):
    shown = run("application", application, *arguments)
    assert shown.exit_code == 1 and message in shown.output


def test_hosts_are_listed_with_their_sources(run):
    shown = run("application", "--host", "list")
    assert shown.exit_code == 0
    for name in ("pcie_gen3_x86", "pcie_gen4_x86", "pcie_gen5_x86", "gh200"):
        assert f"{name}: " in shown.output
    assert "launch_latency_ns" in shown.output and "arXiv 2504.11750" in shown.output


def test_bad_host_file_names_line_and_near_match(run, application, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('inherits = "gh200"\ncall_nss = { value = 1, source = "guess" }\ncopy_engines = 1\n')
    shown = run("application", application, "-c", "rtx_a6000", "--host", path)
    assert shown.exit_code == 1
    assert "mine.toml:2: unknown knob 'call_nss'; did you mean 'call_ns'?" in shown.output
    assert "mine.toml:3: copy_engines: write { value = ..., source" in shown.output
