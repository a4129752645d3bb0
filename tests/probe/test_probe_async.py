"""mbarriers, bulk copies, clusters and USETMAXREG on programs made by hand: who waits for whom, and how long."""

import numpy as np
import pytest

from configs.load import load_config
from isa.errors import SubcoreError
from isa.listing import read_listing
from sim.async_state import SHARED_WINDOW
from sim.gpu import Machine, SimulationError
from sim.state import LogKind
from sim.stats import Counter
from traces.stream import MEMORY_ACCESS, BlockStreams, Launch
from validate.copies import CopyTrace

SETTINGS = ("launch.kernel_cycles=0", "launch.drain_cycles=0", "launch.warp_interval_cycles=0", "fetch.perfect=true")
FOUR_SMS = ("gpu.sms=4",)
WORD = 64  # shared address of the mbarrier
ONE_ARRIVAL = 1 << 32


def config(*settings):
    return load_config("h100_pcie", (), (*SETTINGS, *settings))


class Made:
    """Warps of blocks, each a list of (label, records): the instruction at a label of the listing, once."""

    def __init__(self, text, warps, blocks=1, cluster=(1, 1, 1), shared=1024, registers=32):
        read = read_listing(text, 90, kernel="made", name="made")
        self.program, self.labels = read.program, read.labels
        count = len(warps)
        self.launch = Launch(
            "made",
            (blocks, 1, 1),
            (32 * count, 1, 1),
            shared,
            registers,
            90,
            cluster=cluster,
            shared_base=SHARED_WINDOW,
        )
        self.warps = warps

    def blocks(self):
        for number in range(self.launch.blocks):
            starts, index, access, accesses = [0], [], [], []
            for warp in self.warps:
                for label, records in warp(number) if callable(warp) else warp:
                    index.append(self.labels[label])
                    access.append(len(accesses) if records else -1)
                    accesses += [(*r, -1, int(i + 1 < len(records))) for i, r in enumerate(records)]
                starts.append(len(index))
            yield BlockStreams(
                number,
                np.array(starts, np.int64),
                np.array(index, np.int32),
                np.ones(len(index), np.uint32),
                np.array(access, np.int32),
                np.array(accesses, MEMORY_ACCESS),
                np.zeros(0, np.int64),
            )


def run(trace, *settings, **options):
    log_entries = 0 if "threads" in options else 1 << 14  # the log wants one thread
    machine = Machine(trace, config(*settings), log_entries=log_entries, **options)
    machine.run(10_000_000)
    machine.result().check()
    return machine


def issues(machine, trace, label):
    """Issue cycles of the instruction at a label, in order."""
    log = machine.log[: int(machine.log_count[0])]
    return sorted(log["cycle"][(log["kind"] == LogKind.ISSUE) & (log["op"] == trace.labels[label])].tolist())


SYNC = """
init:
SYNCS.EXCH.64 URZ, [UR4], UR6
bar:
BAR.SYNC 0x0
arrive:
SYNCS.ARRIVE.TRANS64 RZ, [UR4], R2
wait:
SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR4], R3
behind:
@P0 IADD3 R4, R4, R5, RZ
slow:
MUFU.RCP R8, R8
exit:
EXIT
"""


def arrival(amount=ONE_ARRIVAL):
    return ("arrive", ((WORD, 0), (amount, 0)))


def wait(parity=0, succeeded=True):
    return ("wait", ((WORD, 0), (parity | 2 * succeeded, 0)))


def init(arrivals):
    return ("init", ((WORD, 0), (arrivals, 0)))


def test_wait_ends_with_the_last_arrival():
    late = [("bar", ()), *[("slow", ())] * 40, arrival(), ("exit", ())]
    for arrivals, expected in ((1, False), (2, True)):
        trace = Made(SYNC, [[init(arrivals), ("bar", ()), arrival(), wait(), ("behind", ()), ("exit", ())], late])
        machine = run(trace)
        early, last = issues(machine, trace, "arrive")
        assert (issues(machine, trace, "behind")[0] > last) == expected, (arrivals, early, last)


def test_bytes_that_are_expected_hold_the_phase_until_they_are_complete():
    late = [("bar", ()), *[("slow", ())] * 40, arrival(-512 & 0xFFFFFFFF), ("exit", ())]
    trace = Made(SYNC, [[init(1), ("bar", ()), arrival(ONE_ARRIVAL + 512), wait(), ("behind", ()), ("exit", ())], late])
    machine = run(trace)
    assert issues(machine, trace, "behind")[0] > issues(machine, trace, "arrive")[-1]


