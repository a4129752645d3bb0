"""Exit codes and messages of the installed command, in a process of its own."""

import os
import subprocess
import sys

COMMAND = [sys.executable, "-c", "from subcore.cli import main; main()"]
PATCHED = "import sys, os, signal, subcore.api as api; {patch}; from subcore.cli import main; main()"


def subcore(*arguments, patch="pass", **environment):
    return subprocess.run(
        [sys.executable, "-c", PATCHED.format(patch=patch), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "SUBCORE_DEBUG": "0", **environment},
    )


def test_version_is_that_of_the_distribution():
    from importlib.metadata import version

    done = subcore("--version")
    assert (done.returncode, done.stdout) == (0, f"subcore {version('subcore')}\n")


def test_unknown_command_is_a_usage_error():
    done = subcore("simulat")
    assert done.returncode == 2 and "simulat" in done.stderr and not done.stdout


def test_interrupt_ends_with_130_and_one_line(text_trace):
    # a background job starts with the signal ignored
    signals = "signal.signal(signal.SIGINT, signal.default_int_handler), os.kill(os.getpid(), signal.SIGINT)"
    patch = f"api.load_traces = lambda path: ({signals})"
    done = subcore("trace", "info", text_trace, patch=patch)
    assert done.returncode == 130
    assert done.stderr.strip() == "subcore: interrupted"


def test_bug_gives_one_line_and_a_traceback_on_demand(text_trace):
    patch = "api.load_traces = lambda path: 1 // 0"
    done = subcore("trace", "info", text_trace, patch=patch)
    assert done.returncode == 70
    assert (
        len(done.stderr.splitlines()) == 1 and "ZeroDivisionError" in done.stderr and "SUBCORE_DEBUG=1" in done.stderr
    )
    shown = subcore("trace", "info", text_trace, patch=patch, SUBCORE_DEBUG="1")
    assert "Traceback" in shown.stderr and shown.returncode != 0


def test_reader_that_goes_away_is_no_error_message():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, "config", "show", "rtx_a6000"], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60
        )
    finally:
        os.close(writing)
    assert done.stderr == "" and done.returncode == 1


def test_unreadable_file_names_itself(tmp_path):
    done = subcore("trace", "info", tmp_path / "absent.sct")
    assert done.returncode == 2 and "absent.sct" in done.stderr and "Traceback" not in done.stderr
