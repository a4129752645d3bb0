"""The trace file `.sct`: a zip of .npy columns and header.json, readable with numpy alone.

Members: `header.json`; `program.npy` (packed INSTRUCTION records); per chunk of blocks `chunk-<n>/<column>.npy`.
Warps that execute the same instructions with the same masks share one stream: `stream[w]` numbers the stream of warp
w, whose columns (`length`, `instruction`, `active_mask`, `records`) are stored once. `instruction`, `base` and
`lane_address` hold differences to the element before. `traces.columns.Columns` explains the columns.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.recfunctions import repack_fields

from isa.errors import SubcoreError
from isa.files import replace_file
from isa.latency import ConsumerClass, ProducerClass
from isa.opcodes import MNEMONICS
from isa.program import INSTRUCTION, Access, CacheHint, MemorySpace, Parameter, Program, TensorKind, Unit
from traces.columns import DTYPES, Columns, StreamDigest, checked_columns, chunk_error, join_columns, ranges, to_chunk
from traces.stream import BlockStreams, Launch, Trace

FORMAT = "subcore-trace"
VERSION = 1  # raise it whenever the meaning of INSTRUCTION, its enumerations or a column changes
SUFFIX = ".sct"
_CHUNK_INSTRUCTIONS = 1 << 19  # chunks are joined up to this size: about 10 MB of columns
_EPOCH = (1980, 1, 1, 0, 0, 0)  # earliest time a zip can hold: the same trace gives the same bytes
_PACKED = repack_fields(INSTRUCTION).newbyteorder("<")
_MEMBERS: dict[str, np.dtype] = {"stream": np.dtype("<i4"), **DTYPES}
_PER_STREAM = ("instruction", "active_mask", "records")
_DELTA = ("instruction", "base", "lane_address")
# Fields that index tables in the kernels: largest allowed value.
_LIMITS: dict[str, int] = {
    "unit": max(Unit),
    "space": max(MemorySpace),
    "access": max(Access),
    "cache_hint": max(CacheHint),
    "tensor_kind": max(TensorKind),
    "produces": max(ProducerClass),
    "produces_high": max(ProducerClass),
    "consumes": max(ConsumerClass),
    "consumes_predicate": max(ConsumerClass),
    "guard": 7,
    "write_counter": 7,
    "read_counter": 7,
    "depbar_counter": 7,
    "stall": 15,
}


def _static(launch: Launch, program: Program) -> tuple[dict[str, Any], np.ndarray]:
    """Launch and program as plain JSON values, and the packed records.

    Mnemonics go by name: their numbers may change with the opcode table.
    """
    records = program.instructions.astype(_PACKED)
    used, index = np.unique(records["mnemonic"], return_inverse=True)
    names = [MNEMONICS[i] for i in used]
    records["mnemonic"] = np.argsort(np.argsort(names))[index]
    fields = asdict(replace(program, instructions=np.empty(0)))
    del fields["instructions"]
    fields["source_file"] = Path(program.source_file).name
    fields["mnemonics"] = sorted(names)
    plain = asdict(launch)
    if not launch.copies:
        del plain["copies"]
    if launch.cluster == (1, 1, 1):
        del plain["cluster"]
    return {"launch": plain, "program": fields}, records


def _encode_static(static: dict[str, Any], records: np.ndarray) -> bytes:
    """What `trace_hash` covers besides the streams: everything but source file name and warnings."""
    program = {k: v for k, v in static["program"].items() if k not in ("source_file", "warnings")}
    return json.dumps([static["launch"], program], sort_keys=True).encode() + records.tobytes()


def trace_hash(trace: Trace) -> str:
    """SHA-256 of launch, program and streams as 64 hex digits; equal for equal traces wherever they come from."""
    if isinstance(trace, StoredTrace):
        return trace.header["trace_hash"]
    hashing = trace if isinstance(trace, HashingTrace) else HashingTrace(trace)
    if not hashing.hash:
        for _ in hashing.blocks():
            pass
    return hashing.hash


class HashingTrace:
    """A trace that is hashed while somebody reads it: nobody has to read, or emulate, it a second time for that.

    `hash` is "" until the last chunk of a pass has been given out.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace, self.launch, self.program = trace, trace.launch, trace.program
        self.provenance = getattr(trace, "provenance", {})
        self.hash = trace.header["trace_hash"] if isinstance(trace, StoredTrace) else ""

    def blocks(self) -> Iterator[BlockStreams]:
        """The chunks of the trace, checked."""
        if self.hash:
            yield from self.trace.blocks()
            return
        digest, chunks = StreamDigest(self.program, self.launch), deque[BlockStreams]()

        def noted() -> Iterator[BlockStreams]:
            for chunk in self.trace.blocks():
                chunks.append(chunk)
                yield chunk

        for columns in checked_columns(noted(), self.program, self.launch):
            digest.update(columns)
            if digest.counts["blocks"] == self.launch.blocks:
                self.hash = digest.hexdigest(_encode_static(*_static(self.launch, self.program)))
            yield chunks.popleft()


