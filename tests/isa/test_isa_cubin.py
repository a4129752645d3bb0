"""Reading cubins: what a good one contains, and that a bad one gives one clear error."""

import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.cubin import read_cubin
from isa.errors import SubcoreError
from isa.program import Parameter

GOLDEN = Path(__file__).parent / "golden" / "sum.cubin"
DATA = GOLDEN.read_bytes()


def test_kernel_attributes_of_golden_cubin():
    cubin = read_cubin(GOLDEN)
    kernel = cubin.kernel("weighted_sum")
    assert cubin.architecture == 86
    assert (kernel.shared_bytes, kernel.shared_base) == (512, 0)
    assert (kernel.parameter_base, kernel.parameter_bytes) == (0x160, 20)
    assert kernel.parameters == (Parameter(0, 8), Parameter(8, 8), Parameter(16, 4))
    assert kernel.max_threads == (128, 1, 1)
    assert kernel.barriers == 1
    assert 8 <= kernel.registers <= 32
    assert len(kernel.code) % 128 == 0


def test_variables_and_constant_relocation():
    cubin = read_cubin(GOLDEN)
    assert cubin.constant_variables["weights"] == (0, 64)
    assert cubin.global_variables["launches"].initial == struct.pack("<i", 3)
    bank = cubin.constant_bank("weighted_sum", 4, {"launches": 0x7F0012345678})
    assert struct.unpack_from("<Q", bank)[0] == 0x7F0012345678
    assert cubin.constant_bank("weighted_sum", 3) == bytes(64)
    assert cubin.constant_bank("weighted_sum", 2) == b""


def test_constant_bank_without_an_address_names_the_symbol():
    with pytest.raises(SubcoreError, match="launches"):
        read_cubin(GOLDEN).constant_bank("weighted_sum", 4)


def test_line_table_covers_the_kernel_body():
    kernel = read_cubin(GOLDEN).kernel()
    source = (GOLDEN.parent / "sum.cu").read_text().splitlines()
    assert kernel.source_file == "sum.cu"
    named = {source[line - 1].strip() for _, line in kernel.lines if line}
    assert "int i = blockIdx.x * blockDim.x + threadIdx.x;" in named
    assert all(0 <= pc < len(kernel.code) and pc % 16 == 0 for pc, _ in kernel.lines)


def test_unknown_kernel_lists_the_kernels():
    with pytest.raises(SubcoreError, match=r"no kernel 'sum'.*weighted_sum"):
        read_cubin(GOLDEN).kernel("sum")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a cubin"),
        (b"__global__ void k() {}", "not a cubin"),
        (b"\x50\xed\x55\xba" + bytes(64), "fat binary"),
        (b"\x7fELF", "truncated or damaged"),
    ],
)
def test_not_a_cubin_is_named(data, message):
    with pytest.raises(SubcoreError, match=f"thing.bin.*{message}"):
        read_cubin(data, "thing.bin")


def test_host_program_is_not_a_cubin():
    with pytest.raises(SubcoreError, match="not a cubin|damaged"):
        read_cubin(Path(sys.executable).resolve())


def test_missing_file_is_named(tmp_path):
    with pytest.raises(SubcoreError, match=r"absent\.cubin: cannot read"):
        read_cubin(tmp_path / "absent.cubin")


def test_unsupported_architecture_is_named():
    flags = struct.unpack_from("<I", DATA, 0x30)[0]
    old = DATA[:0x30] + struct.pack("<I", flags & ~0xFF00 | 52 << 8) + DATA[0x34:]
    with pytest.raises(SubcoreError, match=r"old\.cubin: code for sm_52 is not supported"):
        read_cubin(old, "old.cubin")


@pytest.mark.parametrize("part", [0.001, 0.01, 0.1, 0.3, 0.5, 0.8, 0.95, 0.999])
def test_truncated_cubin_is_refused(part):
    with pytest.raises(SubcoreError, match=r"short\.cubin"):
        read_cubin(DATA[: int(len(DATA) * part)], "short.cubin")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_cubin_reads_or_gives_subcore_error(changes):
    damaged = bytearray(DATA)
    for at, value in changes:
        damaged[at] = value
    try:
        cubin = read_cubin(bytes(damaged))
    except SubcoreError as error:
        assert str(error).startswith("cubin:")
    else:
        assert all(len(kernel.code) <= len(damaged) for kernel in cubin.kernels.values())
