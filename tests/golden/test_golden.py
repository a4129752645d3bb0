"""Unintended change: cycles, counters and stall account of every captured trace of the library.

`pytest tests/golden --update-golden` writes the present results and prints what moved.
"""

import json
from pathlib import Path

import pytest

from configs.load import load_config
from sim.gpu import simulate_trace
from traces.kernels import list_kernels, load_launch
from traces.store import open_trace

GOLDEN = Path(__file__).parent / "golden.json"
LIBRARY = Path(__file__).resolve().parents[2] / "traces" / "library"
GPUS = {"sm_75": "rtx_2080_ti", "sm_80": "a100", "sm_86": "rtx_a6000", "sm_90": "h100_pcie", "sm_120": "rtx_5070_ti"}
TRACES = sorted(path.name for path in LIBRARY.glob("*.sct"))


def results(name: str) -> dict[str, int | float]:
    """Every statistic and stall reason of one library trace on the GPU of its architecture."""
    gpu = GPUS[name.split(".")[-2]]
    run = simulate_trace(open_trace(LIBRARY / name), load_config(gpu))
    found = {key: value for key, (value, _, _) in run.values().items() if value}
    return found | {f"stall {row['reason']}": row["cycles"] for row in run.stall_rows() if row["cycles"]}


def deltas(old: dict[str, int | float], new: dict[str, int | float]) -> list[str]:
    """Readable lines of what differs."""
    lines = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key, 0), new.get(key, 0)
        if before != after:
            change = f"{100 * (after / before - 1):+.2f} %" if before else "new"
            lines.append(f"  {key}: {before} -> {after} ({change})")
    return lines


def read_golden() -> dict[str, dict[str, int | float]]:
    return json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}


@pytest.mark.parametrize("name", TRACES)
def test_library_trace_is_unchanged(name, request):
    new = results(name)
    golden = read_golden()
    moved = deltas(golden.get(name, {}), new)
    if request.config.getoption("--update-golden"):
        golden[name] = new
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(f"{name}: " + ("\n".join(moved) if moved else "unchanged"))
        return
    assert name in golden, f"{name} has no golden result: run pytest tests/golden --update-golden"
    assert not moved, f"{name} on {GPUS[name.split('.')[-2]]} changed:\n" + "\n".join(moved)


def test_golden_file_holds_no_trace_that_is_gone():
    assert set(read_golden()) <= set(TRACES)


def test_library_holds_its_kernels_for_every_architecture():
    kernels = {name.split(".")[0] for name in TRACES}
    assert kernels <= set(list_kernels())
    available = {kernel: load_launch(kernel).architectures for kernel in kernels}
    expected = {f"{k}.{a}.sct" for k in kernels for a in GPUS if int(a.removeprefix("sm_")) in available[k]}
    assert set(TRACES) == expected, "run `make library`"