def _joined(parts: Iterator[Columns]) -> Iterator[Columns]:
    waiting: list[Columns] = []
    instructions = 0
    for columns in parts:
        waiting.append(columns)
        instructions += len(columns.instruction)
        if instructions >= _CHUNK_INSTRUCTIONS:
            yield join_columns(waiting)
            waiting, instructions = [], 0
    if waiting:
        yield join_columns(waiting)


def _shared_streams(columns: Columns) -> dict[str, np.ndarray]:
    """Members of one chunk: equal warps' streams once, differences where they compress better."""
    end = np.cumsum(columns.length, dtype=np.int64)
    start = end - columns.length
    key = np.zeros(len(columns.instruction), [("instruction", "i4"), ("active_mask", "u4"), ("records", "u1")])
    for name in _PER_STREAM:
        key[name] = getattr(columns, name)
    first: dict[bytes, int] = {}
    stream = [first.setdefault(key[a:b].tobytes(), len(first)) for a, b in zip(start, end, strict=True)]
    warp = np.unique(stream, return_index=True)[1]
    at = ranges(start[warp], columns.length[warp])
    members = {name: getattr(columns, name) for name in DTYPES}
    members |= {name: key[name][at] for name in _PER_STREAM}
    members |= {"stream": np.array(stream), "length": columns.length[warp]}
    for name in _DELTA:
        members[name] = np.diff(members[name], prepend=members[name].dtype.type(0))
    return members


def write_trace(path: str | Path, trace: Trace, force: bool = False, provenance: dict[str, Any] | None = None) -> None:
    """Write `trace` chunk by chunk; memory stays bounded by one chunk and the target appears only when complete.

    `provenance` (default: the trace's own `provenance`, if it has one) is kept in the header: plain JSON values, no
    times, no absolute paths. SubcoreError if `path` exists without `force`, or if the streams break their contract.
    """
    static, records = _static(trace.launch, trace.program)
    digest = StreamDigest(trace.program, trace.launch)
    chunks: list[dict[str, int]] = []
    with (
        replace_file(path, force) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):

        def add(name: str, data: bytes) -> None:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)

        def add_array(name: str, array: np.ndarray) -> None:
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            add(name, buffer.getvalue())

        add_array("program.npy", records)
        first_block = 0
        for columns in _joined(checked_columns(trace.blocks(), trace.program, trace.launch)):
            digest.update(columns)
            members = _shared_streams(columns)
            for name, dtype in _MEMBERS.items():
                add_array(f"chunk-{len(chunks):06d}/{name}.npy", members[name].astype(dtype))
            blocks = len(columns.length) // trace.launch.warps_per_block
            chunks.append({"first_block": first_block, "blocks": blocks})
            first_block += blocks
        header = {
            "format": FORMAT,
            "version": VERSION,
            **static,
            "provenance": getattr(trace, "provenance", {}) if provenance is None else provenance,
            "counts": digest.counts,
            "chunks": chunks,
            "trace_hash": digest.hexdigest(_encode_static(static, records)),
        }
        add("header.json", json.dumps(header, sort_keys=True, indent=1).encode())


