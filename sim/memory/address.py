"""Where a line lives: partition, L2 slice, set, DRAM channel, bank and row.

A count is written as 2**bits * odd. The power of two is selected by the remainder of the line number modulo a
polynomial over GF(2) (IPOLY: Rau, ISCA 1991; the memory systems of Accel-Sim and of Huerta et al., MICRO 2025, hash
the same way), the odd factor by a rotation that depends on the bits above it. Both steps permute any aligned group of
`count` consecutive lines, so streams stay perfectly balanced, strides are spread, and the map is one to one.
"""

from __future__ import annotations

import numpy as np

from isa.errors import SubcoreError
from sim.jit import stage

BYTES_OF_LINE_NUMBER = 6  # 48 bits: addresses of 55 bits in lines of 128 bytes
ROTATION_BITS = 16

# Irreducible polynomial of each degree, without its leading term; up to degree 6 those of Accel-Sim's hashing.
POLYNOMIALS = (0, 1, 3, 3, 3, 5, 3, 9, 0x1D, 0x11, 9, 5, 0x53, 0x1B, 0x443, 3, 0x100B)


def split_count(count: int) -> tuple[int, int]:
    """(bits, odd) with count == 2**bits * odd."""
    bits = (count & -count).bit_length() - 1
    return bits, count >> bits


def remainder_table(degree: int, shift: int = 0) -> np.ndarray:
    """Remainders of value * x**shift modulo the polynomial of `degree`, a row per byte of value: i4, shape (6, 256)."""
    if not 0 <= degree < len(POLYNOMIALS):
        raise SubcoreError(f"address hash over {degree} bits: at most {len(POLYNOMIALS) - 1} (2**bits divides a count)")
    table = np.zeros((BYTES_OF_LINE_NUMBER, 256), np.int32)
    if degree == 0:
        return table
    power = 1  # remainder of x**position
    for position in range(shift + 8 * BYTES_OF_LINE_NUMBER):
        if position >= shift:
            row, bit = divmod(position - shift, 8)
            table[row, (np.arange(256) >> bit) & 1 == 1] ^= power
        power <<= 1
        if power >> degree:
            power = (power & ((1 << degree) - 1)) ^ POLYNOMIALS[degree]
    return table


def rotation_table() -> np.ndarray:
    """Hash that rotates the odd factor. The shift mixes small values too, which are their own remainders."""
    return remainder_table(ROTATION_BITS, shift=ROTATION_BITS)


@stage
def remainder(table, value):
    """Remainder of `value` (48 bits) by table look-up; linear, hence the exclusive or of its bytes' remainders."""
    return (
        table[0, value & 255]
        ^ table[1, (value >> 8) & 255]
        ^ table[2, (value >> 16) & 255]
        ^ table[3, (value >> 24) & 255]
        ^ table[4, (value >> 32) & 255]
        ^ table[5, (value >> 40) & 255]
    )


@stage
def spread(table, rotation, bits, odd, value):
    """Index in [0, 2**bits * odd) of `value`; together with value // count it identifies `value`."""
    index = np.int64(remainder(table, value))
    if odd > 1:
        above = value >> bits
        index |= ((above + remainder(rotation, above // odd)) % odd) << bits
    return index
