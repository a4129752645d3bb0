"""What host copies leave in the L2, and what becomes of stores when their block has ended."""

from dataclasses import replace

import pytest

from sim.state import LogKind
from tests.probe.harness import GLOBAL_BASE, exit_, kernel, op, run

MIB = 1 << 20
L2_MIB = 6  # RTX A6000


def reads(copies, lines, *settings):
    """DRAM sectors read and written by a warp that loads the given lines, one sector each."""
    loads = [op("LDG.E", [8], [2], stall=2, write=0, wait=[0], mask=1, at=[line]) for line in lines]
    trace = kernel([*loads, exit_(wait=[0])])
    trace.launch = replace(trace.launch, copies=tuple(copies))
    memory = run(trace, *settings).result.memory_counters
    return memory["dram__sectors_read"], memory["dram__sectors_write"]


def test_copied_data_are_in_the_l2():
    lines = [GLOBAL_BASE + 128 * i for i in range(8)]
    assert reads([], lines) == (8, 0)
    assert reads([(GLOBAL_BASE, 1024)], lines) == (0, 0)
    assert reads([(GLOBAL_BASE + 256, 200)], lines) == (6, 0), "lines 2 and 3, the latter in part"
    assert reads([(GLOBAL_BASE, 1024)], lines, "l2.filled_by_host_copies=false") == (8, 0)


def test_last_copies_stay():
    first, last = GLOBAL_BASE, GLOBAL_BASE + 64 * MIB
    probes = [first, first + 3 * MIB, last + MIB, last + L2_MIB * MIB - 128]
    assert reads([(first, L2_MIB * MIB), (last, L2_MIB * MIB)], probes) == (2, 0)
    assert reads([(last, L2_MIB * MIB), (first, L2_MIB * MIB)], probes) == (2, 0)
    assert reads([(first, 2 * MIB), (last, 2 * MIB)], [first, last]) == (0, 0)


def test_only_the_end_of_a_large_copy_stays():
    size = 100 * MIB
    assert reads([(GLOBAL_BASE, size)], [GLOBAL_BASE, GLOBAL_BASE + size - 128]) == (1, 0)


@pytest.mark.parametrize(("dirty", "written"), [("true", 4), ("false", 0)])
def test_dirty_copies_are_written_back_when_they_are_replaced(dirty, written):
    copies = [(GLOBAL_BASE, 2 * L2_MIB * MIB)]
    assert reads(copies, [GLOBAL_BASE + 64 * MIB], f"l2.host_copies_dirty={dirty}") == (1, written)


def test_block_ends_before_its_stores_are_acknowledged_and_the_kernel_waits():
    store = op("STG.E", [], [2, 6], stall=2, at=(GLOBAL_BASE, 4))
    probe = run([store, exit_()])
    config = probe.machine.config
    round_trip = config.interconnect.request_cycles + config.l2.access_cycles + config.interconnect.reply_cycles
    leave = probe.absolute(LogKind.LEAVE)[0]
    assert probe.machine.sms["last_done_at"].max() < leave + 50
    assert probe.result.kernel_cycles == probe.machine.sms["last_store_at"].max() >= leave + round_trip


def test_acknowledgements_find_their_warp_after_its_slot_has_a_new_one():
    """The second block takes the slot of the first while its stores are under way, and waits at MEMBAR for its own."""
    stores = [op("STG.E", [], [2, 6], stall=2, at=(GLOBAL_BASE + 4096 * i, 128)) for i in range(2)]
    code = [*stores, op("MEMBAR.SC.GPU", stall=2), exit_()]
    streams = [[0, 1, 3], [0, 2, 3]]
    settings = ("gpu.sms=1", "gpu.sms_per_tpc=1", "sm.max_blocks=1", "launch.dispatch_latency_cycles=80")
    probe = run(kernel(code, blocks=2, streams=lambda block, warp: streams[block]), *settings)
    first, second = probe.absolute(LogKind.ISSUE), probe.absolute(LogKind.ISSUE, block=1)
    assert second[0] - first[0] < 200, "stores take 217 cycles and more: those of the first block are under way"
    assert second[2] - second[1] > 300, "a store and the membar"
