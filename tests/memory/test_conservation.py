"""Random access streams through the whole machine: every byte asked for is moved, once, and nothing is left behind."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.load import load_config
from sim.gpu import Machine
from sim.stats import Counter
from tests.probe.harness import (
    GLOBAL_BASE,
    PERFECT_FETCH,
    SMALL,
    assert_at_rest,
    config_of,
    exit_,
    kernel,
    op,
    stats_of,
)
from validate.copies import CopyTrace

COMMON: dict[str, Any] = dict(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
LINES = 24  # that a stream wanders over: few enough to meet lines on their way, and lines written by others
BLOCKS, WARPS = 3, 5
KINDS = {  # bytes of a lane, counter of its sectors
    "LDG.E": (4, Counter.L1_SECTORS),
    "LDG.E.U8": (1, Counter.L1_SECTORS),
    "LDG.E.128": (16, Counter.L1_SECTORS),
    "LDG.E.STRONG.GPU": (4, Counter.L1_SECTORS),
    "LDGSTS.E.128": (16, Counter.L1_SECTORS),
    "STG.E": (4, Counter.L1_STORE_SECTORS),
    "STG.E.64": (8, Counter.L1_STORE_SECTORS),
    "ATOMG.E.ADD.STRONG.GPU": (4, Counter.L1_ATOMIC_SECTORS),
    "RED.E.ADD.STRONG.GPU": (4, Counter.L1_ATOMIC_SECTORS),
}
# What is scarce is what loses things: entries of every queue, and a cache of six lines
STARVED = (
    "l1d.mshrs=32",
    "l1d.mshr_merges=1",
    "l1d.outstanding_writes=32",
    "l1d.reserved_bytes=27904",
    "memory_unit.pending_requests=2",
    "memory_unit.subcore_entries=1",
    "l2.mshrs=8",
    "dram.queue_entries=2",
)


def move(block: int, warp: int, turn: int) -> int:
    """Warps share some of their lines."""
    return 96 * (block % 2) + 160 * (warp % 3) + 32 * turn


@st.composite
def access(draw: st.DrawFn) -> tuple[str, int, list[int]]:
    """Opcode, lane mask and the address of each active lane: sparse or full, in any order, with repetitions."""
    opcode = draw(st.sampled_from(sorted(KINDS)))
    width, _ = KINDS[opcode]
    mask = draw(st.one_of(st.just(0xFFFFFFFF), st.integers(1, 0xFFFFFFFF), st.sampled_from([1, 1 << 31, 0x80000001])))
    places = st.integers(0, draw(st.sampled_from([1, 4, LINES])) * 128 // width - 1)
    lanes = draw(st.lists(places, min_size=mask.bit_count(), max_size=mask.bit_count()))
    return opcode, mask, [GLOBAL_BASE + width * place for place in lanes]


def instruction(number: int, opcode: str, mask: int, lanes: list[int]) -> Any:
    control: dict[str, Any] = {"stall": 2, "mask": mask}
    if opcode.startswith("LDGSTS"):
        return op(opcode, [], [4, 8], at=(lanes, [16 * i for i in range(len(lanes))]), read=number % 6, **control)
    if opcode.startswith(("STG", "RED")):
        return op(opcode, [], [2, 6], at=lanes, read=number % 6, **control)
    return op(opcode, [8 + 4 * number], [2], at=lanes, write=number % 6, **control)


def machines(trace: Any, config: Any) -> list[Machine]:
    """Runs on one, two and three threads, each checked to leave nothing behind."""
    done = []
    for threads in (1, 2, 3):
        machine = Machine(trace, config, threads=threads)
        machine.run(2_000_000)
        machine.result().check()
        assert_at_rest(machine)
        assert not machine.engine["in_flight"].any(), "sectors of a copy are under way"
        done.append(machine)
    return done


def assert_moved(machine: Machine, wanted: dict[Counter, int]) -> None:
    result = machine.result()
    assert {c: result.counter(c) for c in wanted} == wanted
    beyond = result.memory_counters
    assert beyond["requests_in"] == result.counter(Counter.REQUESTS_SENT)
    assert beyond["sectors_in"] == beyond["sectors_out"] == beyond["lts__t_sectors"]
    reads, atomics = beyond["lts__t_sectors_op_read"], beyond["lts__t_sectors_op_atom"]
    assert beyond["lts__t_sectors_op_write"] == wanted[Counter.L1_STORE_SECTORS]
    assert atomics + beyond["lts__t_sectors_op_red"] == wanted[Counter.L1_ATOMIC_SECTORS]
    assert machine.sms["sectors_received"].sum() == reads + atomics, "the SMs received what they did not ask for"
    misses = wanted[Counter.L1_SECTORS] - result.counter(Counter.L1_SECTOR_HITS)
    copied = result.counter(Counter.COPY_SECTORS)
    assert copied <= reads <= misses + copied, "a hit asks for nothing, a miss at most for itself"


@pytest.mark.parametrize("setting", [(), STARVED], ids=["as_shipped", "starved"])
@settings(max_examples=12, **COMMON)
@given(st.lists(access(), min_size=1, max_size=10), st.integers(1, 2))
def test_bytes_moved_are_the_bytes_asked_for(setting, stream, turns):
    body = [instruction(n, *each) for n, each in enumerate(stream)]
    path = [*list(range(len(body))) * turns, len(body), len(body) + 1]
    drain = op("NOP", wait=range(6), stall=2)
    trace = kernel([*body, drain, exit_()], warps=WARPS, blocks=BLOCKS, streams=lambda block, warp: path, move=move,
                   shared_bytes=99 << 10)  # fmt: skip
    wanted = dict.fromkeys([*(counter for _, counter in KINDS.values()), Counter.L1_TAGS], 0)
    for opcode, _, lanes in stream:
        for shift in (move(b, w, t) for b in range(BLOCKS) for w in range(WARPS) for t in range(turns)):
            wanted[KINDS[opcode][1]] += len({(lane + shift) // 32 for lane in lanes})
            wanted[Counter.L1_TAGS] += len({(lane + shift) // 128 for lane in lanes})
    runs = machines(trace, config_of((*SMALL, *PERFECT_FETCH, *setting)))
    for machine in runs:
        assert_moved(machine, wanted)
    assert all(stats_of(machine.result()) == stats_of(runs[0].result()) for machine in runs[1:])


@settings(max_examples=12, **COMMON)
@given(
    st.integers(1, 9),
    st.sampled_from([((), 16), ((), 4096), ((16, 16), 1024), ((64, 4), 1024), ((4, 4, 8), 512)]),
    st.integers(1, 3),
    st.sampled_from([1, 64]),
)
def test_copies_move_every_sector_of_their_boxes_once(blocks, box_and_size, turns, in_flight):
    (box, size) = box_and_size
    given_settings = ("gpu.sms=4", *PERFECT_FETCH, f"bulk_copy.sectors_in_flight={in_flight}")
    trace = CopyTrace(blocks, box, size, turns, len(box))
    runs = machines(trace, load_config("h100_pcie", (), given_settings))
    rows = size // (4 * box[0]) if box else 1
    sectors = blocks * turns * rows * -(-size // rows // 32)
    none = dict.fromkeys((Counter.L1_SECTORS, Counter.L1_STORE_SECTORS, Counter.L1_ATOMIC_SECTORS), 0)
    for machine in runs:
        assert_moved(machine, {**none, Counter.COPY_SECTORS: sectors, Counter.BULK_COPIES: blocks * turns})
    assert all(stats_of(machine.result()) == stats_of(runs[0].result()) for machine in runs[1:])
