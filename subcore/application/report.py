"""What people read of an application: text, tables, the run directory."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from subcore.application.perfetto import timeline_text
from subcore.text import table

if TYPE_CHECKING:
    from subcore.application.run import ApplicationResult, Played

FORMAT = "subcore-application"
VERSION = 1
NAME_WIDTH = 44


def report(result: ApplicationResult, most: int = 20) -> str:
    """Header, times on every host, kernels of the first host, warnings."""
    config, first = result.config, result.played[0]
    simulated = sum(run.reused < 0 for run in result.launches)
    l2 = "carried from kernel to kernel" if result.warm else "cold for every kernel, but for host copies"
    header = (
        f"{result.application.title} on {config.gpu.name} (sm_{config.gpu.architecture}, {config.gpu.sms} SMs at "
        f"{config.gpu.core_clock_mhz:g} MHz)\n"
        f"{len(result.launches):,} launches, {simulated:,} of them simulated, the rest equal to one of these; L2 {l2}"
    )
    parts = [header, _times(result), _kernels(result, first, most), _gaps(result, first)]
    cautions = [f"warning: {text}" for text in warnings(result)]
    return "\n\n".join(filter(None, [*parts, "\n".join(cautions)]))


def warnings(result: ApplicationResult) -> list[str]:
    """What limits the trust in the figures."""
    found = list(result.warnings)
    scoreboard = sum(run.result.scoreboard for run in result.launches)
    if scoreboard:
        found.append(f"{scoreboard:,} launches without control bits: scoreboard with latency tables")
    for played in result.played:
        knobs = played.host.rows()
        guesses = sum(source.startswith("guess") for _, _, source, _ in knobs)
        if guesses:
            found.append(f"{guesses} of {len(knobs)} knobs of host {played.host.name!r} are guesses: --host list")
    if any(played.summary.overlap_ns for played in result.played):
        found.append("kernels overlap: their slow-down is a model of shared slots and bandwidths, not simulated")
    return found


def _times(result: ApplicationResult) -> str:
    columns = [played.summary.rows() for played in result.played]
    rows = [(row[0][0], *(us(cell[1]) for cell in row), row[0][2]) for row in zip(*columns, strict=True)]
    bound = ("bound by", *(played.summary.bound for played in result.played), "what works longest")
    return table(
        [*rows, bound], ("us", *(played.host.name for played in result.played), ""), "<" + ">" * len(columns) + "<"
    )


def _kernels(result: ApplicationResult, played: Played, most: int) -> str:
    frame = result.kernels(played)
    shown: list[Any] = list(frame.head(most).itertuples())
    rows = [
        (
            short(row.kernel),
            int(row.launches),
            int(row.simulated),
            us(row.total_ns),
            us(row.mean_ns),
            us(row.launch_and_queue_ns / row.launches),
            f"{100 * row.share:.1f} %",
        )
        for row in shown
    ]
    header = ("kernel, us", "launches", "simulated", "total", "mean", "launch+queue", "share")
    text = table(rows, header, "<>>>>>>")
    return text + (f"\n... {len(frame) - most:,} more kernels" if len(frame) > most else "")


def _gaps(result: ApplicationResult, played: Played, most: int = 5) -> str:
    if played.gaps.empty:
        return ""
    ordered = played.gaps.sort_values(["length_ns", "start_ns"], ascending=[False, True])
    longest: list[Any] = list(ordered.head(most).itertuples())
    names = played.rows.name
    rows = [(us(gap.length_ns), us(gap.start_ns), short(names[gap.after]), short(names[gap.before])) for gap in longest]
    return f"{len(played.gaps):,} idle gaps; the longest\n" + table(rows, ("us", "at us", "after", "before"), ">><<")


def us(ns: float) -> str:
    return f"{ns / 1000:,.2f}"


def short(name: str) -> str:
    name = plain_name(name)
    return name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 3] + "..."


def plain_name(mangled: str) -> str:
    """Nested names of a mangled C++ function, without template arguments and parameters; other names as they are."""
    match = re.match(r"_Z(N?)", mangled)
    parts, at = [], match.end() if match else 0
    while match and (length := re.match(r"\d+", mangled[at:])):
        begin = at + length.end()
        at = begin + int(length[0])
        parts.append("(anonymous)" if mangled[begin:at].startswith("_GLOBAL__N_") else mangled[begin:at])
        if not match[1]:
            break
    return "::".join(parts) or mangled


def values(result: ApplicationResult) -> dict[str, Any]:
    """The whole result in plain values."""
    return {
        "application": result.application.title,
        "gpu": result.config.gpu.name,
        "l2": "warm" if result.warm else "cold",
        "hosts": [
            {
                "host": asdict(played.host),
                "summary": {
                    **asdict(played.summary),
                    "queue_ns": played.summary.queue_ns,
                    "bound": played.summary.bound,
                },
                "kernels": result.kernels(played).to_dict("records"),
                "gaps": played.gaps.to_dict("records"),
            }
            for played in result.played
        ],
        "warnings": warnings(result),
    }


def files(result: ApplicationResult, inputs: Mapping[str, Any]) -> dict[str, str]:
    """The run directory, name -> text: manifest, summary, tables per host, time lines, and each simulated launch."""
    from configs.load import config_hash, to_toml
    from subcore import rundir

    names = _unique([_slug(played.host.name) for played in result.played])
    packages = ("subcore", "numpy", "numba", "llvmlite", "simpy")
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "inputs": dict(inputs),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "config_hash": config_hash(result.config),
        "hosts": names,
        "launches": [
            {"name": run.name, "kernel": run.result.kernel, "trace_hash": run.trace_hash, "reused": run.reused,
             "cycles": run.result.cycles}
            for run in result.launches
        ],
    }  # fmt: skip
    found = {
        "manifest.json": json.dumps(manifest, indent=2, sort_keys=True) + "\n",
        "summary.json": json.dumps(values(result), indent=2, sort_keys=True, default=_plain) + "\n",
        "config.toml": to_toml(result.config),
    }
    for name, played in zip(names, result.played, strict=True):
        found[f"{name}/commands.csv"] = played.rows.to_csv(lineterminator="\n")
        found[f"{name}/kernels.csv"] = result.kernels(played).to_csv(index=False, lineterminator="\n")
        found[f"{name}/gaps.csv"] = played.gaps.to_csv(index=False, lineterminator="\n")
        found[f"{name}/timeline.json"] = timeline_text(result, played)
    width = len(str(len(result.launches)))
    for number, run in enumerate(result.launches):
        if run.reused < 0:
            for file, text in rundir.run_files(result.traces[run.name], run.result, inputs).items():
                found[f"launches/{number:0{width}}/{file}"] = text
    return found


def _slug(name: str) -> str:
    return "_".join("".join(c.lower() if c.isalnum() else " " for c in name).split()) or "host"


def _unique(names: list[str]) -> list[str]:
    return [name if names.index(name) == at else f"{name}_{at + 1}" for at, name in enumerate(names)]


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
