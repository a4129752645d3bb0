"""Random programs with balanced control bits: they end, their account balances, skipping is exact, bounds hold."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.probe.harness import GLOBAL_BASE, MemoryTrace, exit_, kernel, op, run, stats

ARITHMETIC = ("FFMA", "FADD", "IADD3", "IMAD", "IMAD.WIDE", "HADD2", "UIADD3", "NOP", "MOV", "HMMA.16816.F32")
COUNTED = ("MUFU.RCP", "DADD", "POPC", "S2R", "SHFL.IDX")
LOADS = ("LDG.E", "LDG.E.64", "LDG.E.128", "LDS", "LDS.128", "ATOMG.E.ADD.STRONG.GPU", "ATOMS.ADD", "LDC")
STORES = ("STG.E", "STG.E.128", "STS", "STS.64", "RED.E.ADD.STRONG.GPU")
SHARED = ("LDS", "STS", "ATOMS")
register = st.integers(1, 60).map(lambda r: 4 * r)
counter = st.integers(0, 5)
mask = st.sampled_from([0xFFFFFFFF, 0x1, 0xF00F, 0, 0x80000001])


@st.composite
def address(draw, opcode):
    base = draw(st.integers(0, 63)) * 16
    stride = draw(st.sampled_from([0, 4, 8, 16, 32, 128, 132]))
    if opcode.startswith("LDC"):
        return (base, 0)
    return (base if opcode.startswith(SHARED) else GLOBAL_BASE + 1024 * base, stride)


@st.composite
def instruction(draw):
    """One instruction. Whatever raises a counter may be waited for by anybody: completion always lowers it again."""
    control: dict[str, Any] = {
        "stall": draw(st.integers(0, 11)),
        "yields": draw(st.booleans()),
        "wait": draw(st.lists(counter, max_size=2, unique=True)),
    }
    if control["stall"] == 0:
        control["yields"] = False  # the 45-cycle case has its probe
    kind = draw(st.integers(0, 9))
    sources = draw(st.lists(register, min_size=1, max_size=3))
    if kind < 5:
        constant = {"constant_bank": 0, "constant_offset": draw(st.integers(0, 15)) * 64} if kind == 4 else {}
        opcode = draw(st.sampled_from(ARITHMETIC if kind != 4 else ("FFMA", "IADD3")))
        return op(opcode, [draw(register)], sources, reuse=draw(st.integers(0, 7)), **constant, **control)
    # six-bit counters: every counted instruction waits for a stall of two, and its own counter at times
    control["stall"] = max(2, control["stall"])
    write = draw(counter)
    if kind == 5:
        opcode = draw(st.sampled_from(COUNTED))
        return op(opcode, [draw(register)], sources[:2], write=write, read=draw(st.sampled_from([7, 0, 5])), **control)
    if kind < 8:
        opcode = draw(st.sampled_from(LOADS))
        return op(
            opcode, [draw(register)], sources[:2], write=write, mask=draw(mask), at=draw(address(opcode)), **control
        )
    if kind == 8:
        opcode = draw(st.sampled_from(STORES))
        return op(opcode, [], [*sources, 8][:2], read=write, mask=draw(mask), at=draw(address(opcode)), **control)
    opcode = draw(st.sampled_from(("BAR.SYNC", "MEMBAR.SC.CTA", "LDGSTS.E.128", "LDGDEPBAR", "DEPBAR.LE", "BRA")))
    if opcode == "LDGSTS.E.128":
        return op(opcode, [], [4, 8], at=((GLOBAL_BASE, 16), (0, 16)), **control)
    if opcode == "LDGDEPBAR":
        return op(opcode, write=draw(counter), **control)
    if opcode == "DEPBAR.LE":
        return op(opcode, depbar_counter=draw(counter), depbar_threshold=draw(st.integers(0, 3)), **control)
    return op(opcode, **control)


@st.composite
def program(draw):
    """A kernel: straight code, a loop over a part of it, the same path for all warps of a block."""
    body = draw(st.lists(instruction(), min_size=1, max_size=14))
    drain = op("NOP", wait=[0, 1, 2, 3, 4, 5], stall=4)
    ops = [*body, drain, op("BRA", stall=5), exit_()]
    end = len(body)
    first = draw(st.integers(0, end - 1))
    turns = draw(st.integers(1, 3))
    path = [*range(end + 1), *([end + 1, *range(first, end + 1)] * (turns - 1)), end + 1, end + 2]
    skip = draw(st.integers(0, end - 1))  # a jump over one instruction on the first way
    if draw(st.booleans()):
        path.remove(skip)
    return kernel(
        ops,
        warps=draw(st.integers(1, 8)),
        blocks=draw(st.integers(1, 3)),
        streams=lambda block, warp: path,
        control_bits=draw(st.booleans()),
        shared_bytes=16384,
    )


COMMON: dict[str, Any] = dict(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def stall_bound(trace: MemoryTrace) -> int:
    """Cycles that the stall counts alone keep one warp busy, or one issue per cycle of the fullest sub-core."""
    path = trace.streams(0, 0)
    if not trace.program.has_control_bits:
        chain = len(path)
    else:
        chain = sum(max(1, int(trace.program.instructions["stall"][i])) for i in path[:-1]) + 1
    warps_of_a_subcore = -(-trace.launch.warps_per_block // 4)
    return max(chain, len(path) * warps_of_a_subcore)


@settings(max_examples=120, **COMMON)
@given(program(), st.booleans())
def test_program_ends_and_skipping_is_exact(trace, cold):
    """`run` checks the account, that no instruction is lost, and that nothing is left at the end."""
    fetch = () if cold else ("fetch.perfect=true",)
    skipping = run(trace, fetch=fetch, max_cycles=400_000)
    every = run(trace, fetch=fetch, every_cycle=True, max_cycles=400_000)
    assert stats(skipping) == stats(every)
    assert skipping.result.kernel_cycles >= stall_bound(trace)


@settings(max_examples=40, **COMMON)
@given(program(), st.integers(1, 150))
def test_quantum_changes_nothing(trace, quantum):
    assert stats(run(trace, fetch=())) == stats(run(trace, fetch=(), quantum=quantum))


@settings(max_examples=40, **COMMON)
@given(program(), st.sampled_from(["GTO", "LRR", "OLDEST"]))
def test_policies_execute_the_same_instructions(trace, policy):
    ours, other = run(trace), run(trace, f"issue.policy={policy}")
    assert ours.result.warp_instructions == other.result.warp_instructions


@settings(max_examples=30, **COMMON)
@given(st.lists(st.tuples(st.integers(1, 11), st.integers(0, 4)), min_size=2, max_size=12), st.data())
def test_longer_stall_never_ends_a_chain_sooner(chain, data):
    """A dependent chain of one warp on a perfect front end: one more stall cycle costs exactly one cycle."""
    at = data.draw(st.integers(0, len(chain) - 1))

    def cycles(extra):
        ops = [
            op("FADD", [8], [8], stall=max(2, s) + (extra if i == at else 0), yields=True)
            for i, (s, _) in enumerate(chain)
        ]
        return run([*ops, exit_()]).result.kernel_cycles

    assert cycles(1) == cycles(0) + 1


@settings(max_examples=30, **COMMON)
@given(st.lists(st.sampled_from(["LDG.E", "LDS", "MUFU.RCP", "DADD"]), min_size=1, max_size=8), st.integers(1, 60))
def test_more_latency_never_ends_a_dependent_chain_sooner(chain, extra):
    places = {"LDG.E": (GLOBAL_BASE, 4), "LDS": (0, 4)}
    ops = [op(name, [8], [8], stall=2, write=0, wait=[0], at=places.get(name)) for name in chain]
    trace = kernel([*ops, exit_(wait=[0])], shared_bytes=512)
    no_refresh = "dram.tREFI=1000000000"  # a refresh that is met or missed is worth more than the latency added here
    plain = run(trace, no_refresh).result.kernel_cycles
    slower = run(
        trace,
        no_refresh,
        f"interconnect.request_cycles={75 + extra}",
        f"execute.sfu_latency_cycles={17 + extra}",
        f"execute.fp64_latency_cycles={54 + extra}",
        f"l2.access_cycles={67 + extra}",
    ).result.kernel_cycles
    assert slower >= plain + extra * sum(name in ("MUFU.RCP", "DADD") for name in chain)
