"""Where the cycles went, by instruction and by source line: behind `subcore profile` and `instructions.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isa.errors import SubcoreError

if TYPE_CHECKING:
    from isa.program import Program
    from sim.result import RunResult

FILE = "instructions.csv"
SOURCE = "source.cu"
NONE = "(no instruction)"
_TEXT = ("pc", "sass")
_KERNELS = Path(__file__).resolve().parent.parent / "traces" / "kernels"


def instruction_rows(program: Program, result: RunResult) -> list[dict[str, Any]]:
    """One row per instruction in program order, and one for cycles without any.

    pc, sass, line (of the CUDA source, 0 = unknown), issued; summed over its executions: active_lanes, sectors (of the
    L1: looked up, written or sent on), sector_hits (loads), tags (L1 look-ups of 128 B lines), passes (of the data path
    of L1 and shared memory), conflicts (passes beyond the conflict-free minimum), flops; then cycles (sub-core cycles
    charged to it, issue included), and one column per stall reason.
    """
    from sim.stats import ACTIVE_LANES, CONFLICTS, LINES, PASSES, SECTOR_HITS, SECTORS, Stall
    from subcore.flops import operations

    rows = []
    for index, counts in enumerate(result.profile):
        known = index < len(program)
        cycles = {reason.name.lower(): int(counts[reason]) for reason in Stall}
        lanes = int(counts[ACTIVE_LANES])
        rows.append(
            {
                "pc": f"0x{index * program.pc_step:04x}" if known else "",
                "sass": program.text[index] if known else NONE,
                "line": int(program.instructions["source_line"][index]) if known else 0,
                "issued": cycles["issued"],
                "active_lanes": lanes,
                "sectors": int(counts[SECTORS]),
                "sector_hits": int(counts[SECTOR_HITS]),
                "tags": int(counts[LINES]),
                "passes": int(counts[PASSES]),
                "conflicts": int(counts[CONFLICTS]),
                "flops": operations(program.instructions[index], cycles["issued"], lanes) if known else 0,
                "cycles": int(counts[: len(Stall)].sum()),
                **{name: count for name, count in cycles.items() if name != "issued"},
            }
        )
    return rows


def line_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same table by source line, in line order; line 0 has what belongs to none. No pc and sass."""
    by_line: dict[int, dict[str, Any]] = {}
    for row in rows:
        if row["sass"] == NONE:
            continue
        into = by_line.setdefault(row["line"], dict.fromkeys((n for n in row if n not in _TEXT), 0))
        for name in into:
            into[name] += row[name]
        into["line"] = row["line"]
    return [by_line[line] for line in sorted(by_line)]


def find_source(program: Program, beside: str = "") -> str | None:
    """Text of the CUDA source: in the folder of `beside` (a file), or one of our kernels. None if it is not there, or
    has fewer lines than the code names."""
    name, last = Path(program.source_file).name, int(program.instructions["source_line"].max(initial=0))
    if not name or not last:
        return None
    for path in (Path(beside).parent / name, *sorted(_KERNELS.rglob(name))):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if len(text.splitlines()) >= last:
            return text
    return None


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def from_csv(text: str) -> list[dict[str, Any]]:
    """Rows of `to_csv`. SubcoreError, naming the line, if the text is something else."""
    reader = csv.DictReader(io.StringIO(text))
    rows: list[dict[str, Any]] = []
    try:
        for row in reader:
            rows.append({name: value if name in _TEXT else int(value) for name, value in row.items()})
        if not rows or not {*_TEXT, "line", "issued", "active_lanes", "cycles"} <= set(rows[0]):
            raise ValueError("no instruction table")
    except (TypeError, ValueError, csv.Error) as error:
        raise SubcoreError(f"{FILE}, line {max(1, reader.line_num)}: {error}") from None
    return rows


def reasons(row: dict[str, Any]) -> list[tuple[str, int]]:
    """Stall reasons of an instruction with their cycles, largest first."""
    first = list(row).index("cycles") + 1
    found = [(name, row[name]) for name in list(row)[first:] if row[name]]
    return sorted(found, key=lambda item: (-item[1], item[0]))


def text_table(rows: Sequence[dict[str, Any]], most: int, source: str | None = None, by_line: bool = False) -> str:
    """The hottest instructions (or source lines) as text; shares are of the cycles that belong to an instruction."""
    from subcore.text import table

    lines = (source or "").splitlines()
    hottest = [row for row in (line_rows(rows) if by_line else rows) if row["cycles"] and row.get("sass") != NONE]
    hottest.sort(key=lambda row: (-row["cycles"], row.get("pc", ""), row["line"]))
    total = sum(row["cycles"] for row in hottest) or 1
    shown = hottest[:most]
    memory = any(row["passes"] for row in shown)
    cells = []
    for row in shown:
        cell = [
            f"{100 * row['cycles'] / total:.1f} %",
            f"{row['issued']:,}",
            _mean(row, "active_lanes"),
            *((_mean(row, "sectors"), _mean(row, "conflicts")) if memory else ()),
            " ".join(f"{name} {100 * cycles / row['cycles']:.0f} %" for name, cycles in reasons(row)[:2]),
            str(row["line"] or ""),
        ]
        if by_line:
            cell.append(lines[row["line"] - 1].strip() if 0 < row["line"] <= len(lines) else "")
        else:
            cell += [row["pc"], " ".join(row["sass"].split())]
        cells.append(cell)
    header = ["cycles", "issued", "lanes", *(("sectors", "conflicts") if memory else ()), "waiting for", "line"]
    header += ["source"] if by_line else ["pc", "SASS"]
    text = table(cells, header, ">>>" + (">>" if memory else "") + "<>" + ("<" if by_line else "<<"))
    left = sum(row["cycles"] for row in hottest[most:])
    if left:
        text += f"\n{len(hottest) - most} more {'lines' if by_line else 'instructions'}: {100 * left / total:.1f} %"
    whole = sum(row["cycles"] for row in rows) or 1
    return f"{text}\n\n{100 * (1 - total / whole):.1f} % of all sub-core cycles had no warp, or one that only drained"


