"""The result of a run as text: at most 100 columns, aligned, for people and for `diff`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from subcore.text import dimensions, percent, shown, table

if TYPE_CHECKING:
    from sim.result import RunResult

WIDTH = 100


def report(result: RunResult) -> str:
    """Header, figures, bounds, stall table and warnings of one run."""
    parts = ["\n".join(_fit(line) for line in _header(result)), _figures(result), _bounds(result), _stalls(result)]
    cautions = [textwrap.fill(f"warning: {text}", WIDTH, subsequent_indent="  ") for text in warnings(result)]
    return "\n\n".join([*parts, *(["\n".join(cautions)] if cautions else [])])


def warnings(result: RunResult) -> list[str]:
    """What limits the trust in the figures, each with its remedy where there is one."""
    found = list(result.warnings)
    if result.scoreboard:
        found.append("dependences tracked by scoreboard with latency tables, not by control bits")
    sources = result.config.sources.values()
    guesses = sum(source.startswith("guess") for source in sources)
    if guesses:
        found.append(f"{guesses} of {len(sources)} knobs of this GPU are guesses: `subcore config show --sources`")
    return list(dict.fromkeys(found))


def _fit(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."


def _header(result: RunResult) -> tuple[str, str]:
    launch, gpu = result.launch, result.config.gpu
    return (
        f"{launch.kernel} on {gpu.name} (sm_{gpu.architecture}, {gpu.sms} SMs at {gpu.core_clock_mhz:g} MHz)",
        f"grid {dimensions(launch.grid)}, block {dimensions(launch.block)}: {shown(launch.blocks)} blocks of "
        f"{launch.warps_per_block} warps, {launch.registers} registers, {shown(launch.shared_bytes)} B shared memory",
    )


def _figures(result: RunResult) -> str:
    count = {name: value for name, (value, _, _) in result.values().items()}
    threads = count["smsp__thread_inst_executed.sum"] / max(1, result.warp_instructions)
    loads, load_hits = count["l1tex__t_sectors_op_ld.sum"], count["l1tex__t_sectors_op_ld_lookup_hit.sum"]
    sectors, hits = count["lts__t_sectors"], count["lts__t_sectors_lookup_hit"]
    read, written = int(count["dram__sectors_read"]), int(count["dram__sectors_write"])
    bandwidth = (read + written) * result.config.l2.sector_bytes / result.seconds
    theoretical = f"{100 * result.theoretical_occupancy:.1f} % theoretical"
    limit = f"{result.blocks_per_sm} blocks per SM, limited by {result.limited_by}"
    rows = [
        ("cycles", shown(result.cycles), f"{result.seconds * 1e6:,.2f} us"),
        ("warp instructions", shown(result.warp_instructions), f"{threads:.1f} active threads each"),
        ("IPC", f"{result.ipc_active:.2f}", f"of an active SM; {result.ipc:.2f} of the chip"),
        ("occupancy", f"{100 * result.achieved_occupancy:.1f} %", f"achieved; {theoretical}, {limit}"),
        ("L1 hit rate", percent(load_hits, loads), f"of {shown(loads)} load sectors"),
        ("L2 hit rate", percent(hits, sectors), f"of {shown(sectors)} sectors"),
        ("DRAM", f"{bandwidth / 1e9:,.1f} GB/s", f"{shown(read)} sectors read, {shown(written)} written"),
    ]
    return table(rows, right="<><")


def _bounds(result: RunResult) -> str:
    from subcore.bounds import bound_rows, text_table

    return "\n".join(_fit(line) for line in text_table(bound_rows(result), result.cycles).splitlines())


def _stalls(result: RunResult) -> str:
    rows = [
        (row["reason"], f"{100 * row['share']:.1f} %", shown(row["cycles"]), row["description"])
        for row in sorted(result.stall_rows(), key=lambda row: row["reason"] != "issued")
        if row["cycles"]
    ]
    return table(rows, ("sub-core cycles", "share", "count", ""), "<>><")
