"""Control bits of the 128-bit instruction word, the same layout from sm_70 to sm_121.

Bits 105-108 stall, 109 yield (active low), 110-112 write counter, 113-115 read counter, 116-121 wait mask,
122-125 reuse.
Source: Mesa NAK sm70 encoder, CuAssembler, and a check of all fields against compiled code (sm_75 ... sm_120).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Control(NamedTuple):
    """Decoded control fields, each an array of shape (n,), u1. `yield_hint` is 1 for yield; counter 7 = none."""

    stall: np.ndarray
    yield_hint: np.ndarray
    write_counter: np.ndarray
    read_counter: np.ndarray
    wait_mask: np.ndarray
    reuse: np.ndarray


_FIELDS = ((41, 4), (45, 1), (46, 3), (49, 3), (52, 6), (58, 4))  # (lowest bit of the upper word, width)


def instruction_words(code: bytes) -> np.ndarray:
    """Lower and upper 64-bit words of each instruction, u8, shape (n, 2). `code` is a multiple of 16 bytes."""
    return np.frombuffer(code, "<u8").reshape(-1, 2)


def decode_control(upper: np.ndarray) -> Control:
    """Control fields of upper instruction words (u8, shape (n,))."""
    fields = [(upper >> np.uint64(at) & np.uint64((1 << width) - 1)).astype(np.uint8) for at, width in _FIELDS]
    fields[1] ^= 1
    return Control(*fields)


def encode_control(control: Control) -> np.ndarray:
    """Inverse of `decode_control`: the control bits in place in upper words (u8, shape (n,)), other bits zero."""
    upper = np.zeros(len(control.stall), np.uint64)
    for index, (at, _) in enumerate(_FIELDS):
        field = control[index] ^ 1 if index == 1 else control[index]
        upper |= field.astype(np.uint64) << np.uint64(at)
    return upper
