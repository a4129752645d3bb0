"""Graphs: what the kernels beside this file compute, in numpy."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs


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


def _edges(inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Source and target of each edge of a CSR graph."""
    start = inputs["row_start"]
    return np.repeat(np.arange(len(start) - 1), np.diff(start)), inputs["column"]


def pagerank_step(inputs: Inputs) -> Outputs:
    vertex, predecessor = _edges(inputs)
    vertices, damping = int(inputs["vertices"]), float(inputs["damping"])
    sums = np.bincount(vertex, inputs["share"][predecessor].astype(np.float64), vertices)
    return {"rank": ((1 - damping) / vertices + damping * sums).astype(np.float32)}


def sssp_relax(inputs: Inputs) -> Outputs:
    source, target = _edges(inputs)
    distance = inputs["distance"].copy()
    np.minimum.at(distance, target, inputs["before"][source] + inputs["weight"])
    changed = np.array([(distance < inputs["distance"]).any()], np.int32)
    return {"distance": distance, "changed": changed}


def connected_components_step(inputs: Inputs) -> Outputs:
    source, target = _edges(inputs)
    root = inputs["label"]
    while (root[root] != root).any():
        root = root[root]
    out = inputs["next"].copy()
    low, high = np.minimum(root[source], root[target]), np.maximum(root[source], root[target])
    np.minimum.at(out, high, low)
    return {"next": out}


def floyd_warshall(inputs: Inputs) -> Outputs:
    before, n, pivot = inputs["distance"], int(inputs["n"]), int(inputs["pivot"])
    pivots = slice(32 * pivot, 32 * pivot + 32)
    best = np.minimum(before, (before[:, pivots, None] + before[None, pivots, :]).min(axis=1))
    off = np.arange(n) // 32 != pivot
    return {"distance": np.where(off[:, None] & off, best, before)}


def triangle_count(inputs: Inputs) -> Outputs:
    lists = [set(row.tolist()) for row in inputs["column"]]
    total = sum(len(lists[u] & lists[v]) for u, row in enumerate(inputs["column"]) for v in row)
    return {"total": np.array([total], np.uint32)}
