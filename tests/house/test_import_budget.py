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
