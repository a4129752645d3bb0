"""What each kernel computes, in numpy. Arguments and results go by the names in the launch file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Inputs = Mapping[str, Any]
Outputs = dict[str, np.ndarray]


def vectoradd(inputs: Inputs) -> Outputs:
    return {"c": inputs["a"] + inputs["b"]}


def saxpy(inputs: Inputs) -> Outputs:
    exact = np.float64(inputs["alpha"]) * inputs["x"].astype(np.float64) + inputs["y"]
    return {"y": exact.astype(np.float32)}


def matmul(inputs: Inputs) -> Outputs:
    return {"c": (inputs["a"].astype(np.float64) @ inputs["b"].astype(np.float64)).astype(np.float32)}


def transpose(inputs: Inputs) -> Outputs:
    return {"out": np.ascontiguousarray(inputs["in"].T)}


def reduction(inputs: Inputs) -> Outputs:
    partial, threads = inputs["partial"], int(inputs["threads"])
    step = len(partial) * threads
    padded = np.zeros(-(-len(inputs["in"]) // step) * step)
    padded[: len(inputs["in"])] = inputs["in"]
    return {"partial": padded.reshape(-1, len(partial), threads).sum(axis=(0, 2)).astype(np.float32)}


def convolution_3x3(inputs: Inputs) -> Outputs:
    weights = np.frombuffer(inputs["weights"], np.float32).reshape(3, 3).astype(np.float64)
    image = np.pad(inputs["in"].astype(np.float64), 1)
    height, width = inputs["in"].shape
    total = sum(weights[y, x] * image[y : y + height, x : x + width] for y in range(3) for x in range(3))
    return {"out": np.asarray(total, np.float32)}


def spmv_csr(inputs: Inputs) -> Outputs:
    start = inputs["row_start"]
    products = inputs["value"].astype(np.float64) * inputs["x"][inputs["column"]]
    sums = np.concatenate([[0.0], np.cumsum(products)])
    return {"y": (sums[start[1:]] - sums[start[:-1]]).astype(np.float32)}


def histogram(inputs: Inputs) -> Outputs:
    return {"bins": np.bincount(inputs["in"], minlength=256).astype(np.uint32)}


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


def bfs_step(inputs: Inputs) -> Outputs:
    distance, following = inputs["distance"], inputs["next"]
    found = 0
    for vertex in inputs["frontier"]:
        for k in range(inputs["row_start"][vertex], inputs["row_start"][vertex + 1]):
            neighbour = inputs["column"][k]
            if distance[neighbour] == -1:
                distance[neighbour] = inputs["level"]
                following[found] = neighbour
                found += 1
    return {"distance": distance, "next": following, "next_size": np.array([found], np.int32)}


def stencil_5point(inputs: Inputs) -> Outputs:
    grid = inputs["in"].astype(np.float64)
    out = inputs["in"].copy()
    inner = grid[1:-1, 1:-1] + grid[1:-1, :-2] + grid[1:-1, 2:] + grid[:-2, 1:-1] + grid[2:, 1:-1]
    out[1:-1, 1:-1] = 0.2 * inner
    return {"out": out}


def softmax(inputs: Inputs) -> Outputs:
    x = inputs["in"].astype(np.float64)
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return {"out": (e / e.sum(axis=1, keepdims=True)).astype(np.float32)}


def bitonic_sort(inputs: Inputs) -> Outputs:
    return {"keys": np.sort(inputs["keys"], axis=1)}


def pointer_chase(inputs: Inputs) -> Outputs:
    at = 0
    for _ in range(int(inputs["steps"])):
        at = int(inputs["next"][at])
    return {"last": np.array([at], np.uint32)}


def scan(inputs: Inputs) -> Outputs:
    return {"out": np.cumsum(inputs["in"], axis=1, dtype=np.int32)}


def double_quadrature(inputs: Inputs) -> Outputs:
    steps, width = int(inputs["steps"]), 1.0 / int(inputs["total"])
    thread = np.arange(len(inputs["partial"]), dtype=np.float64)[:, None]
    x = (thread * steps + np.arange(steps) + 0.5) * width
    return {"partial": (4.0 / (1.0 + x * x)).sum(axis=1) * width}


REFERENCES: dict[str, Callable[[Inputs], Outputs]] = {
    function.__name__: function
    for function in (
        vectoradd, saxpy, matmul, transpose, reduction, convolution_3x3, spmv_csr, histogram, ffma_chain, maxflops,
        bfs_step, stencil_5point, softmax, bitonic_sort, pointer_chase, scan, double_quadrature,
    )
}  # fmt: skip
