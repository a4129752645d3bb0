"""State records: what plain Python, compiled code and a 64-bit cycle count all need."""

import numpy as np
import pytest

import sim.dispatch
import sim.lower
import sim.memory.state
import sim.run
import sim.state
from configs.load import load_config
from configs.record import record


def named_dtypes():
    for module in (sim.state, sim.lower, sim.run, sim.dispatch, sim.memory.state):
        for name, value in vars(module).items():
            if isinstance(value, np.dtype) and value.names:
                yield pytest.param(value, id=f"{module.__name__}.{name}")
    yield pytest.param(record(load_config("rtx_a6000")).dtype, id="config")


def fields(dtype, path=""):
    for name in dtype.names or ():
        inner = dtype.fields[name][0].base
        yield f"{path}{name}", inner
        yield from fields(inner, f"{path}{name}.")


@pytest.mark.parametrize("dtype", list(named_dtypes()))
def test_no_field_hides_behind_an_attribute_of_numpy_records(dtype):
    """`op.flags` would be numpy's own attribute when kernels run as plain Python."""
    hidden = [path for path, _ in fields(dtype) if hasattr(np.record, path.rpartition(".")[2])]
    assert hidden == []


@pytest.mark.parametrize("dtype", list(named_dtypes()))
def test_absolute_cycles_are_64_bit(dtype):
    narrow = [
        path
        for path, inner in fields(dtype)
        if path.endswith(("_until", "free_at", "wake_at", "issued_at", "done_at", "start_at")) and inner.itemsize < 8
    ]
    assert narrow == []


@pytest.mark.parametrize("dtype", list(named_dtypes()))
def test_fields_are_aligned(dtype):
    for name in dtype.names:
        inner, offset = dtype.fields[name][:2]
        assert offset % inner.base.alignment == 0, name
