"""A user's Nsight Compute export beside the counters of a simulated kernel.

Read are the raw page (`ncu --csv --page raw`: one row per kernel, units in the second line), the long form of
`ncu --csv --metrics ...` (one row per metric), and the tables of AccelWattch's hardware profiler (hw_perf.csv).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isa.errors import SubcoreError
from sim.result import RunResult
from sim.stats import Stall

MAX_BYTES = 1 << 28
# to ns, bytes and Hz; ncu writes either spelling, by version
_UNITS = {
    "nsecond": 1.0, "ns": 1.0, "usecond": 1e3, "us": 1e3, "msecond": 1e6, "ms": 1e6, "second": 1e9, "s": 1e9,
    "byte": 1.0, "kbyte": 1e3, "mbyte": 1e6, "gbyte": 1e9,
    "hz": 1.0, "khz": 1e3, "mhz": 1e6, "ghz": 1e9, "cycle/second": 1.0, "cycle/nsecond": 1e9, "cycle/usecond": 1e6,
}  # fmt: skip
# columns of hw_perf.csv -> metrics; read and write sectors of L1 and L2 by hit and miss
_ACCELWATTCH = {
    "Elapsed_Cycles": "gpc__cycles_elapsed.max",
    "L1_RH": "l1tex__t_sectors_pipe_lsu_mem_global_op_ld_lookup_hit.sum",
    "L1_RM": "l1tex__t_sectors_pipe_lsu_mem_global_op_ld_lookup_miss.sum",
    "L1_WH": "l1tex__t_sectors_pipe_lsu_mem_global_op_st_lookup_hit.sum",
    "L1_WM": "l1tex__t_sectors_pipe_lsu_mem_global_op_st_lookup_miss.sum",
    "SHRD_ACC": "smsp__inst_executed_op_shared.sum",
    "L2_RH": "lts__t_sectors_op_read_lookup_hit.sum",
    "L2_RM": "lts__t_sectors_op_read_lookup_miss.sum",
    "L2_WH": "lts__t_sectors_op_write_lookup_hit.sum",
    "L2_WM": "lts__t_sectors_op_write_lookup_miss.sum",
    "DRAM_Rd": "dram__sectors_read.sum",
    "DRAM_Wr": "dram__sectors_write.sum",
}


@dataclass(frozen=True, kw_only=True)
class ProfiledKernel:
    """One kernel of an export: metrics in base units (ns, bytes, Hz, %); `grid` and `block` where they are told."""

    line: int
    name: str
    grid: tuple[int, ...] | None
    block: tuple[int, ...] | None
    metrics: Mapping[str, float]

    @property
    def label(self) -> str:
        shape = "" if self.grid is None else f" grid {self.grid} block {self.block}"
        return f"line {self.line}: {self.name[:60]}{shape}"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One quantity. `profiled` is None where the export lacks every metric of `wanted`."""

    group: str
    name: str
    unit: str
    profiled: float | None
    simulated: float
    wanted: tuple[str, ...]

    @property
    def error(self) -> float | None:
        """Signed, as a fraction; None without a profiled value other than zero."""
        return (self.simulated - self.profiled) / self.profiled if self.profiled else None


