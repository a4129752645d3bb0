"""Microbenchmarks of the core: what the kernels beside this file compute, in numpy."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs


def ffma_chain(inputs: Inputs) -> Outputs:
    x = np.arange(len(inputs["out"]), dtype=np.float32)
    a, b = np.float64(inputs["a"]), np.float64(inputs["b"])
    for _ in range(16 * int(inputs["iterations"])):
        x = (x * a + b).astype(np.float32)
    return {"out": x}


def maxflops(inputs: Inputs) -> Outputs:
    x, y = inputs["in"].astype(np.float64).T[:, :, None]
    chain = np.arange(10)
    a, b, s = x + 0.0625 * chain, y - 0.015625 * chain, x * y + 0.125 * chain
    for _ in range(64 * int(inputs["iterations"])):
        s = a - s * b
    return {"out": s.sum(axis=1).astype(np.float32)}


def pointer_chase(inputs: Inputs) -> Outputs:
    at = 0
    for _ in range(int(inputs["steps"])):
        at = int(inputs["next"][at])
    return {"last": np.array([at], np.uint32)}
