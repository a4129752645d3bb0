"""Dense linear algebra beyond products: what the kernels beside this file compute, in numpy."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs


def transpose(inputs: Inputs) -> Outputs:
    return {"out": np.ascontiguousarray(inputs["in"].T)}


def gemv(inputs: Inputs) -> Outputs:
    return {"y": (inputs["a"].astype(np.float64) @ inputs["x"]).astype(np.float32)}


def dot_product(inputs: Inputs) -> Outputs:
    return {"result": np.array([inputs["x"].astype(np.float64) @ inputs["y"].astype(np.float64)])}


def cholesky_batched(inputs: Inputs) -> Outputs:
    return {"out": np.linalg.cholesky(inputs["in"].astype(np.float64)).astype(np.float32)}


def lu_batched(inputs: Inputs) -> Outputs:
    a = inputs["matrices"].astype(np.float64)
    for k in range(a.shape[-1]):
        a[:, k + 1 :, k] /= a[:, k, k, None]
        a[:, k + 1 :, k + 1 :] -= a[:, k + 1 :, k, None] * a[:, None, k, k + 1 :]
    return {"matrices": a.astype(np.float32)}


def triangular_solve(inputs: Inputs) -> Outputs:
    return {"b": np.linalg.solve(np.tril(inputs["l"]), inputs["b"])}
