"""Every bundled kernel against its reference, and launch files that hold what they promise."""

import numpy as np
import pytest

from traces.kernels import list_kernels, load_launch
from traces.kernels.catalogue import FOLDER

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
PREFERRED = (86, 90)


def launches():
    """(kernel, architecture) pairs: two architectures in the default run, all of them in the slow one."""
    for name in list_kernels():
        available = [a for a in ARCHITECTURES if a in load_launch(name).architectures]
        first = [a for a in PREFERRED if a in available]
        chosen = [*first, *(a for a in available if a not in first)][:2]
        for architecture in available:
            marks = () if architecture in chosen else (pytest.mark.slow,)
            yield pytest.param(name, architecture, marks=marks, id=f"{name}-sm_{architecture}")


@pytest.mark.sass
@pytest.mark.parametrize(("name", "architecture"), list(launches()))
def test_kernel_equals_its_reference(name, architecture):
    from traces.emulator import emulate

    case = load_launch(name)
    trace = emulate(case, architecture=architecture, budget=2_000_000)
    outputs = trace.outputs()
    if case.reference is None:
        assert outputs == {}, "a kernel with outputs needs a reference"
    else:
        assert not case.check(outputs)
        assert case.check({a.name: a.value for a in case.arguments if a.output}), "inputs must not pass for results"
    assert not trace.program.warnings


def test_names_are_unique_and_every_source_has_a_launch_file():
    files = list(FOLDER.glob("*/*.toml"))
    assert len({path.stem for path in files}) == len(files) == len(list_kernels())
    sources = {load_launch(name).source for name in list_kernels()}
    # the launches of the memory benchmarks are in validate/suites/memory
    assert {path for path in FOLDER.glob("*/*.cu") if path.parent.name != "memory"} == sources


@pytest.mark.parametrize("name", list_kernels())
def test_launch_file_has_description_reference_and_a_large_size(name):
    case = load_launch(name)
    assert case.description
    assert (case.reference is not None) == any(a.output for a in case.arguments), "outputs need a reference"
    assert case.large and dict(case.large) != {key: case.parameters[key] for key in case.large}
    again = load_launch(name)
    for one, other in zip(case.arguments, again.arguments, strict=True):
        assert np.asarray(one.value).tobytes() == np.asarray(other.value).tobytes(), one.name


def test_corpus_covers_sixty_kernels_in_several_topics():
    folders = {path.parent.name for path in FOLDER.glob("*/*.toml")}
    assert len(list_kernels()) >= 60
    assert {"gemm", "sparse", "stencil", "graph", "deep_learning", "reduce_scan_sort", "crypto"} <= folders
