"""The trace file: round trip, determinism, atomic writing."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from enum import IntEnum
from pathlib import Path

import numpy as np
import pytest
import synthetic_traces as synthetic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import traces.store as store
from isa.errors import SubcoreError
from isa.latency import ConsumerClass, ProducerClass
from isa.program import INSTRUCTION, Access, CacheHint, Flag, MemorySpace, Parameter, TensorKind, Unit
from traces.columns import active_lanes, join_columns, to_columns
from traces.store import VERSION, open_trace, trace_hash, write_trace
from traces.stream import Launch

HERE, ROOT = Path(__file__).resolve().parent, Path(__file__).resolve().parents[2]


def joined(trace):
    return join_columns([to_columns(chunk) for chunk in trace.blocks()])


def assert_same_streams(a, b):
    for name, column in vars(joined(a)).items():
        assert np.array_equal(column, getattr(joined(b), name)), name


@pytest.mark.parametrize("seed", range(5))
def test_round_trip_keeps_streams_program_and_launch(seed, tmp_path):
    trace = synthetic.random_trace(seed)
    write_trace(tmp_path / "a.sct", trace)
    stored = open_trace(tmp_path / "a.sct")
    assert stored.launch == trace.launch
    assert stored.program.text == trace.program.text
    assert np.array_equal(stored.program.instructions, trace.program.instructions)
    assert_same_streams(stored, trace)
    assert_same_streams(stored, trace)  # blocks() starts over
    stored.verify()


def test_program_metadata_and_provenance_are_kept(tmp_path):
    trace = synthetic.random_trace(0)
    trace.program = replace(
        trace.program,
        has_control_bits=True,
        parameter_base=0x160,
        parameters=(Parameter(0, 8), Parameter(8, 4)),
        source_file="/somewhere/else/demo.cu",
        warnings=("a warning",),
        barriers=2,
    )
    write_trace(tmp_path / "a.sct", trace, provenance={"tool": "demo", "options": {"n": 64}})
    stored = open_trace(tmp_path / "a.sct")
    expected = replace(trace.program, source_file="demo.cu", instructions=stored.program.instructions)
    assert stored.program == expected
    assert stored.provenance == {"tool": "demo", "options": {"n": 64}}
    assert b"somewhere" not in (tmp_path / "a.sct").read_bytes()


def test_host_copies_are_kept_and_part_of_the_hash(tmp_path):
    plain = synthetic.random_trace(3)
    write_trace(tmp_path / "a.sct", plain)
    assert "copies" not in open_trace(tmp_path / "a.sct").header["launch"], "files without copies stay as they were"
    before = trace_hash(plain)
    plain.launch = replace(plain.launch, copies=((4096, 100), (0, 1 << 40)))
    write_trace(tmp_path / "b.sct", plain)
    assert open_trace(tmp_path / "b.sct").launch == plain.launch
    assert trace_hash(plain) == trace_hash(open_trace(tmp_path / "b.sct")) != before


def test_counts_are_what_the_streams_hold(tmp_path):
    launch = Launch("k", (2, 1, 1), (32, 1, 1), 0, 16, 80)
    warp = [(0, 0xFFFFFFFF, []), (1, 0xF, [(64, 4)]), (1, 0, []), (2, 0x3, [(64, 4), [8, 16]])]
    trace = synthetic.ListTrace(launch, synthetic.program(), [synthetic.chunk(launch, 0, [warp, warp[:1]])])
    write_trace(tmp_path / "a.sct", trace)
    assert open_trace(tmp_path / "a.sct").counts == {
        "blocks": 2,
        "warps": 2,
        "warp_instructions": 5,
        "thread_instructions": 32 + 4 + 2 + 32,
        "memory_instructions": 3,
    }


def test_same_trace_gives_identical_bytes(tmp_path):
    for name in ("a.sct", "b.sct"):
        write_trace(tmp_path / name, synthetic.random_trace(3))
    assert (tmp_path / "a.sct").read_bytes() == (tmp_path / "b.sct").read_bytes()


def test_hash_depends_on_content_only(tmp_path, monkeypatch):
    whole = synthetic.random_trace(4, grid=(6, 1, 1), per_chunk=6)
    cut = synthetic.random_trace(4, grid=(6, 1, 1), per_chunk=1)
    monkeypatch.setattr(store, "_CHUNK_INSTRUCTIONS", 50)
    write_trace(tmp_path / "a.sct", cut)
    assert len(open_trace(tmp_path / "a.sct").header["chunks"]) > 1
    assert trace_hash(whole) == trace_hash(cut) == trace_hash(open_trace(tmp_path / "a.sct"))
    renamed = replace(whole.program, source_file="other.cu", warnings=("w",))
    assert trace_hash(replace(whole, program=renamed)) == trace_hash(whole)
    assert trace_hash(replace(whole, launch=replace(whole.launch, shared_bytes=4))) != trace_hash(whole)
    assert trace_hash(replace(whole, program=replace(whole.program, registers=99))) != trace_hash(whole)
    records = whole.program.instructions.copy()
    records["flags"][0] = Flag.NOP
    assert trace_hash(replace(whole, program=replace(whole.program, instructions=records))) != trace_hash(whole)
    for column in ("active_mask", "instruction"):
        values = getattr(whole.chunks[0], column).copy()
        at = int(np.argmax(values > 1))
        values[at] = 1
        changed = replace(whole, chunks=[replace(whole.chunks[0], **{column: values})])
        assert trace_hash(changed) != trace_hash(whole), column


def test_equal_warps_are_stored_once(tmp_path):
    launch = Launch("k", (64, 1, 1), (256, 1, 1), 0, 16, 80)
    moves: list[tuple] = [(0, 0xFFFFFFFF, [])] * 50
    warps = [moves + [(1, 0xFFFFFFFF, [(4096 * w + 128 * i, 4)]) for i in range(50)] for w in range(512)]
    trace = synthetic.ListTrace(launch, synthetic.program(), [synthetic.chunk(launch, 0, warps)])
    write_trace(tmp_path / "a.sct", trace)
    with zipfile.ZipFile(tmp_path / "a.sct") as archive, archive.open("chunk-000000/instruction.npy") as file:
        assert len(np.load(file, allow_pickle=False)) == 100
    assert (tmp_path / "a.sct").stat().st_size < 8000


def test_mnemonics_are_stored_by_name(tmp_path, monkeypatch):
    write_trace(tmp_path / "a.sct", synthetic.random_trace(0))
    shuffled = ("", *sorted(store.MNEMONICS[1:], reverse=True))
    monkeypatch.setattr(store, "MNEMONICS", shuffled)
    stored = open_trace(tmp_path / "a.sct")
    assert [shuffled[i] for i in stored.program.instructions["mnemonic"][:3]] == ["MOV", "LDG", "LDGSTS"]
    stored.verify()


def test_members_are_plain_numpy_and_json(tmp_path):
    write_trace(tmp_path / "a.sct", synthetic.random_trace(0))
    with zipfile.ZipFile(tmp_path / "a.sct") as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        header = json.loads(archive.read("header.json"))
        for name in names - {"header.json"}:
            with archive.open(name) as file:
                assert np.load(file, allow_pickle=False).ndim == 1
        assert all(info.date_time == (1980, 1, 1, 0, 0, 0) for info in archive.infolist())
    assert (header["format"], header["version"]) == ("subcore-trace", 1)


def test_format_version_is_raised_with_the_record_layout():
    """Stored programs hold INSTRUCTION records: when a field or an existing enumeration value changes, VERSION must
    rise, and these digests with it. Members appended to an enumeration are fine."""
    pinned: list[tuple[type[IntEnum], int]] = [(Unit, 12), (MemorySpace, 7), (Access, 12), (CacheHint, 8)]
    pinned += [(TensorKind, 8), (ProducerClass, 19), (ConsumerClass, 22)]
    members = {e.__name__: sorted((int(m), m.name) for m in e)[:count] for e, count in pinned}
    flags = [(m.value, m.name) for m in list(Flag)[:16]]
    fields = np.lib.format.dtype_to_descr(INSTRUCTION)
    digests = [hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12] for value in (fields, members, flags)]
    assert (VERSION, digests) == (1, ["09d91930e70e", "9e8342b1efae", "4bce3114f3d9"])


def test_existing_file_needs_force(tmp_path):
    path = tmp_path / "a.sct"
    path.write_bytes(b"precious")
    with pytest.raises(SubcoreError, match="exists already"):
        write_trace(path, synthetic.random_trace(0))
    assert path.read_bytes() == b"precious"
    write_trace(path, synthetic.random_trace(0), force=True)
    open_trace(path).verify()


def test_failing_producer_leaves_nothing(tmp_path):
    class Failing(synthetic.ListTrace):
        def blocks(self):
            yield self.chunks[0]
            raise RuntimeError("producer died")

    good = synthetic.random_trace(0)
    with pytest.raises(RuntimeError, match="producer died"):
        write_trace(tmp_path / "a.sct", Failing(good.launch, good.program, good.chunks))
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder_is_one_error(tmp_path):
    with pytest.raises(SubcoreError, match="cannot write"):
        write_trace(tmp_path / "absent" / "a.sct", synthetic.random_trace(0))


def test_full_disk_is_one_error_and_leaves_nothing(tmp_path, monkeypatch):
    def no_space(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(SubcoreError, match="cannot write: No space left"):
        write_trace(tmp_path / "a.sct", synthetic.random_trace(0))
    assert list(tmp_path.iterdir()) == []


def test_folder_is_not_replaced(tmp_path):
    (tmp_path / "a.sct").mkdir()
    with pytest.raises(SubcoreError, match="cannot write"):
        write_trace(tmp_path / "a.sct", synthetic.random_trace(0), force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.sct"]


BROKEN = {
    "block missing": (lambda t: t.chunks.pop(), "the grid has 3 blocks, the trace gave 2"),
    "blocks swapped": (lambda t: t.chunks.reverse(), "block 0 expected, the trace gave 2"),
    "unknown slot": (lambda t: t.chunks[0].instruction.__setitem__(0, 8), "outside the program of 8 slots"),
    "lane beyond block": (
        lambda t: t.chunks[0].active_mask.__setitem__(-1, 0x10000),
        "lanes beyond the warp's threads",
    ),
    "record missing": (lambda t: t.chunks[0].access.__setitem__(0, 10**6), "memory record 1000000 does not exist"),
    "list outside": (lambda t: t.chunks[0].accesses["list_at"].__setitem__(slice(None), 10**6), "lane addresses end"),
    "chain without end": (lambda t: t.chunks[0].accesses["more"].__setitem__(-1, 1), "announces another one"),
    "empty warp": (lambda t: t.chunks[0].warp_start.__setitem__(1, 0), "warp 0 of a block has no instructions"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_streams_are_refused(case, tmp_path):
    damage, why = BROKEN[case]
    trace = synthetic.random_trace(1)
    damage(trace)
    with pytest.raises(SubcoreError, match=why):
        write_trace(tmp_path / "a.sct", trace)
    assert list(tmp_path.iterdir()) == []


@st.composite
def any_trace(draw):
    blocks, threads = draw(st.integers(1, 3)), draw(st.integers(1, 70))
    launch = Launch("k", (blocks, 1, 1), (threads, 1, 1), 0, 16, 80)
    program = synthetic.program()

    def warp(number):
        lanes = min(32, threads - 32 * number)
        items = []
        for _ in range(draw(st.integers(1, 6))):
            mask = draw(st.integers(0, (1 << lanes) - 1))
            count = int(active_lanes(np.array([mask], np.uint32))[0])
            address = st.integers(-(1 << 63), (1 << 63) - 1)
            record = st.tuples(address, st.integers(-(1 << 31), (1 << 31) - 1)) | st.lists(
                address, min_size=count, max_size=count
            )
            items.append((draw(st.integers(0, 7)), mask, draw(st.lists(record, max_size=3))))
        return items

    chunks, first = [], 0
    while first < blocks:
        count = draw(st.integers(1, blocks - first))
        warps = [warp(w) for _ in range(count) for w in range(launch.warps_per_block)]
        chunks.append(synthetic.chunk(launch, first, warps))
        first += count
    return synthetic.ListTrace(launch, program, chunks)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trace=any_trace())
def test_any_streams_survive_the_store(trace, tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "a.sct"
    write_trace(path, trace)
    stored = open_trace(path)
    assert_same_streams(stored, trace)
    stored.verify()
    assert stored.header["trace_hash"] == trace_hash(trace)


WRITER = """
import sys
sys.path[:0] = [{here!r}, {root!r}]
import numpy as np, synthetic_traces as synthetic
from traces.columns import full_masks
from traces.store import write_trace
from traces.stream import MEMORY_ACCESS, BlockStreams, Launch

