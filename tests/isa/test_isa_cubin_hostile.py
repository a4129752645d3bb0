"""Cubins with numbers that are not mistakes but attacks: absurd sizes, compressed sections, overlaps, loops."""

import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.cubin import read_cubin
from isa.errors import SubcoreError

DATA = (Path(__file__).parent / "golden" / "sum.cubin").read_bytes()
SECTIONS, COUNT = struct.unpack_from("<Q", DATA, 0x28)[0], struct.unpack_from("<H", DATA, 0x3C)[0]
FIELDS = [0, 4, 8, 16, 24, 32, 40, 44, 48, 56]  # offsets in a section header
NUMBERS = [0, 1, 255, 65535, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]


def changed(*changes):
    """The cubin with (offset, struct format, value) written into it."""
    data = bytearray(DATA)
    for at, layout, value in changes:
        struct.pack_into(layout, data, at, value & (1 << 8 * struct.calcsize(layout)) - 1)
    return bytes(data)


def read(data):
    """Read a cubin that may be damaged; the error if it is refused."""
    began = time.process_time()
    try:
        read_cubin(data, "hostile.cubin")
        error = None
    except SubcoreError as refused:
        error = str(refused)
        assert error.startswith("hostile.cubin: ")
    assert time.process_time() - began < 20, "reading must not loop"
    return error


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize(("at", "layout"), [(0x20, "<Q"), (0x28, "<Q"), (0x30, "<I"), (0x34, "<H"), (0x36, "<H"),
                                            (0x38, "<H"), (0x3A, "<H"), (0x3C, "<H"), (0x3E, "<H")])  # fmt: skip
def test_header_fields(at, layout, value):
    read(changed((at, layout, value)))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, COUNT - 1), st.sampled_from(FIELDS), st.sampled_from(NUMBERS)),
        min_size=1,
        max_size=4,
    )
)  # fmt: skip
def test_section_header_fields(changes):
    read(
        changed(*((SECTIONS + 64 * n + at, "<I" if at in (0, 4, 40, 44) else "<Q", value) for n, at, value in changes))
    )


def test_compressed_sections_are_refused_before_they_are_inflated():
    flags = [struct.unpack_from("<Q", DATA, SECTIONS + 64 * n + 8)[0] for n in range(COUNT)]
    for n in range(1, COUNT):
        assert "compressed" in read(changed((SECTIONS + 64 * n + 8, "<Q", flags[n] | 0x800)))


def test_sections_that_all_span_the_file_are_refused():
    whole = [(SECTIONS + 64 * n + at, "<Q", value) for n in range(1, COUNT) for at, value in ((24, 0), (32, len(DATA)))]
    assert read(changed(*whole)) is not None


@pytest.mark.parametrize("seed", range(40))
def test_damage_in_each_section_is_found_or_harmless(seed):
    random = np.random.default_rng(seed)
    n = int(random.integers(1, COUNT))
    start, size = struct.unpack_from("<QQ", DATA, SECTIONS + 64 * n + 24)
    if not size or start + size > len(DATA):
        return
    data = bytearray(DATA)
    at = start + int(random.integers(size))
    data[at : at + 8] = random.bytes(len(data[at : at + 8]))
    read(bytes(data))
