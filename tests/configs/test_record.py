"""The numpy record is the dataclass, in numba kernels and in plain Python."""

import dataclasses

import numba
import numpy as np
import pytest

from configs.load import list_configs, load_config
from configs.record import record, record_dtype
from configs.schema import SECTIONS, section_knobs


@pytest.mark.parametrize("name", list_configs())
def test_record_equals_dataclass(name):
    config = load_config(name)
    lowered = record(config)
    for section in SECTIONS:
        for knob, (kind, limits) in section_knobs(section).items():
            value = getattr(getattr(config, section), knob)
            if kind == "str" and not limits.choices:
                assert knob not in (lowered.dtype[section].names or ())
                continue
            got = getattr(getattr(lowered, section), knob)
            if limits.choices:
                assert limits.choices(int(got)).name == value
            elif isinstance(value, tuple):
                assert tuple(got[: len(value)]) == value
                assert (got[len(value) :] == value[-1]).all()
            else:
                assert got == value, f"{section}.{knob}"


def test_dtype_does_not_depend_on_values():
    dtypes = {record(load_config(name)).dtype for name in list_configs()}
    assert dtypes == {record_dtype()}


def test_every_number_is_eight_bytes_wide():
    for section in SECTIONS:
        for name, (dtype, *_) in (record_dtype()[section].fields or {}).items():
            assert dtype.base in (np.dtype("i8"), np.dtype("f8")), f"{section}.{name}"


@numba.njit
def _read(cfg):
    return cfg.l1d.mshrs, cfg.memory_unit.global_load[3], cfg.issue.policy, cfg.launch.block_interval_cycles


def test_record_reads_the_same_inside_numba():
    lowered = record(load_config("rtx_a6000", settings=["issue.policy=LRR", "launch.block_interval_cycles=1.5"]))
    assert _read(lowered) == _read.py_func(lowered) == (384, 32, 2, 1.5)


def test_config_can_be_changed_with_replace_and_lowered_again():
    config = load_config("rtx_a6000")
    changed = dataclasses.replace(config, l1d=dataclasses.replace(config.l1d, mshrs=1))
    assert record(changed).l1d.mshrs == 1
    assert record(config).l1d.mshrs == 384
