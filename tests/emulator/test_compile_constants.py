"""Launch files that define constants of their source: one kernel, many tiles, all with right numbers."""

import dataclasses

import pytest

from isa.errors import SubcoreError
from traces.kernels import load_launch

pytestmark = pytest.mark.sass

TILES = [  # tile, warp tile, depth of a slice, stages, fragments; 300 rows overhang every tile
    (256, 128, 64, 64, 32, 3, 2),
    (160, 128, 80, 64, 32, 4, 2),
    (128, 256, 64, 64, 64, 3, 2),
    (192, 128, 48, 64, 32, 3, 1),
    (64, 64, 32, 16, 32, 3, 1),
]
NAMES = ("tile_m", "tile_n", "warp_m", "warp_n", "depth", "stages", "fragments")


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: "x".join(map(str, tile)))
@pytest.mark.parametrize("name", ["gemm_mma_pipelined", "gemm_mma_pipelined_half"])
def test_every_tile_gives_the_product(name, tile):
    from traces.emulator import emulate

    case = load_launch(name, {"m": 300, "n": 256, "k": 192, **dict(zip(NAMES, tile, strict=True))})
    assert case.block == (tile[0] // tile[2] * (tile[1] // tile[3]) * 32,)
    assert not case.check(emulate(case, architecture=80).outputs())


def test_defaults_of_the_source_are_those_of_the_launch_file():
    from isa.compile import compile_cuda

    case = load_launch("gemm_mma_pipelined")
    assert "-DTILE_M=128" in case.compile_options
    assert compile_cuda(case.source, 80) == compile_cuda(case.source, 80, case.compile_options)
    other = load_launch("gemm_mma_pipelined", {"stages": 4})
    assert compile_cuda(case.source, 80) != compile_cuda(case.source, 80, other.compile_options)


def test_tile_that_cannot_be_is_the_compilers_error():
    from traces.emulator import emulate

    with pytest.raises(SubcoreError, match="whole fragments"):
        emulate(load_launch("gemm_mma_pipelined", {"warp_m": 8}), architecture=80)


def test_stored_code_is_refused_for_other_constants():
    from validate.hardware.run import trace_of

    case = load_launch("gemm_mma_pipelined", {"stages": 4})
    with pytest.raises(SubcoreError, match="compiled with other constants"):
        trace_of(case, 80)


def test_constant_that_names_no_parameter_is_an_error(tmp_path):
    text = '[parameters]\nn = 1\n[defines]\nTILE = "tile"\n[launch]\ngrid = [1]\nblock = [32]\n'
    (tmp_path / "probe.cu").write_text('extern "C" __global__ void probe() {}')
    (tmp_path / "probe.toml").write_text(text)
    with pytest.raises(SubcoreError, match=r"probe.toml: defines.TILE: .*unknown name 'tile'"):
        load_launch(tmp_path / "probe.toml")
    (tmp_path / "probe.toml").write_text(text.replace('"tile"', '"2 * n"'))
    case = load_launch(tmp_path / "probe.toml")
    assert case.compile_options == ("-DTILE=2",)
    assert dataclasses.replace(case, defines={}).compile_options == ()
