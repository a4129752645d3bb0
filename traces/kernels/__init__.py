"""Our CUDA kernels with their launches and numpy references."""

from traces.kernels.catalogue import Argument, KernelCase, list_kernels, load_launch

__all__ = ["Argument", "KernelCase", "list_kernels", "load_launch"]
