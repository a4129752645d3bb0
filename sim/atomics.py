"""Atomic operations on an i8 array that several threads share, for compiled code; in plain Python there is one thread.

Every operation is sequentially consistent: what a thread wrote before it is seen by the thread that reads its result.
"""

from __future__ import annotations

import sys

import llvmlite.ir as ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from isa.jit import is_plain

_YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"  # both: int (void)


def _pointer(context, builder, array_type, array, index):
    view = context.make_array(array_type)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, array_type, view, [index])


def _load(typing_context, array, index):
    def generate(context, builder, signature, arguments):
        return builder.load_atomic(_pointer(context, builder, signature.args[0], *arguments), "seq_cst", 8)

    return types.int64(array, types.intp), generate


def _store(typing_context, array, index, value):
    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        builder.store_atomic(arguments[2], pointer, "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


def _add(typing_context, array, index, value):
    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        return builder.atomic_rmw("add", pointer, arguments[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), generate


def _replace(typing_context, array, index, expected, value):
    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        outcome = builder.cmpxchg(pointer, arguments[2], arguments[3], "seq_cst", "seq_cst")
        return builder.extract_value(outcome, 1)

    return types.boolean(array, types.intp, types.int64, types.int64), generate


def _yield(typing_context):
    def generate(context, builder, signature, arguments):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.IntType(32), ()), _YIELD)
        builder.call(function, ())
        return context.get_dummy_value()

    return types.void(), generate


if is_plain():

    def atomic_load(array, index):
        return int(array[index])

    def atomic_store(array, index, value):
        array[index] = value

    def atomic_add(array, index, value):
        array[index] += value
        return int(array[index]) - value

    def atomic_replace(array, index, expected, value):
        matches = bool(array[index] == expected)
        if matches:
            array[index] = value
        return matches

    def yield_thread():
        pass

else:
    atomic_load = intrinsic(_load)  # type: ignore[assignment]  # array[index]
    atomic_store = intrinsic(_store)  # type: ignore[assignment]  # array[index] = value
    atomic_add = intrinsic(_add)  # type: ignore[assignment]  # array[index] += value; returns what was there before
    atomic_replace = intrinsic(_replace)  # type: ignore[assignment]  # array[index] = value if it is `expected`; True if it was
    yield_thread = intrinsic(_yield)  # type: ignore[assignment]  # let another thread of the machine run on this core
