"""Names of C++ kernels as their author wrote them: `scale` of `_ZN5tools5scaleIfEEvPT_` (Itanium C++ ABI, 5.1)."""

from __future__ import annotations

import re

_LENGTH = re.compile(r"\d+")
_SHOWN = 12


def plain_name(symbol: str) -> str:
    """Qualified name without template arguments and parameters; the symbol itself if it is not mangled."""
    if not symbol.startswith("_Z"):
        return symbol
    at = 2
    nested = symbol.startswith("N", at)
    at += nested
    parts = []
    while at < len(symbol):
        if symbol[at] in "LKVr" and (nested or symbol[at] == "L"):  # internal linkage, qualifiers of a member
            at += 1
            continue
        length = _LENGTH.match(symbol, at)
        if length is None or length.end() + int(length[0][:9]) > len(symbol):
            break
        at = length.end() + int(length[0][:9])
        part = symbol[length.end() : at]
        if not part.startswith("_GLOBAL__N"):  # an anonymous namespace
            parts.append(part)
        if not nested:
            break
    return "::".join(parts) or symbol


def find_names(symbols: list[str], name: str) -> list[str]:
    """Symbols that a user may mean by `name`: the symbol itself, else those of that plain or qualified name."""
    if name in symbols:
        return [name]
    return [s for s in symbols if plain_name(s) == name or plain_name(s).endswith(f"::{name}")]


def shown_names(symbols: list[str]) -> str:
    """A list for messages: plain names where they tell the symbols apart."""
    plain = [plain_name(s) for s in symbols]
    names = [p if plain.count(p) == 1 else s for p, s in zip(plain, symbols, strict=True)]
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "(none)") + more
