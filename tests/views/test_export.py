"""`subcore export`: what the viewers get agrees with the run, and reads as their formats demand."""

import csv
import json
from collections import defaultdict
from itertools import pairwise

import pytest

from configs.load import load_config
from isa.errors import SubcoreError
from sim.gpu import simulate_trace
from sim.state import Path as OpPath
from sim.stats import STALL_TEXT, Stall
from subcore import api
from subcore.konata import konata_lines
from subcore.perfetto import perfetto_text
from subcore.timeline import OPEN, READY, record
from tests.views.konata_parser import parse
from traces.store import open_trace

KERNELS = ("reduction", "sgemm_register_tiled", "double_quadrature")
REASONS = {reason.name.lower() for reason in STALL_TEXT} | {READY}


def trace_of(kernel):
    return open_trace(api.LIBRARY / f"{kernel}.sm_86.sct")


@pytest.fixture(scope="module")
def config():
    return load_config("rtx_a6000", settings=["gpu.sms=4"])


@pytest.fixture(scope="module", params=KERNELS)
def timeline(request, config):
    return record(trace_of(request.param), config)


@pytest.fixture(scope="module")
def kanata(timeline):
    return "".join(f"{line}\n" for line in konata_lines(timeline))


def test_recording_does_not_change_the_run(config):
    result = simulate_trace(trace_of("reduction"), config)
    whole = record(trace_of("reduction"), config)
    assert len(whole.instructions) == result.warp_instructions
    assert max(row.done for row in whole.instructions) <= result.kernel_cycles + 300


def test_warps_are_in_one_state_from_start_to_end(timeline, config):
    """Issue cycles are those of the stall account; between them every cycle of a warp has one reason."""
    warps = defaultdict(list)
    for state in timeline.states:
        assert state.reason in REASONS and timeline.first <= state.first < state.last <= timeline.last
        warps[state.sm, state.subcore, state.slot].append(state)
    for states in warps.values():
        for before, after in pairwise(states):
            assert before.last <= after.first, f"{before} overlaps {after}"
            if before.block == after.block and before.reason != "drain":
                assert before.last == after.first, f"gap between {before} and {after}"
    issued = sorted((s.sm, s.subcore, s.slot, s.first, s.index) for s in timeline.states if s.reason == "issued")
    assert issued == sorted((i.sm, i.subcore, i.slot, i.issue, i.index) for i in timeline.instructions)


def test_states_agree_with_the_account_of_the_sub_core(config):
    """With one warp per sub-core the warp's reason is the sub-core's: the cycles of each agree within a few."""
    trace = trace_of("pointer_chase")
    result = simulate_trace(trace, config)
    found = defaultdict(int)
    for state in record(trace, config).states:
        found[state.reason] += state.last - state.first
    # what is charged to the sub-core as a whole (a busy issue port) is a stall count for the warp
    waits = (Stall.WAIT, Stall.MATH_PIPE_THROTTLE, Stall.DISPATCH_STALL)
    for reasons in ((Stall.ISSUED,), (Stall.LONG_SCOREBOARD,), waits, (Stall.NO_INSTRUCTION,)):
        charged = sum(int(result.sm_stalls[:, :, reason].sum()) for reason in reasons)
        seen = sum(found[reason.name.lower()] for reason in reasons)
        assert seen == pytest.approx(charged, rel=0.02, abs=40), reasons


def test_stages_follow_each_other(timeline):
    for row in timeline.instructions:
        path = timeline.op[row.index]["path"]
        order = [row.issue, row.control]
        if path == OpPath.MEMORY:
            order += [row.enqueue, row.leave, row.done]
        elif path == OpPath.UNIT:
            order += [row.start, row.done]
        else:
            order += [row.allocate]
        assert OPEN not in order, f"{timeline.text(row.index)}: {row}"
        assert all(a < b or (path == OpPath.MEMORY and a <= b) for a, b in pairwise(order)), row


def test_konata_reads_it(timeline, kanata):
    rows = parse(kanata)
    assert len(rows) == len(timeline.instructions)
    issued = sorted(first for row in rows for name, first, _ in row.stages[0] if name == "Is")
    assert issued == sorted(i.issue for i in timeline.instructions)
    for row in rows:
        for before, after in pairwise(row.stages[0]):
            assert before[2] == after[1], f"row {row.identifier}: gap between {before} and {after}"
        assert row.stages[0][0][1] == row.begin and row.stages[0][-1][2] == row.retired_at
        assert {name for name, _, _ in row.stages.get(1, ())} <= REASONS
        assert ": " in row.label and "issue at" in row.detail


def test_konata_rows_of_a_warp_share_a_thread(timeline, kanata):
    threads = defaultdict(set)
    for row in parse(kanata):
        threads[row.label.partition(":")[0]].add(row.thread)
    assert all(len(found) == 1 for found in threads.values())
    assert len({min(found) for found in threads.values()}) == len(threads)


def test_parser_refuses_what_the_format_forbids(kanata):
    lines = kanata.split("\n")
    stage = next(i for i, line in enumerate(lines) if line.startswith("E\t"))
    step = next(i for i, line in enumerate(lines) if line.startswith("C\t"))
    for broken in (
        ["Kanata\t0003", *lines[1:]],
        [*lines[:stage], *lines[stage + 1 :]],
        [*lines[:step], "C\t0", *lines[step + 1 :]],
        lines[:-2] + [""],
    ):
        with pytest.raises(ValueError):
            parse("\n".join(broken))