def _mean(row: dict[str, Any], name: str) -> str:
    """Per execution."""
    return f"{row[name] / row['issued']:.1f}" if row["issued"] and (row[name] or name == "active_lanes") else ""


_STYLE = """
body{font:13px sans-serif;margin:1.5em;color:#1c1c1c}table{border-collapse:collapse}
td,th{padding:1px 8px;text-align:left}
th{position:sticky;top:0;background:#fff;border-bottom:1px solid #999;cursor:pointer;vertical-align:bottom}
tr:hover,tr.on{background:#eef3fa}.n{text-align:right;font-variant-numeric:tabular-nums}
.s,td:first-child{font-family:monospace;white-space:pre}.b{white-space:nowrap;min-width:130px}
i{display:inline-block;height:10px}p span{margin-right:1em}p span i{width:10px;margin-right:4px}
.views{display:flex;gap:2em;align-items:flex-start}.hot{color:#b2182b;font-weight:600}
"""
# Click on a column: sort by it, again: as in the program. Click on a row: mark what belongs to the same source line.
_SCRIPT = """
for(const table of document.querySelectorAll("table")){const body=table.tBodies[0],first=[...body.rows];
table.tHead.addEventListener("click",e=>{const at=e.target.cellIndex,on=table.dataset.by==at;
const value=r=>+(r.cells[at].dataset.v??"NaN");
body.append(...(on?first:[...first].sort((a,b)=>(value(b)||0)-(value(a)||0))));table.dataset.by=on?"":at})
body.addEventListener("click",e=>{const line=e.target.closest("tr").dataset.line;
for(const r of document.querySelectorAll("tr"))r.classList.toggle("on",line>0&&r.dataset.line==line)})}
"""


def html_page(rows: Sequence[dict[str, Any]], title: str, source: str | None = None) -> str:
    """The whole listing in program order as one page without outside parts: heat, counts, stall reasons per SASS line,
    and the same per CUDA line where lines are known. Columns sort; a click marks the other side of a line."""
    from plots.style import STALL_COLOURS

    used = [n for n in STALL_COLOURS if n == "issued" or any(row.get(n) for row in rows)]
    key = "".join(f'<span><i style="background:{STALL_COLOURS[n]}"></i>{n.replace("_", " ")}</span>' for n in used)
    views = [_html_table(rows, "SASS", [row["sass"] for row in rows], [row["pc"] for row in rows])]
    if any(row["line"] for row in rows):
        lines = (source or "").splitlines()
        by_line = {row["line"]: row for row in line_rows(rows)}
        empty = dict.fromkeys(next(iter(by_line.values())), 0)
        numbers = range(1, len(lines) + 1) if lines else sorted(by_line)
        found = [{**empty, **by_line.get(n, {}), "line": n} for n in numbers if n or by_line[n]["cycles"]]
        text = [lines[row["line"] - 1] if lines else "" for row in found]
        views.insert(0, _html_table(found, "CUDA", text, [str(row["line"]) for row in found]))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1><p>{key}</p><p>Cycles are sub-core cycles. Lanes, sectors and conflicts are per "
        f"execution. A column sorts when clicked.</p><div class=views>{''.join(views)}</div>"
        f"<script>{_SCRIPT}</script></html>\n"
    )


def _html_table(rows: Sequence[dict[str, Any]], name: str, text: Sequence[str], places: Sequence[str]) -> str:
    from plots.style import STALL_COLOURS

    total = sum(row["cycles"] for row in rows if row.get("sass") != NONE) or 1
    most = max(row["cycles"] for row in rows if row.get("sass") != NONE) or 1
    numbers = ("active_lanes", "sectors", "conflicts")
    used = [n for n in numbers if any(row[n] for row in rows)]
    body = []
    for row, line, place in zip(rows, text, places, strict=True):
        parts = [("issued", row["issued"]), *reasons(row)] if row.get("sass") != NONE else []
        bar = "".join(
            f'<i style="width:{120 * cycles / most:.1f}px;background:{STALL_COLOURS[reason]}" '
            f'title="{reason.replace("_", " ")}: {cycles:,} cycles"></i>'
            for reason, cycles in parts
            if cycles
        )
        share = 100 * row["cycles"] / total if parts else 0
        shown = f"{share:.2f}" if share else ""
        heat = "n hot" if share >= 5 else "n"
        issued = f"{row['issued']:,}" if row["issued"] else ""
        cells = [
            f"<td>{escape(place)}",
            f"<td class='{heat}' data-v={share:.4f}>{shown}",
            f"<td class=b data-v={row['cycles']}>{bar}",
            f"<td class=n data-v={row['issued']}>{issued}",
            *(f"<td class=n data-v={row[n] / max(1, row['issued']):.3f}>{_mean(row, n)}" for n in used),
            f"<td class=s>{escape(line)}",
        ]
        body.append(f"<tr data-line={row['line']}>{''.join(cells)}")
    head = "".join(f"<th>{h}" for h in ("pc" if name == "SASS" else "line", "% of cycles", "cycles by reason", "issued",
                                        *(n.replace("active_", "") for n in used), name))  # fmt: skip
    return f"<table><thead><tr>{head}<tbody>{''.join(body)}</table>"
