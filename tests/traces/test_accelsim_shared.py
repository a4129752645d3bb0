"""Every captured trace at hand imports with the counts that were taken from its text by other means."""

import csv
import lzma
from collections import defaultdict

import numpy as np
import pytest

from traces.accelsim import open_accelsim
from traces.columns import lane_addresses
from traces.store import open_trace, trace_hash, write_trace

pytestmark = pytest.mark.shared_data
COLUMNS = ("thread_blocks", "warps", "warp_insts", "thread_insts", "mem_warp_insts")


@pytest.fixture(scope="module")
def index(shared_data):
    folders = defaultdict(list)
    with open(shared_data / "trace_index.csv", newline="") as file:
        for row in csv.DictReader(file):
            folders[row["path"].split("/")[0]].append(row)
    return folders


@pytest.mark.parametrize(
    ("folder", "files"),
    [
        ("accelsim-vectoradd-sm75", 2),
        ("bfs-rodinia-3.1-sm70", 16),
        ("dp-pytorch-sm70", 45),
        ("flashinfer-sm80", 128),
        ("hyfiss-wmma-sm70", 1),
        ("mgpusim-nvidia", 22),
        ("microgpusim-gtx1080", 2),
    ],
)
def test_counts_equal_the_index(folder, files, index, shared_data):
    assert len(index[folder]) == files
    for row in index[folder]:
        trace = open_accelsim(shared_data / row["path"])
        assert list(trace.counts.values()) == [int(row[c]) for c in COLUMNS], row["path"]
        assert trace.launch.kernel.startswith(row["kernel"]), row["path"]
        assert str(trace.launch.grid).replace(" ", "") == row["grid"], row["path"]
        assert str(trace.launch.block).replace(" ", "") == row["block"], row["path"]
        assert (trace.launch.shared_bytes, trace.launch.registers) == (int(row["shmem"]), int(row["nregs"])), row[
            "path"
        ]
        assert trace.launch.architecture == trace.program.architecture == int(row["sm"]), row["path"]


def test_index_is_covered_by_the_folders_above(index):
    assert sum(map(len, index.values())) == 216


@pytest.mark.parametrize(
    ("path", "warp_instructions", "layout"),
    [
        ("accelsim-vecadd-oldformat/kernel-1.sm75.tracer-v1.2.traceg.xz", 46941, "grouped"),
        ("accelsim-vecadd-oldformat/kernel-1.sm70.raw.trace.xz", 50077, "raw"),
        ("nvbit-rs-vecadd-sm61/kernel-1.trace.xz", 71974, "raw"),
    ],
)
def test_old_and_raw_layouts_import(path, warp_instructions, layout, shared_data):
    trace = open_accelsim(shared_data / path)
    assert trace.counts["warp_instructions"] == warp_instructions
    assert (trace.counts["blocks"], trace.counts["warps"]) == (98, 98 * 32)
    # 100000 elements: three accesses by each of 3125 warps
    assert trace.counts["memory_instructions"] == 3 * 3125
    assert trace.provenance["layout"] == layout
    assert not trace.program.warnings


def plain_addresses(path):
    """(static slot, lane, address) of every access, by the plain reading of the format."""
    found = []
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt") as file:
        for line in file:
            word = line.split()
            if len(word) < 6 or line.startswith(("-", "#")) or word[0] in ("thread", "warp", "insts"):
                continue
            mask = int(word[1], 16)
            at = 3 + int(word[2])
            at += 2 + int(word[at + 1])
            lanes = [lane for lane in range(32) if mask >> lane & 1]
            if word[at] == "0" or not lanes:
                continue
            form, base = word[at + 1], int(word[at + 2], 16)
            for rank, lane in enumerate(lanes):
                if form == "1":
                    address = base + rank * int(word[at + 3])
                else:
                    assert form == "2"
                    address = base + sum(int(d) for d in word[at + 3 : at + 3 + rank])
                found.append((int(word[0], 16) // 16, lane, address))
    return np.array(found)


@pytest.mark.parametrize(
    "path",
    [
        "bfs-rodinia-3.1-sm70/kernel-9.traceg.xz",  # divergent: mostly lists
        "flashinfer-sm80/flashinfer-prefill/traces/kernel-1.traceg.xz",  # LDSM, LDGSTS, immediates
        "hyfiss-wmma-sm70/kernel-1.traceg",
    ],
)
def test_lane_addresses_equal_a_plain_reading(path, shared_data):
    file = shared_data / path
    rows = []
    for chunk in open_accelsim(file).blocks():
        for at, lane, address in lane_addresses(chunk):
            rows.append(np.stack([chunk.instruction[at], lane, address], axis=1))
    assert np.array_equal(np.concatenate(rows), plain_addresses(file))


@pytest.mark.parametrize("path", ["bfs-rodinia-3.1-sm70/kernel-9.traceg.xz", "accelsim-vectoradd-sm75"])
def test_imported_trace_survives_the_store(path, shared_data, tmp_path):
    file = shared_data / path
    trace = open_accelsim(file if file.is_file() else file / "kernel-1-vectorAdd.traceg.xz")
    write_trace(tmp_path / "a.sct", trace)
    stored = open_trace(tmp_path / "a.sct")
    stored.verify()
    assert stored.counts == trace.counts
    assert stored.header["trace_hash"] == trace_hash(trace)
