"""Laws of the whole component: every sector answered once, nothing early, nothing depends on the quantum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_bench import TWO_PARTITIONS, Bench, next_event_at, requests, small

from sim.memory.state import NEVER, REPLY, RequestKind, new_memory
from sim.memory.system import memory_advance

MACHINES = {
    "one_partition": small(),
    "two_partitions": small(**{k.replace(".", "__"): v for k, v in TWO_PARTITIONS.items()}),
    "starved": small(l2__mshrs=2, dram__queue_entries=1, interconnect__gpc_bytes_per_cycle=16),
    "starved_partitions": small(
        **{k.replace(".", "__"): v for k, v in TWO_PARTITIONS.items()}, l2__mshrs=2, dram__queue_entries=1
    ),
    "narrow_bursts": small(dram__bus_bytes=1),
    "one_channel": small(dram__channels=1, dram__tREFI=3800),
    "odd_modulo": small(l2__slices=6, l2__bytes=6 * 4 * 4 * 128, dram__channels=3, l2__hash="modulo"),
    "odd_ipoly": small(l2__slices=6, l2__bytes=6 * 4 * 4 * 128, dram__channels=3),
}
MACHINES["odd_ipoly"].l2.bytes = 6 * 4 * 5 * 128  # five sets per slice


def random_traffic(seed: int, count: int, lines: int, cycles: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    rows = [
        (
            int(random.integers(cycles)),
            int(random.integers(lines)) * 128,
            int(random.integers(4)),
            i,
            int(random.choice(list(RequestKind), p=[0.45, 0.25, 0.1, 0.1, 0.05, 0.05])),
            int(random.integers(1, 16)),
            int(random.integers(16)),
            int(random.integers(1, 33)),
        )
        for i in range(count)
    ]
    return requests(sorted(rows, key=lambda row: (row[2], row[0])))


def check_answers(bench: Bench, rows: np.ndarray, replies: np.ndarray) -> None:
    cfg = bench.cfg
    answered = {int(tag): 0 for tag in rows["tag"]}
    sent = {int(row["tag"]): row for row in rows}
    least = int(cfg.interconnect.request_cycles + cfg.interconnect.reply_cycles)
    for reply in replies:
        row = sent[int(reply["tag"])]
        assert (reply["sm"], reply["kind"]) == (row["sm"], row["kind"])
        assert reply["at"] >= row["at"] + least
        assert answered[int(reply["tag"])] & reply["sector_mask"] == 0, "a sector was answered twice"
        answered[int(reply["tag"])] |= int(reply["sector_mask"])
    assert answered == {int(row["tag"]): int(row["sector_mask"]) for row in rows}
    for sm in range(int(cfg.gpu.sms)):
        assert np.all(np.diff(replies["at"][replies["sm"] == sm]) >= 0), "replies of an SM out of order"
    counters = bench.counters()
    assert counters["requests_in"] == len(rows) == counters["lts__t_requests"]
    assert counters["sectors_in"] == counters["sectors_out"] == counters["lts__t_sectors"]
    assert counters["lts__t_sectors_lookup_hit"] + counters["lts__t_sectors_lookup_miss"] == counters["lts__t_sectors"]
    kinds = ("read", "write", "atom", "red")
    assert sum(counters[f"lts__t_sectors_op_{kind}"] for kind in kinds) == counters["lts__t_sectors"]
    assert counters["dram__sectors_write"] == counters["l2_sectors_written_back"]
    assert bench.idle
    assert int(bench.memory.system["sectors"][0]) == 0
    assert not bench.memory.line["pending"].any()
    assert not bench.memory.slice["missing"].any()
    assert next_event_at(bench.memory, cfg) == NEVER


@pytest.mark.parametrize("machine", MACHINES)
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from([3, 40, 300]), st.sampled_from([10, 1000]))
def test_every_sector_is_answered_once(machine, seed, lines, cycles):
    bench = Bench(MACHINES[machine])
    rows = random_traffic(seed, 300, lines, cycles)
    check_answers(bench, rows, bench.run(rows))


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_depends_on_the_quantum(machine):
    rows = random_traffic(7, 600, 60, 1500)
    runs = []
    for quantum in (0, 1, 7, 32):
        bench = Bench(MACHINES[machine], quantum)
        replies = bench.run(rows)
        order = np.lexsort((replies["sector_mask"], replies["tag"]))
        runs.append((replies[order].tolist(), bench.counters()))
    assert all(run == runs[0] for run in runs[1:])


def test_order_of_sms_in_the_request_array_does_not_matter():
    rows = random_traffic(3, 400, 60, 100)
    shuffled = np.concatenate([rows[rows["sm"] == sm] for sm in (2, 0, 3, 1)])
    first, second = Bench(MACHINES["one_partition"]), Bench(MACHINES["one_partition"])
    assert first.run(rows).tolist() == second.run(shuffled).tolist()
    assert first.counters() == second.counters()


def test_skipping_to_the_next_event_changes_nothing():
    rows = random_traffic(11, 50, 60, 20)
    plain, skipping = Bench(MACHINES["two_partitions"]), Bench(MACHINES["two_partitions"])
    expected = plain.run(rows)
    got = [skipping.step(rows, skipping.quantum)]
    while not skipping.idle:
        ahead = int(next_event_at(skipping.memory, skipping.cfg))
        to = max(skipping.now + 1, min(ahead, skipping.now + 100_000))
        got.append(skipping.step(rows[:0], to))
        assert np.all(got[-1]["at"] >= to)
    assert np.concatenate(got).tolist() == expected.tolist()
    assert skipping.counters() == plain.counters()


def test_replies_are_never_before_the_end_of_their_quantum():
    bench = Bench(MACHINES["starved"])
    rows = random_traffic(5, 300, 60, 2000)
    while bench.now < 2000 or not bench.idle:
        to = bench.now + bench.quantum
        replies = bench.step(rows[(rows["at"] >= bench.now) & (rows["at"] < to)], to)
        assert np.all(replies["at"] >= to)


@pytest.mark.parametrize("machine", ["starved", "starved_partitions"])
def test_packets_suffice_for_the_sectors_promised(machine):
    """As many sectors outstanding as allowed, all missing; one more is refused."""
    bench = Bench(MACHINES[machine])
    bench.memory = new_memory(bench.cfg, sectors_per_sm=120)
    rows = requests([(i, (4 * i + sm) * 128, sm, i, RequestKind.READ, 15, 0, 0) for sm in range(4) for i in range(30)])
    bench.step(rows, bench.quantum)
    assert int(bench.memory.system["sectors"][0]) == 4 * 120
    with pytest.raises(RuntimeError, match="more sectors outstanding"):
        bench.step(requests([(bench.now, 0, 0, 0, RequestKind.READ, 1, 0, 0)]), bench.now + 1)
    bench.run(rows[:0])
    assert int(bench.memory.system["fresh_packet"][0]) <= len(bench.memory.packet)
    assert bench.counters()["sectors_out"] == 480


@pytest.mark.parametrize(
    ("row", "to", "message"),
    [
        ((100, 0, 0, 0, 0, 1, 0, 0), 50, "outside the quantum"),
        ((0, 0, 4, 0, 0, 1, 0, 0), 50, "SM that does not exist"),
        ((0, 0, 0, 0, 0, 0, 0, 0), 50, "without sectors"),
        ((0, 0, 0, 0, 0, 1, 0, 0), 5000, "longer than lookahead"),
        ((0, 0, 0, 0, 0, 1, 0, 0), 0, "overlap or be empty"),
    ],
)
def test_misuse_is_refused_and_changes_nothing(row, to, message):
    bench = Bench(MACHINES["one_partition"])
    with pytest.raises(ValueError, match=message):
        memory_advance(bench.memory, bench.cfg, requests([row]), 1, np.zeros(8, REPLY), 0, to)
    assert bench.idle
    assert bench.counters()["requests_in"] == 0