class StoredTrace:
    """A trace on disk; reads one chunk at a time. `header` is the decoded header.json."""

    launch: Launch
    program: Program
    header: dict[str, Any]

    def __init__(self, path: str | Path):
        self.path = Path(path)
        with self._archive() as archive:
            self.header = self._decode("header.json", lambda: json.loads(archive.read("header.json")))
            self._decode("header.json", self._check_version)
            self._decode("header.json", lambda: self._read_static(self._array(archive, "program.npy", _PACKED)))

    @property
    def provenance(self) -> dict[str, Any]:
        return self.header["provenance"]

    @property
    def counts(self) -> dict[str, int]:
        return self.header["counts"]

    def _error(self, member: str, why: object) -> SubcoreError:
        return SubcoreError(f"{self.path}: {member}: {why}; the file is damaged or incomplete, write it again")

    def _decode(self, member: str, step: Any) -> Any:
        """Run `step`; whatever bad bytes make it raise becomes one error that names the member."""
        try:
            return step()
        except SubcoreError:
            raise
        except Exception as error:
            why = f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
            raise self._error(member, why) from None

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        try:
            archive = zipfile.ZipFile(self.path)
        except OSError as error:
            raise SubcoreError(f"{self.path}: cannot read: {error.strerror or error}") from None
        except Exception as error:
            raise SubcoreError(f"{self.path}: not a complete {SUFFIX} file: {error}") from None
        with archive:
            yield archive

    def _check_version(self) -> None:
        if self.header.get("format") != FORMAT:
            raise SubcoreError(f"{self.path}: header.json: format {self.header.get('format')!r} is not {FORMAT!r}")
        if self.header.get("version") != VERSION:
            raise SubcoreError(
                f"{self.path}: header.json: format version {self.header.get('version')!r}, this subcore reads "
                f"{VERSION}; capture or import the trace again"
            )

    def _read_static(self, packed: np.ndarray) -> None:
        header = self.header
        launch, fields = dict(header["launch"]), dict(header["program"])
        launch.setdefault("cluster", (1, 1, 1))
        for name in ("grid", "block", "cluster"):
            if not (len(launch[name]) == 3 and all(type(v) is int and v > 0 for v in launch[name])):
                raise ValueError(f"launch {name} is {launch[name]!r}, expected three positive integers")
            launch[name] = tuple(launch[name])
        launch["copies"] = tuple(tuple(pair) for pair in launch.get("copies", ()))
        if not all(len(c) == 2 and all(type(v) is int and v >= 0 for v in c) for c in launch["copies"]):
            raise ValueError("launch copies must be pairs of address and bytes")
        mnemonics = fields.pop("mnemonics")
        fields["text"], fields["warnings"] = tuple(fields["text"]), tuple(fields["warnings"])
        fields["parameters"] = tuple(Parameter(**p) for p in fields["parameters"])
        _check_types(Launch, launch)
        _check_types(Program, fields)
        self.launch = Launch(**launch)
        if len(fields["text"]) != len(packed):
            raise ValueError(f"{len(fields['text'])} lines of text for {len(packed)} instructions in program.npy")
        number = {name: i for i, name in enumerate(MNEMONICS)}
        if unknown := [m for m in mnemonics if m not in number]:
            raise ValueError(f"mnemonic {unknown[0]!r} is not known")
        records = packed.astype(INSTRUCTION)
        _within("program.npy: mnemonic", records["mnemonic"], 0, len(mnemonics) - 1)
        records["mnemonic"] = np.array([number[m] for m in mnemonics], np.int16)[records["mnemonic"]]
        for name, limit in _LIMITS.items():
            _within(f"program.npy: {name}", records[name], 0, limit)
        _within("program.npy: target", records["target"], -1, len(records) - 1)
        records.flags.writeable = False
        self.program = Program(instructions=records, **fields)
        if not isinstance(header["provenance"], dict):
            raise ValueError("provenance is not an object")
        digits = header["trace_hash"]
        if not (isinstance(digits, str) and len(digits) == 64 and set(digits) <= set("0123456789abcdef")):
            raise ValueError(f"trace_hash {digits!r} is not 64 hex digits")
        if set(header["counts"]) != set(StreamDigest(self.program, self.launch).counts):
            raise ValueError("counts are incomplete")
        next_block = 0
        for chunk in header["chunks"]:
            if chunk["first_block"] != next_block or chunk["blocks"] < 1:
                raise ValueError(f"chunk at block {chunk['first_block']} where block {next_block} was expected")
            next_block += chunk["blocks"]
        if not next_block == self.launch.blocks == header["counts"]["blocks"]:
            raise ValueError(
                f"chunks hold {next_block} blocks, the grid has {self.launch.blocks}, counts say "
                f"{header['counts']['blocks']}"
            )

    def _array(self, archive: zipfile.ZipFile, member: str, dtype: np.dtype) -> np.ndarray:
        def read() -> np.ndarray:
            try:
                stream = archive.open(member)
            except KeyError:
                raise ValueError("member is missing") from None
            with stream:  # piece by piece: a long column need not be in memory twice
                array = np.lib.format.read_array(stream, allow_pickle=False)
                if stream.read(1):  # and with the last byte the check sum is seen
                    raise ValueError("more bytes than the array has")
            if array.dtype != dtype or array.ndim != 1:
                raise ValueError(f"{array.dtype} with shape {array.shape}, expected {dtype} with one dimension")
            return array

        return self._decode(member, read)

    def _columns(self) -> Iterator[tuple[int, Columns, BlockStreams]]:
        with self._archive() as archive:
            for number, span in enumerate(self.header["chunks"]):
                folder = f"chunk-{number:06d}"
                members = {n: self._array(archive, f"{folder}/{n}.npy", d) for n, d in _MEMBERS.items()}
                columns, chunk = self._decode(folder, lambda m=members, s=span: self._rebuild(m, s))
                yield number, columns, chunk

    def _rebuild(self, members: dict[str, np.ndarray], span: dict[str, int]) -> tuple[Columns, BlockStreams]:
        stream, length = members.pop("stream"), members["length"]
        warps = span["blocks"] * self.launch.warps_per_block
        if len(stream) != warps:
            raise ValueError(f"stream.npy has {len(stream)} warps, expected {warps}")
        _within("stream.npy", stream, 0, len(length) - 1)
        _within("length.npy", length, 1, np.iinfo(np.int32).max)
        for name in _PER_STREAM:
            if len(members[name]) != int(length.sum(dtype=np.int64)):
                raise ValueError(f"{name}.npy has {len(members[name])} elements, length.npy says {length.sum()}")
        if not len(members["listed"]) == len(members["base"]) == len(members["stride"]):
            raise ValueError("listed.npy, base.npy and stride.npy differ in length")
        for name in _DELTA:
            np.cumsum(members[name], out=members[name])
        end = np.cumsum(length, dtype=np.int64)
        at = ranges((end - length)[stream], length[stream])
        for name in _PER_STREAM:
            members[name] = members[name][at]
        columns = Columns(**(members | {"length": length[stream]}))
        chunk = to_chunk(columns, span["first_block"])
        if (error := chunk_error(chunk, self.program, self.launch)) is not None:
            raise ValueError(error[1])
        return columns, chunk

    def blocks(self) -> Iterator[BlockStreams]:
        """Chunks in order; SubcoreError naming the member where the file is damaged or the counts do not agree."""
        counts = StreamDigest(self.program, self.launch)
        for _, columns, chunk in self._columns():
            counts.count(columns)
            yield chunk
        self._check_counts(counts)

    def _check_counts(self, digest: StreamDigest) -> None:
        for name, value in digest.counts.items():
            if value != self.header["counts"][name]:
                raise self._error(
                    "header.json", f"counts say {self.header['counts'][name]} {name}, streams have {value}"
                )

    def verify(self) -> None:
        """Read everything and compare counts and hash with the header. Raises SubcoreError on any difference."""
        digest = StreamDigest(self.program, self.launch)
        for _, columns, _ in self._columns():
            digest.update(columns)
        self._check_counts(digest)
        found = digest.hexdigest(_encode_static(*_static(self.launch, self.program)))
        if found != self.header["trace_hash"]:
            raise self._error("header.json", f"trace_hash is {self.header['trace_hash']}, content has {found}")


def _within(name: str, array: np.ndarray, low: int, high: int) -> None:
    if len(array) and (int(array.min()) < low or int(array.max()) > high):
        raise ValueError(f"{name}: values {array.min()} to {array.max()}, allowed {low} to {high}")


def _check_types(record: type, values: dict[str, Any]) -> None:
    expected: dict[str, type] = {"int": int, "str": str, "bool": bool}
    for field in dataclass_fields(record):
        kind, value = expected.get(str(field.type)), values.get(field.name)
        if kind and (type(value) is not kind or (isinstance(value, int) and value < 0)):
            raise ValueError(f"{record.__name__}.{field.name} is {value!r}, expected {field.type}")


def open_trace(path: str | Path) -> StoredTrace:
    """Open a `.sct` file. SubcoreError naming file and member if it is damaged, incomplete or of another version."""
    return StoredTrace(path)
