"""Microbenchmarks of the tensor cores: what the kernels beside this file compute, in numpy."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs

STEPS = 32  # products of an iteration


def mma_rate(inputs: Inputs) -> Outputs:
    """Accumulators of chains of equal products: `per_product` is what each adds to every element."""
    products = STEPS // int(inputs["chains"]) * int(inputs["iterations"])
    value = products * int(inputs["per_product"])
    out = inputs["out"]
    if inputs["halves"]:
        return {"out": np.full(len(out) * 2, value, np.float16).view(np.uint32)}
    return {"out": np.full(len(out), value, out.dtype)}
