"""Numpy references of the PolyBench kernels, accumulated in FP64."""

from __future__ import annotations

import numpy as np

from traces.kernels.reference import Inputs, Outputs

_WEIGHTS = np.array([[0.2, 0.5, -0.8], [-0.3, 0.6, -0.9], [0.4, 0.7, 0.1]])


def _wide(inputs: Inputs, name: str) -> np.ndarray:
    return np.asarray(inputs[name], np.float64)


def polybench_2dconv(inputs: Inputs) -> Outputs:
    """Interior points of b; the border keeps what it held."""
    a, b = _wide(inputs, "a"), inputs["b"].copy()
    rows, columns = a.shape
    total = sum(_WEIGHTS[k, m] * a[k : rows - 2 + k, m : columns - 2 + m] for k in range(3) for m in range(3))
    b[1:-1, 1:-1] = total
    return {"b": b}


def polybench_gemm(inputs: Inputs) -> Outputs:
    product = _wide(inputs, "a") @ _wide(inputs, "b")
    return {"c": (inputs["beta"] * _wide(inputs, "c") + inputs["alpha"] * product).astype(np.float32)}


def polybench_2mm(inputs: Inputs) -> Outputs:
    return {"c": (_wide(inputs, "c") + _wide(inputs, "a") @ _wide(inputs, "b")).astype(np.float32)}


def polybench_atax_rows(inputs: Inputs) -> Outputs:
    return {"tmp": (_wide(inputs, "tmp") + _wide(inputs, "a") @ _wide(inputs, "x")).astype(np.float32)}


def polybench_atax_columns(inputs: Inputs) -> Outputs:
    return {"y": (_wide(inputs, "y") + _wide(inputs, "a").T @ _wide(inputs, "tmp")).astype(np.float32)}


def polybench_gesummv(inputs: Inputs) -> Outputs:
    x = _wide(inputs, "x")
    tmp = _wide(inputs, "tmp") + _wide(inputs, "a") @ x
    y = inputs["alpha"] * tmp + inputs["beta"] * (_wide(inputs, "y") + _wide(inputs, "b") @ x)
    return {"tmp": tmp.astype(np.float32), "y": y.astype(np.float32)}
