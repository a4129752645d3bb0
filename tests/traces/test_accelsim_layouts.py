"""The layouts and address forms of the text format, on traces written here."""

import lzma

import numpy as np
import pytest
import synthetic_traces as synthetic

import traces.accelsim as accelsim
from isa.program import Flag
from traces.accelsim import open_accelsim
from traces.columns import lane_addresses
from traces.store import trace_hash


@pytest.fixture
def save(tmp_path):
    def write(text: str, name: str = "kernel-1.traceg"):
        path = tmp_path / name
        path.write_bytes(lzma.compress(text.encode()) if name.endswith(".xz") else text.encode())
        return path

    return write


def one_warp(*lines):
    return {
        "lines": lambda block, warp: [*lines, "0100 ffffffff 0 EXIT 0 0 0 "],
        "grid": (1, 1, 1),
        "block": (32, 1, 1),
    }


def records(trace):
    """(slot, lanes, addresses) of every memory record."""
    found = []
    for chunk in trace.blocks():
        for i in np.flatnonzero(chunk.access >= 0):
            record = chunk.access[i]
            lanes = [lane for lane in range(32) if int(chunk.active_mask[i]) >> lane & 1]
            while True:
                r = chunk.accesses[record]
                if r["list_at"] >= 0:
                    address = chunk.lane_address[r["list_at"] : r["list_at"] + len(lanes)].tolist()
                else:
                    address = [int(r["base"]) + lane * int(r["stride"]) for lane in lanes]
                found.append((int(chunk.instruction[i]), lanes, address))
                record += 1
                if not r["more"]:
                    break
    return found


def test_grouped_trace_has_program_launch_and_streams(save):
    trace = open_accelsim(save(synthetic.grouped(grid=(2, 2, 1))))
    assert trace.launch.kernel == "_Z4demoPf"
    assert (trace.launch.grid, trace.launch.block) == ((2, 2, 1), (64, 1, 1))
    assert (trace.launch.shared_bytes, trace.launch.registers, trace.launch.shared_base) == (1024, 12, 0x7F00CB000000)
    assert trace.program.text == ("MOV R1", "LDG.E R4, R2", "FADD R5, R4, RZ", "STG.E R2, R5", "EXIT")
    assert trace.program.instructions["pc"].tolist() == [0, 16, 32, 48, 64]
    assert not trace.program.has_control_bits
    assert trace.counts == {
        "blocks": 4,
        "warps": 8,
        "warp_instructions": 40,
        "thread_instructions": 8 * (4 * 32 + 16),
        "memory_instructions": 16,
    }
    (chunk,) = trace.blocks()
    assert chunk.instruction.tolist() == [0, 1, 2, 3, 4] * 8
    assert chunk.active_mask.tolist() == [0xFFFFFFFF] * 3 + [0xFFFF, 0xFFFFFFFF] + chunk.active_mask.tolist()[5:]
    ((_, _, address),) = lane_addresses(chunk)
    assert address[:2].tolist() == [synthetic.LOAD_BASE, synthetic.LOAD_BASE + 4]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (synthetic.grouped(), "k.traceg.xz"),
        (synthetic.grouped(prefixed=True), "k.traceg"),
        (synthetic.raw(), "k.trace"),
        (synthetic.raw(), "k.trace.xz"),
        (synthetic.grouped().replace("\n", "\r\n"), "k.traceg"),
    ],
)
def test_every_layout_gives_the_same_trace(text, name, save):
    assert trace_hash(open_accelsim(save(text, name))) == trace_hash(open_accelsim(save(synthetic.grouped())))


def test_older_versions_have_no_immediate(save):
    text = synthetic.grouped(lambda b, w: synthetic.default_lines(b, w, immediate=False), version="1.2", prefixed=True)
    assert open_accelsim(save(text)).counts["warp_instructions"] == 20


def test_pieces_of_any_size_give_the_same_trace(save, monkeypatch):
    path = save(synthetic.grouped(grid=(5, 1, 1)))
    whole = trace_hash(open_accelsim(path))
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr(accelsim, "_PIECE_BYTES", size)
        assert trace_hash(open_accelsim(path)) == whole, f"pieces of {size} bytes"


def test_uncached_trace_is_cut_into_chunks_and_restarts(save, monkeypatch):
    path = save(synthetic.grouped(grid=(5, 1, 1)))
    whole = trace_hash(open_accelsim(path))
    monkeypatch.setattr(accelsim, "_CHUNK_INSTRUCTIONS", 20)
    trace = open_accelsim(path, cache_bytes=0)
    assert [chunk.first_block for chunk in trace.blocks()] == [0, 2, 4]
    assert trace_hash(trace) == trace_hash(trace) == whole


