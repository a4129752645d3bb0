"""Damaged cubins, from a seed: `python fuzz.py FIRST COUNT FOLDER` tries cases FIRST ... FIRST + COUNT - 1.

Every case must end in a SubcoreError or in an ordinary result. Before each one its number goes to FOLDER/case, so that
whoever started this process knows which case took it down.
"""

from __future__ import annotations

import io
import signal
import struct
import sys
from collections import Counter
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import numpy as np

SOURCE = """
__constant__ float table[16] = {1, 2, 3, 4};
__device__ int counter[8]; __device__ int start = 5;
__device__ __noinline__ float f(float x, int n) { return n > 0 ? f(x * 0.5f, n - 1) + n : x; }
extern "C" __global__ void k(const float* in, float* out, int n, int* flags) {
    __shared__ float s[64]; extern __shared__ int d[];
    int t = threadIdx.x, i = blockIdx.x * blockDim.x + t; float local[8];
    for (int j = 0; j < 8; j++) local[j ^ (n & 3)] = in[(i + j) & 63];
    s[t] = in[i & 63] * table[t & 15]; d[t & 15] = t; __syncthreads();
    float v = s[t ^ 1] + local[(t + n) & 7] + d[t & 15];
    for (int j = 16; j > 0; j /= 2) v += __shfl_xor_sync(~0u, v, j);
    if (t & 1) v = sqrtf(v) + __fdividef(v, 3.0f); else v = f(v, n & 3) + expf(v) + (float)((double)v / 7.0);
    switch (n & 7) { case 0: v += 1; break; case 1: v *= 2; break; case 2: v -= 3; break; case 3: v /= 5; break;
                     case 4: v = -v; break; case 5: v += i; break; default: v = __popc(i) + v; }
    if (__ballot_sync(~0u, v > 0) & 1) atomicAdd(&counter[t & 7], start);
    atomicAdd(flags + (i & 7), t); atomicMax(&d[t & 15], i);
    out[i & 63] = v;
}
"""
ARCHITECTURES = (75, 86, 90, 120)
BUDGET = 4000
PROCESSOR_SECONDS = 30  # of this process; one case takes a small part of one
_EXTREMES = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)


@cache
def originals() -> tuple[bytes, ...]:
    from isa.compile import compile_cuda

    return tuple(compile_cuda(SOURCE, architecture) for architecture in ARCHITECTURES)


@cache
def code_range(data: bytes) -> tuple[int, int]:
    """Where the kernel's instructions lie in the file."""
    from isa.cubin import read_cubin

    code = read_cubin(data).kernel().code
    return data.index(code), len(code)


def damaged(random: np.random.Generator) -> tuple[str, bytes]:
    """(what was done, the cubin): bits in the code, bits anywhere, absurd numbers in the headers, cuts, overlays."""
    original = originals()[random.integers(len(originals()))]
    data = bytearray(original)
    kind = str(
        random.choice(
            ["code", "code", "code", "operands", "bits", "header", "section header", "number", "cut", "overlay"]
        )
    )
    start, size = code_range(original)
    if kind == "code":
        for _ in range(int(random.integers(1, 6))):
            data[start + random.integers(size)] ^= 1 << random.integers(8)
    elif kind == "operands":  # everything but the opcode of one instruction
        at = start + 16 * random.integers(size // 16)
        data[at + 2 : at + 13] = random.bytes(11)
    elif kind == "bits":
        for _ in range(int(random.integers(1, 12))):
            data[random.integers(len(data))] ^= 1 << random.integers(8)
    elif kind in ("header", "section header", "number"):
        table = struct.unpack_from("<Q", data, 0x28)[0]
        low, high = {"header": (4, 64), "section header": (table, len(data)), "number": (0, len(data))}[kind]
        for _ in range(int(random.integers(1, 4))):
            width = int(random.choice([1, 2, 4, 8]))
            at = int(random.integers(low, max(low + 1, high - width)))
            value = _EXTREMES[random.integers(len(_EXTREMES))] & (1 << 8 * width) - 1
            data[at : at + width] = value.to_bytes(width, "little")
    elif kind == "cut":
        del data[random.integers(len(data)) :]
    else:
        at, source = random.integers(len(data), size=2)
        part = data[source : source + random.integers(1, 256)]
        data[at : at + len(part)] = part
    return kind, bytes(data[: len(original)])


def attempt(data: bytes, file: Path) -> str:
    """Load and run every kernel of a cubin, store and read its trace. "ran", or the kind of the error.

    Any other exception than SubcoreError is a bug.
    """
    from isa.cubin import read_cubin
    from isa.errors import SubcoreError
    from isa.load import load_kernel
    from traces.emulator.faults import EmulationError
    from traces.emulator.trace import EmulatedTrace
    from traces.store import open_trace, write_trace

    outcome = "no kernel"
    try:
        cubin = read_cubin(data)
        for name, code in cubin.kernels.items():
            values = [np.arange(64, dtype=np.float32) if p.size == 8 else bytes([3]) + bytes(max(0, p.size - 1))
                      for p in code.parameters]  # fmt: skip
            values = [
                v if not isinstance(v, bytes) else v[: p.size] for v, p in zip(values, code.parameters, strict=True)
            ]
            trace = EmulatedTrace(
                load_kernel(cubin, name), 2, code.required_threads or 64, values, dynamic_shared_bytes=64, budget=BUDGET
            )
            write_trace(file, trace, force=True)
            assert open_trace(file).counts["warp_instructions"] == trace.executed_instructions
            assert len(trace.outputs()) == sum(p.size == 8 for p in code.parameters)
            outcome = "ran"
    except EmulationError as error:
        assert str(error).startswith(name) or "kernel" in str(error)
        return error.fault.kind
    except SubcoreError as error:
        assert str(error)
        return "refused"
    return outcome


def main(first: int, count: int, folder: Path) -> None:
    import isa.disassemble

    # nobody wants these listings in the cache
    isa.disassemble.replace_file = lambda path, force: nullcontext(io.BytesIO())
    assert attempt(originals()[0], folder / "trace.sct") == "ran", (
        "the undamaged kernel runs (and compiles the emulator)"
    )
    outcomes: Counter[tuple[str, str]] = Counter()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # a case that hangs kills the process
    for case in range(first, first + count):
        kind, data = damaged(np.random.default_rng(case))
        (folder / "case").write_text(f"{case} {kind}")
        signal.setitimer(signal.ITIMER_PROF, PROCESSOR_SECONDS)
        outcomes[kind, attempt(data, folder / "trace.sct")] += 1
        signal.setitimer(signal.ITIMER_PROF, 0)
    for (kind, outcome), number in sorted(outcomes.items()):
        print(f"{kind:15} {outcome:15} {number}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
