"""Source lines of a kernel's instructions, from the `.debug_line` section that `-lineinfo` writes (DWARF 2 to 4)."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

_MAX_LINE = 1 << 24
_FIXED_ADVANCE, _SET_ADDRESS, _END_SEQUENCE = 9, 2, 1


def _leb128(data: bytes, at: int, signed: bool = False) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return (value - (1 << shift) if signed and byte & 0x40 else value), at


def _strings(data: bytes, at: int) -> tuple[list[str], int]:
    found = []
    while data[at]:
        end = data.index(0, at)
        found.append(data[at:end].decode(errors="replace"))
        at = end + 1
    return found, at + 1


class LineTable(NamedTuple):
    """Where the instructions of one code section come from. `places`: (first pc, file name, line), sorted by pc."""

    main_file: str
    places: tuple[tuple[int, str, int], ...]

    @property
    def lines(self) -> tuple[tuple[int, int], ...]:
        """(first pc, line in the main file); 0 for rows of other files (headers, inlined library code)."""
        return tuple((pc, line if file == self.main_file else 0) for pc, file, line in self.places)


def read_line_tables(elf: ELFFile) -> dict[int, LineTable]:
    """Line tables by index of the code section. Sections without line information are absent."""
    section, symbols = elf.get_section_by_name(".debug_line"), elf.get_section_by_name(".symtab")
    if section is None or not isinstance(symbols, SymbolTableSection):
        return {}
    data = section.data()
    home: dict[int, tuple[int, int]] = {}  # where an address is relocated -> (code section, offset in it)
    for name in (".rel.debug_line", ".rela.debug_line"):
        table = elf.get_section_by_name(name)
        for relocation in table.iter_relocations() if isinstance(table, RelocationSection) else ():
            symbol = symbols.get_symbol(relocation["r_info_sym"])
            offset = symbol["st_value"] + relocation.entry.get("r_addend", 0)
            home[relocation["r_offset"]] = (symbol["st_shndx"], offset)
    rows: dict[int, list[tuple[int, str, int]]] = {}
    at = 0
    while at + 4 < len(data):
        length, version = struct.unpack_from("<IH", data, at)
        end = at + 4 + length
        if version > 4 or end > len(data):
            break
        for index, row in _unit(data, at, end, version, home):
            rows.setdefault(index, []).append(row)
        at = end
    tables = {}
    for index, found in rows.items():
        main = Counter(file for _, file, _ in found).most_common(1)[0][0]
        last = {pc: (pc, file.rsplit("/", 1)[-1], line) for pc, file, line in found if 0 <= line <= _MAX_LINE}
        tables[index] = LineTable(main.rsplit("/", 1)[-1], tuple(last[pc] for pc in sorted(last)))
    return tables


def _unit(
    data: bytes, at: int, end: int, version: int, home: dict[int, tuple[int, int]]
) -> Iterator[tuple[int, tuple[int, str, int]]]:
    """(code section, (pc, file, line)) of each row of one line-number program."""
    header = at + 6
    program = header + 4 + struct.unpack_from("<I", data, header)[0]
    at = header + 4
    minimum = data[at]
    at += 1 + (version >= 4)
    line_base, line_range, opcode_base = struct.unpack_from("<bBB", data, at + 1)
    lengths = data[at + 4 : at + 3 + opcode_base]
    at += 3 + opcode_base
    folders, at = _strings(data, at)
    files = []
    while data[at]:
        stop = data.index(0, at)
        name = data[at:stop].decode(errors="replace")
        folder, at = _leb128(data, stop + 1)
        _, at = _leb128(data, at)
        _, at = _leb128(data, at)
        files.append(f"{folders[folder - 1]}/{name}" if 0 < folder <= len(folders) else name)
    address, file, line, section = 0, 1, 1, -1

    def row() -> tuple[int, tuple[int, str, int]]:
        return section, (address, files[file - 1] if 0 < file <= len(files) else "", line)

    at = program
    while at < end:
        opcode, at = data[at], at + 1
        if opcode >= opcode_base:
            step = opcode - opcode_base
            address += step // line_range * minimum
            line += line_base + step % line_range
            yield row()
        elif opcode == 0:
            size, at = _leb128(data, at)
            if data[at] == _SET_ADDRESS:
                section, address = home.get(at + 1, (-1, 0))
            elif data[at] == _END_SEQUENCE:
                address, file, line, section = 0, 1, 1, -1
            at += size
        elif opcode == 1:
            yield row()
        elif opcode == 2:
            step, at = _leb128(data, at)
            address += step * minimum
        elif opcode == 3:
            step, at = _leb128(data, at, signed=True)
            line += step
        elif opcode == 4:
            file, at = _leb128(data, at)
        elif opcode == 8:
            address += (255 - opcode_base) // line_range * minimum
        elif opcode == _FIXED_ADVANCE:
            address += struct.unpack_from("<H", data, at)[0]
            at += 2
        else:
            for _ in range(lengths[opcode - 1]):
                _, at = _leb128(data, at)
