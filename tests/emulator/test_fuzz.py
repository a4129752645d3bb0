"""Damaged cubins end in one SubcoreError or run: no crash, no hang, no other exception, no wild allocation."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fuzz

pytestmark = pytest.mark.sass
MEMORY_BYTES = 12 << 30  # of address space, most of it never touched
CASES_PER_PROCESS = 250


def run(first, count, folder):
    """A process of its own, so that a crash is a failure of this test and not its end."""
    done = subprocess.run(
        [sys.executable, fuzz.__file__, str(first), str(count), str(folder)],
        cwd=Path(__file__).parents[2],
        env=None,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES)),
    )
    case = (folder / "case").read_text() if (folder / "case").exists() else "none"
    assert done.returncode == 0, f"case {case} ended with {done.returncode}:\n{done.stderr[-3000:]}"
    outcomes = [line.rsplit(maxsplit=2)[1:] for line in done.stdout.splitlines()]
    assert sum(int(n) for _, n in outcomes) == count, done.stdout
    return {outcome for outcome, _ in outcomes}


def test_damaged_cubins_are_refused_or_run(tmp_path):
    outcomes = run(0, 60, tmp_path)
    assert {"ran", "refused"} <= outcomes, "the cases must damage something, and not everything"


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 5000, CASES_PER_PROCESS))
def test_thousands_of_damaged_cubins_are_refused_or_run(tmp_path, first):
    assert "ran" in run(first, CASES_PER_PROCESS, tmp_path)


def test_the_cases_depend_on_their_number_only():
    assert fuzz.damaged(np.random.default_rng(7)) == fuzz.damaged(np.random.default_rng(7))
    assert len({fuzz.damaged(np.random.default_rng(n))[1] for n in range(20)}) == 20
