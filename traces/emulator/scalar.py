"""Scalar arithmetic of one lane: bit casts, fused multiply-add, directed rounding, half precision.

Rounding modes: 0 nearest even, 1 towards -infinity (.RM), 2 towards +infinity (.RP), 3 towards zero (.RZ).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from isa.jit import stage

NEAREST, DOWN, UP, ZERO = range(4)

FLOAT_NAN = np.uint32(0x7FFFFFFF)  # the NaN that FP32 operations return (PTX ISA, section on NaN payloads)
HALF_NAN = np.uint32(0x7FFF)
BFLOAT_NAN = np.uint32(0x7FFF)


def _bitcast(source, target):
    def define(typing_context, value):
        def codegen(context, builder, signature, args):
            word = context.cast(builder, args[0], signature.args[0], source)
            return builder.bitcast(word, context.get_value_type(target))

        return target(value), codegen

    return intrinsic(define)


def _fma(kind):
    def define(typing_context, a, b, c):
        def codegen(context, builder, signature, args):
            words = [context.cast(builder, v, t, kind) for v, t in zip(args, signature.args, strict=True)]
            llvm = context.get_value_type(kind)
            name = "llvm.fma.f32" if kind is types.float32 else "llvm.fma.f64"
            function = builder.module.globals.get(name) or ir.Function(
                builder.module, ir.FunctionType(llvm, [llvm] * 3), name
            )
            return builder.call(function, words)

        return kind(a, b, c), codegen

    return intrinsic(define)


_config: Any = config  # its attributes are made at import

if _config.DISABLE_JIT:

    def float32_from_bits(value):
        return np.uint32(int(value) & 0xFFFFFFFF).view(np.float32)

    def bits_from_float32(value):
        return np.float32(value).view(np.uint32)

    def float64_from_bits(value):
        return np.uint64(int(value) & 0xFFFFFFFFFFFFFFFF).view(np.float64)

    def bits_from_float64(value):
        return np.float64(value).view(np.uint64)

    def _exact_fma(a, b, c, kind):
        if not all(math.isfinite(v) for v in (a, b, c)):
            return kind(a) * kind(b) + kind(c)
        exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
        if exact == 0:
            return kind(a) * kind(b) + kind(c)
        nearest = kind(float(exact))
        if kind is np.float32:  # float() rounded once already: choose among the neighbours exactly
            around = [nearest, np.nextafter(nearest, kind(-np.inf)), np.nextafter(nearest, kind(np.inf))]
            finite = [v for v in around if np.isfinite(v)] or [nearest]
            even = [(abs(Fraction(float(v)) - exact), int(v.view(np.uint32)) & 1, v) for v in finite]
            return min(even, key=lambda item: item[:2])[2] if np.isfinite(nearest) else nearest
        return nearest

    def fma32(a, b, c):
        return _exact_fma(a, b, c, np.float32)

    def fma64(a, b, c):
        return _exact_fma(a, b, c, np.float64)

else:
    float32_from_bits = _bitcast(types.uint32, types.float32)
    bits_from_float32 = _bitcast(types.float32, types.uint32)
    float64_from_bits = _bitcast(types.uint64, types.float64)
    bits_from_float64 = _bitcast(types.float64, types.uint64)
    fma32 = _fma(types.float32)
    fma64 = _fma(types.float64)


@stage
def canonical(value):
    """Bits of a float32 result: every NaN becomes 0x7fffffff."""
    return FLOAT_NAN if value != value else bits_from_float32(value)


@stage
def flush_bits(bits):
    """FTZ on float32 bits: a subnormal becomes a zero of the same sign."""
    return np.uint32(bits & np.uint32(0x80000000)) if bits & np.uint32(0x7F800000) == 0 else np.uint32(bits)


@stage
def next_up32(bits):
    """The next float32 towards +infinity, as bits."""
    if bits == np.uint32(0x80000000) or bits == 0:
        return np.uint32(1)
    if bits >> np.uint32(31):
        return np.uint32(bits - np.uint32(1))
    return np.uint32(bits + np.uint32(1)) if bits < np.uint32(0x7F800000) else np.uint32(bits)


@stage
def next_down32(bits):
    """The next float32 towards -infinity, as bits."""
    return np.uint32(next_up32(np.uint32(bits ^ np.uint32(0x80000000))) ^ np.uint32(0x80000000))


@stage
def direct32(nearest, residual, mode):
    """Turn a float32 rounded to nearest into the directed rounding, given the sign of (exact - nearest)."""
    bits = bits_from_float32(nearest)
    if residual == 0.0 or nearest != nearest:
        return bits
    if np.abs(nearest) == np.inf:  # overflow of a finite result: directed modes may stop at the largest finite number
        if nearest > 0 and mode in (DOWN, ZERO):
            return np.uint32(0x7F7FFFFF)
        if nearest < 0 and mode in (UP, ZERO):
            return np.uint32(0xFF7FFFFF)
        return bits
    if mode == DOWN and residual < 0.0:
        return next_down32(bits)
    if mode == UP and residual > 0.0:
        return next_up32(bits)
    if mode == ZERO and nearest > 0.0 and residual < 0.0:
        return next_down32(bits)
    if mode == ZERO and nearest < 0.0 and residual > 0.0:
        return next_up32(bits)
    return bits


@stage
def fma32_directed(a, b, c, mode):
    """Bits of a * b + c with one rounding in any mode: in float64 the product is exact, the sum has a known error."""
    product = np.float64(a) * np.float64(b)
    addend = np.float64(c)
    total = product + addend
    nearest = fma32(a, b, c)
    if not np.isfinite(total):
        return bits_from_float32(nearest)
    part = total - product
    error = (product - (total - part)) + (addend - part)
    if total == 0.0 and error == 0.0:  # an exact zero sum is -0 only when rounding down, or when both terms are -0
        negative = (np.signbit(product) and np.signbit(addend)) or (
            mode == DOWN and np.signbit(product) != np.signbit(addend)
        )
        return np.uint32(0x80000000) if negative else np.uint32(0)
    if np.abs(nearest) == np.inf:
        return direct32(nearest, -1.0 if nearest > 0 else 1.0, mode)
    difference = total - np.float64(nearest)  # exact: the two are neighbours
    return direct32(nearest, difference + error, mode)


@stage
def next_up64(value):
    """The next float64 towards +infinity."""
    bits = np.int64(bits_from_float64(value))
    if value == 0.0:
        return float64_from_bits(np.uint64(1))
    return float64_from_bits(np.uint64(bits + 1 if value > 0.0 else bits - 1))


@stage
def fma64_directed(a, b, c, mode):
    """a * b + c with one rounding in any mode: to nearest first, then a step by the sign of the error.

    The error is computed on operands scaled so that nothing over- or underflows (after Boldo and Muller 2005).
    """
    nearest = fma64(a, b, c)
    if mode == NEAREST or not (np.isfinite(a) and np.isfinite(b) and np.isfinite(c)):
        return nearest
    upwards = mode == UP or (mode == ZERO and nearest < 0.0)
    downwards = mode == DOWN or (mode == ZERO and nearest > 0.0)
    if np.abs(nearest) == np.inf:
        if (nearest > 0.0 and downwards) or (nearest < 0.0 and upwards):
            return math.copysign(1.7976931348623157e308, nearest)
        return nearest
    residual = 0.0
    if a != 0.0 and b != 0.0:
        x, x_exponent = math.frexp(a)
        y, y_exponent = math.frexp(b)
        exponent = x_exponent + y_exponent
        product = x * y
        product_error = fma64(x, y, -product)
        apart = math.frexp(c)[1] - exponent if c != 0.0 else 0
        if apart > 200:  # the result is c, the product only tells the direction
            residual = product
        else:
            addend = math.ldexp(c, -exponent) if apart > -200 else math.copysign(2.0**-300, c)
            total = product + addend
            part = total - product
            error = (product - (total - part)) + (addend - part)
            low = error + product_error
            part = low - error
            low_error = (error - (low - part)) + (product_error - part)
            residual = ((total - math.ldexp(nearest, -exponent)) + low) + low_error
    if residual == 0.0:  # exact: a zero sum of unlike signs is -0 when rounding down
        if nearest == 0.0 and mode == DOWN and (np.signbit(a) != np.signbit(b)) != np.signbit(c):
            return -0.0
        return nearest
    if residual > 0.0 and upwards:
        return next_up64(nearest)
    if residual < 0.0 and downwards:
        return -next_up64(-nearest)
    return nearest


@stage
def odd_sum(x, y):
    """x + y in float64 rounded to odd, so that a later rounding to half precision is the only one that counts."""
    total = x + y
    if not np.isfinite(total):
        return total
    part = total - x
    error = (x - (total - part)) + (y - part)
    bits = bits_from_float64(total)
    if error != 0.0 and bits & np.uint64(1) == 0:
        towards_zero = (error < 0.0) == (total > 0.0)
        bits = np.uint64(bits - np.uint64(1)) if towards_zero else np.uint64(bits + np.uint64(1))
        return float64_from_bits(bits)
    return total


@stage
def float_from_half(bits):
    """float32 value of IEEE half bits in the low 16 bits."""
    sign = np.uint32(bits & np.uint32(0x8000)) << np.uint32(16)
    exponent = (bits >> np.uint32(10)) & np.uint32(31)
    fraction = np.uint32(bits & np.uint32(0x3FF))
    if exponent == 31:
        return float32_from_bits(np.uint32(sign | np.uint32(0x7F800000) | (fraction << np.uint32(13))))
    if exponent == 0:
        magnitude = np.float32(fraction) * np.float32(2.0**-24)
        return -magnitude if sign else magnitude
    return float32_from_bits(
        np.uint32(sign | ((exponent + np.uint32(112)) << np.uint32(23)) | (fraction << np.uint32(13)))
    )


@stage
def small_from_double(value, mantissa_bits, bias, infinity, sign_bit, mode):
    """Bits of a float64 (no NaN) in a narrow format, rounded once in any mode; `infinity` is the code of overflow."""
    sign = np.uint32(sign_bit) if np.signbit(value) else np.uint32(0)
    magnitude = np.abs(value)
    if magnitude == np.inf:
        return np.uint32(sign | np.uint32(infinity))
    away = (mode == UP and sign == 0) or (mode == DOWN and sign != 0)
    exponent = max(int(bits_from_float64(magnitude) >> np.uint64(52)) - 1023, 1 - bias)  # subnormals share the smallest
    scaled = math.ldexp(magnitude, mantissa_bits - exponent)
    rounded = np.rint(scaled) if mode == NEAREST else np.ceil(scaled) if away else np.floor(scaled)
    code = np.int64(rounded) + ((exponent + bias - 1) << mantissa_bits)
    if code >= infinity:
        code = np.int64(infinity) if mode == NEAREST or away else np.int64(infinity) - 1
    return np.uint32(sign | np.uint32(code))


@stage
def half_from_double(value, mode):
    """IEEE half bits of a float64, rounded once."""
    return HALF_NAN if value != value else small_from_double(value, 10, 15, 0x7C00, 0x8000, mode)


@stage
def bfloat_from_double(value, mode):
    """bfloat16 bits of a float64, rounded once."""
    return BFLOAT_NAN if value != value else small_from_double(value, 7, 127, 0x7F80, 0x8000, mode)
