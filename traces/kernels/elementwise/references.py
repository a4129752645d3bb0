"""One result per element: what the kernels beside this file compute, in numpy."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs, from_bfloat16, to_bfloat16


def vectoradd(inputs: Inputs) -> Outputs:
    return {"c": inputs["a"] + inputs["b"]}


def saxpy(inputs: Inputs) -> Outputs:
    exact = np.float64(inputs["alpha"]) * inputs["x"].astype(np.float64) + inputs["y"]
    return {"y": exact.astype(np.float32)}


def axpy_half(inputs: Inputs) -> Outputs:
    exact = np.float64(inputs["alpha"]) * inputs["x"].astype(np.float64) + inputs["y"]
    return {"y": exact.astype(np.float16)}


def axpy_bfloat16(inputs: Inputs) -> Outputs:
    exact = np.float64(inputs["alpha"]) * from_bfloat16(inputs["x"]) + from_bfloat16(inputs["y"])
    return {"y": to_bfloat16(exact)}


def gelu(inputs: Inputs) -> Outputs:
    x = inputs["in"].astype(np.float64)
    return {"out": (0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))).astype(np.float32)}


def silu_gate(inputs: Inputs) -> Outputs:
    gate = inputs["gate"].astype(np.float64)
    return {"out": (gate / (1 + np.exp(-gate)) * inputs["up"]).astype(np.float16)}


def quantise_fp8(inputs: Inputs) -> Outputs:
    """Nearest E4M3 number, ties to the even code, by search in the list of all of them."""
    rows = inputs["in"]
    largest = np.abs(rows).max(axis=1, keepdims=True)
    codes = np.arange(127)  # 0x7f is not a number
    exponent, fraction = codes >> 3, codes & 7
    magnitudes = np.where(exponent > 0, 2.0 ** (exponent - 7) * (1 + fraction / 8), 2.0**-6 * fraction / 8)
    scaled = rows * (np.float32(448) / largest)
    upper = np.clip(np.searchsorted(magnitudes, np.abs(scaled)), 1, 126)
    below = np.abs(scaled) - magnitudes[upper - 1]
    above = magnitudes[upper] - np.abs(scaled)
    nearest = np.where((below < above) | ((below == above) & (upper % 2 == 1)), upper - 1, upper)
    signed = nearest | np.signbit(scaled) << 7
    return {"codes": signed.astype(np.uint8), "scale": (largest / np.float32(448))[:, 0]}


def dequantise_fp8(inputs: Inputs) -> Outputs:
    values = (inputs["codes"].astype(np.uint16) << 8).view(np.float16)  # E5M2 is the upper half of FP16
    scale = np.repeat(inputs["scale"].astype(np.float16), 128)
    return {"out": values * scale}


def copied(inputs: Inputs) -> Outputs:
    return {"to": inputs["from"]}


def scaled(inputs: Inputs) -> Outputs:
    return {"to": inputs["from"] * np.float32(inputs["factor"])}
