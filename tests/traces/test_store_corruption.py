"""Damaged trace files give one error that names file and member."""

import io
import json
import zipfile

import numpy as np
import numpy.lib.recfunctions as rfn
import pytest
import synthetic_traces as synthetic

from isa.errors import SubcoreError
from traces.store import open_trace, write_trace


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "a.sct"
    write_trace(path, synthetic.random_trace(7))
    return path.read_bytes()


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(contents: dict[str, bytes], path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def array(data: bytes) -> np.ndarray:
    return np.load(io.BytesIO(data), allow_pickle=False)


def npy(values: np.ndarray, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=allow_pickle)
    return buffer.getvalue()


def read_all(path):
    trace = open_trace(path)
    for _ in trace.blocks():
        pass
    trace.verify()


def assert_refused(path, *mentions):
    with pytest.raises(SubcoreError) as error:
        read_all(path)
    message = str(error.value)
    assert message.startswith(str(path)), message
    for mention in mentions:
        assert mention in message, message


def test_unharmed_file_reads(good, tmp_path):
    read_all(pack(members(good), tmp_path / "a.sct"))


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file(good, keep, tmp_path):
    path = tmp_path / "a.sct"
    path.write_bytes(good[: int(keep * len(good))])
    assert_refused(path, "not a complete .sct file")


def test_absent_file(tmp_path):
    assert_refused(tmp_path / "a.sct", "cannot read")


def test_zip_of_something_else(tmp_path):
    assert_refused(pack({"readme.txt": b"hello"}, tmp_path / "a.sct"), "header.json", "missing")


def test_any_flipped_byte_is_noticed_or_harmless(good, tmp_path):
    """A flip may hit padding of the zip structure; then the trace must still verify."""
    rng = np.random.default_rng(0)
    refused = 0
    for at in rng.integers(len(good), size=150):
        data = bytearray(good)
        data[at] ^= 1 << int(rng.integers(8))
        path = tmp_path / "a.sct"
        path.write_bytes(data)
        try:
            read_all(path)
        except SubcoreError as error:
            refused += 1
            assert str(error).startswith(str(path))
    assert refused > 75


@pytest.mark.parametrize(
    "member",
    ["program.npy", "header.json"]
    + [
        f"chunk-000000/{name}.npy"
        for name in ("stream", "length", "instruction", "active_mask", "records", "listed", "base", "stride")
    ],
)
def test_missing_member(good, member, tmp_path):
    contents = members(good)
    del contents[member]
    assert_refused(pack(contents, tmp_path / "a.sct"), member, "missing")


@pytest.mark.parametrize(
    ("change", "mention"),
    [
        (lambda a: a.astype("<i8"), "int64 with shape"),
        (lambda a: a.astype(">i4"), "expected int32"),
        (lambda a: a.reshape(1, -1), "expected int32 with one dimension"),
        (lambda a: a.astype("f4"), "float32"),
        (lambda a: a[:-1], "elements, length.npy says"),
        (lambda a: np.append(a, a[-1:]), "elements, length.npy says"),
        (lambda a: np.concatenate([[8], a[1:]]).astype("i4"), "outside the program of 8 slots"),
        (lambda a: np.concatenate([[-1], a[1:]]).astype("i4"), "outside the program of 8 slots"),
    ],
)
def test_damaged_instruction_column(good, change, mention, tmp_path):
    contents = members(good)
    name = "chunk-000000/instruction.npy"
    contents[name] = npy(change(array(contents[name])))
    assert_refused(pack(contents, tmp_path / "a.sct"), "chunk-000000", mention)


@pytest.mark.parametrize(
    ("column", "change", "mention"),
    [
        ("stream", lambda a: a + 100, "stream.npy: values"),
        ("stream", lambda a: a - 1, "stream.npy: values"),
        ("stream", lambda a: a[:-1], "stream.npy has 5 warps, expected 6"),
        ("length", lambda a: a * 0, "length.npy: values 0 to 0"),
        ("length", lambda a: -a, "length.npy: values"),
        ("active_mask", lambda a: a | np.uint32(0x80000000), "lane addresses announced"),
        ("active_mask", lambda a: np.where(a == 0, np.uint32(0x80000000), a), "lanes beyond"),
        ("records", lambda a: a * 0, "0 memory records announced"),
        ("records", lambda a: a + np.uint8(1), "memory records announced"),
        ("listed", lambda a: a[:-1], "differ in length"),
        ("listed", lambda a: a * 0, "0 lane addresses announced"),
        ("base", lambda a: a[:-1], "differ in length"),
        ("stride", lambda a: np.append(a, a[:1]), "differ in length"),
        ("lane_address", lambda a: a[:-1], "lane addresses announced"),
    ],
)
def test_columns_that_disagree(good, column, change, mention, tmp_path):
    contents = members(good)
    name = f"chunk-000000/{column}.npy"
    contents[name] = npy(change(array(contents[name])))
    assert_refused(pack(contents, tmp_path / "a.sct"), "chunk-000000", mention)


def test_values_that_still_fit_are_found_by_verify(good, tmp_path):
    contents = members(good)
    name = "chunk-000000/base.npy"
    contents[name] = npy(array(contents[name]) + 4)
    assert_refused(pack(contents, tmp_path / "a.sct"), "trace_hash is")


def test_pickled_column_is_not_loaded(good, tmp_path):
    contents = members(good)
    contents["chunk-000000/base.npy"] = npy(np.array([print], object), allow_pickle=True)
    assert_refused(pack(contents, tmp_path / "a.sct"), "chunk-000000/base.npy", "allow_pickle")


def test_array_header_that_claims_too_much(good, tmp_path):
    contents = members(good)
    name = "chunk-000000/base.npy"
    old = contents[name]
    at = old.index(b"(") + 1
    contents[name] = old[:at] + b"9" * 15 + old[at + 15 :]
    assert_refused(pack(contents, tmp_path / "a.sct"), name)


@pytest.mark.parametrize(
    ("field", "value"),
    [("unit", 200), ("space", 9), ("access", 77), ("target", 8), ("guard", 8), ("mnemonic", 9), ("write_counter", 8)],
)
def test_program_value_out_of_range(good, field, value, tmp_path):
    contents = members(good)
    records = array(contents["program.npy"]).copy()
    records[field][3] = value
    contents["program.npy"] = npy(records)
    assert_refused(pack(contents, tmp_path / "a.sct"), f"program.npy: {field}", "allowed")


def test_program_of_another_record_layout(good, tmp_path):
    contents = members(good)
    records = array(contents["program.npy"])
    contents["program.npy"] = npy(rfn.drop_fields(records, "stall"))
    assert_refused(pack(contents, tmp_path / "a.sct"), "program.npy", "expected")


def set_in(path: str, value):
    def change(header):
        *parents, last = path.split("/")
        for name in parents:
            header = header[int(name) if name.isdigit() else name]
        if value is None:
            del header[last]
        else:
            header[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "mention"),
    [
        (set_in("format", "zip"), "format 'zip' is not 'subcore-trace'"),
        (set_in("version", 2), "format version 2, this subcore reads 1"),
        (set_in("version", None), "format version None"),
        (set_in("launch", None), "'launch' is missing"),
        (set_in("launch/grid", [3, 1]), "launch grid is [3, 1]"),
        (set_in("launch/grid", [0, 1, 1]), "launch grid is [0, 1, 1]"),
        (set_in("launch/grid", [4, 1, 1]), "chunks hold 3 blocks, the grid has 4"),
        (set_in("launch/block", [32, 1, 1]), "stream.npy has 6 warps, expected 3"),
        (set_in("launch/registers", "many"), "Launch.registers is 'many'"),
        (set_in("launch/surplus", 1), "surplus"),
        (set_in("program/text", ["x"]), "1 lines of text for 8 instructions"),
        (set_in("program/pc_step", -16), "Program.pc_step is -16"),
        (set_in("program/mnemonics", ["MOV", "LDG", "NONSENSE"]), "mnemonic 'NONSENSE' is not known"),
        (set_in("counts/warps", 7), "counts say 7 warps, streams have 6"),
        (set_in("counts/thread_instructions", 1), "counts say 1 thread_instructions"),
        (set_in("counts/blocks", 4), "counts say 4"),
        (set_in("counts/warps", None), "counts are incomplete"),
        (set_in("chunks/0/first_block", 1), "chunk at block 1 where block 0 was expected"),
        (set_in("chunks/0/blocks", 0), "chunk at block 0"),
        (set_in("trace_hash", "0" * 64), "trace_hash is 0000"),
        (set_in("trace_hash", "abc"), "not 64 hex digits"),
        (set_in("provenance", "me"), "provenance is not an object"),
    ],
)
def test_damaged_header(good, change, mention, tmp_path):
    contents = members(good)
    header = json.loads(contents["header.json"])
    change(header)
    contents["header.json"] = json.dumps(header).encode()
    assert_refused(pack(contents, tmp_path / "a.sct"), mention)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_header_that_is_no_object(good, text, tmp_path):
    assert_refused(pack(members(good) | {"header.json": text}, tmp_path / "a.sct"), "header.json")
