"""Floating-point operations of an instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isa.opcodes import MNEMONICS
from isa.program import TensorKind

if TYPE_CHECKING:
    import numpy as np

# Per active thread; packed halves and pairs count each.
_OPERATIONS = {
    "FADD": 1, "FADD32I": 1, "FMUL": 1, "FMUL32I": 1, "FFMA": 2, "FFMA32I": 2, "FADD2": 2, "FMUL2": 2, "FFMA2": 4,
    "HADD2": 2, "HMUL2": 2, "HFMA2": 4, "DADD": 1, "DMUL": 1, "DFMA": 2,
}  # fmt: skip
_FLOATING = frozenset({TensorKind.HMMA, TensorKind.DMMA, TensorKind.QMMA, TensorKind.HGMMA, TensorKind.OMMA})
_WARPGROUP = 4  # warps that share one HGMMA


def operations(instruction: np.void, issued: int, active_lanes: int) -> int:
    """Floating-point operations of an instruction (an INSTRUCTION record): a fused multiply-add counts two, a matrix
    instruction two per multiply-accumulate of its shape."""
    kind = TensorKind(int(instruction["tensor_kind"]))
    if kind in _FLOATING:
        shape = int(instruction["tensor_m"]) * int(instruction["tensor_n"]) * int(instruction["tensor_k"])
        return 2 * shape * issued // (_WARPGROUP if kind == TensorKind.HGMMA else 1)
    return _OPERATIONS.get(MNEMONICS[instruction["mnemonic"]], 0) * active_lanes
