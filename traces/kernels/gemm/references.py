"""Matrix products: what the kernels beside this file compute, in numpy."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs, from_bfloat16


def matmul(inputs: Inputs) -> Outputs:
    return {"c": (inputs["a"].astype(np.float64) @ inputs["b"].astype(np.float64)).astype(np.float32)}


def _transposed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a b' in FP64."""
    return a.astype(np.float64) @ b.astype(np.float64).T


def matmul_double(inputs: Inputs) -> Outputs:
    return {"c": inputs["a"] @ inputs["b"]}


def matmul_half(inputs: Inputs) -> Outputs:
    return {"c": (inputs["a"].astype(np.float64) @ inputs["b"].astype(np.float64)).astype(np.float16)}


def matmul_int8(inputs: Inputs) -> Outputs:
    return {"c": inputs["a"].astype(np.int32) @ inputs["b"].astype(np.int32).T}


def matmul_bfloat16(inputs: Inputs) -> Outputs:
    return {"c": _transposed(from_bfloat16(inputs["a"]), from_bfloat16(inputs["b"])).astype(np.float32)}


def matmul_tf32(inputs: Inputs) -> Outputs:
    def rounded(x: np.ndarray) -> np.ndarray:
        """To 10 bits of fraction, ties away from zero."""
        return ((x.view(np.uint32) + 0x1000) & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)

    return {"c": (rounded(inputs["a"]) @ rounded(inputs["b"])).astype(np.float32)}


def matmul_fp8(inputs: Inputs) -> Outputs:
    def value(codes: np.ndarray) -> np.ndarray:
        exponent, fraction = codes >> 3 & 15, (codes & 7) / 8.0
        size = np.where(exponent > 0, 2.0 ** (exponent.astype(int) - 7) * (1 + fraction), 2.0**-6 * fraction)
        return np.where(codes & 128, -size, size)

    return {"c": _transposed(value(inputs["a"]), value(inputs["b"])).astype(np.float32)}


def gemm_w8a8(inputs: Inputs) -> Outputs:
    sums = _transposed(inputs["a"], inputs["b"])
    scaled = sums * inputs["row_scale"].astype(np.float64)[:, None] * inputs["column_scale"] + inputs["bias"]
    return {"c": scaled.astype(np.float16)}


def gemm_w4a16(inputs: Inputs) -> Outputs:
    codes = inputs["codes"][:, :, None] >> np.arange(0, 32, 4, dtype=np.uint32) & 15
    weights = codes.reshape(len(codes), -1).T.astype(np.float64) - 8
    weights *= np.repeat(inputs["scale"].astype(np.float64), 64, axis=0)
    return {"c": (inputs["a"].astype(np.float64) @ weights.astype(np.float16)).astype(np.float16)}


def matmul_2to4(inputs: Inputs) -> Outputs:
    stored = inputs["a"].astype(np.float64)
    places = inputs["places"][:, :, None] >> np.arange(0, 16, 2, dtype=np.uint16) & 3
    places = places.reshape(stored.shape) + np.arange(stored.shape[1]) // 2 * 4
    dense = np.zeros((len(stored), 2 * stored.shape[1]))
    np.put_along_axis(dense, places, stored, axis=1)
    return {"c": _transposed(dense, inputs["b"]).astype(np.float32)}


def matmul_half_rows(inputs: Inputs) -> Outputs:
    """a b', both with the summed index contiguous."""
    return {"c": _transposed(inputs["a"], inputs["b"]).astype(np.float32)}