def test_a_test_that_failed_in_the_trace_does_not_wait():
    first = [init(2), ("bar", ()), arrival(), wait(succeeded=False), ("behind", ()), ("exit", ())]
    trace = Made(SYNC, [first, [("bar", ()), *[("slow", ())] * 40, arrival(), ("exit", ())]])
    machine = run(trace)
    assert issues(machine, trace, "behind")[0] < issues(machine, trace, "arrive")[-1]


def test_phase_that_never_ends_is_a_deadlock_that_names_the_wait():
    trace = Made(SYNC, [[init(2), arrival(), wait(), ("behind", ()), ("exit", ())]])
    with pytest.raises(SimulationError, match="deadlock"):
        run(trace, "gpu.sms=2")


def test_mbarrier_that_was_never_initialised_is_named():
    with pytest.raises(SimulationError, match="mbarrier"):
        run(Made(SYNC, [[arrival(), ("exit", ())]]), "gpu.sms=2")


def test_copy_takes_as_much_longer_as_its_engine_starts_later():
    cycles = [
        run(CopyTrace(1, (), 1024, 1, 0), f"bulk_copy.start_cycles={n}").result().kernel_cycles for n in (50, 250)
    ]
    assert cycles[1] - cycles[0] == pytest.approx(200, abs=1)  # a clock edge of the DRAM


@pytest.mark.parametrize(("box", "dimensions"), [((), 0), ((), 1), ((16, 1), 2), ((16, 1, 1), 3)])
def test_copy_starts_later_by_each_dimension_of_its_tensor_map(box, dimensions):
    cycles = [
        run(CopyTrace(1, box, 64, 1, dimensions), f"bulk_copy.map_dimension_cycles={n}").result().kernel_cycles
        for n in (0, 100)
    ]
    assert abs(cycles[1] - cycles[0] - 100 * dimensions) <= 2, cycles  # edges of the DRAM's clock


def test_delayed_block_begins_its_copy_later():
    cycles = [run(CopyTrace(1, (), 1024, 1, 0, delays=[n])).result().kernel_cycles for n in (1, 11, 21)]
    assert abs(cycles[2] - 2 * cycles[1] + cycles[0]) <= 4 and cycles[1] > cycles[0] + 100, cycles


def test_box_with_short_rows_takes_longer_than_one_with_long_rows():
    long_rows, short_rows = (
        run(CopyTrace(1, box, 16384, 1, 3)).result().kernel_cycles for box in ((64, 64, 1), (4, 4, 256))
    )
    assert short_rows > long_rows + 500


def test_copy_asks_for_every_sector_once():
    result = run(CopyTrace(4, (16, 16), 1024, 3, 2), *FOUR_SMS).result()
    assert result.counter(Counter.BULK_COPIES) == 12
    assert result.counter(Counter.COPY_SECTORS) == 12 * 1024 // 32


def test_sectors_in_flight_limit_a_copy():
    many, few = (
        run(CopyTrace(1, (), 16384, 1, 0), f"bulk_copy.sectors_in_flight={n}").result().kernel_cycles
        for n in (2048, 64)
    )
    assert few > 3 * many


STORE = """
copy:
UBLKCP.G.S [UR4], [UR8], UR6
flush:
UTMACMDFLUSH
wait:
DEPBAR.LE SB0, 0x0
behind:
IADD3 R4, R4, R5, RZ
exit:
EXIT
"""


def test_bulk_store_is_awaited_until_its_data_are_read():
    copy = ("copy", ((0, 8192), (-1, 0), (0x7F0000000000, 8192)))
    trace = Made(STORE, [[copy, ("flush", ()), ("wait", ()), ("behind", ()), ("exit", ())]], shared=16384)
    machine = run(trace)
    begin, behind = issues(machine, trace, "flush")[0], issues(machine, trace, "behind")[0]
    assert behind - begin > 8192 / 64, "64 lines at two sectors a cycle"
    assert machine.result().counter(Counter.COPY_SECTORS) == 8192 // 32


CLUSTER = """
arrive:
UCGABAR_ARV
wait:
UCGABAR_WAIT
behind:
IADD3 R4, R4, R5, RZ
slow:
MUFU.RCP R8, R8
load:
LD.E R2, [R2]
exit:
EXIT
"""


def late_block(number):
    return [*[("slow", ())] * (40 if number == 1 else 0), ("arrive", ()), ("wait", ()), ("behind", ()), ("exit", ())]


