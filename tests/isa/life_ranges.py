"""Read nvdisasm's register life ranges (`-plr -lrm narrow`): which registers each instruction defines and uses."""

import re

from isa.disassemble import run_nvdisasm

FILES = {"GPR": "R", "PRED": "P", "UGPR": "UR", "UPRED": "UP"}
_LINE = re.compile(r"\s*/\*([0-9a-f]{4,})\*/\s+(.*?)\s*// \|")


def _columns(header: list[str]) -> dict[int, str]:
    """Character position -> register name, from the header lines between the rules of one section."""
    names = header[0]
    columns = {}
    bars = [i for i, c in enumerate(names) if c == "|"]
    for left, right in zip(bars, bars[1:], strict=False):
        family = FILES.get(names[left:right].strip("| "))
        marks = [line[left:right] for line in header]
        hash_at = marks[-1].find("#")
        for at in range(hash_at + 1, right - left):
            digits = "".join(line[at] for line in marks[1:] if line[at].isdigit())
            if digits and marks[-1][at].isdigit() and family:
                columns[left + at] = f"{family}{int(digits)}"
    return columns


def life_ranges(cubin: bytes) -> dict[str, dict[int, tuple[frozenset[str], frozenset[str], frozenset[str]]]]:
    """{kernel: {pc: (defined, used, shown)}}; register names such as R4, P0, UR6, UP1.

    `shown`: the registers that have a column; the narrow listing leaves out registers that never live in a kernel.
    """
    result: dict[str, dict[int, tuple[frozenset[str], frozenset[str], frozenset[str]]]] = {}
    columns: dict[int, str] = {}
    header: list[str] = []
    rules = 0
    shown: frozenset[str] = frozenset()
    current: dict[int, tuple[frozenset[str], frozenset[str], frozenset[str]]] = {}
    for line in run_nvdisasm(cubin, "-c", "-plr", "-lrm", "narrow").splitlines():
        if match := re.match(r"\s*\.section\s+\.text\.([^,]+),", line):
            current = result.setdefault(match[1], {})
            rules, header = 0, []
        elif "// +-" in line:
            rules += 1
            if rules == 2:
                columns = _columns(header)
                shown = frozenset(columns.values())
        elif rules == 1 and "// |" in line:
            header.append(line)
        elif match := _LINE.match(line):
            start = match.end() - 1
            defined, used = set(), set()
            for at, register in columns.items():
                mark = line[at] if at < len(line) else " "
                if at >= start and mark in "^x":
                    defined.add(register)
                if at >= start and mark in "vx":
                    used.add(register)
            current[int(match[1], 16)] = (frozenset(defined), frozenset(used), shown)
    return result
