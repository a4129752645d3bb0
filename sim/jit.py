"""Numba flags for the timing kernels: the decorators of `isa.jit`, the one file that owns them."""

from isa.jit import entry, is_cold, routine, stage, standalone

__all__ = ["entry", "is_cold", "routine", "stage", "standalone"]