def test_cluster_barrier_waits_for_the_last_block():
    trace = Made(CLUSTER, [late_block], blocks=2, cluster=(2, 1, 1))
    machine = run(trace)
    assert issues(machine, trace, "behind")[0] > issues(machine, trace, "arrive")[-1]


def test_cluster_barrier_does_not_wait_for_a_block_that_has_ended():
    def gone(number):
        return [("exit", ())] if number == 1 else late_block(1)

    trace = Made(CLUSTER, [gone], blocks=2, cluster=(2, 1, 1))
    assert len(issues(run(trace), trace, "behind")) == 1


def load_from(rank, times=1):
    return [*[("load", ((SHARED_WINDOW + (rank << 24), 0),))] * times, ("behind", ())]


def test_load_from_another_sm_takes_the_way_of_both_there_and_back():
    def chain(number):
        return [
            ("arrive", ()),
            ("wait", ()),
            *(load_from(1, 2) if number == 0 else []),
            ("arrive", ()),
            ("wait", ()),
            ("exit", ()),
        ]

    trace = Made(CLUSTER, [chain], blocks=4, cluster=(4, 1, 1))
    ways = "cluster.distance_cycles=[50, 70, 40, 40]"
    machine = run(trace, ways, *FOUR_SMS)
    first, second = issues(machine, trace, "load")
    own = 32  # LDG on a hit, as a load of the own block takes
    assert second - first == 2 * (50 + 70) + own


@pytest.mark.parametrize("options", [{"quantum": 1}, {"quantum": 13}, {"every_cycle": True}, {"threads": 2}])
def test_cluster_takes_the_same_cycles_however_time_is_cut(options):
    def blocks(number):
        peers = [load_from((number + i) % 4)[0] for i in range(1, 12)]
        return [("arrive", ()), ("wait", ()), *peers, ("behind", ()), ("arrive", ()), ("wait", ()), ("exit", ())]

    trace = Made(CLUSTER, [blocks] * 3, blocks=16, cluster=(4, 1, 1), shared=100_000)
    plain, other = run(trace, "gpu.sms=36"), run(trace, "gpu.sms=36", **options)
    assert np.array_equal(plain.sms["counter"], other.sms["counter"])
    assert plain.result().kernel_cycles == other.result().kernel_cycles


def test_blocks_of_a_cluster_run_on_different_sms_of_one_gpc():
    trace = Made(CLUSTER, [late_block], blocks=12, cluster=(4, 1, 1))
    machine = run(trace)
    log = machine.log[: int(machine.log_count[0])]
    for first in (0, 4, 8):
        sms = {int(s) for s in log["sm"][np.isin(log["block"], range(first, first + 4))]}
        assert len(sms) == 4 and len({s // 18 for s in sms}) == 1, (first, sms)


@pytest.mark.parametrize(
    ("gpu", "cluster", "message"),
    [
        ("a100_sxm4_80gb", (2, 1, 1), "need compute capability 9.0"),
        ("h100_pcie", (5, 1, 1), "do not divide its grid"),
        ("h100_pcie", (32, 1, 1), "1 to 16"),
    ],
)
def test_cluster_that_cannot_run_is_named(gpu, cluster, message):
    trace = Made(CLUSTER, [late_block], blocks=32, cluster=cluster)
    with pytest.raises(SubcoreError, match=message):
        Machine(trace, load_config(gpu))


REGISTERS = """
take:
USETMAXREG.TRY_ALLOC.CTAPOOL UP0, 0x40
give:
USETMAXREG.DEALLOC.CTAPOOL 0x18
behind:
IADD3 R4, R4, R5, RZ
slow:
MUFU.RCP R8, R8
exit:
EXIT
"""


def test_warp_waits_for_registers_until_another_gives_its_own_back():
    taker = [("take", ()), ("behind", ()), ("exit", ())]
    giver = [*[("slow", ())] * 20, ("give", ()), ("slow", ()), ("exit", ())]
    trace = Made(REGISTERS, [taker, giver], registers=48)
    machine = run(trace)
    assert issues(machine, trace, "behind")[0] < issues(machine, trace, "give")[0] + 3
    assert issues(machine, trace, "behind")[0] > issues(machine, trace, "give")[0]


def test_registers_that_nobody_gives_back_are_a_deadlock():
    trace = Made(REGISTERS, [[("take", ()), ("behind", ()), ("exit", ())]], registers=48)
    with pytest.raises(SimulationError, match="waits for registers of its block"):
        run(trace, "gpu.sms=2")
