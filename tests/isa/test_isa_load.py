"""From cubin to Program: the golden kernel without NVIDIA packages, and the compiler and disassembler with them."""

import errno
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from make_golden import describe

import isa.compile
import isa.disassemble
import isa.toolchain
from isa.compile import compile_cuda
from isa.cubin import read_cubin
from isa.disassemble import ListedInstruction, disassemble
from isa.errors import SubcoreError
from isa.files import replace_file
from isa.load import Kernel, build_program, decode, list_kernels, load_kernel, load_program
from isa.opcodes import MNEMONICS
from isa.operand import parse_instruction
from isa.program import Flag
from isa.record import build_record

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "sum.json").read_text())


@pytest.fixture(scope="module")
def golden() -> Kernel:
    cubin = read_cubin(GOLDEN / "sum.cubin")
    listing = {name: [ListedInstruction(*row) for row in rows] for name, rows in EXPECTED["listing"].items()}
    instructions = decode(cubin.kernel(), listing, cubin.architecture)
    return Kernel(build_program(cubin.kernel(), instructions, cubin.architecture), instructions, cubin.kernel(), cubin)


def test_golden_kernel_decodes_as_recorded(golden):
    for found, expected in zip(json.loads(json.dumps(describe(golden))), EXPECTED["instructions"], strict=True):
        assert found == expected


def test_predicate_moves_name_their_predicates():
    for text, name, mask in (
        ("P2R R2,RZ,0x3", "predicate_sources", 3),
        ("R2P PR,R2,0x7e", "predicate_destinations", 0x7E),
    ):
        opcode, operands = text.split(" ")
        instruction = parse_instruction(ListedInstruction("", opcode, operands), 0, 0, 0, 120, {})
        assert build_record(instruction, 120)[name] == mask, text


def test_golden_program_is_consistent(golden):
    records = golden.program.instructions
    assert golden.program.has_control_bits and golden.program.warnings == ()
    assert (records["flags"] & int(Flag.DECODED_CONTROL)).all()
    assert records["pc"].tolist() == [16 * i for i in range(len(records))]
    assert [MNEMONICS[m] for m in records["mnemonic"]] == [i.mnemonic for i in golden.instructions]
    branches = records[records["target"] >= 0]
    assert len(branches) >= 2 and (branches["target"] < len(records)).all()
    assert set(np.unique(records["source_line"])) <= set(range(19))


def test_incomplete_listing_is_refused(golden):
    rows = [ListedInstruction(*row) for row in EXPECTED["listing"]["weighted_sum"]]
    with pytest.raises(SubcoreError, match="no listing for the code at"):
        decode(golden.code, {"weighted_sum": rows[:5]}, 86)


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(isa.toolchain, "toolkit_roots", lambda: [])
    monkeypatch.setattr(isa.toolchain.shutil, "which", lambda name: None)
    with pytest.raises(SubcoreError, match=r"nvdisasm was not found.*pip install subcore\[sass\]"):
        isa.toolchain.find_nvdisasm()
    with pytest.raises(SubcoreError, match=r"libnvrtc\) was not found.*pip install subcore\[sass\]"):
        isa.toolchain.find_nvrtc()


def test_atomic_write_leaves_nothing_behind_on_failure(tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError(errno.EIO, "disk failed")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(SubcoreError, match="listing.json: cannot write: disk failed"), \
            replace_file(tmp_path / "listing.json") as file:  # fmt: skip
        file.write(b"{}")
    assert list(tmp_path.iterdir()) == []


def test_unknown_architecture_is_refused_before_compiling():
    with pytest.raises(SubcoreError, match="sm_35 cannot be compiled for: choose one of"):
        compile_cuda("__global__ void k() {}", 35)


@pytest.mark.sass
def test_compile_error_carries_file_line_and_log():
    with pytest.raises(SubcoreError, match=r"(?s)kernel\.cu does not compile for sm_86.*kernel\.cu\(2\).*nonsense"):
        compile_cuda("__global__ void k() {\n nonsense = 1;\n}", 86)


@pytest.mark.sass
def test_missing_source_is_named(tmp_path):
    with pytest.raises(SubcoreError, match=r"absent\.cu: cannot read"):
        compile_cuda(tmp_path / "absent.cu", 86)


@pytest.mark.sass
def test_compilation_is_reproducible_in_any_folder(tmp_path, monkeypatch):
    first = compile_cuda(GOLDEN / "sum.cu", 86)
    monkeypatch.chdir(tmp_path)
    assert compile_cuda(GOLDEN / "sum.cu", 86) == first


@pytest.mark.sass
def test_listing_is_cached_and_reread(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBCORE_CACHE", str(tmp_path))
    data = (GOLDEN / "sum.cubin").read_bytes()
    first = disassemble(data)
    assert [i.text for i in first["weighted_sum"]] == [row["text"] for row in EXPECTED["instructions"]]
    isa.disassemble.nvdisasm_version()

    def refuse(*arguments, **keywords):
        raise AssertionError("the cache was not used")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert disassemble(data) == first


@pytest.mark.sass
def test_damaged_cache_entry_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBCORE_CACHE", str(tmp_path))
    data = (GOLDEN / "sum.cubin").read_bytes()
    first = disassemble(data)
    entry = next(tmp_path.rglob("*.json"))
    entry.write_text("{half a file")
    assert disassemble(data) == first
    assert json.loads(entry.read_text())


@pytest.mark.sass
def test_nvdisasm_failure_is_reported():
    with pytest.raises(SubcoreError, match="nvdisasm cannot read the cubin"):
        isa.disassemble.run_nvdisasm(b"not a cubin", "-json")


@pytest.mark.sass
def test_kernels_are_listed_and_chosen_by_name():
    data = compile_cuda('extern "C" __global__ void a() {}\nextern "C" __global__ void b(int *p) { *p = 1; }', 90)
    assert sorted(list_kernels(data)) == ["a", "b"]
    assert load_program(data, "b").parameters[0].size == 8
    with pytest.raises(SubcoreError, match="several kernels"):
        load_kernel(data)
