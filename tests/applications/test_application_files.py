"""Application files: what they unroll to, and what is wrong with bad ones."""

import pytest

from isa.errors import SubcoreError
from subcore.application.spec import read_application

KERNELS = """
[kernel.a]
kernel = "saxpy"
[kernel.b]
kernel = "matmul_tiled"
parameters = { n = 64 }
memory = "a"
"""


def read(tmp_path, text):
    path = tmp_path / "app.toml"
    path.write_text(text)
    return read_application(path)


def test_runs_and_counts_are_unrolled_and_graphs_stay_one_call(tmp_path):
    text = (
        KERNELS
        + """
[[sequence.inner]]
launch = "a"
count = 2
[[sequence.outer]]
run = "inner"
[[sequence.outer]]
launch = "b"
stream = 3
[[step]]
run = "outer"
count = 2
[[step]]
graph = "outer"
"""
    )
    application = read(tmp_path, text)
    assert [(call.kind, call.value) for call in application.calls()] == [
        *[("launch", "a"), ("launch", "a"), ("launch", "b")] * 2,
        ("graph", "outer"),
    ]
    assert application.launches() == ["a", "a", "b"] * 3
    assert [node.stream for node in application.nodes("outer")] == [0, 0, 3]
    assert application.sources["b"].parameters == (("n", 64),) and application.sources["b"].memory == "a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[kernel.a]\nkernel = "saxpi"\n', r"app.toml:2: unknown kernel 'saxpi'; did you mean 'saxpy'"),
        (KERNELS + '[[step]]\nlaunch = "c"\n', r"app.toml:9: unknown kernel 'c'; known: a, b"),
        (KERNELS + '[[step]]\nlaunhc = "a"\n', r"app.toml:8: a step has one of .*did you mean 'launch'"),
        (KERNELS + '[[step]]\nlaunch = "a"\nstraem = 1\n', r"app.toml:8: launch takes no 'straem'; .*'stream'"),
        (KERNELS + '[[step]]\nlaunch = "a"\ncount = 0\n', r"app.toml:8: count = 0: must be an integer of at least 1"),
        (KERNELS + '[[step]]\ncopy = "up"\nbytes = 4\n', r'app.toml:8: write copy = "h2d"'),
        (KERNELS + '[[step]]\nwork_us = -1\n', r"app.toml:8: work_us = -1: must be microseconds"),
        (KERNELS + '[[step]]\nrun = "x"\n', r"app.toml:9: unknown sequence 'x'"),
        (KERNELS + 'ttile = "x"\n', r"app.toml:8: unknown key of kernel.b: 'ttile'"),
        ('ttile = "x"\n' + KERNELS, r"app.toml:1: unknown key 'ttile'; did you mean 'title'"),
        (KERNELS, r"no step: the application does nothing"),
        ('[kernel.a]\ntrace = "none.sct"\n[[step]]\nlaunch = "a"\n', r"app.toml:1: kernel.a: no such trace .*none.sct"),
        ('[kernel.a]\n[[step]]\nlaunch = "a"\n', r"app.toml:1: kernel.a has either kernel or trace"),
        (
            KERNELS + '[[sequence.s]]\nsynchronize = "device"\n[[step]]\ngraph = "s"\n',
            r"synchronize cannot be part of a CUDA graph",
        ),
        (KERNELS + '[[sequence.s]]\nrun = "s"\n[[step]]\nrun = "s"\n', r"sequence 's' runs itself"),
        ("[[step]\n", r"app.toml: not valid TOML.*line 1"),
    ],
)  # fmt: skip
def test_bad_file_names_line_and_near_match(tmp_path, text, message):
    with pytest.raises(SubcoreError, match=f"(?s){message}"):
        read(tmp_path, text)


def test_every_problem_is_reported_at_once(tmp_path):
    with pytest.raises(SubcoreError) as caught:
        read(tmp_path, KERNELS + '[[step]]\nlaunch = "c"\n[[step]]\ncopy = "h2d"\n[[step]]\nrun = "x"\n')
    assert len(str(caught.value).splitlines()) == 3
