"""Numerical methods and simulation: what the kernels beside this file compute, in numpy."""

import math

import numpy as np

from traces.kernels.reference import Inputs, Outputs


def double_quadrature(inputs: Inputs) -> Outputs:
    steps, width = int(inputs["steps"]), 1.0 / int(inputs["total"])
    thread = np.arange(len(inputs["partial"]), dtype=np.float64)[:, None]
    x = (thread * steps + np.arange(steps) + 0.5) * width
    return {"partial": (4.0 / (1.0 + x * x)).sum(axis=1) * width}


def fft(inputs: Inputs) -> Outputs:
    signal = inputs["in"][..., 0] + 1j * inputs["in"][..., 1].astype(np.float64)
    spectrum = np.fft.fft(signal)
    return {"out": np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)}


def nbody(inputs: Inputs) -> Outputs:
    body = inputs["body"].astype(np.float64)
    away = body[None, :, :3] - body[:, None, :3]
    strength = body[:, 3] * ((away**2).sum(axis=-1) + float(inputs["softening"])) ** -1.5
    out = np.zeros_like(inputs["acceleration"])
    out[:, :3] = (away * strength[..., None]).sum(axis=1)
    return {"acceleration": out}


def lennard_jones(inputs: Inputs) -> Outputs:
    position, others = inputs["position"][:, :3].astype(np.float64), inputs["list"].T
    away = position[:, None] - position[others]
    squared = (away**2).sum(axis=-1)
    near = (others != np.arange(len(others))[:, None]) & (squared < inputs["cutoff_squared"])
    inverse = 1 / (squared + 0.5)
    strength = np.where(near, inverse**4 * (48 * inverse**3 - 24), 0)
    energy = np.where(near, 4 * inverse**3 * (inverse**3 - 1), 0)
    force = (away * strength[..., None]).sum(axis=1)
    return {"force": np.column_stack([force, energy.sum(axis=1)]).astype(np.float32)}


def black_scholes(inputs: Inputs) -> Outputs:
    stock, strike, years = (inputs[name].astype(np.float64) for name in ("stock", "strike", "years"))
    rate, volatility = float(inputs["rate"]), float(inputs["volatility"])
    normal = np.vectorize(lambda d: 0.5 * math.erfc(-d / math.sqrt(2)))
    root = volatility * np.sqrt(years)
    d1 = (np.log(stock / strike) + (rate + volatility**2 / 2) * years) / root
    discounted = strike * np.exp(-rate * years)
    call = stock * normal(d1) - discounted * normal(d1 - root)
    put = discounted * normal(root - d1) - stock * normal(-d1)
    return {"call": call.astype(np.float32), "put": put.astype(np.float32)}


def _philox(counter: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """Ten rounds of Philox 4 x 32 on arrays of 64-bit integers that hold 32-bit words."""
    key, mask = [seed, 0], np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * counter[0], np.uint64(0xCD9E8D57) * counter[2]
        counter = [
            (b >> np.uint64(32)) ^ counter[1] ^ np.uint64(key[0]), b & mask,
            (a >> np.uint64(32)) ^ counter[3] ^ np.uint64(key[1]), a & mask,
        ]  # fmt: skip
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


def _counters(steps: np.ndarray, threads: int) -> list[np.ndarray]:
    grid = np.meshgrid(steps.astype(np.uint64), np.arange(threads, dtype=np.uint64), indexing="ij")
    return [*grid, np.zeros_like(grid[0]), np.zeros_like(grid[0])]


def monte_carlo_pi(inputs: Inputs) -> Outputs:
    threads = int(inputs["threads"]) * int(inputs["blocks"])
    words = _philox(_counters(np.arange(int(inputs["rounds"])), threads), int(inputs["seed"]))
    x, y, z, w = (word >> np.uint64(1) for word in words)
    limit = np.uint64(1 << 62)
    hits = int((x * x + y * y < limit).sum() + (z * z + w * w < limit).sum())
    return {"hits": np.array([hits], np.uint64)}


def monte_carlo_option(inputs: Inputs) -> Outputs:
    steps, drift, spread = int(inputs["steps"]), float(inputs["drift"]), float(inputs["spread"])
    first, second, _, _ = _philox(_counters(np.arange(0, steps, 2), len(inputs["payoff"])), 42)
    radius = np.sqrt(-2 * np.log((first + 0.5) / 2**32))
    angle = 2 * np.pi * second / 2**32
    normals = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(steps, -1)
    mean = np.exp(np.cumsum(drift + spread * normals, axis=0)).mean(axis=0)
    return {"payoff": np.maximum(mean - float(inputs["strike"]), 0).astype(np.float32)}


def bessel_i0(inputs: Inputs) -> Outputs:
    """The mean of exp(x cos t) over a period; 200 points are exact to rounding."""
    angle = 2 * np.pi * np.arange(200) / 200
    return {"out": np.exp(inputs["x"][:, None] * np.cos(angle)).mean(axis=1)}


def bessel_k0(inputs: Inputs) -> Outputs:
    """The integral of exp(-x cosh t), with a quarter of the kernel's step."""
    t = np.arange(0, 9, 1 / 32)
    values = np.exp(-inputs["x"][:, None] * np.cosh(t))
    return {"out": (values.sum(axis=1) - values[:, 0] / 2) / 32}


def kmeans_step(inputs: Inputs) -> Outputs:
    points, centres = inputs["point"].T.astype(np.float64), inputs["centre"].astype(np.float64)
    label = ((points[:, None] - centres) ** 2).sum(axis=-1).argmin(axis=1)
    count = np.bincount(label, minlength=len(centres)).astype(np.int32)
    total = np.stack([np.bincount(label, axis, len(centres)) for axis in points.T], 1)
    return {"label": label.astype(np.int32), "sum": total.astype(np.float32), "count": count}
