"""The tensor suite: every figure beside the model, none forgotten, and that a wrong model is seen."""

import csv
import re
from fnmatch import fnmatchcase

import pytest

from isa.errors import SubcoreError
from validate.deviations import compare, read_deviations
from validate.tensor import Row, listing, load_suite, operation, run_row

TABLES = ("tensor_core", "dpx", "wgmma", "dsm")
# Copies by the whole chip take minutes: these are looked at in every run, the others in the slow one.
QUICK_COPIES = ("tma_bw 114 blocks 1024 B", "tma_bw_1d 228 blocks 1024 B", "tma_bw_2d 114 blocks X = 16, Y = 16 1024 B")


def is_quick(row):
    return row.kernel != "bulk_copy" or row.metric in QUICK_COPIES


@pytest.fixture(scope="module", params=[True, pytest.param(False, marks=pytest.mark.slow)], ids=["quick", "copies"])
def outcomes(request):
    return [run_row(row) for row in load_suite()[0] if is_quick(row) == request.param]


def test_every_figure_agrees_or_is_a_known_gap(outcomes):
    wrong = [
        f"{o.case} {o.cell} on {o.gpu}: measured {o.measured}, simulated {o.simulated} {o.row.unit}"
        for o in compare("tensor", outcomes).unlisted
    ]
    assert not wrong, "\n".join(wrong)


def test_every_listed_gap_is_still_open_and_unchanged(outcomes):
    rows = [r for r in read_deviations("tensor") if any(r.covers(o) for o in outcomes)]
    changed = [text for row in rows if (text := row.mismatch(outcomes))]
    closed = [r.cell for r in rows if all(o.agrees for o in outcomes if r.covers(o))]
    assert not changed and not closed, "\n".join([*changed, *closed])


