"""Random programs: the compiled kernel against the reference model, cycle by cycle, stage by stage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reference.compare import find_differences, reduce_case, report
from tests.reference.generate import draw_case


def check(seeds: range) -> None:
    """Fails with the first seed that differs and the smallest program that still does."""
    for seed in seeds:
        case = draw_case(seed)
        if find_differences(case):
            pytest.fail(f"seed {seed}: kernel and reference model differ\n{report(reduce_case(case))}", pytrace=False)


def test_kernel_equals_reference_model():
    check(range(500))


def test_plain_python_equals_reference_model():
    """Where integers of a record would overflow, plain Python and compiled code could part."""
    done = subprocess.run(
        [sys.executable, "-c", "from tests.reference.test_reference import check; check(range(12))"],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.slow
def test_kernel_equals_reference_model_on_ten_thousand_programs():
    check(range(500, 10_500))
