"""Import Accel-Sim/NVBit instruction traces: `.traceg` and `.trace`, plain or xz, tracer versions 1.x to 5.

Three layouts: grouped (blocks between #BEGIN_TB and #END_TB, warps inside), the older grouped one whose lines repeat
block and warp, and raw (lines of all warps in capture order, the same four numbers in front). An instruction line is
`[line] pc mask n dests opcode m sources width [form addresses] [immediate] [STORE_DATA ...]`; address forms are 0 = one
address per active lane, 1 = base and stride over one run of active lanes, 2 = base, then the difference of each further
active lane to the one before (source: accel-sim-framework, tracer_tool.cu and trace_parser.cc).
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from isa.errors import SubcoreError
from isa.program import INSTRUCTION, Program
from isa.traced import finish_program, traced_instruction
from traces.accelsim_lines import MASK, LineFormat, LineParser, Malformed, static_text
from traces.columns import active_lanes, chunk_error, has_addresses
from traces.stream import BlockStreams, Launch

CACHE_BYTES = 256 << 20  # parsed chunks are kept up to this size, larger traces are parsed again on each pass
_CHUNK_INSTRUCTIONS = 1 << 18
_MAX_BARRIER = 15  # CUDA has barriers 0 to 15 per block
_XZ = b"\xfd7zXZ\x00"
_PIECE_BYTES = 1 << 20
_DIMENSIONS = re.compile(r"\(([0-9]{1,10}),([0-9]{1,10}),([0-9]{1,10})\)")
_BLOCK = re.compile(r"thread block = ([0-9]{1,10}),([0-9]{1,10}),([0-9]{1,10})\s*")


class _Text:
    """Decompressed text of one trace file, in pieces. `line` = number of the line being read, for messages."""

    def __init__(self, path: Path):
        self.path = path
        self.line = 1

    def error(self, line: int, why: object) -> SubcoreError:
        return SubcoreError(f"{self.path}: line {line}: {why}")

    def pieces(self) -> Iterator[str]:
        try:
            with open(self.path, "rb") as raw:
                compressed = raw.read(len(_XZ)) == _XZ
                raw.seek(0)
                stream = lzma.LZMAFile(raw) if compressed else raw  # noqa: SIM115 - closed with raw
                while piece := stream.read(_PIECE_BYTES):
                    text = piece.decode("latin-1")
                    yield text
                    self.line += text.count("\n")
        except (EOFError, lzma.LZMAError) as error:
            raise self.error(self.line, f"the xz data are cut off or damaged here ({error}); copy it again") from None
        except OSError as error:
            raise SubcoreError(f"{self.path}: cannot read: {error.strerror or error}") from None

    def skip(self, characters: int) -> Iterator[str]:
        """Pieces after the first `characters`."""
        for piece in self.pieces():
            if characters < len(piece):
                yield piece[characters:]
            characters = max(0, characters - len(piece))


class _Header:
    """The `-name = value` lines: launch, tracer version, layout and where the instructions begin."""

    def __init__(self, text: _Text):
        self._text = text
        self._values: dict[str, tuple[int, str]] = {}
        self.warnings: list[str] = []
        self._format = ""
        self.body_at, self.body_line = 0, 1  # characters before the first body line, its number
        first = self._read()
        version = self._value("accelsim tracer version", r"([0-9]{1,4})(\.[0-9]+)*")
        major = int(version.split(".")[0])
        if not 1 <= major <= 5:
            raise self._bad("accelsim tracer version", "versions 1 to 5 are supported")
        architecture = self._integer("binary version")
        if architecture < 60:
            raise self._bad("binary version", "sm_60 and later are supported")
        self.launch = Launch(
            kernel=self._value("kernel name"),
            grid=self._dimensions("grid dim"),
            block=self._dimensions("block dim"),
            shared_bytes=self._integer("shmem"),
            registers=self._integer("nregs"),
            architecture=architecture,
            shared_base=self._integer("shmem base_addr", 0),
            local_base=self._integer("local mem base_addr", 0),
            stream=self._integer("cuda stream id", 0),
        )
        if self.launch.threads_per_block > 1024:
            raise self._bad("block dim", "a block has at most 1024 threads")
        self.lines = LineFormat(
            pc_step=8 if architecture < 70 else 16,  # sm_60/61: 8 bytes, every fourth is a control word
            line_numbers=self._integer("enable lineinfo", 0) != 0,
            immediate="immediate" in self._format if self._format else major >= 5,
        )
        self.raw = not first.startswith("#BEGIN_TB")
        self.provenance = {
            "tool": "Accel-Sim tracer (NVBit)",
            "tracer_version": version,
            "nvbit_version": self._value("nvbit version", optional=True),
            "source": text.path.name,
            "layout": "raw" if self.raw else "grouped",
        }

    def _read(self) -> str:
        """Collect the header; the first body line."""
        rest = ""
        for piece in self._text.pieces():
            *lines, rest = (rest + piece).split("\n")
            for line in lines:
                if line.strip() and not line.startswith(("-", "#traces")):
                    if not self._values:
                        raise self._text.error(self.body_line, "not an Accel-Sim trace: no `-kernel name = ` header")
                    return line
                if line.startswith("-"):
                    name, equals, value = line[1:].partition(" = ")
                    if not equals:
                        raise self._text.error(self.body_line, f"header line without ` = `: {line[:80]!r}")
                    self._values[name.strip()] = self.body_line, value.strip()
                elif line.startswith("#"):
                    self._format = line
                self.body_at += len(line) + 1
                self.body_line += 1
        if self.body_at == 0 and not rest:
            raise SubcoreError(f"{self._text.path}: the file is empty")
        raise self._text.error(self.body_line, "the file ends before the first instruction")

    def _bad(self, name: str, why: str) -> SubcoreError:
        line, value = self._values[name]
        return self._text.error(line, f"{name} = {value!r}: {why}")

    def _value(self, name: str, pattern: str = ".+", optional: bool = False) -> str:
        if name not in self._values:
            if optional:
                return ""
            raise self._text.error(self.body_line, f"the header has no `-{name} = ` line")
        if not re.fullmatch(pattern, self._values[name][1]):
            raise self._bad(name, "not understood")
        return self._values[name][1]

    def _integer(self, name: str, default: int | None = None) -> int:
        if name not in self._values and default is not None:
            return default
        value = self._value(name, r"0x[0-9a-fA-F]{1,16}|[0-9]{1,18}")
        return int(value, 16) if value.startswith("0x") else int(value)

    def _dimensions(self, name: str) -> tuple[int, int, int]:
        match = _DIMENSIONS.fullmatch(self._value(name))
        x, y, z = map(int, match.groups()) if match else (0, 0, 0)
        if not x * y * z:
            raise self._bad(name, "expected (x,y,z), each at least 1")
        return x, y, z


def _static_record(static: tuple[Any, ...], architecture: int) -> np.void:
    """INSTRUCTION record of one slot. The traced immediate is the last one of the instruction."""
    opcode, destinations, sources, width, immediate, source_line = static
    record = traced_instruction(opcode, destinations, sources, width, architecture)
    record["source_line"] = source_line
    if opcode.startswith("DEPBAR"):
        record["depbar_counter"] = 0  # guess: compilers wait for LDGSTS groups on SB0; the trace does not name it
        record["depbar_threshold"] = immediate
    elif opcode.startswith("BAR") and immediate > _MAX_BARRIER:
        record["barrier_threads"] = immediate
    elif opcode.startswith("BAR"):
        record["barrier"] = immediate
    return record


class AccelsimTrace:
    """An imported trace. Opening reads the whole file once: all lines are checked and the program is known."""

    def __init__(self, path: str | Path, cache_bytes: int = CACHE_BYTES):
        self.path = Path(path)
        self._header = _Header(_Text(self.path))
        self.launch = self._header.launch
        self.provenance = self._header.provenance
        self.counts = dict.fromkeys(
            ("blocks", "warps", "warp_instructions", "thread_instructions", "memory_instructions"), 0
        )
        self._static: dict[int, tuple[Any, ...]] = {}
        self._chunks: list[BlockStreams] | None = []
        self._not_exited = self._merged = 0
        self._prefix = -1  # words before the pc in a grouped trace, -1 = not seen yet
        executed = np.zeros(0, np.int64)
        for chunk in self._parse():
            before, executed = executed, np.bincount(chunk.instruction, minlength=len(executed))
            executed[: len(before)] += before
            self._count(chunk)
            cache_bytes -= sum(v.nbytes for v in vars(chunk).values() if isinstance(v, np.ndarray))
            if cache_bytes < 0:
                self._chunks = None
            elif self._chunks is not None:
                self._chunks.append(chunk)
        self.counts["memory_instructions"] = int(sum(executed[i] for i, s in self._static.items() if s[3]))
        self.program = self._program()

    def _count(self, chunk: BlockStreams) -> None:
        last = chunk.instruction[chunk.warp_start[1:] - 1]
        ends = [slot for slot, static in self._static.items() if static[0].split(".")[0] in ("EXIT", "KILL")]
        self._not_exited += int((~np.isin(last, ends)).sum())
        self.counts["blocks"] += len(last) // self.launch.warps_per_block
        self.counts["warps"] += len(last)
        self.counts["warp_instructions"] += len(chunk.instruction)
        self.counts["thread_instructions"] += int(active_lanes(chunk.active_mask).sum())

    def _program(self) -> Program:
        launch, step = self.launch, self._header.lines.pc_step
        records, text = {}, {}
        for slot, static in sorted(self._static.items()):
            records[slot * step] = _static_record(static, launch.architecture)
            text[slot * step] = static_text(static)
        program = finish_program(
            launch.kernel, launch.architecture, records, text, launch.registers, launch.shared_bytes
        )
        warnings = list(self._header.warnings)
        if self._not_exited:
            warnings.append(f"{self._not_exited} of {self.counts['warps']} warps do not end in EXIT: is it complete?")
        opcodes = [static[0].split(".")[0] for static in self._static.values()]
        if "LDGSTS" in opcodes and not self._merged:
            warnings.append("LDGSTS lines carry only the global address: the shared-memory destination is unknown")
        if any(s[0].startswith("BAR") and s[4] > _MAX_BARRIER for s in self._static.values()):
            warnings.append("BAR lines with a thread count do not name their barrier: barrier 0 is assumed")
        addressed = has_addresses(program)
        for slot, static in sorted(self._static.items()):
            if bool(static[3]) != bool(addressed[slot]):
                have = "has" if static[3] else "lacks"
                warnings.append(f"pc {slot * step:04x}: {program.text[slot]} {have} addresses in the trace")
        return replace(program, source_file=self.path.name, warnings=(*program.warnings, *warnings))

    def _parse(self) -> Iterator[BlockStreams]:
        """One pass over the file. Every error names file and line."""
        parser = LineParser(self._header.lines, self._static)
        first_block, lines_at, done = 0, [], 0
        for block, warps in enumerate(self._raw() if self._header.raw else self._grouped()):
            for warp, (line, lines) in enumerate(warps):
                try:
                    parser.add_warp(lines)
                except Malformed as error:
                    raise self._error(line, block, warp, error.at, error) from None
                lines_at.append(line)
            done = block + 1
            if len(parser.code) >= _CHUNK_INSTRUCTIONS or done == self.launch.blocks:
                yield self._checked(parser, first_block, lines_at)
                first_block, lines_at = done, []
        self._merged = parser.merged

    def _checked(self, parser: LineParser, first_block: int, lines_at: list[int]) -> BlockStreams:
        try:
            chunk = parser.flush(first_block)
        except OverflowError:
            raise self._error(
                lines_at[0], first_block, 0, 0, "from here on, an address exceeds 63 or a stride 32 bits"
            ) from None
        slots = Program("", 0, np.empty(max(self._static) + 1, INSTRUCTION), ())
        if (error := chunk_error(chunk, slots, self.launch)) is not None:
            warp = int(np.searchsorted(chunk.warp_start, max(error[0], 0), "right")) - 1
            block = first_block + warp // self.launch.warps_per_block
            at = max(error[0], 0) - int(chunk.warp_start[warp])
            raise self._error(lines_at[warp], block, warp % self.launch.warps_per_block, at, error[1])
        return chunk

    def _error(self, line: int, block: int, warp: int, at: int, why: object) -> SubcoreError:
        """Error at the `at`-th instruction line of a warp, which begins at `line` (0 in raw traces: searched here)."""
        if not line:
            return _Text(self.path).error(self._raw_line(block, warp, at), why)
        return _Text(self.path).error(line + at, why)

    def _block_id(self, block: int) -> tuple[int, int, int]:
        x, y, _ = self.launch.grid
        return block % x, block // x % y, block // (x * y)

    def _grouped(self) -> Iterator[list[tuple[int, list[str]]]]:
        """Per block: (number of the first instruction line, instruction lines) of each warp."""
        text, line, block, rest = _Text(self.path), self._header.body_line, 0, ""
        for piece in text.skip(self._header.body_at):
            search_at = max(0, len(rest) - len("#END_TB"))
            rest += piece
            if rest.find("#END_TB", search_at) < 0:
                continue
            *bodies, rest = rest.split("#END_TB")
            for body in bodies:
                if block == self.launch.blocks:
                    raise text.error(line, f"more thread blocks than the grid's {block}")
                yield self._grouped_block(text, body, line, block)
                line += body.count("\n")
                block += 1
        if rest.strip():
            raise text.error(line + rest.rstrip().count("\n"), "the file ends inside a thread block (no #END_TB)")
        if block != self.launch.blocks:
            raise text.error(line, f"the file ends after {block} of the grid's {self.launch.blocks} thread blocks")

    def _grouped_block(self, text: _Text, body: str, line: int, block: int) -> list[tuple[int, list[str]]]:
        head, *sections = body.split("\nwarp = ")
        begun = named = False
        for i, words in enumerate(head.split("\n")):
            if match := _BLOCK.fullmatch(words):
                named = True
                if (found := tuple(map(int, match.groups()))) != self._block_id(block):
                    raise text.error(line + i, f"thread block {found}, expected {self._block_id(block)}")
            elif words.startswith("#BEGIN_TB"):
                begun = True
            elif words.startswith("cluster "):
                warning = "thread block clusters are recorded in the trace and ignored"
                if warning not in self._header.warnings:
                    self._header.warnings.append(warning)
            elif words.strip():
                raise text.error(line + i, f"expected `thread block = x,y,z`, found {words[:80]!r}")
        end = line + body.count("\n")
        line += head.count("\n") + 1
        if not (begun and named):
            raise text.error(line, "no #BEGIN_TB and `thread block = x,y,z` before the instructions")
        warps = []
        for warp, section in enumerate(sections):
            number, count, *lines = (*section.rstrip().split("\n"), "")
            if lines:
                lines.pop()
            if number.strip() != str(warp) or warp >= self.launch.warps_per_block:
                expected = f"warp {warp} of {self.launch.warps_per_block}"
                raise text.error(line, f"warp = {number[:40].strip()}, expected {expected}")
            if not re.fullmatch(r"insts = [0-9]{1,18}\s*", count):
                raise text.error(line + 1, f"expected `insts = N`, found {count[:80]!r}")
            if int(count[8:]) != len(lines):
                raise text.error(line + 1, f"{count.strip()}, but {len(lines)} instruction lines follow")
            if not lines:
                raise text.error(line + 1, f"warp {warp} has no instructions: the capture is incomplete")
            warps.append((line + 2, self._without_prefix(text, lines, line + 2, block, warp)))
            line += section.count("\n") + 1
        if len(warps) != self.launch.warps_per_block:
            raise text.error(end, f"{len(warps)} warps in the block, expected {self.launch.warps_per_block}")
        return warps

    def _without_prefix(self, text: _Text, lines: list[str], line: int, block: int, warp: int) -> list[str]:
        """Instruction lines without the block and warp numbers of the older layout."""
        if self._prefix < 0:
            self._prefix = self._prefix_words(text, lines[0], line)
        if self._prefix == 0:
            return lines
        x, y, z = self._block_id(block)
        prefix = f"{x} {y} {z} {warp} "
        for i, instruction in enumerate(lines):
            if self._prefix != 4 or not instruction.startswith(prefix):
                raise text.error(line + i, f"line does not begin with its block and warp `{prefix}`")
        return [instruction[len(prefix) :] for instruction in lines]

    def _prefix_words(self, text: _Text, line: str, number: int) -> int:
        """Words before the pc: the mask is the first word of eight hex digits, the pc comes before it."""
        masks = [i for i, word in enumerate(line.split()) if MASK.fullmatch(word)]
        words = masks[0] - 1 - self._header.lines.line_numbers if masks else -1
        if words < 0:
            raise text.error(number, f"not an instruction: {line[:120]!r}")
        return words

    def _raw_lines(self) -> Iterator[tuple[int, list[str]]]:
        """(line number, [x, y, z, warp, rest of the line]) of a raw trace."""
        text, number, rest, words = _Text(self.path), self._header.body_line - 1, "", 0
        for piece in chain(text.skip(self._header.body_at), ["\n"]):
            *lines, rest = (rest + piece).split("\n")
            for line in lines:
                number += 1
                if not line.strip() or line[0] == "#":
                    continue
                # 4 words; 6 with core ids; 11 with cluster ids (tracer options)
                words = words or self._prefix_words(text, line, number)
                fields = line.split(" ", words)
                if words < 4 or len(fields) <= words:
                    raise text.error(number, f"expected block and warp before the instruction: {line[:80]!r}")
                yield number, [*fields[:4], fields[-1]]

    def _raw(self) -> Iterator[list[tuple[int, list[str]]]]:
        """Group a raw trace by block and warp, in memory. Line numbers are searched again when an error needs one."""
        x, y, z = self.launch.grid
        warps_per_block = self.launch.warps_per_block
        names: dict[tuple[str, ...], list[str]] = {}
        streams: dict[int, list[str]] = {}  # block * warps_per_block + warp
        seen: dict[str, str] = {}
        number = self._header.body_line
        for number, (*name, line) in self._raw_lines():
            stream = names.get(tuple(name))
            if stream is None:
                i, j, k, warp = (int(n) if n.isdecimal() and len(n) < 11 else -1 for n in name)
                if not (0 <= i < x and 0 <= j < y and 0 <= k < z and 0 <= warp < warps_per_block):
                    grid = f"the grid {self.launch.grid} of {warps_per_block} warps each"
                    raise _Text(self.path).error(number, f"block and warp {' '.join(name)} are outside {grid}")
                stream = streams.setdefault(((k * y + j) * x + i) * warps_per_block + warp, [])
                names[tuple(name)] = stream
            stream.append(line if " 0x" in line else seen.setdefault(line, line))
        if len(streams) < self.launch.blocks * warps_per_block:
            missing = next(i for i in range(len(streams) + 1) if i not in streams)
            block, warp = divmod(missing, warps_per_block)
            why = f"the file ends without instructions of warp {warp} of thread block {self._block_id(block)}"
            raise _Text(self.path).error(number, why)
        for block in range(self.launch.blocks):
            yield [(0, streams[block * warps_per_block + warp]) for warp in range(warps_per_block)]

    def _raw_line(self, block: int, warp: int, at: int) -> int:
        name = [str(n) for n in (*self._block_id(block), warp)]
        matches = (number for number, fields in self._raw_lines() if fields[:4] == name)
        return next(number for i, number in enumerate(matches) if i == at)

    def blocks(self) -> Iterator[BlockStreams]:
        """Chunks of thread blocks in order; parsed again unless the whole trace was small enough to keep."""
        return iter(self._chunks) if self._chunks is not None else self._parse()


def open_accelsim(path: str | Path, cache_bytes: int = CACHE_BYTES) -> AccelsimTrace:
    """Open a trace of any layout and check all of it. SubcoreError naming file and line where it is malformed.

    `cache_bytes` bounds the parsed chunks kept for `blocks()`; 0 keeps none.
    """
    return AccelsimTrace(path, cache_bytes)