def read_export(path: str | Path) -> list[ProfiledKernel]:
    """Kernels of an export in file order. SubcoreError names the file, and the line where one is at fault."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SubcoreError(f"{path}: larger than {MAX_BYTES >> 20} MiB: export fewer kernels")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SubcoreError(f"{path}: cannot read: {error}") from None
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if _is_header(line)), None)
    if start is None:
        raise SubcoreError(f"{path}: no header with a kernel name: export with `ncu --csv --page raw`")
    try:
        reader = csv.reader(io.StringIO("\n".join(lines[start:])), strict=True)
        rows = [(start + reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise SubcoreError(f"{path}: not CSV: {error}") from None
    header = rows[0][1]
    for number, row in rows[1:]:
        if len(row) > len(header) or (len(row) < len(header) and "Metric Name" not in header):
            raise SubcoreError(f"{path}, line {number}: {len(row)} columns, the header has {len(header)}")
    # the long form leaves empty columns at the end of a line out
    named = [
        (number, dict(zip(header, row + [""] * (len(header) - len(row)), strict=True))) for number, row in rows[1:]
    ]
    if "Metric Name" in header:
        found = _read_long(named)
    elif "Elapsed_Cycles" in header:
        found = [_accelwattch(number, row) for number, row in named]
    else:
        units = named[0][1] if named and not named[0][1]["Kernel Name"] else {}
        found = [_read_wide(number, row, units) for number, row in named if row["Kernel Name"]]
    if not any(kernel.metrics for kernel in found):
        raise SubcoreError(f"{path}: holds no metric by its own name (a details page?): export with `--page raw`")
    return found


def _is_header(line: str) -> bool:
    cells = next(csv.reader([line]), [])
    return "Kernel Name" in cells or ("Kernel" in cells and "Elapsed_Cycles" in cells)


def _number(text: str, unit: str = "") -> float | None:
    """Value in base units; None for text, "no data" or an empty cell."""
    try:
        return float(text.replace(",", "")) * _UNITS.get(unit.strip().lower().partition("/block")[0], 1.0)
    except ValueError:
        return None


def _shape(text: str | None) -> tuple[int, ...] | None:
    numbers = re.findall(r"\d+", text or "")
    return tuple(int(n) for n in numbers[:3]) if len(numbers) >= 3 else None


def _dimensions(metrics: Mapping[str, float], kind: str) -> tuple[int, ...] | None:
    sizes = [metrics.get(f"launch__{kind}_dim_{axis}") for axis in "xyz"]
    return None if None in sizes else tuple(int(size) for size in sizes if size is not None)


def _read_wide(number: int, row: Mapping[str, str], units: Mapping[str, str]) -> ProfiledKernel:
    values = {name: _number(text, units.get(name, "")) for name, text in row.items() if "__" in name}
    metrics = {name: value for name, value in values.items() if value is not None}
    return ProfiledKernel(
        line=number,
        name=row["Kernel Name"],
        grid=_shape(row.get("Grid Size")) or _dimensions(metrics, "grid"),
        block=_shape(row.get("Block Size")) or _dimensions(metrics, "block"),
        metrics=metrics,
    )


def _read_long(rows: Iterable[tuple[int, Mapping[str, str]]]) -> list[ProfiledKernel]:
    kernels: dict[str, tuple[int, Mapping[str, str], dict[str, float]]] = {}
    for number, row in rows:
        _, _, metrics = kernels.setdefault(row.get("ID", ""), (number, row, {}))
        value = _number(row.get("Metric Value", ""), row.get("Metric Unit", ""))
        if value is not None and "__" in row["Metric Name"]:
            metrics[row["Metric Name"]] = value
    return [
        ProfiledKernel(
            line=number,
            name=row["Kernel Name"],
            grid=_shape(row.get("Grid Size")),
            block=_shape(row.get("Block Size")),
            metrics=metrics,
        )
        for number, row, metrics in kernels.values()
    ]


def _accelwattch(number: int, row: Mapping[str, str]) -> ProfiledKernel:
    metrics = {metric: v for name, metric in _ACCELWATTCH.items() if (v := _number(row.get(name, ""))) is not None}
    return ProfiledKernel(line=number, name=row["Kernel"], grid=None, block=None, metrics=metrics)


def plain_name(name: str) -> str:
    """Kernel name without arguments, template arguments, namespaces and return type; mangled names likewise."""
    text = re.sub(r"\(anonymous namespace\)|\((?:bool|int|unsigned int|long)\)", "", name)
    while re.search(r"<[^<>]*>", text):
        text = re.sub(r"<[^<>]*>", "", text)
    text = text.partition("(")[0].strip().split(" ")[-1].split("::")[-1]
    if match := re.match(r"_Z(\d+)", text):
        return text[match.end() : match.end() + int(match[1])]
    if text.startswith("_ZN"):
        parts, rest = [], text[3:]
        while match := re.match(r"(\d+)", rest):
            end = match.end() + int(match[1])
            parts.append(rest[match.end() : end])
            rest = rest[end:]
        return parts[-1] if parts else text
    return text


def choose_kernel(
    kernels: Sequence[ProfiledKernel],
    name: str,
    grid: Sequence[int],
    block: Sequence[int],
    *,
    pattern: str | None = None,
    number: int | None = None,
) -> ProfiledKernel:
    """The profiled launch that a trace is compared with: the first of its name, grid and block.

    `pattern` (regular expression) replaces the trace's kernel name, `number` takes the n-th kernel (from 1) that fits.
    SubcoreError lists the kernels of the export when none fits.
    """
    try:
        matches = re.compile(pattern).search if pattern else None
    except re.error as error:
        raise SubcoreError(f"--kernel {pattern!r}: not a regular expression: {error}") from None

    def fits(kernel: ProfiledKernel) -> bool:
        if matches(kernel.name) is None if matches else plain_name(kernel.name) != plain_name(name):
            return False
        return all(
            told is None or tuple(told) == tuple(own) for told, own in ((kernel.grid, grid), (kernel.block, block))
        )

    found = [kernel for kernel in kernels if fits(kernel)]
    at = 1 if number is None else number
    if not 1 <= at <= len(found):
        listed = "\n  ".join(kernel.label for kernel in kernels[:12]) + ("\n  ..." if len(kernels) > 12 else "")
        raise SubcoreError(
            f"{len(found)} kernels of the export fit {pattern or plain_name(name)!r} with grid {tuple(grid)} and block "
            f"{tuple(block)}, number {at} was asked for; the export holds\n  {listed}"
        )
    return found[at - 1]


# A quantity: group, name, unit, ours, and ways to get it from the export, the first complete one taken. Metrics of a
# way are added; a factor may follow each ("metric*32", "metric/32").
_Ours = Callable[[RunResult, Mapping[str, float]], float]
_LD, _ST = "l1tex__t_sectors_pipe_lsu_mem_{}_op_ld", "l1tex__t_sectors_pipe_lsu_mem_{}_op_st"
_PIPES = ("fma", "alu", "fp16", "fp64", "xu", "tensor", "uniform", "cbu", "lsu")


def _value(name: str) -> _Ours:
    return lambda result, values: values[name]


def _ratio(part: str, whole: str) -> _Ours:
    return lambda result, values: 100 * values[part] / values[whole] if values[whole] else 0.0


_QUANTITIES: list[tuple[str, str, str, _Ours, tuple[str, ...]]] = [
    ("cycles", "cycles elapsed", "cycle", _value("gpu__cycles_elapsed"),
     ("gpc__cycles_elapsed.max", "sm__cycles_elapsed.max", "gpc__cycles_elapsed.avg", "sm__cycles_elapsed.avg")),
    ("cycles", "duration", "ns", _value("gpu__time_duration"), ("gpu__time_duration.sum", "gpu__time_duration.avg")),
    ("cycles", "SM active cycles, all SMs", "cycle", _value("sm__cycles_active.sum"), ("sm__cycles_active.sum",)),
    ("cycles", "IPC of an active SM", "inst/cycle", _value("sm__inst_executed.avg.per_cycle_active"),
     ("sm__inst_executed.avg.per_cycle_active",)),
    ("cycles", "achieved occupancy", "%", _value("sm__warps_active.avg.pct"),
     ("sm__warps_active.avg.pct_of_peak_sustained_active",)),
    ("instructions", "warp instructions", "inst", _value("smsp__inst_executed.sum"),
     ("smsp__inst_executed.sum", "sm__inst_executed.sum")),
    ("instructions", "thread instructions", "inst", _value("smsp__thread_inst_executed.sum"),
     ("smsp__thread_inst_executed.sum",)),
    *(("instructions", f"pipe {pipe}", "inst", _value(f"sm__inst_executed_pipe_{pipe}.sum"),
       (f"sm__inst_executed_pipe_{pipe}.sum", f"smsp__inst_executed_pipe_{pipe}.sum")) for pipe in _PIPES),
    ("L1", "load sectors", "sector", _value("l1tex__t_sectors_op_ld.sum"),
     (f"{_LD.format('global')}.sum + {_LD.format('local')}.sum", f"{_LD.format('global')}.sum",
      f"{_LD.format('global')}_lookup_hit.sum + {_LD.format('global')}_lookup_miss.sum")),
    ("L1", "load sector hits", "sector", _value("l1tex__t_sectors_op_ld_lookup_hit.sum"),
     (f"{_LD.format('global')}_lookup_hit.sum + {_LD.format('local')}_lookup_hit.sum",
      f"{_LD.format('global')}_lookup_hit.sum")),
    ("L1", "store sectors", "sector", _value("l1tex__t_sectors_op_st.sum"),
     (f"{_ST.format('global')}.sum + {_ST.format('local')}.sum", f"{_ST.format('global')}.sum",
      f"{_ST.format('global')}_lookup_hit.sum + {_ST.format('global')}_lookup_miss.sum")),
    ("L1", "load hit rate", "%", _ratio("l1tex__t_sectors_op_ld_lookup_hit.sum", "l1tex__t_sectors_op_ld.sum"),
     (f"{_LD.format('global')}_hit_rate.pct", "l1tex__t_sector_hit_rate.pct")),
    ("L1", "shared-memory wavefronts", "wavefront", _value("l1tex__data_pipe_lsu_wavefronts_mem_shared.sum"),
     ("l1tex__data_pipe_lsu_wavefronts_mem_shared.sum",)),
    ("L1", "bank conflicts", "wavefront", _value("l1tex__data_bank_conflicts_pipe_lsu.sum"),
     ("l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum", "l1tex__data_bank_conflicts_pipe_lsu.sum")),
    ("L2", "sectors", "sector", _value("lts__t_sectors"), ("lts__t_sectors.sum",)),
    ("L2", "read sectors", "sector", _value("lts__t_sectors_op_read"),
     ("lts__t_sectors_op_read.sum", "lts__t_sectors_op_read_lookup_hit.sum + lts__t_sectors_op_read_lookup_miss.sum")),
    ("L2", "write sectors", "sector", _value("lts__t_sectors_op_write"),
     ("lts__t_sectors_op_write.sum",
      "lts__t_sectors_op_write_lookup_hit.sum + lts__t_sectors_op_write_lookup_miss.sum")),
    ("L2", "sector hits", "sector", _value("lts__t_sectors_lookup_hit"),
     ("lts__t_sectors_lookup_hit.sum",
      "lts__t_sectors_op_read_lookup_hit.sum + lts__t_sectors_op_write_lookup_hit.sum")),
    ("L2", "hit rate", "%", _ratio("lts__t_sectors_lookup_hit", "lts__t_sectors"), ("lts__t_sector_hit_rate.pct",)),
    ("DRAM", "sectors read", "sector", _value("dram__sectors_read"),
     ("dram__sectors_read.sum", "dram__bytes_read.sum/32")),
    ("DRAM", "sectors written", "sector", _value("dram__sectors_write"),
     ("dram__sectors_write.sum", "dram__bytes_write.sum/32")),
]  # fmt: skip
# our reason -> reasons of Nsight Compute
_STALLS = {
    Stall.DISPATCH_STALL: ("dispatch_stall",),
    Stall.MIO_THROTTLE: ("mio_throttle", "lg_throttle", "tex_throttle"),
    Stall.MATH_PIPE_THROTTLE: ("math_pipe_throttle",),
    Stall.IMC_MISS: ("imc_miss",),
    Stall.WAIT: ("wait",),
    Stall.SHORT_SCOREBOARD: ("short_scoreboard",),
    Stall.LONG_SCOREBOARD: ("long_scoreboard",),
    Stall.BARRIER: ("barrier",),
    Stall.MEMBAR: ("membar",),
    Stall.NO_INSTRUCTION: ("no_instruction",),
    Stall.DRAIN: ("drain",),
}
_STALL_NAMES = (
    "smsp__average_warps_issue_stalled_{}_per_issue_active.ratio",
    "smsp__average_warp_latency_issue_stalled_{}.ratio",
    "smsp__average_warps_issue_stalled_{}.ratio",
    "smsp__pcsamp_warps_issue_stalled_{}",
)


def compare(kernel: ProfiledKernel, result: RunResult) -> list[Compared]:
    """Every quantity that both could have, then the stall reasons as shares of those that the export tells.

    Shares differ in kind: Nsight Compute counts the state of every warp, subcore charges each cycle of a sub-core to
    the reason nearest to issue.
    """
    values = {name: float(value) for name, (value, _, _) in result.values().items()}
    rows = [
        Compared(
            group=group,
            name=name,
            unit=unit,
            profiled=_first(ways, kernel.metrics),
            simulated=ours(result, values),
            wanted=ways,
        )
        for group, name, unit, ours, ways in _QUANTITIES
    ]
    pattern = next((p for p in _STALL_NAMES if p.format("long_scoreboard") in kernel.metrics), None)
    theirs: dict[Stall, float | None] = {}
    for reason, names in _STALLS.items():
        told = [kernel.metrics[m] for name in names if pattern and (m := pattern.format(name)) in kernel.metrics]
        theirs[reason] = sum(told) if told else None
    whole = sum(value for value in theirs.values() if value is not None)
    cycles = result.sm_stalls.sum(axis=(0, 1))
    # shares of the same reasons on both sides: those that the export tells
    own = sum(int(cycles[reason]) for reason, value in theirs.items() if value is not None or pattern is None)
    for reason, value in theirs.items():
        rows.append(
            Compared(
                group="stalls",
                name=reason.name.lower(),
                unit="%",
                profiled=None if value is None or not whole else 100 * value / whole,
                simulated=100 * int(cycles[reason]) / own if own else 0.0,
                wanted=tuple(p.format(_STALLS[reason][0]) for p in _STALL_NAMES),
            )
        )
    return rows


def _first(ways: Iterable[str], metrics: Mapping[str, float]) -> float | None:
    for way in ways:
        terms = []
        for term in way.split(" + "):
            name, slash, divisor = term.partition("/")
            if name not in metrics:
                break
            terms.append(metrics[name] / (float(divisor) if slash else 1.0))
        else:
            return sum(terms)
    return None
