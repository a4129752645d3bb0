"""Bit counting for kernels: one machine instruction when compiled, plain Python otherwise (NUMBA_DISABLE_JIT=1)."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic


def _unary(name: str):
    def define(typing_context, value):
        if not isinstance(value, types.Integer):
            return None

        def codegen(context, builder, signature, args):
            word = context.cast(builder, args[0], signature.args[0], types.uint64)
            arguments = [word] if name == "ctpop" else [word, ir.Constant(ir.IntType(1), 0)]
            function = builder.module.declare_intrinsic(
                f"llvm.{name}", [word.type], ir.FunctionType(word.type, [a.type for a in arguments])
            )
            return builder.call(function, arguments)

        return types.int64(value), codegen

    return define


_config: Any = config  # its attributes are made at import
if _config.DISABLE_JIT:

    def popcount(value):
        """Number of set bits of a non-negative integer."""
        return int(value).bit_count()

    def trailing_zeros(value):
        """Index of the lowest set bit; 64 for zero."""
        value = int(value)
        return (value & -value).bit_length() - 1 if value else 64

    def leading_zeros(value):
        """Zeros above the highest set bit of a 64-bit word; 64 for zero."""
        return 64 - int(value).bit_length()

else:
    popcount = intrinsic(_unary("ctpop"))
    trailing_zeros = intrinsic(_unary("cttz"))
    leading_zeros = intrinsic(_unary("ctlz"))
