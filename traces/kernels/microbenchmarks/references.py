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


def _unswizzled(tile: np.ndarray) -> np.ndarray:
    """Rows of 64 halves as a matrix descriptor with the 128-byte swizzle sees them: units of 8 change places."""
    rows = np.arange(len(tile))[:, None]
    return tile.reshape(-1, 8, 8)[rows, np.arange(8) ^ (rows & 7)].reshape(-1, 64).astype(np.float64)


def _by_threads(product: np.ndarray, blocks: int) -> np.ndarray:
    """The accumulators of each thread of a warpgroup: (blocks, 128, n / 2)."""
    thread, i = np.arange(128)[:, None], np.arange(product.shape[1] // 2)
    row = 16 * (thread // 32) + thread % 32 // 4 + 8 * (i >> 1 & 1)
    one = product[row, 8 * (i >> 2) + 2 * (thread % 4) + (i & 1)].astype(np.float32)
    return np.broadcast_to(one, (blocks, *one.shape))


def wgmma_rate(inputs: Inputs) -> Outputs:
    product = int(inputs["rounds"]) * (_unswizzled(inputs["a"]) @ _unswizzled(inputs["b"]).T)
    return {"out": _by_threads(product, len(inputs["out"]))}


def wgmma_registers(inputs: Inputs) -> Outputs:
    """Every instruction multiplies the same fragments: words 4 i ... 4 i + 3 of the flat tile are those of thread i."""
    thread, column = np.arange(64)[:, None], np.arange(16)
    owner = 32 * (thread // 16) + 4 * (thread % 8) + column % 8 // 2
    register = (thread // 8 & 1) + 2 * (column // 8)
    a = inputs["a"].reshape(-1)[8 * owner + 2 * register + column % 2].astype(np.float64)
    b = _unswizzled(inputs["b"]).reshape(-1, 4, 16).sum(axis=1)
    return {"out": _by_threads(int(inputs["rounds"]) * (a @ b.T), len(inputs["out"]))}
