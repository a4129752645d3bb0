"""The simpy time line against hand-counted cases and against an independent longest-path reference."""

import heapq
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.errors import SubcoreError
from sim.host.model import HostModel
from sim.host.timeline import Graph, HostTimeline

PLAIN = HostModel(
    name="round numbers",
    call_ns=10,
    event_call_ns=10,
    launch_latency_ns=110,
    copy_latency_ns=60,
    synchronize_ns=5,
    graph_call_ns=20,
    graph_node_call_ns=1,
    graph_latency_ns=200,
    stream_gap_ns=0,
    graph_gap_ns=0,
    host_work_scale=2.0,
    copy_engines=2,
    h2d_bytes_per_second=1e9,  # one byte per nanosecond
    d2h_bytes_per_second=5e8,
)


def test_launch_latency_hides_behind_a_running_kernel():
    timeline = HostTimeline(PLAIN)
    timeline.kernel(1000, name="first")
    timeline.kernel(500, name="second")
    rows = timeline.run()
    assert list(rows.start_ns) == [110, 1110], "the second launch was queued in time, so it starts back to back"
    assert list(rows.end_ns) == [1110, 1610]


def test_copy_of_one_stream_overlaps_the_kernel_of_another():
    timeline = HostTimeline(PLAIN)
    timeline.kernel(1000, stream=0)
    timeline.copy(400, "h2d", stream=1)
    rows = timeline.run()
    assert (rows.start_ns[1], rows.end_ns[1]) == (70, 470)
    assert rows.end_ns[1] < rows.end_ns[0]


def test_one_copy_engine_serializes_both_directions():
    ends = {}
    for engines in (1, 2):
        timeline = HostTimeline(replace(PLAIN, copy_engines=engines))
        timeline.copy(1000, "h2d", stream=0)
        timeline.copy(500, "d2h", stream=1)
        ends[engines] = list(timeline.run().end_ns)
    assert ends == {1: [1060, 2060], 2: [1060, 1070]}


def test_event_orders_two_streams_and_host_waits_for_the_device():
    timeline = HostTimeline(PLAIN)
    timeline.kernel(1000, stream=0)
    timeline.record("done", stream=0)
    timeline.wait("done", stream=1)
    timeline.copy(100, "d2h", stream=1)
    timeline.synchronize()
    timeline.kernel(7, stream=0)
    rows = timeline.run()
    assert rows.end_ns[1] == rows.end_ns[0] == rows.end_ns[2] == 1110
    assert (rows.start_ns[3], rows.end_ns[3]) == (1110, 1310)
    assert rows.end_ns[4] == 1315
    assert rows.issued_ns[5] == 1325 and rows.start_ns[5] == 1425


def test_wait_refers_to_the_record_before_it_and_is_free_without_one():
    timeline = HostTimeline(PLAIN)
    timeline.wait("e", stream=1)
    timeline.record("e", stream=0)
    timeline.wait("e", stream=1)
    timeline.kernel(1000, stream=0)
    timeline.record("e", stream=0)
    timeline.kernel(5, stream=1)
    rows = timeline.run()
    assert rows.end_ns[0] == 0, "an event that was never recorded does not hold the stream"
    assert rows.ready_ns[5] < rows.end_ns[4], "the second record must not hold a wait that came before it"


def test_result_counts_at_core_clock_and_playing_twice_changes_nothing():
    class Result:
        cycles = 1755

        class config:
            class gpu:
                core_clock_mhz = 1755.0

    timeline = HostTimeline(PLAIN)
    timeline.kernel(Result())
    rows = timeline.run()
    assert list(rows.end_ns - rows.start_ns) == [1000]
    assert timeline.run().equals(rows), "playing twice must give the same table"


def test_blocking_copy_holds_the_host_and_host_work_is_scaled():
    timeline = HostTimeline(PLAIN)
    timeline.copy(400, "h2d", blocking=True)
    timeline.work(30)
    timeline.kernel(7)
    rows = timeline.run()
    assert (rows.end_ns[0], rows.issued_ns[0]) == (460, 465)
    assert (rows.end_ns[1], rows.call_ns[2], rows.start_ns[2]) == (465 + 60, 525, 635)


def test_stream_gap_separates_commands_of_one_stream_only():
    timeline = HostTimeline(replace(PLAIN, stream_gap_ns=25))
    timeline.kernel(1000, stream=0)
    timeline.kernel(1000, stream=0)
    timeline.copy(10, "h2d", stream=1)
    rows = timeline.run()
    assert rows.start_ns[1] == rows.end_ns[0] + 25
    assert rows.start_ns[2] == rows.call_ns[2] + 60


