"""The compiled test kernels, decoded once per session."""

from functools import cache
from pathlib import Path

from isa.compile import compile_cuda
from isa.cubin import Cubin, read_cubin
from isa.load import Kernel, load_kernel
from traces.kernels import list_kernels, load_launch

HERE = Path(__file__).parent
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)


@cache
def cubins(corpus: str, architecture: int) -> tuple[Cubin, ...]:
    """`basic`: all files of kernels/ as one program; `long`: those of kernels/slow; `library`: traces/kernels."""
    if corpus == "basic":
        text = "\n".join(path.read_text() for path in sorted((HERE / "kernels").glob("*.cu")))
        return (read_cubin(compile_cuda(text, architecture), f"test kernels for sm_{architecture}"),)
    if corpus == "long":
        paths = sorted((HERE / "kernels" / "slow").glob("*.cu"))
    else:
        cases = [load_launch(name) for name in list_kernels()]
        paths = sorted({case.source for case in cases if architecture in case.architectures})
    return tuple(read_cubin(compile_cuda(path, architecture, ("-std=c++17",)), path.name) for path in paths)


@cache
def kernels(corpus: str, architecture: int) -> tuple[Kernel, ...]:
    return tuple(load_kernel(cubin, name) for cubin in cubins(corpus, architecture) for name in cubin.kernels)
