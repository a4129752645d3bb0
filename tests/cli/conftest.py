"""A small synthetic trace in Accel-Sim's text form: two blocks of two warps, loads, a store, an exit."""

from pathlib import Path

import pytest

HEADER = """-kernel name = {kernel}
-kernel id = 1
-grid dim = (2,1,1)
-block dim = (64,1,1)
-shmem = 0
-nregs = 12
-binary version = {architecture}
-cuda stream id = 0
-shmem base_addr = 0x00007f0000000000
-local mem base_addr = 0x00007f1000000000
-nvbit version = 1.7.4
-accelsim tracer version = 5
-enable lineinfo = 0

#traces format = [line_num] PC mask dest_num [reg_dests] opcode src_num [reg_srcs] mem_width [adrrescompress?] \
[mem_addresses] immediate
"""
WARP = """
warp = {warp}
insts = 5
0000 ffffffff 1 R2 MOV 0 0 0 
0010 ffffffff 1 R3 IMAD 2 R2 R2 0 0 
0020 ffffffff 1 R4 LDG.E 1 R2 4 1 0x{address:x} 4 0 
0030 ffffffff 0 STG.E 2 R2 R4 4 1 0x{store:x} 4 0 
0040 ffffffff 0 EXIT 0 0 0 
"""


def _traceg(kernel: str = "tiny", architecture: int = 86) -> str:
    """Text of the trace; warp w of the grid reads 128 bytes at 0x10000 + 128 w and writes them at 0x20000 + 128 w."""
    text = HEADER.format(kernel=kernel, architecture=architecture)
    for block in range(2):
        warps = "".join(
            WARP.format(warp=w, address=0x10000 + 128 * (2 * block + w), store=0x20000 + 128 * (2 * block + w))
            for w in range(2)
        )
        text += f"\n#BEGIN_TB\n\nthread block = {block},0,0\n{warps}\n#END_TB\n"
    return text


@pytest.fixture
def traceg():
    """Text of the trace: traceg(kernel="tiny", architecture=86)."""
    return _traceg


@pytest.fixture
def text_trace(tmp_path) -> Path:
    path = tmp_path / "tiny.traceg"
    path.write_text(_traceg())
    return path


@pytest.fixture
def run():
    """Invoke the command in this process: run("simulate", ...) -> click.testing.Result."""
    from click.testing import CliRunner

    from subcore.cli import cli

    return lambda *arguments: CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="subcore")
