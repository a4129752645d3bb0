"""How many consecutive 32-bit registers each operand of an instruction covers. Checked against `nvdisasm -plr`."""

from __future__ import annotations

import re
from functools import cache

from isa.opcodes import tensor_shape
from isa.program import TensorKind

# Bytes per lane of a memory access by modifier; without one, 4.
ACCESS_BYTES = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16, "F64": 8, "S64": 8, "U64": 8, "256": 32}
_DOUBLE = {"DADD", "DMUL", "DFMA", "DMNMX", "DSETP", "DSET"}
_LONG = {"64", "S64", "U64"}
_PACKED_ELEMENT = re.compile(r"B?F(\d+)x(\d)")
_PACKED = {"FADD2", "FMUL2", "FFMA2"}
_LOADS = {"LD", "LDG", "LDL", "LDS", "LDC", "ULDC", "LDCU", "LDGSTS"}
_STORES = {"ST", "STG", "STL", "STS", "STAS"}
_ATOMICS = {"ATOM", "ATOMG", "ATOMS", "RED", "REDG", "REDS", "REDAS", "SUATOM", "SURED"}
_JUMPS = {"BRX", "BRXU", "CALL", "RET", "JMX", "JMXU"}
_TEXTURES = {"TEX", "TEXS", "TLD", "TLDS", "TLD4", "TLD4S", "TXD", "TXQ", "TMML"}
_CONVERSIONS = {"F2F", "F2I", "I2F", "FRND", "I2I", "UI2F", "UF2I", "UF2F"}
_INTEGER_64 = {
    "IADD", "IADD3", "MOV", "SEL", "ISETP", "UIADD3", "UMOV", "USEL", "UISETP", "IMNMX", "VIMNMX", "LOP3", "VIADD",
    "R2UR", "S2UR", "BMOV", "UIADD", "LEA", "SHF", "ULOP3",
}  # fmt: skip


def access_bytes(mnemonic: str, modifiers: tuple[str, ...]) -> int:
    """Bytes per lane that a load, store or atomic moves (LDSM and STSM: 4 per matrix and lane)."""
    if mnemonic in ("LDSM", "STSM"):
        return 4 * matrices(modifiers)
    if mnemonic in _ATOMICS:
        for element in (_PACKED_ELEMENT.fullmatch(m) for m in modifiers):
            if element:  # F16x2, BF16x4, F32x4 ...
                return int(element[1]) // 8 * int(element[2])
    return next((ACCESS_BYTES[m] for m in modifiers if m in ACCESS_BYTES), 4)


def matrices(modifiers: tuple[str, ...]) -> int:
    """8x8 matrices of LDSM and STSM: 1, 2 or 4."""
    return next((int(m) for m in modifiers if m in ("2", "4")), 1)


def _conversion(mnemonic: str, modifiers: tuple[str, ...]) -> tuple[int, int]:
    """(destination, source) registers. F2F.F64.F32 names both types; the others name the wide side."""
    if mnemonic == "FRND":
        return (2, 2) if "F64" in modifiers else (1, 1)
    if mnemonic in ("F2F", "UF2F"):
        types = [m for m in modifiers if m in ("F64", "F32", "F16", "BF16")]
        return (2 if types[:1] == ["F64"] else 1), (2 if types[1:2] == ["F64"] else 1)
    long, double = any(m in ("S64", "U64") for m in modifiers), "F64" in modifiers
    if mnemonic in ("F2I", "UF2I"):
        return 1 + long, 1 + double
    return 1 + double, 1 + long