class Endless:
    launch, program, provenance = Launch("k", (1000, 1, 1), (32, 1, 1), 0, 16, 80), synthetic.program(), {{}}
    def blocks(self):
        rng = np.random.default_rng(0)
        for block in range(1000):
            n = 1 << 19
            yield BlockStreams(block, np.array([0, n]), rng.integers(8, size=n).astype("i4"),
                rng.integers(1 << 32, size=n).astype("u4"), np.full(n, -1, "i4"), np.zeros(0, MEMORY_ACCESS),
                np.zeros(0, "i8"))

write_trace({path!r}, Endless(), force=True)
"""


@pytest.mark.parametrize("at_bytes", [0, 1, 1_000_000, 5_000_000])
@pytest.mark.parametrize("old", [False, True])
def test_kill_during_write_leaves_the_old_file_or_none(at_bytes, old, tmp_path):
    path = tmp_path / "a.sct"
    if old:
        write_trace(path, synthetic.random_trace(0))
        before = path.read_bytes()
    script = WRITER.format(here=str(HERE), root=str(ROOT), path=str(path))
    writer = subprocess.Popen([sys.executable, "-c", script])
    try:
        give_up = time.monotonic() + 60
        while not any(p.stat().st_size >= at_bytes for p in tmp_path.glob(".a.sct.*.partial")):
            assert writer.poll() is None, "the writer ended early"
            assert time.monotonic() < give_up, "the writer made no partial file"
            time.sleep(0.005)
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    partial = list(tmp_path.glob(".a.sct.*.partial"))
    assert len(partial) == 1, "the kill came after the write ended"
    if old:
        assert path.read_bytes() == before
        open_trace(path).verify()
    else:
        assert not path.exists()
    write_trace(path, synthetic.random_trace(1), force=True)  # a stale partial file is in nobody's way
    open_trace(path).verify()
    assert list(tmp_path.glob(".a.sct.*.partial")) == partial
