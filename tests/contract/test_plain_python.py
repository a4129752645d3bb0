"""The same kernels as plain Python: numba changes the speed, not the result."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.contract.kernels import arithmetic, barriers, long_code, memory
from tests.probe.harness import run, stats

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import json
from tests.contract.test_plain_python import tiny
print(json.dumps(tiny()))
"""


def tiny():
    """Counters and stalls of small kernels, as JSON would give them back."""
    made = (
        memory(blocks=1, warps=2),
        memory(blocks=1, warps=1, control_bits=False),
        barriers(blocks=1, warps=3),
        arithmetic(blocks=1, warps=2),
        long_code(blocks=1, warps=1),
    )
    results = [stats(run(trace, "gpu.sms_per_tpc=1", "gpu.sms=1", fetch=())) for trace in made]
    return json.loads(json.dumps(results, default=str))


def test_plain_python_gives_the_counters_of_compiled_code():
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", SCRIPT],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == tiny()
