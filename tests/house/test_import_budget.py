"""What people wait for: `subcore --help` and `import subcore` load nothing heavy."""

import subprocess
import sys

import pytest

HEAVY = {"numba", "llvmlite", "pandas", "matplotlib", "numpy", "simpy", "elftools"}


@pytest.mark.parametrize(
    "statement",
    [
        "import subcore",
        "from subcore.cli import cli; cli(['--help'], standalone_mode=False)",
        "from subcore.cli import cli; cli(['simulate', '--help'], standalone_mode=False)",
        "from subcore.cli import cli; cli(['trace', '--help'], standalone_mode=False)",
        "from subcore.cli import cli; cli(['config', 'check', 'rtx_a6000'], standalone_mode=False)",
    ],
)
def test_light_commands_import_nothing_heavy(statement):
    code = f"import sys; {statement}; print('LOADED', *sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.split("LOADED", 1)[1].split())
    assert not HEAVY & loaded, f"{statement} loads {sorted(HEAVY & loaded)}"


def test_help_of_every_command_imports_nothing_heavy():
    """All in one process: commands import what they need when they run."""
    code = """
import sys
import click
from subcore.cli import cli

def walk(command, path):
    context = click.Context(command, info_name=path[-1])
    print(" ".join(path), len(command.get_help(context)))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            walk(command.get_command(context, name), [*path, name])

walk(cli, ["subcore"])
print("LOADED", *sorted(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    helps, loaded = done.stdout.split("LOADED", 1)
    assert {"subcore simulate", "subcore export konata", "subcore plot series"} <= {
        line.rsplit(" ", 1)[0] for line in helps.splitlines()
    }
    assert all(int(line.rsplit(" ", 1)[1]) > 60 for line in helps.splitlines())
    assert not HEAVY & set(loaded.split()), f"help loads {sorted(HEAVY & set(loaded.split()))}"