def read_events(timeline):
    document = json.loads("".join(perfetto_text(timeline)))
    assert set(document) == {"displayTimeUnit", "otherData", "traceEvents"}
    return document["traceEvents"]


def test_perfetto_reads_it(timeline):
    """Trace event format: required fields by phase, slices of a track nest, asynchronous ones are paired."""
    tracks, named, flights = defaultdict(list), set(), defaultdict(list)
    for event in read_events(timeline):
        assert {"ph", "name", "pid", "tid", "ts"} <= set(event) and event["name"]
        assert all(type(event[key]) is int and event[key] >= 0 for key in ("pid", "tid", "ts"))
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name", "process_sort_index", "thread_sort_index")
            named.add((event["pid"], event["tid"]))
        elif event["ph"] == "X":
            assert event["dur"] > 0 and event["cat"] in ("issue", "stall", "unit", "memory")
            tracks[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
        else:
            flights[event["pid"], event["id"], event["name"]].append((event["ph"], event["ts"]))
    assert set(tracks) <= named, "a track has no name"
    for track, slices in tracks.items():
        assert slices == sorted(slices)
        assert all(a[1] <= b[0] for a, b in pairwise(slices)), f"slices of track {track} overlap"
    for events in flights.values():
        (begin, first), (end, last) = events
        assert (begin, end) == ("b", "e") and first < last


def test_perfetto_has_a_track_per_warp_and_per_unit(timeline):
    names = {e["args"]["name"] for e in read_events(timeline) if e["name"] == "thread_name"}
    assert {f"sub-core {s} issue" for s in range(4)} <= names and "memory unit" in names
    assert any(" warp " in name for name in names) and any(name.endswith(" ALU") for name in names)
    stalls = {e["name"] for e in read_events(timeline) if e.get("cat") == "stall"}
    assert {"no_instruction", "wait"} <= stalls <= REASONS


def test_window_is_the_same_part_of_the_whole(config):
    trace = trace_of("reduction")
    whole = record(trace, config)
    part = record(trace, config, 3000, 3500, 1)
    inside = [i for i in whole.instructions if i.sm == 1 and 3000 <= i.issue < 3500]
    assert inside and [(i.slot, i.issue, i.index) for i in part.instructions] == [
        (i.slot, i.issue, i.index) for i in inside
    ]
    for state in part.states:
        assert any(
            (s.sm, s.subcore, s.slot, s.reason) == (1, state.subcore, state.slot, state.reason)
            and s.first <= state.first and state.last <= s.last
            for s in whole.states
        ), state  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first": 100, "last": 100}, "must not be empty"),
        ({"sm": 4}, "has 0 to 3"),
        ({"last": 200}, "first block starts"),
        ({"most_events": 100}, "at most 100"),
    ],
)
def test_impossible_window_is_refused(config, options, message):
    with pytest.raises(SubcoreError, match=message):
        record(trace_of("reduction"), config, **options)


@pytest.fixture
def command():
    from click.testing import CliRunner

    from subcore.cli import cli

    return lambda *arguments: CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="subcore")


@pytest.mark.parametrize(("kind", "ending"), [("konata", "kanata"), ("perfetto", "json"), ("figure", "svg")])
def test_command_writes_the_same_bytes_twice_and_overwrites_nothing(command, tmp_path, kind, ending):
    source = api.LIBRARY / "reduction.sm_86.sct"
    window = ("--sm", 0, "--from", 2000, "--to", 4000)
    run = tmp_path / "run"
    assert command("simulate", source, "-c", "rtx_a6000", "-o", run).exit_code == 0
    a, b = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    first = command("export", kind, source, "-c", "rtx_a6000", *window, "-o", a)
    second = command("export", kind, run, *window, "-o", b)
    assert first.exit_code == second.exit_code == 0, first.output + second.output
    assert a.read_bytes() == b.read_bytes(), "the run directory repeats the run"
    again = command("export", kind, run, *window, "-o", a)
    assert again.exit_code == 1 and "--force" in again.output
    if kind == "figure":
        with open(a.with_suffix(".csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        assert {row["sm"] for row in rows} == {"0"} and {row["reason"] for row in rows} <= REASONS


def test_command_says_what_is_missing(command, tmp_path):
    source, target = api.LIBRARY / "reduction.sm_86.sct", tmp_path / "x.json"
    without = command("export", "perfetto", source, "-o", target)
    assert without.exit_code == 2 and "-c GPU" in without.output
    empty = command("export", "perfetto", source, "-c", "rtx_a6000", "--from", 9, "--to", 9, "-o", target)
    assert empty.exit_code == 1 and "--from 9 --to 9" in empty.output and not target.exists()
    near = command("export", "perfetto", "reducton", "-c", "rtx_a6000", "-o", target)
    assert near.exit_code == 1 and "'reduction'" in near.output


def test_run_directory_whose_trace_has_changed_is_refused(command, tmp_path):
    source = tmp_path / "kernel.sct"
    source.write_bytes((api.LIBRARY / "reduction.sm_86.sct").read_bytes())
    assert command("simulate", source, "-c", "rtx_a6000", "-o", tmp_path / "run").exit_code == 0
    source.write_bytes((api.LIBRARY / "saxpy.sm_86.sct").read_bytes())
    refused = command("export", "konata", tmp_path / "run", "-o", tmp_path / "x.kanata")
    assert refused.exit_code == 1 and "no longer what was run" in refused.output
