"""Sparse matrices: what the kernels beside this file compute, in numpy."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs


def spmv_csr(inputs: Inputs) -> Outputs:
    start = inputs["row_start"]
    products = inputs["value"].astype(np.float64) * inputs["x"][inputs["column"]]
    sums = np.concatenate([[0.0], np.cumsum(products)])
    return {"y": (sums[start[1:]] - sums[start[:-1]]).astype(np.float32)}


def spmv_ell(inputs: Inputs) -> Outputs:
    column = inputs["column"]
    return {"y": np.where(column >= 0, inputs["value"] * inputs["x"][column], 0).sum(axis=0)}


def spmv_coo(inputs: Inputs) -> Outputs:
    products = inputs["value"].astype(np.float64) * inputs["x"][inputs["column"]]
    return {"y": np.bincount(inputs["row"], products, len(inputs["y"])).astype(np.float32)}


def spmm_csr(inputs: Inputs) -> Outputs:
    start, column = inputs["row_start"], inputs["column"]
    dense = np.zeros((len(start) - 1, len(start) - 1))
    np.add.at(dense, (np.repeat(np.arange(len(dense)), np.diff(start)), column), inputs["value"])
    return {"c": (dense @ inputs["b"]).astype(np.float32)}


def sddmm(inputs: Inputs) -> Outputs:
    rows, columns = inputs["a"][inputs["row"]].astype(np.float64), inputs["b"][inputs["column"]]
    return {"out": ((rows * columns).sum(axis=1) * inputs["value"]).astype(np.float32)}


def spmm_bitmap_mma(inputs: Inputs) -> Outputs:
    mask, dense = inputs["mask"], np.zeros((*inputs["mask"].shape, 64))
    place = (mask[..., None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)).astype(bool)
    dense[place] = inputs["value"]
    a = dense.reshape(*mask.shape, 8, 8).swapaxes(1, 2).reshape(8 * mask.shape[0], -1)
    return {"c": (a @ inputs["b"].T.astype(np.float64)).astype(np.float32)}


def bsr_spmm_mma(inputs: Inputs) -> Outputs:
    start, b = inputs["row_start"], inputs["b"].astype(np.float64)
    out = np.zeros(inputs["c"].shape)
    for row in range(len(start) - 1):
        for i in range(start[row], start[row + 1]):
            at = 16 * int(inputs["column"][i])
            out[16 * row : 16 * row + 16] += inputs["blocks"][i].astype(np.float64) @ b[:, at : at + 16].T
    return {"c": out.astype(np.float32)}
