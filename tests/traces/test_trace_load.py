"""Opening what a user names: by content, with kernels lists and folders."""

import lzma

import pytest
import synthetic_traces as synthetic

from isa.errors import SubcoreError
from traces.accelsim import AccelsimTrace, open_accelsim
from traces.load import open_any, open_kernelslist
from traces.store import StoredTrace, trace_hash, write_trace


@pytest.fixture
def folder(tmp_path):
    for i in (1, 2, 10):
        text = synthetic.grouped(name=f"kernel{i}")
        (tmp_path / f"kernel-{i}.traceg.xz").write_bytes(lzma.compress(text.encode()))
    return tmp_path


def names(traces):
    return [trace.launch.kernel for trace in traces]


def test_content_decides_not_the_name(tmp_path):
    text = tmp_path / "a.bin"
    text.write_text(synthetic.grouped())
    imported = open_any(text)
    assert isinstance(imported, AccelsimTrace)
    write_trace(tmp_path / "b.traceg", imported)
    stored = open_any(tmp_path / "b.traceg")
    assert isinstance(stored, StoredTrace)
    assert trace_hash(stored) == trace_hash(imported)


def test_kernelslist_gives_kernels_in_launch_order_and_copies(folder):
    (folder / "kernelslist.g").write_text(
        "MemcpyHtoD,0x00007fb02d700000,4096\nkernel-10.traceg\n\nMemcpyDtoH,0x10,8\nkernel-2.trace\nkernel-10.traceg.xz\n"
    )
    listed = open_kernelslist(folder / "kernelslist.g")
    assert names(listed.traces) == ["kernel10", "kernel2", "kernel10"]
    copies = [(c.kind, c.address, c.size_bytes, c.before_kernel) for c in listed.copies]
    assert copies == [("MemcpyHtoD", 0x7FB02D700000, 4096, 0), ("MemcpyDtoH", 0x10, 8, 1)]
    assert [trace.launch.copies for trace in listed.traces] == [((0x7FB02D700000, 4096),)] * 3
    assert names(open_any(folder)) == names(open_any(folder / "kernelslist.g")) == names(listed.traces)


def test_folder_without_a_list_opens_in_natural_order(folder):
    write_trace(folder / "kernel-3.sct", open_accelsim(folder / "kernel-2.traceg.xz"))
    (folder / ".kernel-3.sct.0a.partial").write_bytes(b"stale")
    (folder / "notes.txt").write_text("not a trace")
    assert names(open_any(folder)) == ["kernel1", "kernel2", "kernel2", "kernel10"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kernel-1.traceg\nkernel-7.traceg\n", r"line 2: kernel-7\.traceg is not in this folder"),
        ("kernel-1.traceg\nlaunch it\n", "line 2: expected a kernel trace or a copy, found 'launch it'"),
        ("MemcpyHtoD,4096\n", "line 1: expected a kernel trace or a copy"),
        ("", "the list names no kernel"),
    ],
)
def test_bad_kernelslist_names_the_line(text, why, folder):
    (folder / "kernelslist").write_text(text)
    with pytest.raises(SubcoreError, match=why):
        open_any(folder)


def test_kernels_outside_the_folder_are_not_opened(folder):
    inner = folder / "inner"
    (inner / "kernel").mkdir(parents=True)
    (inner / "kernelslist.g").write_text("kernel/../../kernel-1.traceg\n")
    with pytest.raises(SubcoreError, match="line 1: expected a kernel trace or a copy"):
        open_kernelslist(inner / "kernelslist.g")


def test_nothing_to_open_is_one_error(tmp_path):
    with pytest.raises(SubcoreError, match="no kernelslist"):
        open_any(tmp_path)
    with pytest.raises(SubcoreError, match="cannot read"):
        open_any(tmp_path / "absent")


@pytest.mark.shared_data
def test_captured_applications_open_through_their_lists(shared_data):
    bfs = open_kernelslist(shared_data / "bfs-rodinia-3.1-sm70" / "kernelslist.g")
    assert (len(bfs.traces), len(bfs.copies)) == (16, 14)
    opened = open_any(shared_data / "flashinfer-sm80" / "nn-onestep" / "traces")
    assert isinstance(opened, list)
    assert len(opened) == 114
