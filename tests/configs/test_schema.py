"""Every knob is documented, bounded and sourced."""

import dataclasses
import re
from collections import Counter

import pytest

from configs.load import SOURCE_KINDS, as_flat_rows, list_configs, load_config
from configs.schema import SECTIONS, Config, all_knobs

SUFFIX_UNITS = {"_cycles": "cycles", "_bytes": "bytes", "_mhz": "MHz", "_bytes_per_cycle": "bytes per cycle"}


def test_every_field_is_a_documented_knob_without_default():
    for section, cls in SECTIONS.items():
        assert cls.__doc__ and not cls.__doc__.startswith(f"{cls.__name__}("), f"{section} has no docstring"
        for field in dataclasses.fields(cls):
            assert "knob" in field.metadata, f"{section}.{field.name}"
            assert field.metadata["knob"].doc.strip(), f"{section}.{field.name} has no documentation"
            assert field.default is dataclasses.MISSING and field.kw_only


def test_unit_agrees_with_the_name():
    for section, name, _, limits in all_knobs():
        suffix = max((s for s in SUFFIX_UNITS if name.endswith(s)), key=len, default="")
        if suffix:
            assert limits.unit == SUFFIX_UNITS[suffix], f"{section}.{name}"


def test_config_and_sections_are_frozen():
    config = load_config("rtx_a6000")
    for target, name in ((config, "l1d"), (config.l1d, "mshrs")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(target, name, 1)


@pytest.mark.parametrize("gpu", list_configs())
def test_every_shipped_value_has_a_source_and_guesses_can_be_counted(gpu):
    rows = as_flat_rows(load_config(gpu))
    assert len(rows) == sum(1 for _ in all_knobs())
    kinds = Counter(re.split(r":\s*", source)[0] for _, _, _, source in rows)
    assert set(kinds) <= set(SOURCE_KINDS), f"unknown kinds of source: {set(kinds) - set(SOURCE_KINDS)}"
    assert kinds["guess"] < len(rows) / 4, f"{kinds['guess']} of {len(rows)} values of {gpu} are guesses"


def test_config_has_one_field_per_section():
    names = [f.name for f in dataclasses.fields(Config)]
    assert names == [*SECTIONS, "sources"]
