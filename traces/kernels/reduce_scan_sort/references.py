"""Reductions, scans, histograms and sorting: what the kernels beside this file compute, in numpy."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs


def reduction(inputs: Inputs) -> Outputs:
    partial, threads = inputs["partial"], int(inputs["threads"])
    step = len(partial) * threads
    padded = np.zeros(-(-len(inputs["in"]) // step) * step)
    padded[: len(inputs["in"])] = inputs["in"]
    return {"partial": padded.reshape(-1, len(partial), threads).sum(axis=(0, 2)).astype(np.float32)}


def scan(inputs: Inputs) -> Outputs:
    return {"out": np.cumsum(inputs["in"], axis=1, dtype=np.int32)}


def histogram(inputs: Inputs) -> Outputs:
    return {"bins": np.bincount(inputs["in"], minlength=256).astype(np.uint32)}


def bitonic_sort(inputs: Inputs) -> Outputs:
    return {"keys": np.sort(inputs["keys"], axis=1)}


def reduction_shared(inputs: Inputs) -> Outputs:
    blocks, step = len(inputs["partial"]), 2 * int(inputs["threads"])
    sums = np.zeros(blocks)
    np.add.at(sums, np.arange(len(inputs["in"])) // step % blocks, inputs["in"].astype(np.float64))
    return {"partial": sums.astype(np.float32)}


def reduction_atomic(inputs: Inputs) -> Outputs:
    values = inputs["in"]
    total = values.sum(dtype=np.int64).astype(np.int32)
    return {"sum": total[None], "largest": values.max(keepdims=True), "smallest": values.min(keepdims=True)}


def reduction_cooperative(inputs: Inputs) -> Outputs:
    return {"total": inputs["in"].sum(keepdims=True)}


def scan_lookback(inputs: Inputs) -> Outputs:
    return {"out": np.cumsum(inputs["in"], dtype=np.int32)}


def radix_sort(inputs: Inputs) -> Outputs:
    return {"keys": np.sort(inputs["keys"], axis=1)}


def merge_path(inputs: Inputs) -> Outputs:
    return {"out": np.sort(np.concatenate([inputs["a"], inputs["b"]]))}


def stream_compaction(inputs: Inputs) -> Outputs:
    kept = inputs["in"][inputs["in"] > 0]
    out = np.zeros_like(inputs["in"])
    out[: len(kept)] = kept
    return {"out": out, "count": np.array([len(kept)], np.uint32)}


def top_k(inputs: Inputs) -> Outputs:
    order = np.argsort(-inputs["in"], axis=1, kind="stable")[:, : int(inputs["k"])]
    return {"value": np.take_along_axis(inputs["in"], order, 1), "place": order.astype(np.int32)}


def argmax(inputs: Inputs) -> Outputs:
    place = int(np.argmax(inputs["in"]))
    bits = int(inputs["in"][place : place + 1].view(np.uint32)[0])
    bits = bits ^ 0xFFFFFFFF if bits >> 31 else bits | 1 << 31
    return {"best": np.array([bits << 32 | 0xFFFFFFFF - place], np.uint64)}


def segmented_sum(inputs: Inputs) -> Outputs:
    weights = inputs["value"].astype(np.float64)
    return {"sum": np.bincount(inputs["key"], weights, int(inputs["segments"])).astype(np.float32)}


def reduction_cluster(inputs: Inputs) -> Outputs:
    clusters = len(inputs["partial"])
    sums = np.zeros(clusters)
    np.add.at(sums, np.arange(len(inputs["in"])) // (4 * 256) % clusters, inputs["in"].astype(np.float64))
    return {"partial": sums.astype(np.float32)}


def reduction_grid(inputs: Inputs) -> Outputs:
    return {"total": inputs["in"].sum(dtype=np.int32, keepdims=True)}
