"""Lower a `Config` to one nested numpy record, read by the timing kernels as `cfg.l1d.mshrs`."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from configs.knob import Knob
from configs.schema import SECTIONS, Config, section_knobs


def _field(name: str, kind: str, limits: Knob) -> tuple[Any, ...]:
    if kind.startswith("tuple"):
        return name, "i8", (limits.length or limits.max_length,)
    return name, "f8" if kind == "float" else "i8"


def _lower(value: Any, limits: Knob) -> Any:
    if limits.choices:
        return int(limits.choices[value])
    if isinstance(value, tuple):
        return value + value[-1:] * ((limits.length or limits.max_length) - len(value))
    return value


@functools.cache
def record_dtype() -> np.dtype:
    """dtype of `record`: one nested record per section; the same for every configuration.

    Integers and booleans are i8, floats f8, choices the i8 value of their enum, tuples sub-arrays (a tuple of variable
    length is filled up with its last value). Free text (gpu.name) is left out.
    """
    sections = []
    for section in SECTIONS:
        fields = [_field(n, k, li) for n, (k, li) in section_knobs(section).items() if k != "str" or li.choices]
        sections.append((section, np.dtype((np.record, np.dtype(fields)))))
    return np.dtype((np.record, np.dtype(sections)))


def record(config: Config) -> np.record:
    """All numbers of `config` as one record: pass it to numba kernels, or read it in plain Python alike."""
    out = np.zeros(1, dtype=record_dtype())
    for section in SECTIONS:
        values, knobs = getattr(config, section), section_knobs(section)
        for name in out.dtype[section].names or ():
            out[section][name][0] = _lower(getattr(values, name), knobs[name][1])
    return out[0]
