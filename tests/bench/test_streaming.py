"""Memory does not grow with the trace: chunks of blocks are loaded ahead of the dispatcher and dropped behind it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_BYTES = 2 << 30
# A captured kernel whose blocks are repeated as often as wanted: peak memory in bytes and instructions as JSON.
PROGRAM = """
import dataclasses, json, sys
from configs.load import load_config
from sim.gpu import Machine
from subcore.bench import peak_bytes
from traces.store import open_trace

path, gpu, instructions = sys.argv[1], sys.argv[2], int(sys.argv[3])

class Repeated:
    def __init__(self, trace, times):
        self.program, self.chunks, self.times = trace.program, list(trace.blocks()), times
        x, y, z = trace.launch.grid
        self.launch = dataclasses.replace(trace.launch, grid=(x, y, z * times))

    def blocks(self):
        blocks = self.launch.blocks // self.times
        for turn in range(self.times):
            for chunk in self.chunks:
                yield dataclasses.replace(chunk, first_block=turn * blocks + chunk.first_block)

trace = open_trace(path)
once = sum(len(chunk.instruction) for chunk in trace.blocks())
machine = Machine(Repeated(trace, -(-instructions // once)), load_config(gpu))
machine.run()
result = machine.result()
result.check()
print(json.dumps({"peak": peak_bytes(), "instructions": result.warp_instructions}))
"""


def simulate(name, gpu, instructions):
    path = ROOT / "traces" / "library" / f"{name}.sct"
    command = [sys.executable, "-c", PROGRAM, str(path), gpu, str(instructions)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_ten_times_the_blocks_need_little_more_memory():
    short, long = (simulate("vectoradd.sm_86", "rtx_a6000", n) for n in (400_000, 4_000_000))
    assert long["instructions"] >= 9 * short["instructions"]
    streams = 12 * (long["instructions"] - short["instructions"])  # bytes of their columns, addresses not counted
    assert long["peak"] - short["peak"] < streams / 4, f"{(long['peak'] - short['peak']) >> 20} MiB more"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "gpu"), [("maxflops.sm_86", "rtx_a6000"), ("sgemm_register_tiled.sm_90", "h100_pcie")]
)
def test_hundred_million_instructions_run_in_two_gibibytes(name, gpu):
    found = simulate(name, gpu, 100_000_000)
    assert found["instructions"] >= 100_000_000
    assert found["peak"] < LIMIT_BYTES, f"{found['peak'] >> 20} MiB"