def test_address_forms_give_lane_addresses(save):
    trace = open_accelsim(
        save(
            synthetic.grouped(
                **one_warp(
                    "0000 00000f00 1 R4 LDG.E 1 R2 4 1 0x1000 -8 0 ",
                    "0010 0000000d 1 R4 LDG.E 1 R2 4 2 0x1000 16 -4 0 ",
                    "0020 00000007 1 R4 LDG.E 1 R2 4 0 0x0000000000001000 0x0000000000000010 0x00007f0000000000 0 ",
                    "0030 80000000 1 R4 LDG.E 1 R2 4 2 0x1234 0 ",
                    "0040 00000000 1 R4 LDG.E 1 R2 4 1 0x0 0 0 ",
                    "0050 00000000 1 R4 LDG.E 1 R2 4 0 0 ",
                    "0060 00000003 0 STG.E 2 R2 R4 4 1 0x20 4 0 STORE_DATA I32 1 REG0:T0:0x00000000 T1:0x40400000 ",
                )
            )
        )
    )
    assert records(trace) == [
        (0, [8, 9, 10, 11], [0x1000, 0xFF8, 0xFF0, 0xFE8]),
        (1, [0, 2, 3], [0x1000, 0x1010, 0x100C]),
        (2, [0, 1, 2], [0x1000, 0x10, 0x7F0000000000]),
        (3, [31], [0x1234]),
        (6, [0, 1], [0x20, 0x24]),
    ]
    assert trace.counts["memory_instructions"] == 7  # predicated-off ones count


def test_affine_lists_become_base_and_stride(save):
    (chunk,) = open_accelsim(
        save(
            synthetic.grouped(
                **one_warp(
                    "0000 00000055 1 R4 LDG.E 1 R2 4 2 0x1000 8 8 8 0 ",
                    "0010 000000f5 1 R4 LDG.E 1 R2 4 2 0x1000 8 8 4 4 4 0 ",
                    "0020 000000f5 1 R4 LDG.E 1 R2 4 2 0x1000 8 8 4 4 8 0 ",
                )
            )
        )
    ).blocks()
    assert chunk.accesses["list_at"].tolist() == [-1, -1, 0]
    assert chunk.accesses["stride"].tolist()[:2] == [4, 4]
    assert chunk.lane_address.tolist() == [0x1000, 0x1008, 0x1010, 0x1014, 0x1018, 0x1020]


def test_source_lines_are_kept(save):
    text = synthetic.grouped(lambda b, w: ["12 " + line for line in synthetic.default_lines(b, w)], lineinfo=1)
    assert set(open_accelsim(save(text)).program.instructions["source_line"]) == {12}


def test_pascal_slots_are_eight_bytes_and_gaps_are_unknown(save):
    lines = ["0008 ffffffff 1 R1 MOV 0 0 0 ", "0018 ffffffff 0 EXIT 0 0 0 "]
    program = open_accelsim(save(synthetic.grouped(lambda b, w: lines, architecture=61))).program
    assert program.pc_step == 8
    assert program.text == ("", "MOV R1", "", "EXIT")
    assert program.instructions["pc"].tolist() == [0, 8, 16, 24]
    assert [bool(f & Flag.UNKNOWN) for f in program.instructions["flags"].tolist()] == [True, False, True, False]


def copy_lines(block, warp):
    return [
        "0000 ffffffff 1 R1 MOV 0 0 0 ",
        f"0010 000000ff 0 LDGSTS.E.128 2 R9 R10 16 1 {256 * warp:#x} 16 0 ",
        f"0010 000000ff 0 LDGSTS.E.128 2 R9 R10 16 2 {synthetic.LOAD_BASE:#x} 16 16 16 16 16 16 784 0 ",
        "0010 00000000 0 LDGSTS.E.128 2 R9 R10 16 1 0x0 0 0 ",
        "0010 00000000 0 LDGSTS.E.128 2 R9 R10 16 1 0x0 0 0 ",
        "0020 ffffffff 0 EXIT 0 0 0 ",
    ]


def test_raw_copies_to_shared_memory_are_one_instruction_with_two_accesses(save):
    trace = open_accelsim(save(synthetic.raw(copy_lines, grid=(1, 1, 1)), "k.trace"))
    assert trace.counts["warp_instructions"] == 2 * 4
    (chunk,) = trace.blocks()
    assert chunk.instruction.tolist() == [0, 1, 1, 2] * 2
    assert chunk.accesses["more"].tolist() == [1, 0] * 2
    source, destination, *_ = records(trace)
    assert source[2] == [synthetic.LOAD_BASE + 16 * i for i in range(7)] + [synthetic.LOAD_BASE + 880]
    assert destination[2] == [16 * i for i in range(8)]
    assert not trace.program.warnings


def test_grouped_copies_warn_that_the_shared_address_is_missing(save):
    text = synthetic.grouped(lambda b, w: [copy_lines(b, w)[i] for i in (0, 2, 5)])
    trace = open_accelsim(save(text))
    assert trace.counts["warp_instructions"] == 12
    assert any("LDGSTS" in warning for warning in trace.program.warnings)


def test_warps_without_exit_are_reported(save):
    trace = open_accelsim(save(synthetic.grouped(lambda b, w: synthetic.default_lines(b, w)[: 4 + w])))
    assert trace.program.warnings[0].startswith("2 of 4 warps do not end in EXIT")


def test_cluster_lines_are_accepted_with_a_warning(save):
    text = synthetic.grouped().replace("\nwarp = 0", "cluster id = 0,0,0\ncluster rank = 0\n\nwarp = 0")
    assert any("cluster" in warning for warning in open_accelsim(save(text)).program.warnings)
