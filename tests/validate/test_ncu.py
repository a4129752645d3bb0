"""Nsight Compute exports: every layout, units, choice of the kernel, and metrics that are not there."""

import numpy as np
import pytest

from isa.errors import SubcoreError
from validate.ncu import choose_kernel, compare, plain_name, read_export

RAW = """==PROF== Connected to process 1
"ID","Kernel Name","Block Size","Grid Size",@
"gpu__time_duration.sum","smsp__inst_executed.sum","dram__bytes_read.sum","lts__t_sectors.sum"
"","","","","usecond","inst","Mbyte","sector"
"0","void scale<float>(float *, int)","(256, 1, 1)","(4, 1, 1)","4.1","1,024","0.032","no data"
"1","void scale<float>(float *, int)","(256, 1, 1)","(8, 1, 1)","8.2","2,048","0.064","12"
""".replace("@\n", "")
LONG = """"ID","Kernel Name","Block Size","Grid Size","Metric Name","Metric Unit","Metric Value"
"0","scale(float *, int)","(256, 1, 1)","(4, 1, 1)","gpu__time_duration.sum","ns","4,100"
"0","scale(float *, int)","(256, 1, 1)","(4, 1, 1)","smsp__inst_executed.sum","inst","1,024"
"""


def write(tmp_path, text):
    path = tmp_path / "export.csv"
    path.write_text(text)
    return path


def test_raw_page_is_read_in_base_units(tmp_path):
    first, second = read_export(write(tmp_path, RAW))
    assert (first.name, first.grid, first.block, first.line) == (
        "void scale<float>(float *, int)",
        (4, 1, 1),
        (256, 1, 1),
        4,
    )
    assert first.metrics == {
        "gpu__time_duration.sum": pytest.approx(4100),
        "smsp__inst_executed.sum": 1024,
        "dram__bytes_read.sum": 32000,
    }, "no data is not a value"
    assert second.metrics["lts__t_sectors.sum"] == 12


def test_long_form_gathers_the_metrics_of_a_launch(tmp_path):
    (kernel,) = read_export(write(tmp_path, LONG))
    assert kernel.metrics == {"gpu__time_duration.sum": 4100, "smsp__inst_executed.sum": 1024}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no header with a kernel name"),
        (RAW.splitlines()[1] + "\n", "holds no metric"),
        (RAW + '"2","x"\n', "line 6: 2 columns, the header has 8"),
        (
            LONG.replace("gpu__time_duration.sum", "Duration").replace("smsp__inst_executed.sum", "Instructions"),
            "--page raw",
        ),
        ('"ID","Kernel Name","a__b"\n"0","unclosed', "not CSV"),
    ],
)
def test_malformed_exports_are_refused_by_name(tmp_path, text, message):
    with pytest.raises(SubcoreError, match=f"export.csv.*{message}"):
        read_export(write(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("_Z10ffmaKerneli", "ffmaKernel"),
        ("_ZN2at6native5helloEv", "hello"),
        ("void at::native::foo<int, bar<(int)3>>(int, T1)", "foo"),
        ("vectoradd", "vectoradd"),
        ("void (anonymous namespace)::gemm<float>(float *)", "gemm"),
    ],
)
def test_kernel_names_compare_without_types(name, plain):
    assert plain_name(name) == plain


def test_kernel_is_chosen_by_name_and_launch(tmp_path):
    kernels = read_export(write(tmp_path, RAW))
    assert choose_kernel(kernels, "_Z5scalePfi", (8, 1, 1), (256, 1, 1)).line == 5
    assert choose_kernel(kernels, "other", (4, 1, 1), (256, 1, 1), pattern="^void scale").line == 4
    with pytest.raises(SubcoreError, match="0 kernels of the export fit 'scale'(?s:.*)line 4: void scale"):
        choose_kernel(kernels, "scale", (9, 1, 1), (256, 1, 1))
    with pytest.raises(SubcoreError, match="number 2 was asked for"):
        choose_kernel(kernels, "scale", (4, 1, 1), (256, 1, 1), number=2)
    with pytest.raises(SubcoreError, match="not a regular expression"):
        choose_kernel(kernels, "scale", (4, 1, 1), (256, 1, 1), pattern="(")


class Result:
    """As much of a RunResult as the comparison reads."""

    sm_stalls = np.arange(2 * 4 * 13).reshape(2, 4, 13)

    def values(self):
        from sim.memory.state import COUNTERS as MEMORY
        from sim.stats import COUNTERS

        own = (
            "gpu__cycles_elapsed",
            "gpu__time_duration",
            "sm__inst_executed.avg.per_cycle_active",
            "sm__warps_active.avg.pct",
        )
        names = [*own, *(info.name for info in COUNTERS.values()), *(name for name, _, _ in MEMORY)]
        return {name: (1100, "", "") for name in names}


def test_missing_metrics_are_said_and_none_is_guessed(tmp_path):
    first, _ = read_export(write(tmp_path, RAW))
    rows = {(row.group, row.name): row for row in compare(first, Result())}
    told = {name for name, row in rows.items() if row.profiled is not None}
    assert told == {("cycles", "duration"), ("instructions", "warp instructions"), ("DRAM", "sectors read")}
    assert rows["DRAM", "sectors read"].profiled == 1000, "bytes become sectors of 32"
    assert rows["DRAM", "sectors read"].error == pytest.approx(0.1)
    assert all(row.error is None and row.wanted for name, row in rows.items() if name not in told)


def test_stalls_are_shares_of_the_reasons_that_the_export_tells(tmp_path):
    name = "smsp__average_warps_issue_stalled_{}_per_issue_active.ratio"
    header = f'"Kernel Name","{name.format("long_scoreboard")}","{name.format("wait")}"\n'
    (kernel,) = read_export(write(tmp_path, header + '"k","3","1"\n'))
    rows = [row for row in compare(kernel, Result()) if row.group == "stalls" and row.profiled is not None]
    assert {row.name: row.profiled for row in rows} == {"long_scoreboard": 75, "wait": 25}
    assert sum(row.simulated for row in rows) == pytest.approx(100)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("file", "count", "metric"),
    [
        ("b200-cublaslt-ncu/n1000_int8_algo23_raw.csv", 1, "gpc__cycles_elapsed.max"),
        ("rtx2070super-cudnn-ncu/ncu.csv", 34, "smsp__inst_executed.sum"),
        ("accelwattch-v100-hwperf/hw_perf_QV100.csv", 25, "lts__t_sectors_op_read_lookup_hit.sum"),
    ],
)
def test_real_exports_are_read(shared_data, file, count, metric):
    kernels = read_export(shared_data / file)
    assert len(kernels) == count and all(kernel.metrics[metric] >= 0 for kernel in kernels)