@cache
def register_counts(mnemonic: str, modifiers: tuple[str, ...]) -> tuple[int, tuple[int, int, int, int]]:
    """Registers of the destination and of data sources A, B, C, D (addresses excluded; see `isa.operand`)."""
    one = (1, 1, 1, 1)
    shape = tensor_shape(mnemonic, modifiers)
    if shape and shape.kind == TensorKind.HGMMA:
        c = shape.registers("c")
        return c, (shape.registers("a"), 4, c, 1)
    if shape and shape.kind != TensorKind.MOVM:
        c = shape.registers("c")
        return c, (shape.registers("a"), shape.registers("b"), c, 1)
    if mnemonic in ("IMAD", "UIMAD", "IMUL"):
        if "WIDE" in modifiers:
            return 2, (1, 1, 2, 1)
        return 1, (1, 1, 2 if "HI" in modifiers else 1, 1)
    if mnemonic in _DOUBLE or mnemonic in _PACKED:
        return 2, (2, 2, 2, 2)
    if mnemonic in _CONVERSIONS:
        to, source = _conversion(mnemonic, modifiers)
        return to, (source,) * 4
    if mnemonic in ("LDSM", "STSM"):
        n = matrices(modifiers)
        return n, (n,) * 4
    if mnemonic in _LOADS or mnemonic in _STORES or mnemonic in _ATOMICS:
        n = min(4, max(1, access_bytes(mnemonic, modifiers) // 4))  # 256 bits: two operands of four registers
        return n, (n,) * 4
    if mnemonic in ("CS2R", "CS2UR", "LEPC"):
        return (1 if "32" in modifiers else 2), one
    if mnemonic in _JUMPS:
        return 1, (2, 1, 1, 1)
    if mnemonic == "MOVM":
        return (2 if any("TO8" in m for m in modifiers) else 1), one
    if mnemonic == "MATCH":
        return 1, ((2 if "U64" in modifiers else 1), 1, 1, 1)
    if mnemonic == "SYNCS":  # the old word of an mbarrier; its new word, a count, or a parity
        return 2, (2 if "EXCH" in modifiers else 1,) * 4
    if mnemonic in _INTEGER_64 and (
        "64" in modifiers or (mnemonic.endswith(("SETP", "MNMX")) and _LONG & set(modifiers))
    ):
        return 2, (2, 2, 2, 2)
    return 1, one


@cache
def address_counts(mnemonic: str, modifiers: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """(register, uniform register) counts of each address operand where its text does not tell; else ()."""
    dimensions = next((int(m[0]) for m in modifiers if m in ("1D", "2D", "3D", "4D", "5D")), 0)
    if mnemonic == "LDGSTS":  # the shared destination comes first, the global source says its width
        return ((1, 1),)
    if mnemonic in ("SULD", "SUST", "SUATOM", "SURED"):
        return ((max(1, dimensions), 1),)
    if mnemonic == "UTMALDG":  # shared address, mbarrier, coordinates; tensor map
        return ((0, 2 + dimensions), (0, 2))
    if mnemonic in ("UTMASTG", "UTMAREDG", "UTMAPF"):  # shared address, coordinates; tensor map
        return ((0, 1 + dimensions), (0, 2))
    if mnemonic == "UBLKCP":  # .S: shared address and mbarrier, .G: global address; then the source, .G two, .S one
        return ((0, 2), (0, 2 if modifiers[1:2] == ("G",) else 1))
    if mnemonic in ("UBLKRED", "UBLKPF"):  # global address, shared address
        return ((0, 2), (0, 1))
    return ()


def texture_counts(
    mnemonic: str, modifiers: tuple[str, ...], texts: list[str], encoding: int
) -> tuple[tuple[int, int], tuple[int, int, int, int]] | None:
    """Destination and source counts of a texture instruction: components from the mask in bits 72-75, coordinates
    from the shape in the text, one more register for a level or a bias. None for other instructions."""
    if mnemonic not in _TEXTURES:
        return None
    components = (encoding >> 72 & 0xF).bit_count()
    second = max(0, components - 2)  # the text shows the second destination first
    shape = next((t for t in texts if t.endswith(("1D", "2D", "3D", "CUBE"))), "2D")
    coordinates = {"1D": 1, "2D": 2}.get(shape[-2:], 3) + ("ARRAY" in shape)
    extra = sum(m in ("LL", "LB", "LL2", "DC", "AOFFI") for m in modifiers)
    first = min(2, coordinates + extra) if "SCR" in modifiers else coordinates
    handle = next((at for at, text in enumerate(t for t in texts[2:]) if text.startswith("UR")), -1)
    counts = [first, coordinates + extra - first, 1, 1]
    if 0 <= handle < 4:
        counts[handle] = 2  # bindless: a 64-bit handle
    return (second, components - second), (counts[0], counts[1], counts[2], counts[3])
