"""Control bits as text."""

import numpy as np
import pytest

from isa.errors import SubcoreError
from isa.program import INSTRUCTION, NO_COUNTER, Program
from subcore.listing import control_text, listing


def instruction(**fields) -> np.ndarray:
    record = np.zeros(1, INSTRUCTION)
    record["read_counter"] = record["write_counter"] = NO_COUNTER
    for name, value in fields.items():
        record[name] = value
    return record


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "B------:R-:W-:-:S00"),
        (
            {"wait_mask": 0b000011, "read_counter": 0, "write_counter": 1, "yield_hint": 1, "stall": 4},
            "B01----:R0:W1:Y:S04",
        ),
        ({"wait_mask": 0b100000, "write_counter": 5, "stall": 15}, "B-----5:R-:W5:-:S15"),
    ],
)
def test_control_bits_read_as_text(fields, text):
    assert control_text(instruction(**fields)[0]) == text


def test_listing_has_offset_counts_control_and_text_columns():
    records = np.concatenate([instruction(pc=0, stall=2), instruction(pc=16, stall=5)])
    program = Program("k", 86, records, ("NOP", ""), has_control_bits=True)
    assert list(listing(program, np.array([1234, 7]))) == [
        "/*0000*/  1,234  B------:R-:W-:-:S02  NOP",
        "/*0010*/      7  B------:R-:W-:-:S05  -",
    ]
    with pytest.raises(SubcoreError, match="3 counts for 2 instructions"):
        list(listing(program, np.zeros(3)))
    plain = Program("k", 86, records, ("NOP", ""))
    assert next(listing(plain)) == "/*0000*/  NOP", "no column for control bits that the trace does not have"
