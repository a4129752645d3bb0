"""Small traces made here: Accel-Sim text in every layout, and streams with arbitrary contents for the store."""

from dataclasses import dataclass, field

import numpy as np

from isa.opcodes import MNEMONICS
from isa.program import INSTRUCTION, Access, MemorySpace, Program
from traces.columns import active_lanes, full_masks
from traces.stream import MEMORY_ACCESS, BlockStreams, Launch

LOAD_BASE = 0x7F0000001000


def header(grid=(2, 1, 1), block=(64, 1, 1), version="5", architecture=80, lineinfo=0, name="_Z4demoPf") -> str:
    columns = "PC mask dest_num [reg_dests] opcode src_num [reg_srcs] mem_width [mem_addresses]"
    columns += " immediate" if float(version) >= 5 else ""
    return (
        f"-kernel name = {name}\n-kernel id = 1\n-grid dim = ({','.join(map(str, grid))})\n"
        f"-block dim = ({','.join(map(str, block))})\n-shmem = 1024\n-nregs = 12\n-binary version = {architecture}\n"
        "-cuda stream id = 0\n-shmem base_addr = 0x00007f00cb000000\n-local mem base_addr = 0x00007f00c9000000\n"
        f"-nvbit version = 1.7\n-accelsim tracer version = {version}\n-enable lineinfo = {lineinfo}\n\n"
        f"#traces format = {columns}\n\n"
    )


def default_lines(block: int, warp: int, immediate: bool = True) -> list[str]:
    """A load, arithmetic, a store and EXIT; addresses differ per warp."""
    tail = "0 " if immediate else ""
    address = LOAD_BASE + 4096 * block + 128 * warp
    return [
        f"0000 ffffffff 1 R1 MOV 0 0 {tail}",
        f"0010 ffffffff 1 R4 LDG.E 1 R2 4 1 {address:#x} 4 {tail}",
        f"0020 ffffffff 1 R5 FADD 2 R4 R255 0 {tail}",
        f"0030 0000ffff 0 STG.E 2 R2 R5 4 1 {address:#x} 4 {tail}",
        f"0040 ffffffff 0 EXIT 0 0 {tail}",
    ]


def grouped(lines=default_lines, grid=(2, 1, 1), block=(64, 1, 1), prefixed=False, **options) -> str:
    """Text of a grouped trace; `lines(block, warp)` gives the instruction lines of a warp."""
    text = header(grid, block, **options)
    warps = (block[0] * block[1] * block[2] + 31) // 32
    for number in range(grid[0] * grid[1] * grid[2]):
        x, y, z = number % grid[0], number // grid[0] % grid[1], number // (grid[0] * grid[1])
        text += f"\n\n#BEGIN_TB\n\nthread block = {x},{y},{z}\n"
        for warp in range(warps):
            body = lines(number, warp)
            text += f"\nwarp = {warp}\ninsts = {len(body)}\n"
            text += "".join(f"{x} {y} {z} {warp} {line}\n" if prefixed else f"{line}\n" for line in body)
        text += "\n#END_TB\n"
    return text


def raw(lines=default_lines, grid=(2, 1, 1), block=(64, 1, 1), **options) -> str:
    """Text of a raw trace: the warps' lines interleaved, the last block and warp first."""
    warps = (block[0] * block[1] * block[2] + 31) // 32
    blocks = range(grid[0] * grid[1] * grid[2])
    streams = {(b, w): lines(b, w) for b in reversed(blocks) for w in reversed(range(warps))}
    text = header(grid, block, **options)
    for i in range(max(map(len, streams.values()))):
        for (b, w), body in streams.items():
            if i < len(body):
                text += f"{b % grid[0]} {b // grid[0] % grid[1]} {b // (grid[0] * grid[1])} {w} {body[i]}\n"
    return text


@dataclass
class ListTrace:
    """A trace held as a list of chunks."""

    launch: Launch
    program: Program
    chunks: list[BlockStreams]
    provenance: dict = field(default_factory=lambda: {"tool": "test"})

    def blocks(self):
        return iter(self.chunks)


def program(slots: int = 8) -> Program:
    """Odd slots are global loads, slot 2 a global-to-shared copy, the others moves."""
    records = np.zeros(slots, INSTRUCTION)
    records["pc"] = np.arange(slots) * 16
    records["mnemonic"] = MNEMONICS.index("MOV")
    records["target"] = records["constant_bank"] = -1
    records["mnemonic"][1::2], records["space"][1::2], records["access"][1::2] = (
        MNEMONICS.index("LDG"),
        MemorySpace.GLOBAL,
        Access.LOAD,
    )
    records["mnemonic"][2], records["space"][2], records["access"][2] = (
        MNEMONICS.index("LDGSTS"),
        MemorySpace.GLOBAL,
        Access.ASYNC_COPY,
    )
    records["access_bytes"] = 4
    return Program("_Z4demoPf", 80, records, tuple(f"slot {i}" for i in range(slots)), registers=16)


def chunk(launch: Launch, first_block: int, warps: list[list[tuple]]) -> BlockStreams:
    """Streams from plain data: per warp a list of (slot, mask, records); a record is (base, stride) or a list of lanes.

    Records are laid out backwards, as a producer is free to do.
    """
    flat = [item for warp in warps for item in warp]
    accesses: list[tuple] = []
    lanes: list[int] = []
    access: list[int] = []
    for _, _, records in reversed(flat):
        access.append(len(accesses) if records else -1)
        for i, record in enumerate(records):
            more = int(i + 1 < len(records))
            if isinstance(record, list):
                accesses.append((-7, -7, len(lanes), more))
                lanes += record
            else:
                accesses.append((*record, -1, more))
    return BlockStreams(
        first_block=first_block,
        warp_start=np.cumsum([0, *map(len, warps)]).astype(np.int64),
        instruction=np.array([slot for slot, _, _ in flat], np.int32),
        active_mask=np.array([mask for _, mask, _ in flat], np.uint32),
        access=np.array(access[::-1], np.int32),
        accesses=np.array(accesses, MEMORY_ACCESS),
        lane_address=np.array(lanes, np.int64),
    )


def random_trace(seed: int, grid=(3, 1, 1), block=(48, 1, 1), length: int = 40, per_chunk: int = 2) -> ListTrace:
    """Streams with every kind of record, predicated-off instructions and a partial last warp."""
    rng = np.random.default_rng(seed)
    launch = Launch("_Z4demoPf", grid, block, 0, 16, 80)
    masks = full_masks(launch)

    def warp(number: int) -> list[tuple]:
        items = []
        for _ in range(int(rng.integers(1, length + 1))):
            slot, mask = int(rng.integers(8)), int(rng.integers(1 << 32)) & int(masks[number])
            mask = 0 if rng.random() < 0.1 else mask
            records: list = []
            if mask and (slot % 2 or slot == 2):
                for _ in range(2 if slot == 2 else 1):
                    count = int(active_lanes(np.array([mask], np.uint32))[0])
                    affine = (int(rng.integers(1 << 47)), int(rng.integers(-512, 512)))
                    records.append(
                        affine if rng.random() < 0.5 else [int(a) for a in rng.integers(1 << 47, size=count)]
                    )
            items.append((slot, mask, records))
        return items

    chunks = []
    for first in range(0, launch.blocks, per_chunk):
        count = min(per_chunk, launch.blocks - first)
        chunks.append(chunk(launch, first, [warp(w) for _ in range(count) for w in range(launch.warps_per_block)]))
    return ListTrace(launch, program(), chunks)
