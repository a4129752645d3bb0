"""Where the cycles went, by instruction: the table behind `subcore profile` and `instructions.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from isa.errors import SubcoreError

if TYPE_CHECKING:
    from isa.program import Program
    from sim.result import RunResult

FILE = "instructions.csv"
NONE = "(no instruction)"


def instruction_rows(program: Program, result: RunResult) -> list[dict[str, Any]]:
    """One row per instruction in program order, and one for cycles without any: pc, sass, issued, active_lanes (sum
    over its executions), cycles (sub-core cycles charged to it, issue included), then one column per stall reason.
    """
    from sim.stats import ACTIVE_LANES, Stall

    rows = []
    for index, counts in enumerate(result.profile):
        known = index < len(program)
        cycles = {reason.name.lower(): int(counts[reason]) for reason in Stall}
        rows.append(
            {
                "pc": f"0x{index * program.pc_step:04x}" if known else "",
                "sass": program.text[index] if known else NONE,
                "issued": cycles.pop("issued"),
                "active_lanes": int(counts[ACTIVE_LANES]),
                "cycles": int(counts[: len(Stall)].sum()),
                **cycles,
            }
        )
    return rows


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def from_csv(text: str) -> list[dict[str, Any]]:
    """Rows of `to_csv`. SubcoreError if the text is something else."""
    try:
        rows = [
            {name: value if name in ("pc", "sass") else int(value) for name, value in row.items()}
            for row in csv.DictReader(io.StringIO(text))
        ]
        if not rows or not {"pc", "sass", "issued", "cycles"} <= set(rows[0]):
            raise ValueError("no instruction table")
    except (TypeError, ValueError) as error:
        raise SubcoreError(f"{FILE}: {error}") from None
    return rows


def reasons(row: dict[str, Any]) -> list[tuple[str, int]]:
    """Stall reasons of an instruction with their cycles, largest first."""
    first = list(row).index("cycles") + 1
    found = [(name, row[name]) for name in list(row)[first:] if row[name]]
    return sorted(found, key=lambda item: (-item[1], item[0]))


def text_table(rows: Sequence[dict[str, Any]], most: int) -> str:
    """The hottest instructions as text; shares are of the cycles that belong to an instruction."""
    from subcore.text import table

    hottest = [row for row in rows if row["cycles"] and row["sass"] != NONE]
    hottest.sort(key=lambda row: (-row["cycles"], row["pc"]))
    total = sum(row["cycles"] for row in hottest) or 1
    lines = [
        (
            f"{100 * row['cycles'] / total:.1f} %",
            f"{row['issued']:,}",
            f"{row['active_lanes'] / row['issued']:.1f}" if row["issued"] else "",
            " ".join(f"{name} {100 * cycles / row['cycles']:.0f} %" for name, cycles in reasons(row)[:2]),
            row["pc"],
            " ".join(row["sass"].split()),
        )
        for row in hottest[:most]
    ]
    text = table(lines, ("cycles", "issued", "lanes", "waiting for", "pc", "SASS"), ">>><<<")
    left = sum(row["cycles"] for row in hottest[most:])
    if left:
        text += f"\n{len(hottest) - most} more instructions: {100 * left / total:.1f} %"
    idle = sum(row["cycles"] for row in rows) - total
    whole = idle + total
    return f"{text}\n\n{100 * idle / whole:.1f} % of all sub-core cycles had no warp, or one that only drained"


def html_page(rows: Sequence[dict[str, Any]], title: str) -> str:
    """The whole listing in program order as one page without outside parts: heat, counts and stall reasons per line."""
    from plots.style import STALL_COLOURS

    total = sum(row["cycles"] for row in rows) or 1
    most = max(row["cycles"] for row in rows) or 1
    used = [n for n in STALL_COLOURS if n == "issued" or any(row.get(n) for row in rows)]
    body = []
    for row in rows:
        parts = [("issued", row["issued"]), *reasons(row)]
        bar = "".join(
            f'<i style="width:{120 * cycles / most:.1f}px;background:{STALL_COLOURS[name]}" '
            f'title="{name.replace("_", " ")}: {cycles:,} cycles"></i>'
            for name, cycles in parts
            if cycles
        )
        lanes = f"{row['active_lanes'] / row['issued']:.1f}" if row["issued"] else ""
        share = f"{100 * row['cycles'] / total:.2f}" if row["cycles"] else ""
        issued = f"{row['issued']:,}" if row["issued"] else ""
        body.append(
            f"<tr><td>{row['pc']}</td><td class=n>{share}</td><td class=b>{bar}</td><td class=n>{issued}</td>"
            f"<td class=n>{lanes}</td><td class=s>{escape(row['sass'])}</td></tr>"
        )
    key = "".join(f'<span><i style="background:{STALL_COLOURS[n]}"></i>{n.replace("_", " ")}</span>' for n in used)
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>
body{{font:13px sans-serif;margin:1.5em}}table{{border-collapse:collapse}}td,th{{padding:1px 8px;text-align:left}}
th{{position:sticky;top:0;background:#fff;border-bottom:1px solid #999}}tr:hover{{background:#f2f2f2}}
.n{{text-align:right}}.s,td:first-child{{font-family:monospace;white-space:pre}}.b{{white-space:nowrap;min-width:130px}}
i{{display:inline-block;height:10px}}span{{margin-right:1em}}span i{{width:10px;margin-right:4px}}
</style><h1>{escape(title)}</h1><p>{key}</p><table><tr><th>pc<th>% of cycles<th>cycles by reason<th>issued
<th>lanes<th>SASS</tr>{"".join(body)}</table></html>
"""
