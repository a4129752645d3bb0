"""Control bits: known words, and that decoding undoes encoding."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isa.control import Control, decode_control, encode_control, instruction_words

FIELD = st.tuples(*[st.integers(0, n) for n in (15, 1, 7, 7, 63, 15)])


@given(st.lists(FIELD, min_size=1, max_size=20))
def test_decoding_undoes_encoding(rows):
    control = Control(*(np.array(column, np.uint8) for column in zip(*rows, strict=True)))
    for name, expected, decoded in zip(Control._fields, control, decode_control(encode_control(control)), strict=True):
        np.testing.assert_array_equal(decoded, expected, err_msg=name)


@given(st.integers(0, 2**64 - 1))
def test_encoding_keeps_only_control_bits(word):
    upper = np.array([word], np.uint64)
    again = encode_control(decode_control(upper))
    assert int(again[0]) == word & (((1 << 21) - 1) << 41)


def test_known_words():
    # From listings of compiled code: (upper word, stall, yield, write, read, wait mask, reuse).
    known = [
        (0x000FE40000000F00, 2, 0, 7, 7, 0, 0),
        (0x000E220000002100, 1, 0, 0, 7, 0, 0),
        (0x001FE40000201400, 2, 0, 7, 7, 1, 0),
        (0x000FC600000006FF, 3, 1, 7, 7, 0, 0),
        (0x040FE20000400000, 1, 0, 7, 7, 0, 1),
    ]
    decoded = decode_control(np.array([word for word, *_ in known], np.uint64))
    for row, (word, *expected) in enumerate(known):
        assert [int(field[row]) for field in decoded] == expected, hex(word)


def test_words_are_split_in_program_order():
    code = bytes(range(32))
    words = instruction_words(code)
    assert words.shape == (2, 2)
    assert int(words[1, 1]) == int.from_bytes(code[24:], "little")
