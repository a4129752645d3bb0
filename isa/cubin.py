"""Read a cubin (the ELF file with one GPU architecture's machine code): kernels, constants, globals, launch layout.

Section and attribute numbers are those that `cuobjdump -elf` prints for `.nv.info` (EIATTR_*) and ELF type
EM_CUDA; relocation type 2 is R_CUDA_64.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import Symbol, SymbolTableSection

from isa.errors import SubcoreError
from isa.lines import LineTable, read_line_tables
from isa.names import find_names, shown_names
from isa.program import Parameter
from isa.toolchain import ARCHITECTURES

_EM_CUDA = 190
_REGISTER_COUNT, _FRAME_SIZE, _STACK_SIZE = 0x2F, 0x11, 0x12  # in .nv.info: symbol, value
_PARAMETER_BANK, _PARAMETER = 0x0A, 0x17  # in .nv.info.<kernel>
_BARRIERS, _MAX_THREADS, _REQUIRED_THREADS, _CLUSTER = 0x4C, 0x05, 0x10, 0x3D
_RELOCATION_64 = 2
_WITHOUT_DATA = ("SHT_NULL", "SHT_NOBITS")

# From sm_90 the first KiB of a block's shared memory belongs to the system, and addresses start behind it
# (measured in compiled code: `MOV R4, 0x400` before every shared address).
RESERVED_SHARED_BYTES = 1024


@dataclass(frozen=True)
class GlobalVariable:
    """A `__device__` variable. `initial` holds its first value, or is empty when it starts as zeros."""

    name: str
    size: int
    initial: bytes = b""


@dataclass(frozen=True)
class Relocation:
    """Write the 64-bit address of `symbol` plus `addend` at `offset` of a section."""

    offset: int
    kind: int
    symbol: str
    addend: int


@dataclass(frozen=True)
class KernelCode:
    """One kernel of a cubin. Sizes in bytes; `functions` maps the symbols inside its code to their offsets."""

    name: str
    code: bytes
    functions: Mapping[str, int]
    registers: int
    shared_bytes: int  # static, without the system's part
    shared_base: int  # first shared address that the kernel uses
    local_bytes: int  # stack per thread
    barriers: int
    parameter_base: int  # byte offset in constant bank 0
    parameter_bytes: int
    parameters: tuple[Parameter, ...]
    max_threads: tuple[int, int, int] | None = None  # __launch_bounds__
    required_threads: tuple[int, int, int] | None = None
    cluster: tuple[int, int, int] | None = None
    lines: tuple[tuple[int, int], ...] = ()  # (first pc, line in source_file), sorted by pc
    source_file: str = ""
    places: tuple[tuple[int, str, int], ...] = ()  # (first pc, file, line): also of other files


@dataclass(frozen=True)
class Cubin:
    """Contents of a cubin. `data` is the file itself; `path` serves error messages only."""

    data: bytes
    architecture: int
    kernels: Mapping[str, KernelCode]
    global_variables: Mapping[str, GlobalVariable]
    constant_variables: Mapping[str, tuple[int, int]]  # `__constant__` name -> (offset in bank 3, size)
    sections: Mapping[str, bytes] = field(repr=False)
    relocations: Mapping[str, tuple[Relocation, ...]] = field(repr=False)
    path: str = "cubin"
    externals: tuple[str, ...] = ()  # functions that the driver supplies: malloc, vprintf, __assertfail

    def kernel(self, name: str | None = None) -> KernelCode:
        """A kernel by symbol or C++ name; without a name the only one. SubcoreError lists the kernels otherwise."""
        symbols = list(self.kernels)
        if not symbols:
            raise SubcoreError(f"{self.path}: holds no kernel: templates must be instantiated, device code be linked")
        found = symbols if name is None else find_names(symbols, name)
        if len(found) == 1:
            return self.kernels[found[0]]
        if found:
            what = "holds several kernels" if name is None else f"holds several kernels {name!r}"
            raise SubcoreError(f"{self.path}: {what}, name one of them: {shown_names(found)}")
        raise SubcoreError(f"{self.path}: has no kernel {name!r}, but: {shown_names(symbols)}")

    def constant_bank(self, kernel: str, bank: int, addresses: Mapping[str, int] | None = None) -> bytes:
        """Contents of constant bank 1 ... 17 for a kernel, with the addresses of symbols filled in.

        `addresses` maps `__device__` variables (and functions) to 64-bit addresses; SubcoreError names a missing
        one. Bank 0 holds launch dimensions and parameters: whoever launches fills it. A bank without data is b"".
        """
        for section in (f".nv.constant{bank}.{kernel}", f".nv.constant{bank}"):
            if section in self.sections:
                break
        else:
            return b""
        data = bytearray(self.sections[section])
        for relocation in self.relocations.get(section, ()):
            if relocation.kind != _RELOCATION_64:
                raise SubcoreError(f"{self.path}: relocation type {relocation.kind} in {section} is not supported")
            if not addresses or relocation.symbol not in addresses:
                raise SubcoreError(f"{self.path}: {kernel} needs the address of {relocation.symbol!r}: supply it")
            if relocation.offset + 8 > len(data):
                raise SubcoreError(f"{self.path}: damaged: a relocation lies behind the end of {section}")
            value = (addresses[relocation.symbol] + relocation.addend) & (1 << 64) - 1
            data[relocation.offset : relocation.offset + 8] = value.to_bytes(8, "little")
        return bytes(data)


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    """Entries of a .nv.info section: format 4 carries a length, the others a 16-bit value."""
    entries, at = [], 0
    while at < len(data):
        size = struct.unpack_from("<H", data, at + 2)[0] if data[at] == 4 else 0
        start = at + 4 if data[at] == 4 else at + 2
        end = start + (size if data[at] == 4 else 2)
        if end > len(data):
            raise struct.error("attribute runs past its section")
        entries.append((data[at + 1], data[start:end]))
        at = end
    return entries


def _triple(value: bytes) -> tuple[int, int, int]:
    x, y, z = struct.unpack_from("<III", value)
    return x, y, z


def _symbol_values(data: bytes) -> dict[tuple[int, int], int]:
    """(attribute, symbol index) -> value, for the attributes of .nv.info that describe functions."""
    values = {}
    for kind, value in _attributes(data):
        if kind in (_REGISTER_COUNT, _FRAME_SIZE, _STACK_SIZE):
            symbol, count = struct.unpack("<II", value)
            values[kind, symbol] = count
    return values


def _kernel(
    elf: ELFFile,
    name: str,
    index: int,
    symbol: int,
    sections: Mapping[str, bytes],
    functions: Mapping[str, int],
    values: Mapping[tuple[int, int], int],
    lines: LineTable,
    architecture: int,
) -> KernelCode:
    """The kernel `name`, symbol number `symbol`, whose code is section `index`."""
    parameters, base, size, barriers = [], 0, 0, 0
    max_threads = required = cluster = None
    for kind, value in _attributes(sections.get(f".nv.info.{name}", b"")):
        if kind == _PARAMETER:
            _, ordinal, offset, packed = struct.unpack("<IHHI", value)
            parameters.append((ordinal, Parameter(offset, packed >> 18)))
        elif kind == _PARAMETER_BANK:
            _, base, size = struct.unpack("<IHH", value)
        elif kind == _BARRIERS:
            barriers = value[0]
        elif kind == _MAX_THREADS:
            max_threads = _triple(value)
        elif kind == _REQUIRED_THREADS:
            required = _triple(value)
        elif kind == _CLUSTER:
            cluster = _triple(value)
    reserved = RESERVED_SHARED_BYTES if architecture >= 90 else 0
    shared = elf.get_section_by_name(f".nv.shared.{name}")
    code = sections[f".text.{name}"]
    if not barriers:  # older compilers: bits 20-24 of the section's flags word
        barriers = elf.get_section(index)["sh_flags"] >> 20 & 0x1F
    return KernelCode(
        name=name,
        code=code,
        functions=functions,
        registers=values.get((_REGISTER_COUNT, symbol), 0),
        shared_bytes=max(0, shared["sh_size"] - reserved) if shared else 0,
        shared_base=reserved,
        local_bytes=max(values.get((_STACK_SIZE, symbol), 0), values.get((_FRAME_SIZE, symbol), 0)),
        barriers=barriers,
        parameter_base=base,
        parameter_bytes=size,
        parameters=tuple(parameter for _, parameter in sorted(parameters, key=lambda item: item[0])),
        max_threads=max_threads,
        required_threads=required,
        cluster=cluster,
        lines=lines.lines,
        source_file=lines.main_file,
        places=lines.places,
    )


def _parse(data: bytes, path: str) -> Cubin:
    elf = ELFFile(io.BytesIO(data))
    if elf.header["e_machine"] not in (_EM_CUDA, "EM_CUDA"):
        raise SubcoreError(f"{path}: an ELF file for {elf.header['e_machine']}, not a cubin (EM_CUDA): pass a cubin")
    flags = elf.header["e_flags"]
    architecture = flags >> 8 & 0xFF if elf.header["e_ident"]["EI_ABIVERSION"] >= 8 else flags & 0xFF
    if architecture not in ARCHITECTURES:
        known = ", ".join(f"sm_{a}" for a in ARCHITECTURES)
        raise SubcoreError(
            f"{path}: code for sm_{architecture} is not supported, only {known}: compile for one of them"
        )
    header = elf.header
    for start, count, size in (("e_phoff", "e_phnum", "e_phentsize"), ("e_shoff", "e_shnum", "e_shentsize")):
        if header[start] + header[count] * header[size] > len(data):
            raise SubcoreError(f"{path}: truncated: its header tables end past the end of the file")
    _check_sections(elf, len(data), path)
    symbol_table = elf.get_section_by_name(".symtab")
    symbols = list(symbol_table.iter_symbols()) if isinstance(symbol_table, SymbolTableSection) else []
    sections: dict[str, bytes] = {}
    relocations: dict[str, tuple[Relocation, ...]] = {}
    kernels: dict[str, KernelCode] = {}
    for section in elf.iter_sections():
        if isinstance(section, RelocationSection):
            target = elf.get_section(section["sh_info"]).name
            relocations[target] = tuple(
                Relocation(r["r_offset"], r["r_info_type"], symbols[r["r_info_sym"]].name, r.entry.get("r_addend", 0))
                for r in section.iter_relocations()
            )
        elif section["sh_type"] not in _WITHOUT_DATA:
            sections[section.name] = section.data()
    values, lines = _symbol_values(sections.get(".nv.info", b"")), read_line_tables(elf)
    functions: dict[int, dict[str, int]] = {}
    for symbol in symbols:
        if symbol["st_info"]["type"] == "STT_FUNC":
            functions.setdefault(symbol["st_shndx"], {})[symbol.name] = symbol["st_value"]
    for number, symbol in enumerate(symbols):
        name, home = symbol.name, symbol["st_shndx"]
        if symbol["st_info"]["type"] == "STT_FUNC" and f".nv.info.{name}" in sections and f".text.{name}" in sections:
            table = lines.get(home, LineTable("", ()))
            kernels[name] = _kernel(elf, name, home, number, sections, functions[home], values, table, architecture)
    variables: dict[str, GlobalVariable] = {}
    constants: dict[str, tuple[int, int]] = {}
    for symbol in symbols:
        if symbol["st_info"]["type"] != "STT_OBJECT" or not isinstance(symbol["st_shndx"], int):
            continue
        home, value, size = elf.get_section(symbol["st_shndx"]).name, symbol["st_value"], symbol["st_size"]
        if home in (".nv.global", ".nv.global.init"):
            initial = sections[home][value : value + size] if home.endswith("init") else b""
            variables[symbol.name] = GlobalVariable(symbol.name, size, initial)
        elif home == ".nv.constant3":
            constants[symbol.name] = (value, size)
    externals = tuple(
        symbol.name for symbol in symbols if symbol["st_shndx"] == "SHN_UNDEF" and symbol.name and _is_function(symbol)
    )
    return Cubin(data, architecture, kernels, variables, constants, sections, relocations, path, externals)


def _is_function(symbol: Symbol) -> bool:
    return symbol["st_info"]["type"] in ("STT_FUNC", "STT_NOTYPE")


def _check_sections(elf: ELFFile, size: int, path: str) -> None:
    """Refuse headers that would make the reader decompress, or copy far more than the file holds."""
    total = 0
    for section in elf.iter_sections():
        if section["sh_flags"] & SH_FLAGS.SHF_COMPRESSED:
            raise SubcoreError(f"{path}: section {section.name} is compressed: no compiler writes such cubins")
        if section["sh_type"] in _WITHOUT_DATA:
            continue
        if section["sh_offset"] + section["sh_size"] > size:
            raise SubcoreError(f"{path}: truncated: section {section.name} ends past the end of the file")
        total += section["sh_size"]
    if total > 2 * size:
        raise SubcoreError(f"{path}: damaged: its sections overlap")


def read_cubin(source: bytes | str | Path, name: str = "cubin") -> Cubin:
    """Read a cubin from bytes or a file. `name` serves messages when bytes are given.

    Raises SubcoreError that names the file when it is unreadable, truncated, no cubin, or of an architecture that
    the tables do not cover.
    """
    if isinstance(source, bytes):
        data = source
    else:
        name = str(source)
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise SubcoreError(f"{name}: cannot read: {error.strerror}") from None
    if not data.startswith(b"\x7fELF"):
        kind = "a fat binary: extract its cubins with `cuobjdump -xelf all`" if data[:4] == b"\x50\xed\x55\xba" else ""
        raise SubcoreError(f"{name}: not a cubin (no ELF header) {kind or ': compile with NVRTC or `nvcc -cubin`'}")
    try:
        return _parse(data, name)
    except SubcoreError:
        raise
    except Exception as error:  # whatever the ELF reader runs into, the file is to blame
        raise SubcoreError(f"{name}: truncated or damaged cubin ({type(error).__name__}: {error})") from None