def test_graph_costs_one_call_and_its_branches_join_before_what_follows():
    graph = Graph()
    graph.kernel(100, name="fork", stream=0)
    graph.record("forked", stream=0)
    graph.wait("forked", stream=1)
    graph.copy(300, "d2h", stream=1)
    graph.kernel(50, name="body", stream=0)
    timeline = HostTimeline(replace(PLAIN, graph_gap_ns=3))
    timeline.launch(graph, stream=4)
    timeline.kernel(9, name="next", stream=4)
    rows = timeline.run().set_index("name")
    assert rows.issued_ns["fork"] == 20 + 3 * 1, "one call, and three nodes that do something"
    assert (rows.start_ns["fork"], rows.end_ns["fork"]) == (200, 300)
    assert rows.start_ns["body"] == 303
    assert rows.start_ns["d2h"] == 303, "an event on the way costs nothing of its own"
    assert rows.start_ns["next"] == rows.end_ns["d2h"] == 303 + 600
    assert rows.call_ns["body"] == rows.call_ns["fork"] == 0


def test_two_launches_of_a_graph_in_one_stream_follow_each_other():
    graph = Graph()
    graph.kernel(1000)
    timeline = HostTimeline(PLAIN)
    timeline.launch(graph)
    timeline.launch(graph)
    kernels = timeline.run().query("kind == 'kernel'")
    assert list(kernels.start_ns) == [200, 1200]
    assert list(kernels.call_ns) == [0, 21]


def test_host_cannot_wait_inside_a_graph():
    with pytest.raises(SubcoreError, match="cannot wait inside a graph"):
        Graph().copy(1, "h2d", blocking=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.kernel(0), "at least 1 ns"),
        (lambda t: t.kernel(5, stream=-2), "must not be negative"),
        (lambda t: t.copy(-1, "h2d"), "cannot be negative"),
        (lambda t: t.copy(1, "sideways"), "expected 'h2d' or 'd2h'"),
    ],
)
def test_impossible_commands_are_refused(call, message):
    with pytest.raises(SubcoreError, match=message):
        call(HostTimeline(PLAIN))


@pytest.mark.parametrize("wrong", [{"copy_engines": 3}, {"call_ns": -1}, {"h2d_bytes_per_second": 0}, {"call_ns": 1.5}])
def test_impossible_host_models_are_refused(wrong):
    with pytest.raises(SubcoreError, match=next(iter(wrong))):
        replace(PLAIN, **wrong)


def reference(model, program):
    """End of every command: they become ready by longest path, engines serve them from one heap. No processes."""
    latency = {"kernel": model.launch_latency_ns, "copy": model.copy_latency_ns}
    call = {"kernel": model.call_ns, "copy": model.call_ns}
    before, recorded, last = [], {}, {}
    for at, (kind, stream, value) in enumerate(program):
        if kind == "synchronize":
            before.append({last[s] for s in last if value is None or s == stream})
            continue
        before.append({last[stream]} if stream in last else set())
        if kind == "wait" and value in recorded:
            before[at].add(recorded[value])
        if kind == "record":
            recorded[value] = at
        last[stream] = at
    begun, end, free, heap, pushed, host, called = [], {}, {}, [], set(), 0, 0
    while len(end) < len(program):
        while len(begun) < len(program):  # the host goes on until it has to wait
            at = len(begun)
            if program[at][0] == "synchronize":
                if not before[at] <= end.keys():
                    break
                host = end[at] = max([host, *(end[b] for b in before[at])]) + model.synchronize_ns
            else:
                called = host
                host += call.get(program[at][0], model.event_call_ns)
            begun.append(called)
        for at in range(len(begun)):
            if at not in end and at not in pushed and before[at] <= end.keys():
                kind, _, value = program[at]
                engine = {"kernel": "compute", "copy": value[1] if kind == "copy" else ""}.get(kind, "")
                ready = max([begun[at] + latency.get(kind, 0), *(end[b] for b in before[at])])
                heapq.heappush(heap, (ready, engine != "", at, engine))
                pushed.add(at)
        if not heap:
            continue
        ready, _, at, engine = heapq.heappop(heap)
        kind, _, value = program[at]
        held = model.copy_ns(*value) if kind == "copy" else value if kind == "kernel" else 0
        end[at] = (max(ready, free.get(engine, 0)) if engine else ready) + held
        free[engine] = end[at]
    return [end[at] for at in range(len(program))]


COMMAND = st.one_of(
    st.tuples(st.just("kernel"), st.integers(0, 3), st.integers(1, 3000)),
    st.tuples(st.just("copy"), st.integers(0, 3), st.tuples(st.integers(0, 3000), st.sampled_from(["h2d", "d2h"]))),
    st.tuples(st.just("record"), st.integers(0, 3), st.sampled_from("xyz")),
    st.tuples(st.just("wait"), st.integers(0, 3), st.sampled_from("xyz")),
    st.tuples(st.just("synchronize"), st.integers(0, 3), st.sampled_from([None, "stream"])),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(COMMAND, max_size=25))
def test_timeline_equals_longest_path_reference(program):
    timeline = HostTimeline(PLAIN)
    for kind, stream, value in program:
        match kind:
            case "kernel":
                timeline.kernel(value, stream=stream)
            case "copy":
                timeline.copy(*value, stream=stream)
            case "synchronize":
                timeline.synchronize(stream=None if value is None else stream)
            case _:
                getattr(timeline, kind)(value, stream=stream)
    assert list(timeline.run().end_ns) == reference(PLAIN, program)