@pytest.mark.shared_data
@pytest.mark.parametrize("table", TABLES)
def test_every_published_row_is_simulated_or_left_out_for_a_reason(table, shared_data):
    rows, left_out = load_suite()
    mine = {(row.board, row.metric): row for row in rows if row.table == table}
    with (shared_data / "literature" / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        published = [line for line in csv.DictReader(file) if line["quality"] != "suspect"]
    problems = []
    seen: set[tuple[str, str]] = set()
    for line in published:
        board, metric, text = line["gpu"], line["metric"], line["value"]
        if size := line.get("cluster_size"):
            metric += f", cluster {size}"
            metric += " again" if (board, metric) in seen else ""
        seen.add((board, metric))
        reasons = [
            item
            for item in left_out
            if item.table == table and fnmatchcase(board, item.board) and fnmatchcase(metric, item.metric)
        ]
        row = mine.pop((board, metric), None)
        if (row is None) == (not reasons):
            problems.append(
                f"{board}: {metric}: {'simulated and left out' if row else 'neither simulated nor left out'}"
            )
        if row:
            low, *high = (float(part) for part in re.findall(r"\d+(?:\.\d+)?", text))
            if not low - 1e-9 <= row.value <= max([low, *high]) + 1e-9 and f"{low:.4f}" != f"{row.value:.4f}":
                problems.append(f"{board}: {metric}: {text} published, {row.value} in the suite")
    assert not problems, "\n".join(problems)
    assert not mine, f"not in {table}.csv: {sorted(mine)}"


@pytest.mark.shared_data
def test_every_measured_copy_is_simulated_or_left_out_for_a_reason(shared_data):
    rows, left_out = load_suite()
    mine = {row.metric: row for row in rows if row.table == "tma"}
    given = [item for item in left_out if item.table == "tma"]
    problems = []
    with (shared_data / "literature" / "tma.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            box = f"{line['box']} " if line["box"] else ""
            name = f"{line['kind']} {line['blocks']} blocks {box}{float(line['bytes_per_load']):.0f} B"
            row = mine.pop(name, None) or mine.pop(f"{name} again", None)
            if (row is None) != any(fnmatchcase(name, item.metric) for item in given):
                problems.append(name)
            if row and abs(row.value - float(line["throughput_GBps"])) > 0.05:
                problems.append(f"{name}: {line['throughput_GBps']} published, {row.value} in the suite")
    assert not problems and not mine, (problems, sorted(mine))


@pytest.mark.parametrize(
    ("case", "setting"),
    [
        ("a100_interval", "tensor.macs_per_cycle=128"),
        ("h800_rate", "tensor.operand_step_cycles=1"),
        ("ada_rate", "tensor.f32_accumulate_factor=1"),
        ("mma_peak", "tensor.fp4_factor=2"),
        ("mma_interval", "tensor.sparse_k_bits=256"),
        ("turing_rate", "tensor.int8_factor=1"),
        ("ampere_latency", "tensor.dmma_latency_cycles=26"),
        ("ldmatrix_a100", "memory_unit.matrix_load_further_cycles=0"),
        ("dpx_h800_rate", "execute.alu_interval_cycles=1"),
        ("mma_interval", "tensor.imma_chain_cycles=0"),
        ("copy_latency", "bulk_copy.start_cycles=300"),
        ("cluster_ring", "cluster.accesses_in_flight=16"),
        ("cluster_latency", "cluster.distance_cycles=[60]"),
    ],
)
def test_suite_sees_a_model_that_is_off(case, setting):
    outcomes = [run_row(row, settings=(setting,)) for row in load_suite()[0] if row.case == case]
    assert compare("tensor", outcomes).unlisted


def row(**changes):
    values = dict(case="a", table="t", board="b", metric="m", value=1.0, unit="cycles", source="s", gpu="a100")
    return Row(**{**values, "opcode": "HMMA.16816.F32", **changes})


def test_matrix_operands_follow_from_the_opcode():
    assert operation("HMMA.16816.F32", 8) == "HMMA.16816.F32 R8, R48, R56, R8"
    assert operation("HMMA.SP.16832.F32", 12) == "HMMA.SP.16832.F32 R12, R48, R56, R12, R60, 0x0"
    assert operation("IMMA.8816.S8.S8", 8) == "IMMA.8816.S8.S8 R8, R48, R57, R8"
    with pytest.raises(SubcoreError, match="FFMA is no matrix instruction"):
        operation("FFMA", 8)


def test_rates_have_independent_accumulators_and_latencies_one():
    rate = listing(row(accumulators=2, warps=4), "HMMA.16816.F32").splitlines()
    assert [line.split()[1] for line in rate[1:5]] == ["R8,", "R12,", "R8,", "R12,"]
    chain = listing(row(measure="latency"), "HMMA.16816.F32").splitlines()
    assert {line.split()[1] for line in chain if line.startswith("HMMA")} == {"R8,"}


def test_body_gets_the_accumulator():
    lines = listing(row(opcode="", body=("IADD3 R{d}, R{d}, R5, RZ",), measure="latency"), "").splitlines()
    assert lines[0] == "IADD3 R8, R8, R5, RZ" and lines[-1] == "EXIT"


SUITE = """
[[case]]
name = "probe"
table = "t"
board = "b"
gpu = "a100"
source = "here"
unit = "cycles"
[case.rows]
"x" = { value = 8, opcode = "HMMA.16816.F32" }
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("value = 8", "value = 8, colour = 1", r"case probe, row x: unknown keys \['colour'\]"),
        ("value = 8, ", "", "case probe, row x: .*value"),
        ('unit = "cycles"', 'unit = "parsec"', "unit = 'parsec'"),
        (', opcode = "HMMA.16816.F32"', "", "needs an opcode, a body or a kernel"),
        ("[[case]]", "[[case", "probe.toml"),
        ("[[case]]", '[[left_out]]\ntable = "t"\n[[case]]', "left_out table has no 'board'"),
    ],
)
def test_mistake_in_a_suite_file_names_file_and_row(tmp_path, old, new, message):
    path = tmp_path / "probe.toml"
    path.write_text(SUITE.replace(old, new, 1))
    with pytest.raises(SubcoreError, match=message):
        load_suite(path)


def test_row_that_is_given_twice_is_refused(tmp_path):
    path = tmp_path / "probe.toml"
    path.write_text(SUITE + SUITE)
    with pytest.raises(SubcoreError, match="defined twice"):
        load_suite(path)
